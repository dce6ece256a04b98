"""The whole story on this machine: a purchase at a simulated Stripe becomes a website in a simulated panel.

Everything between the two is real: the functions over HTTP, PostgreSQL, Stripe's own SDK and its signed events.
"""

from __future__ import annotations

import webbrowser
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime

from scripts._console import INTERRUPTED
from scripts.demo_world import DemoError, menu, signals
from scripts.demo_world.place import DEFAULT, Place
from scripts.demo_world.say import bold, say, say_all, shown


def main() -> None:
    """Tell the story and serve, or hand a command to the demo that serves."""
    options = vars(menu.parser().parse_args())
    place, once, act = Place(options.pop("at") or DEFAULT), options.pop("once"), options.pop("act")
    opens, empty = options.pop("open"), options.pop("empty")
    signals.arrange()
    try:
        if act is None:
            _open(place, How(once=once, opens=opens, empty=empty))
        else:
            from scripts.demo_world.control import send

            send(place, act, options)
    except DemoError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


@dataclass(frozen=True)
class How:
    """How the demo is opened."""

    once: bool
    opens: bool
    empty: bool


def _open(place: Place, how: How) -> None:
    with ExitStack() as stack:
        stack.enter_context(place.claim(f"{datetime.now().astimezone():%H:%M}"))
        try:
            _play(stack, place, how)
        except DemoError as error:
            raise DemoError(f"\nThe demo failed: {error}\nThe functions' log: {shown(place.log)}") from None


def _play(stack: ExitStack, place: Place, how: How) -> None:
    from scripts.demo_world import acts, control, crowd, stage, story

    say("From a payment at Stripe to a website in the Enhance panel, on this machine only.")
    all_of_it = stage.set_up(stack, place, populated=not (how.once or how.empty))
    story.tell(all_of_it)
    if how.once:
        say(f"\nWithout --once it goes on serving. What the functions logged: {shown(place.log)}")
        return
    if not how.empty:
        say(f"\n{bold('8. More customers, so that there is something to look at')}")
        made = crowd.fill(all_of_it)
        say(f"   {made.customers} in {len(made.lives)} situations, made in {made.seconds:.0f} s: live, in grace, held,")
        say("   parked; a brake is on, a dispute needs an answer, and your bookkeeping does not listen.")
    place.write_settings(all_of_it.environ)
    control.open_to_commands(stack, all_of_it)
    say(f"\n{bold('Where to look:')}")
    say_all(acts.where_to_look(all_of_it))
    say(f"\n{bold('What to do, in another terminal:')}")
    for command in menu.TRY:
        say(f"   ./scripts/demo{place.option} {command}")
    if how.opens and not webbrowser.open(f"{all_of_it.base}/"):
        say("\nThere is no browser here to open: type the page's address into one.")
    say("\nServing until Ctrl-C ...")
    with suppress(KeyboardInterrupt):
        stage.serve(all_of_it)
    say("\nStopping.")
