"""Play a storm and judge what it left."""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scripts.chaos_world import ChaosError


def main() -> None:
    """Play it; exit with 1 when something is not as promised."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Runs the functions and workers as processes against a real PostgreSQL and simulators of Stripe "
        "and the panel, lets people buy, pay, fail and leave, and meanwhile kills processes, cuts the database off, "
        "loses, doubles and shuffles events and breaks calls before and after they act. Then everything is let come to "
        "rest, and the panel is held against Stripe, and the ledger against the panel. It needs nothing of yours and "
        "touches nothing of it.",
        epilog="Exit code: 0 all is as promised, 1 something is not (each thing is named), 2 it could not be played, "
        "130 Ctrl-C. The seed repeats what people do and what goes wrong; what the product is at just then is up to "
        "the machine.",
    )
    parser.add_argument("--seconds", type=float, default=60, help="that the storm lasts (%(default)s)")
    parser.add_argument("--customers", type=int, default=40, help="at most so many (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes beside the functions (%(default)s)")
    parser.add_argument("--seed", type=int, help="of a storm to be played again")
    parser.add_argument("--log", type=Path, help="where the product's log is to be kept")
    options = parser.parse_args()
    if min(options.seconds, options.customers) <= 0 or options.workers < 0:
        parser.error("--seconds and --customers are more than 0, and --workers is not less")
    try:
        raise SystemExit(play(options))
    except (ChaosError, OSError) as error:
        print(f"The storm could not be played: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\nInterrupted, and nothing is left behind.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def play(options: argparse.Namespace) -> int:
    """A whole storm; the exit code.

    Raises:
        ChaosError: it could not be played to its end.
    """
    from scripts.chaos_world.judge import Seen, complaints
    from scripts.chaos_world.people import People
    from scripts.chaos_world.post import Post
    from scripts.chaos_world.rest import come_to_rest
    from scripts.chaos_world.shop import Shop
    from scripts.chaos_world.stage import set_up
    from scripts.chaos_world.trouble import FROZEN, Trouble, storm

    if options.log is not None:
        options.log.touch()  # it is to be kept in the end: better to know now that it can be
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"A storm of {options.seconds:g} s, seed {seed}", flush=True)
    chance = {name: random.Random(f"{seed} {name}") for name in ("people", "post", "trouble")}  # noqa: S311 - to be repeated
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        try:
            with set_up(Path(folder), options.workers) as stage:
                shop = Shop(stage.stripe, stage.base)
                people = People(stage.stripe, shop, chance["people"], options.customers)
                post = Post(stage.stripe, f"{stage.base}/api/webhook", chance["post"])
                trouble = Trouble(stage, chance["trouble"], freezes=options.seconds > FROZEN)
                try:
                    storm(stage, chance["trouble"], people.act, trouble, options.seconds)
                    _tell("People", people.acts)
                    _tell("Trouble", trouble.made)
                    print(f"Events   {len(stage.stripe.events)}: {post.lost} lost, {post.again} not taken at once")
                    began = time.monotonic()
                    passed = come_to_rest(stage, post, shop)
                finally:
                    post.close()
                    shop.close()
                rested = time.monotonic() - began
                print(f"At rest  after {rested:.0f} s, and {passed // 60} min that were not waited for", flush=True)
                seen = Seen(post.taken, stage.listener.heard, shop.twice)
                wrong = complaints(stage.stripe, stage.panel, stage.database_url, seen)
                held = [one for one in stage.panel.subscriptions.values() if not one.deleted]
        finally:
            log = Path(folder) / "product.log"
            if options.log is not None and log.exists():
                options.log.write_bytes(log.read_bytes())
    for line in wrong:
        print(f"NOT SO   {line}")
    if not wrong:
        on = sum(one.suspended_by is None for one in held)
        print(f"Equal    {len(held)} hostings, {on} of them on; nobody twice, nothing unexplained")
    return 1 if wrong else 0


def _tell(what: str, counts: Counter[str]) -> None:
    told = ", ".join(f"{number} {name}" for name, number in counts.most_common())
    print(f"{what:<8} {told}", flush=True)


if __name__ == "__main__":
    main()
