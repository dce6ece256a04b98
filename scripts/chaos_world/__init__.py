"""A storm over the whole product, and what must be true after it.

`stage` starts everything that runs: PostgreSQL, both simulators, the functions and workers as processes of their own.
`people` buy, pay, fail and change their minds, also at the seller's own page (`shop`); `post` loses, doubles and
shuffles what Stripe tells of it; `trouble` kills processes, cuts the database off (`relay`) and breaks calls. `rest`
lets all of it come to an end, `judge` holds the panel against Stripe and `books` the money, knowing nothing of the
product's own rules.
"""


class ChaosError(Exception):
    """It could not be played to its end; the message is for the person at the terminal."""
