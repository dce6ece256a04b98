"""What goes wrong: a side is down, a mapping is deleted by a slip, many cards fail at once; and how it is mended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scripts.demo_world import DemoError
from scripts.demo_world.courier import told
from scripts.demo_world.lives import BIG, PLANS
from scripts.demo_world.people import subscriptions
from scripts.demo_world.say import count
from scripts.demo_world.stage import PLAN, PRICE
from scripts.demo_world.watch import follow

if TYPE_CHECKING:
    from scripts.demo_world.stage import Stage


def break_side(stage: Stage, options: Mapping[str, Any]) -> Iterator[str]:
    """One of the two sides is down."""
    yield from _switch(stage, options["side"], down=True)
    command = f"./scripts/demo{stage.place.option} "
    if options["side"] == "panel":
        yield f"   Next     {command}buy   # whoever buys now waits, and nothing is lost"
    yield f"   Next     {command}mend {options['side']}"


def mend_side(stage: Stage, options: Mapping[str, Any]) -> Iterator[str]:
    """It is back."""
    yield from _switch(stage, options["side"], down=False)
    yield "   What waits is tried again by itself; at once: ctl retry --all, or the page's button."


def _switch(stage: Stage, side: str, *, down: bool) -> Iterator[str]:
    what = {"panel": "The panel", "stripe": "Stripe"}[side]
    if side == "panel":
        stage.panel.down = down
    else:
        stage.stripe.down = down
    yield f"{what} {'answers 503 to everything from now on' if down else 'answers again'}."


def unmap(stage: Stage, options: Mapping[str, Any]) -> Iterator[str]:
    """The mapping of a price is deleted, or put back: of one that few have, where there are many."""
    price, plan = (BIG, PLANS[BIG]) if stage.books else (PRICE, PLAN)
    if options.get("back"):
        stage.database.execute(
            "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('stripe', %s, %s)"
            " ON CONFLICT DO NOTHING",
            (price, plan),
        )
        yield f"{price} buys {plan} again: whoever waited for it is due."
        return
    stage.database.execute("DELETE FROM plan_mappings WHERE billing_plan_id = %s", (price,))
    yield f"The mapping of {price} is gone. Nobody who has it is touched: they are parked as mapping_changed,"
    yield "and whoever buys it now is parked as unmapped_price. Map it on the page, by ctl plans map, or:"
    yield f"   Next     ./scripts/demo{stage.place.option} buy --price {price}"
    yield f"   Next     ./scripts/demo{stage.place.option} unmap --back"


def brake(stage: Stage, options: Mapping[str, Any]) -> Iterator[str]:
    """Many cards fail at once, as when a bank is down."""
    before, began = len(stage.stripe.events), time.monotonic()
    failed = _fail_many(stage, options["count"])
    yield f"{count(len(failed), 'card')} fail, and Stripe gives up on each. The weeks until then are skipped."
    for line in told(stage.courier.deliver(stage.stripe.events[before:])):
        yield f"   {line}"
    yield from follow(stage, began)
    row = stage.database.execute("SELECT reason FROM brake WHERE counts = 'suspensions' AND engaged_at IS NOT NULL")
    found = row.fetchone()
    yield (
        f"   The brake is on: {found[0]}" if found else "   The brake is not on: too few live services were concerned."
    )
    yield "   Next     ctl brake release, or the page's button: everybody who waits is suspended then"


def _fail_many(stage: Stage, wanted: int) -> list[str]:
    """Let the cards of so many fail for good, the oldest first; the subscriptions that are unpaid then."""
    stripe = stage.stripe
    active = [
        sub["id"]
        for sub in reversed(subscriptions(stripe))
        if sub["status"] == "active" and [item["price"]["id"] for item in sub["items"]["data"]] == [PRICE]
    ]
    if len(active) < wanted:
        raise DemoError(f"There are fewer active subscriptions; take: --count {len(active)}")
    for sub_id in active[:wanted]:
        stripe.fail_payment(sub_id)
        stripe.mark_unpaid(sub_id)
    return active[:wanted]
