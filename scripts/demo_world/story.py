"""The acts in a row, as the demo opens: a purchase, a repetition, a failed payment and its recovery; then a proof."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from scripts.demo_world import DemoError, watch
from scripts.demo_world.acts import open_checkout, price_of
from scripts.demo_world.people import subscriptions
from scripts.demo_world.say import bold, columns, count, day, dim, say, say_all, short
from scripts.demo_world.stage import LOOK, PATIENCE, Stage
from scripts.sim.stripe_sim import Obj

MAPPING = (
    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
    " VALUES ('stripe', 'price_basic_monthly', 'basic-hosting-plan');"
)
BUYER, EMAIL, DOMAIN = "Ada Example", "ada@example.com", "shop.example"


def tell(stage: Stage) -> None:
    """Tell it from the beginning to the end; DemoError says where it did not go as promised."""
    _map_the_price(stage)
    session = _buy(stage)
    _provision(stage)
    _repeat(stage)
    _fail_and_pay(stage, session["subscription"])
    _show_timeline(stage, session["customer"])
    _show_shop(stage)
    _verify(stage)


def _map_the_price(stage: Stage) -> None:
    say(f"\n{bold('1. The operator maps a price to a hosting plan, by plain SQL')}")
    stage.database.execute(MAPPING)
    say(f"   {MAPPING}")


def _buy(stage: Stage) -> Obj:
    import stripe

    from lib.stripe_events import SUBSCRIBE_TO

    say(f"\n{bold(f'2. {BUYER} buys it')}")
    webhook: Any = {"url": f"{stage.base}/api/webhook", "enabled_events": [*SUBSCRIBE_TO]}
    stage.sdk.v1.webhook_endpoints.create(webhook)
    session = open_checkout(stage)
    opened = f"Stripe's SDK {stripe.VERSION} opens the Checkout session {short(session['id'])}"
    say(f"   {opened}: {price_of(session)} a month")
    stage.stripe.complete_checkout(session["id"], email=EMAIL, name=BUYER, domain=DOMAIN)
    say(f"   {BUYER} types {DOMAIN} and pays by card: {session['customer']}, {session['subscription']}")
    return session


def _provision(stage: Stage) -> None:
    say(f"\n{bold('3. Stripe delivers its signed events, and the panel follows')}")
    began = time.monotonic()
    _follow(stage, began, 0, until=["create_website", "send_welcome"])
    say(f"   Provisioned: {DOMAIN} is there {time.monotonic() - began:.1f} s after the first event.")


def _repeat(stage: Stage) -> None:
    say(f"\n{bold('4. Stripe delivers everything a second time, the other way round')}")
    before = stage.panel.world()
    events = [event for event in stage.stripe.events if not stage.stripe.is_open(event["id"])]
    answers = [stage.stripe.deliver(f"{stage.base}/api/webhook", event) for event in reversed(events)]
    if any(answer.status_code != 200 or answer.json()["new"] for answer in answers):
        raise DemoError("an event that was there already was not recognised")
    if stage.panel.world() != before:
        raise DemoError("a repeated event changed the panel")
    say(f"   {count(len(answers), 'event')}, each answered 200, none of them new; the panel is untouched.")


def _fail_and_pay(stage: Stage, subscription: str) -> None:
    say(f"\n{bold('5. A month later the card fails; weeks later the bill is paid (here that time is skipped)')}")
    began, happened = time.monotonic(), len(stage.stripe.events)
    stage.stripe.fail_payment(subscription)
    _follow(stage, began, happened)
    say(f"   past_due: {DOMAIN} stays live in its grace period, until {day(watch.grace_until(stage, subscription))}")
    happened = len(stage.stripe.events)
    stage.stripe.mark_unpaid(subscription)
    say("   ... skipped: the weeks in which Stripe tries the card again")
    say("   unpaid: Stripe's last try has failed as well, which ends the grace period")
    _follow(stage, began, happened, until=["suspend"])
    happened = len(stage.stripe.events)
    stage.stripe.pay_open_invoice(subscription)
    say(f"   active: {BUYER} has paid")
    _follow(stage, began, happened, until=["resume"])


def _follow(stage: Stage, began: float, happened: int, until: Sequence[str] = ()) -> None:
    """Deliver the events from number `happened` on, and show what comes of them."""
    say_all(watch.deliver(stage, stage.stripe.events[happened:]))
    say_all(watch.follow(stage, began, until))


def _show_timeline(stage: Stage, customer: str) -> None:
    from lib.config import Secret
    from lib.database import Database, ledger
    from lib.model import CustomerKey

    async def read() -> list[dict[str, Any]]:
        database = Database(Secret(stage.database_url))
        try:
            return await ledger.timeline(database, CustomerKey.stripe(customer))
        finally:
            await database.close()

    say(f"\n{bold(f'6. The timeline of {customer}, from the ledger (table actions)')}")
    actions: dict[str, list[dict[str, Any]]] = {}
    for row in asyncio.run(read()):
        actions.setdefault(str(row["action_id"]), []).append(row)
    rows = [("time (UTC)", "what", "because", "proof")]
    for facts in actions.values():
        first = facts[0]
        proof = ", ".join(fact["state"] for fact in facts if fact["state"] != "intent")
        rows.append((f"{first['at']:%H:%M:%S.%f}"[:-3], watch.word(first["kind"]), first["rule"] or "", proof))
    head, *lines = columns(rows)
    say_all([dim(head), *lines])


def _show_shop(stage: Stage) -> None:
    """What the seller's own systems heard of it meanwhile; DemoError when something is missing or not signed."""
    say(f"\n{bold('7. What your own shop heard meanwhile, by signed events')}")
    wanted = ["service.provisioned", "service.changed", "service.suspended", "service.resumed"]

    def heard() -> list[str]:
        return [e["type"] for e, signed in stage.listener.heard if signed and e["type"].startswith("service.")]

    end = time.monotonic() + PATIENCE
    while heard() != wanted and time.monotonic() < end:
        time.sleep(LOOK)
    say_all(stage.listener.tell())
    if heard() != wanted:
        raise DemoError(f"the shop should have heard {wanted}, signed and in this order, and heard {heard()}")


def _verify(stage: Stage) -> None:
    """Believe neither the functions nor the ledger: look at the panel itself, and at the health page."""
    import httpx

    panel = stage.panel
    world = panel.world()
    if set(world.values()) != {1}:
        raise DemoError(f"the panel should have one of each, and has {world}")
    (site,), (hosting,) = panel.websites.values(), panel.subscriptions.values()
    if (site.domain, site.subscription_id, hosting.suspended_by) != (DOMAIN, hosting.id, None):
        raise DemoError(f"the website is not live: {panel.show(site.id)}")
    if [mail.email for mail in panel.recovery_mails] != [EMAIL]:
        raise DemoError(f"one set-password mail was expected, not {panel.recovery_mails}")
    if panel.violations:
        raise DemoError(f"the panel was asked what its interface does not allow: {panel.violations}")
    if subscriptions(stage.stripe)[0]["status"] != "active":
        raise DemoError("the subscription is not active at the end")
    answer = httpx.get(f"{stage.base}/api/health", headers=stage.bearer("ADMIN_API_KEY"), timeout=30)
    health = answer.json()
    if answer.status_code != 200 or health["status"] != "ok" or health["parked"]:
        raise DemoError(f"health answers {answer.status_code}: {health}")
    checks = ", ".join(f"{name} {state}" for name, state in health["checks"].items())
    counted = ", ".join(f"1 {name.removesuffix('s')}" for name in world)
    say(f"\nThe panel has {counted}. Health: {checks}.")
