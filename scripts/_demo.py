"""The whole story on this machine: a purchase at a simulated Stripe becomes a website in a simulated panel.

Everything between the two is real: the functions over HTTP, PostgreSQL, Stripe's own SDK and its signed events.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from datetime import datetime

from scripts.demo_world import DemoError, menu, signals
from scripts.demo_world.place import DEFAULT, Place
from scripts.demo_world.say import bold, say, say_all, shown


def main() -> None:
    """Tell the story and serve, or hand a command to the demo that serves."""
    options = vars(menu.parser().parse_args())
    place, once, act = Place(options.pop("at") or DEFAULT), options.pop("once"), options.pop("act")
    signals.arrange()
    try:
        if act is None:
            _open(place, once=once)
        else:
            from scripts.demo_world.control import send

            send(place, act, options)
    except DemoError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _open(place: Place, *, once: bool) -> None:
    with ExitStack() as stack:
        stack.enter_context(place.claim(f"{datetime.now().astimezone():%H:%M}"))
        try:
            _play(stack, place, once=once)
        except DemoError as error:
            raise DemoError(f"\nThe demo failed: {error}\nThe functions' log: {shown(place.log)}") from None


def _play(stack: ExitStack, place: Place, *, once: bool) -> None:
    from scripts.demo_world import acts, control, stage, story

    say("From a payment at Stripe to a website in the Enhance panel, on this machine only.")
    all_of_it = stage.set_up(stack, place)
    story.tell(all_of_it)
    if once:
        say(f"\nWithout --once it goes on serving. What the functions logged: {shown(place.log)}")
        return
    place.write_settings(all_of_it.environ)
    control.open_to_commands(stack, all_of_it)
    say(f"\n{bold('Where to look:')}")
    say_all(acts.where_to_look(all_of_it))
    say(f"\n{bold('What to do, in another terminal:')}")
    for command in ("buy", "fail ada", "pay ada", "cancel ada", "comeback ada", "dispute ada", "refund ada", "--help"):
        say(f"   ./scripts/demo{place.option} {command}")
    say("\nServing until Ctrl-C ...")
    with suppress(KeyboardInterrupt):
        stage.serve(all_of_it)
    say("\nStopping.")
