"""What people do at the simulated Stripe, by name; each tells what it did and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scripts.demo_world import DemoError, trouble
from scripts.demo_world.courier import told
from scripts.demo_world.people import (
    ENDED,
    charges_of,
    disputes_of,
    domain_of,
    email_of,
    find,
    invoices_of,
    name_of,
    subscriptions,
)
from scripts.demo_world.purchase import order
from scripts.demo_world.say import columns, count, day, money, shown, typed
from scripts.demo_world.stage import PRICE, Stage
from scripts.demo_world.transfer import transfer
from scripts.demo_world.watch import follow, newest_change, standing
from scripts.sim.stripe_sim import Obj

Options = Mapping[str, Any]
"""As the command line gave them; what was left out is None or False."""

Act = Callable[[Stage, Options], Iterator[str]]

SHOWN = 20
"""The newest subscriptions that `status` lists."""

OPEN_DISPUTE = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


def play(stage: Stage, name: str, options: Options) -> Iterator[str]:
    """One act, from what was done to what became of it, line by line."""
    with stage.acting:
        stage.told = newest_change(stage)
        yield from ACTS[name](stage, options)


# --- buying -----------------------------------------------------------------------------------------------------------


def open_checkout(stage: Stage, customer: str | None = None, price: str = PRICE) -> Obj:
    """A Checkout session as a seller's page opens it, by Stripe's SDK."""
    asked: Any = {
        "mode": "subscription",
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "https://hosting.example/welcome",
        "custom_fields": [{"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Your domain"}}],
    }
    if stage.stripe.down:
        mend = f"./scripts/demo{stage.place.option} mend stripe"
        raise DemoError(f"Nobody can buy while Stripe answers nothing; first: {mend}")
    session = stage.sdk.v1.checkout.sessions.create(asked | ({"customer": customer} if customer else {}))
    return stage.stripe.get(session.id)


def _buy(stage: Stage, options: Options) -> Iterator[str]:
    number = len(stage.stripe.customers) + 1
    name = options.get("name") or f"Buyer {number} Example"
    email = options.get("email") or f"buyer{number}@example.com"
    domain = options.get("domain") or f"shop{number}.example"
    before = len(stage.stripe.events)
    price = options.get("price") or PRICE
    if price not in stage.stripe.prices:
        raise DemoError(f"There is no price {price}. There are: {', '.join(sorted(stage.stripe.prices))}")
    session = open_checkout(stage, price=price)
    stage.stripe.complete_checkout(session["id"], email=email, name=name, domain=domain)
    sub = stage.stripe.get(session["subscription"])
    yield f"{name} buys {price} with the domain {domain} and pays {price_of(session)} by card:"
    yield f"   {email}, {sub['customer']}, {sub['id']}"
    yield from _became(stage, sub, before)
    yield _try("fail", sub, stage, "the card fails at the next renewal")


def _order(stage: Stage, options: Options) -> Iterator[str]:
    yield from order(stage, options, _became)


def _come_back(stage: Stage, options: Options) -> Iterator[str]:
    old = find(
        stage.stripe,
        options.get("who"),
        lambda sub: sub["status"] in ENDED,
        "subscription that ended; first: ./scripts/demo cancel",
    )
    domain = options.get("domain") or domain_of(stage.stripe, old)
    before = len(stage.stripe.events)
    session = open_checkout(stage, old["customer"])
    stage.stripe.complete_checkout(session["id"], domain=domain)
    sub = stage.stripe.get(session["subscription"])
    yield f"{name_of(stage.stripe, old)}, whose {old['id']} has ended, buys again with the domain {domain}: {sub['id']}"
    yield from _became(stage, sub, before)
    yield from _stands(stage, old)


# --- paying and not paying --------------------------------------------------------------------------------------------


def _fail(stage: Stage, options: Options) -> Iterator[str]:
    sub = find(
        stage.stripe,
        options.get("who"),
        lambda sub: sub["status"] in ("active", "trialing", "past_due"),
        "subscription whose payment could fail; what is unpaid or over fails no more",
    )
    before = len(stage.stripe.events)
    name = name_of(stage.stripe, sub)
    if sub["status"] == "past_due":
        stage.stripe.fail_payment(sub["id"], retry=True)
        stage.stripe.mark_unpaid(sub["id"])
        yield f"{name}'s card fails again, and Stripe gives up on {sub['id']}. The weeks until then are skipped."
    else:
        stage.stripe.fail_payment(sub["id"])
        yield f"A month later (that time is skipped): {name}'s card fails at the renewal of {sub['id']}."
    last = sub["status"] == "unpaid"
    yield from _became(stage, sub, before)
    if not last:
        yield _try("fail", sub, stage, "Stripe's last try fails as well")
    yield _try("pay", sub, stage, "the bill is paid")


def _pay(stage: Stage, options: Options) -> Iterator[str]:
    def owes(sub: Obj) -> bool:
        return any(invoice["status"] == "open" for invoice in invoices_of(stage.stripe, sub))

    sub = find(stage.stripe, options.get("who"), owes, "open invoice; first: ./scripts/demo fail")
    before = len(stage.stripe.events)
    owed = sum(one["amount_remaining"] for one in invoices_of(stage.stripe, sub) if one["status"] == "open")
    stage.stripe.pay_open_invoice(sub["id"], every=True)
    yield f"{name_of(stage.stripe, sub)} pays {money(owed, sub['currency'])} for {sub['id']}."
    yield from _became(stage, sub, before)


def _cancel(stage: Stage, options: Options) -> Iterator[str]:
    sub = find(
        stage.stripe,
        options.get("who"),
        lambda sub: sub["status"] not in ENDED and not (options.get("at_period_end") and sub["cancel_at_period_end"]),
        "running subscription that could be cancelled",
    )
    before = len(stage.stripe.events)
    stage.stripe.cancel(sub["id"], at_period_end=bool(options.get("at_period_end")))
    when = f"at its period's end, {day(sub['cancel_at'])}" if sub["status"] not in ENDED else "now"
    yield f"{name_of(stage.stripe, sub)} cancels {sub['id']}: it ends {when}."
    yield from _became(stage, sub, before)
    if sub["status"] in ENDED:
        yield _try("comeback", sub, stage, "buys again with the same domain")


# --- money that goes back ---------------------------------------------------------------------------------------------


def _dispute(stage: Stage, options: Options) -> Iterator[str]:
    end = "won" if options.get("won") else "lost" if options.get("lost") else None
    if end is not None:
        yield from _close_dispute(stage, options.get("who"), end)
        return

    def can_be_disputed(sub: Obj) -> bool:
        charges = charges_of(stage.stripe, sub)
        return bool(charges) and not charges[0]["disputed"]

    missing = "last payment without a dispute; --won or --lost ends one"
    sub = find(stage.stripe, options.get("who"), can_be_disputed, missing)
    before = len(stage.stripe.events)
    status = "warning_needs_response" if options.get("inquiry") else "needs_response"
    dispute = stage.stripe.dispute(charges_of(stage.stripe, sub)[0]["id"], status)
    what = "asks the bank about" if options.get("inquiry") else "disputes"
    amount = money(dispute["amount"], dispute["currency"])
    yield f"{name_of(stage.stripe, sub)} {what} the payment of {amount} for {sub['id']}: {dispute['id']}"
    yield from _became(stage, sub, before)
    yield _try("dispute", sub, stage, "you win it", "--won")
    yield _try("dispute", sub, stage, "you lose it", "--lost")


def _close_dispute(stage: Stage, who: str | None, end: Any) -> Iterator[str]:
    def open_ones(sub: Obj) -> list[Obj]:
        charges = [charge["id"] for charge in charges_of(stage.stripe, sub)]
        return [one for one in disputes_of(stage.stripe, charges) if one["status"] in OPEN_DISPUTE]

    missing = "open dispute; first: ./scripts/demo dispute"
    sub = find(stage.stripe, who, lambda sub: bool(open_ones(sub)), missing)
    before = len(stage.stripe.events)
    dispute = open_ones(sub)[-1]
    inquiry = dispute["status"].startswith("warning_")
    stage.stripe.close_dispute(dispute["id"], "warning_closed" if inquiry else end)
    yield f"The {'inquiry' if inquiry else 'dispute'} {dispute['id']} of {name_of(stage.stripe, sub)} is closed: " + (
        "no money moves." if inquiry else f"you have {end} it."
    )
    yield from _became(stage, sub, before)


def _refund(stage: Stage, options: Options) -> Iterator[str]:
    def can_be_refunded(sub: Obj) -> bool:
        charges = charges_of(stage.stripe, sub)
        return bool(charges) and not charges[0]["refunded"]

    missing = "last payment that could go back"
    sub = find(stage.stripe, options.get("who"), can_be_refunded, missing)
    before = len(stage.stripe.events)
    refund = stage.stripe.refund(charges_of(stage.stripe, sub)[0]["id"], options.get("amount"))
    amount = money(refund["amount"], refund["currency"])
    yield f"You refund {amount} to {name_of(stage.stripe, sub)} for {sub['id']}: {refund['id']}"
    yield from _became(stage, sub, before)
    suspends = stage.environ.get("ON_REFUND") == "suspend" and not options.get("amount")
    yield (
        "   ON_REFUND=suspend: what was given back whole is held until somebody lifts it."
        if suspends
        else "   A refund alone ends nothing: what is not cancelled goes on."
    )


# --- looking ----------------------------------------------------------------------------------------------------------


def _status(stage: Stage, options: Options) -> Iterator[str]:
    who = options.get("who")
    if who is not None:
        sub = find(stage.stripe, who, lambda _: True, "")
        for each in [one for one in subscriptions(stage.stripe) if one["customer"] == sub["customer"]]:
            yield f"{name_of(stage.stripe, each)}: {email_of(stage.stripe, each)}, {each['customer']}, {each['id']}"
            yield from _stands(stage, each, named=False)
        return
    rows = [("customer", "subscription", "Stripe", "panel")]
    known = subscriptions(stage.stripe)
    rows += [
        (email_of(stage.stripe, sub), sub["id"], stands.stripe, stands.panel)
        for sub in reversed(known[:SHOWN])
        for stands in [standing(stage, sub)]
    ]
    yield from columns(rows)
    if len(known) > SHOWN:
        yield f"   and {len(known) - SHOWN} older ones: the page lists everybody"
    waiting = stage.courier.waiting()
    if waiting:
        soon = min(stage.courier.seconds_until(each) for each in waiting)
        yield f"   {count(len(waiting), 'event')} on the way to the functions, next try in {soon:.0f} s"
    yield "\nWhere to look:"
    yield from where_to_look(stage)


def where_to_look(stage: Stage) -> Iterator[str]:
    """Addresses, keys and commands for whoever wants to see it themselves."""
    key = f"-H 'Authorization: {stage.bearer('ADMIN_API_KEY')['Authorization']}'"
    known = subscriptions(stage.stripe)
    customer = min(known, key=lambda sub: str(sub["id"]))["customer"] if known else "cus_..."
    panel = f"{stage.panel_url}/api/orgs/{stage.panel.org_id}"
    yield f"   Page      {stage.base}/   with the key {stage.environ['ADMIN_API_KEY']}"
    yield f"   Shell     CTL_URL={stage.base} CTL_KEY={stage.environ['ADMIN_API_KEY']} ./scripts/ctl status"
    yield f"   Health    curl {stage.base}/api/health"
    yield f'   Sync      curl {stage.base}/api/admin/sync {key} -d \'{{"customerId": "{customer}"}}\''
    yield f"   Dashboard curl {stage.base}/api/admin/dashboard {key}"
    yield f"   Stripe    curl {stage.stripe_url}/v1/subscriptions -u {stage.stripe.secret_key}:"
    yield f"   Panel     curl '{panel}/customers' -H 'Authorization: Bearer {stage.panel.token}'"
    yield f"   Explain   (set -a; . {typed(stage.place.settings)}; ./scripts/explain {customer})"
    yield f"   Database  psql {stage.database_url}"
    yield f"   Log       {shown(stage.place.log)}"


def _shop(stage: Stage, options: Options) -> Iterator[str]:
    listener = stage.listener
    if options.get("broken") or options.get("mended"):
        listener.broken = bool(options.get("broken"))
        yield f"The shop's receiver is {'broken: it answers 503 from now on' if listener.broken else 'mended'}."
        yield (
            "   What was told meanwhile comes by itself, in order, within the next tries."
            if not listener.broken
            else (f"   Next     ./scripts/demo{stage.place.option} fail   # something to be told")
        )
        return
    first = stage.environ["OUTBOX_URL"].partition(",")[0]
    yield f"Your own shop heard {count(len(listener.heard), 'event')} at {first}:"
    yield from listener.tell()


# --- what became of it ------------------------------------------------------------------------------------------------


def _became(stage: Stage, sub: Obj, before: int) -> Iterator[str]:
    """Deliver the events from number `before` on, follow what they lead to, and show how all stands then."""
    began = time.monotonic()
    changed = stage.told
    deliveries = stage.courier.deliver(stage.stripe.events[before:])
    for line in told(deliveries):
        yield f"   {line}"
    yield from follow(stage, began)
    if not all(delivery.taken for delivery in deliveries):
        yield f"   The functions did not take it. Why, their log may tell: {shown(stage.place.log)}"
    elif stage.told == changed:
        yield f"   {time.monotonic() - began:5.1f} s  nothing changed in the panel"
    yield from _stands(stage, sub, named=False)


def _stands(stage: Stage, sub: Obj, *, named: bool = True) -> Iterator[str]:
    now = standing(stage, sub)
    if named:
        yield f"   and {sub['id']}:"
    yield f"   Stripe   {now.stripe}"
    yield f"   Panel    {now.panel}"
    for line in now.bridge:
        yield f"   Bridge   {line}"
    for problem, remedy in now.problems:
        yield f"   Parked   {problem}"
        yield f"            -> {remedy}"


def price_of(session: Obj) -> str:
    """What a Checkout session asks for."""
    return money(session["amount_total"], session["currency"])


def _try(act: str, sub: Obj, stage: Stage, what: str, option: str = "") -> str:
    command = f"./scripts/demo{stage.place.option} {act} {sub['id']}{' ' + option if option else ''}"
    return f"   Next     {command}   # {what}"


ACTS: Mapping[str, Act] = {
    "buy": _buy,
    "order": _order,
    "fail": _fail,
    "pay": _pay,
    "cancel": _cancel,
    "comeback": _come_back,
    "dispute": _dispute,
    "refund": _refund,
    "transfer": transfer,
    "shop": _shop,
    "break": trouble.break_side,
    "mend": trouble.mend_side,
    "unmap": trouble.unmap,
    "brake": trouble.brake,
    "status": _status,
}
"""By their names on the command line (`menu`)."""
