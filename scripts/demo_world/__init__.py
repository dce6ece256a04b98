"""The demo's world: everything that runs, what people in it do, and how they are told what came of it.

`stage` starts and ends PostgreSQL, the two simulators and the functions together; `place` has the demo's files and the
lock that keeps two demos apart; `courier` delivers what happens at the simulated Stripe, again until it is taken.
`acts` are what people do (buy, fail, pay, ...), for whomever `people` finds under a name, and `watch` tells what the
ledger, Stripe and the panel show afterwards; `trouble` is what goes wrong. `population` fills the world with customers
(`lives`, lived by `models`, and `copies` of them; `today` is the last hour), `crowd` the demo's own. `story` is the
acts in a row, as the demo opens; `menu` is the command line, and `control` how `./scripts/demo buy` reaches the running
demo.
"""


class DemoError(Exception):
    """Something did not go as promised, or can't be done; the message is for the person at the terminal."""
