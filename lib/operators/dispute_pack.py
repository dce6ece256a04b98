"""One plain text about a dispute, to paste at Stripe: what was paid, what was provided for it, seen, used and told.

Everything in it is from our own records, with when it was so, but for the use, which the panel is asked for. What is
not known is said to be unknown: the card holder's bank reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lib.database import customer_memory, ledger, notices, orders, payments
from lib.database.lists.orders import dispute, money_back
from lib.errors import BridgeError, DatabaseUnavailable, Declined
from lib.model import ActionKind, CustomerKey, Memory, PanelSubscription, Service
from lib.model.money import Order, Payment
from lib.model.notice import Written
from lib.operators.views.orders import DisputePack
from lib.policy.currencies import shown

if TYPE_CHECKING:
    from lib.bridge import Bridge

MOST_BYTES = 19_000
"""Stripe takes 20,000 characters in a field of text."""

MOST_ACTIONS = 60
"""Of the ledger, the oldest and the newest of them where there are more."""

_TELLING = {
    ActionKind.CREATE_ORG: "account made",
    ActionKind.CREATE_LOGIN: "login made",
    ActionKind.ADD_OWNER: "login made the owner of the account",
    ActionKind.CREATE_SUBSCRIPTION: "hosting made",
    ActionKind.CREATE_WEBSITE: "website made",
    ActionKind.MOVE_WEBSITE: "website moved to the new hosting",
    ActionKind.SEND_WELCOME: "mail with the access to the account sent",
    ActionKind.CHANGE_PLAN: "plan changed",
    ActionKind.SUSPEND: "hosting switched off",
    ActionKind.RESUME: "hosting switched on again",
    ActionKind.TERMINATE: "hosting deleted",
}


class _Known(Struct, frozen=True):
    """All that is known about the matter."""

    dispute: dict[str, Any]
    payment: Payment | None
    order: Order | None
    refunds: Sequence[dict[str, Any]]
    memory: Memory
    services: Sequence[Service]
    entries: Sequence[dict[str, Any]]
    mails: Sequence[Written]


async def dispute_pack(bridge: Bridge, dispute_id: str) -> DisputePack:
    """What there is to say about a dispute.

    Raises:
        Declined: nobody has told us of such a dispute.
    """
    found = await dispute(bridge.db, dispute_id)
    if found is None:
        detail = f"no dispute {dispute_id} is known; ./scripts/sweep asks Stripe for what was missed"
        raise Declined("unknown_dispute", detail, field="dispute")
    known = await _known(bridge, found)
    parts = [
        _section("The dispute", _dispute(found)),
        _section("What was paid", _paid(known)),
        _section("What was provided for it", _provided(known)),
        _section("What was done, from the log (UTC)", _done(known)),
        _section("How much of it is used", [line async for line in _used(bridge, known)]),
        _section("What the customer was told", _told(known)),
    ]
    text = "\n\n".join(parts) + "\n"
    return DisputePack(dispute_id=dispute_id, due_by=found["due_by"], text=_within(text))


async def _known(bridge: Bridge, found: dict[str, Any]) -> _Known:
    db = bridge.db
    whom = CustomerKey.stripe(found["customer_id"]) if found["customer_id"] else None
    payment = await payments.find_by_charge(db, found["charge_id"]) if found["charge_id"] else None
    order = await orders.find(db, payment.order_id) if payment else None
    refunds = (await money_back(db, [payment.id]))[0] if payment else []
    memory = (await customer_memory.load(db, whom))[0] if whom else Memory(customer_id="")
    name = found["subscription_id"] or (order.subscription_id if order else None)
    about = [service for service in memory.services if name in (None, service.key.subscription_id)]
    entries = await ledger.timeline(db, whom, limit=1000) if whom else []
    mails = await notices.of_customer(db, whom) if whom else []
    return _Known(found, payment, order, refunds, memory, about, entries, mails)


def _section(title: str, lines: Iterator[str] | Sequence[str]) -> str:
    found = list(lines) or ["nothing is known"]
    return "\n".join([title.upper(), *(line if line.startswith("  ") else f"- {line}" for line in found)])


def _dispute(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['dispute_id']} of {_at(found['created_at'])}: {shown(found['amount'], found['currency'])}"
    yield f"reason {found['reason'] or 'unknown'}, status {found['status']}"
    if found["due_by"] is not None:
        yield f"evidence is due by {_at(found['due_by'])}"


def _paid(known: _Known) -> Iterator[str]:
    payment, order = known.payment, known.order
    yield f"customer {known.dispute['customer_id'] or 'unknown'}" + _named(known.memory)
    if known.dispute["charge_id"]:
        yield f"charge {known.dispute['charge_id']}"
    if payment is None:
        yield "orders were not kept when it was paid: Stripe has the payment"
        return
    if payment.paid_at is not None:
        yield f"{shown(payment.amount, payment.currency)} paid at {_at(payment.paid_at)}"
    if payment.invoice_id:
        yield f"invoice {payment.invoice_id}"
    if order is not None:
        bought = f"{order.terms.quantity} x {order.terms.billing_plan_id or 'several prices'}"
        yield f"order {order.id} of {_at(order.created_at)}: {bought}" + (
            f" for {order.terms.domain}" if order.terms.domain else ""
        )
    for refund in known.refunds:
        amount = shown(refund["amount"], refund["currency"])
        yield f"refund {refund['refund_id']} of {amount} at {_at(refund['created_at'])}: {refund['status']}"


def _named(memory: Memory) -> str:
    return "".join(f", {value}" for value in (memory.name, memory.email) if value)


def _provided(known: _Known) -> Iterator[str]:
    for service in known.services:
        yield f"{service.key}: plan {service.plan or 'unknown'}, {service.domain or 'no domain'}, now {service.state}"
        if service.panel_subscription_id is not None:
            yield f"  hosting {service.panel_subscription_id} of account {known.memory.org_id}"
        if service.website_id is not None:
            yield f"  website {service.website_id}"
        if service.ended_at is not None:
            yield f"  ended at {_at(service.ended_at)}"


def _done(known: _Known) -> Sequence[str]:
    """The ledger's entries, in order: a change, and that it was read back from the panel."""
    names = {service.key.subscription_id for service in known.services}
    lines = []
    for entry in known.entries:
        telling = _TELLING.get(entry["kind"])
        theirs = entry["subscription_id"] is None or entry["subscription_id"] in names
        if telling is None or not theirs or entry["state"] not in ("applied", "verified"):
            continue
        seen = "seen in the panel: " if entry["state"] == "verified" else ""
        what = _details(entry["after"]) if entry["state"] == "applied" else ""
        lines.append(f"{_at(entry['at'])}  {seen}{telling}{what}")
    if len(lines) > MOST_ACTIONS:
        half = MOST_ACTIONS // 2
        lines = [*lines[:half], f"... {len(lines) - MOST_ACTIONS} more ...", *lines[-half:]]
    return lines


def _details(after: dict[str, Any] | None) -> str:
    told = [f"{name} {value}" for name, value in (after or {}).items() if isinstance(value, str | int)]
    return f" ({', '.join(told)})" if told else ""


async def _used(bridge: Bridge, known: _Known) -> Any:
    """What the panel shows just now; it is looked at, and nothing is counted anew."""
    org_id = known.memory.org_id
    numbers = {service.panel_subscription_id for service in known.services} - {None}
    if org_id is None or not numbers:
        return
    try:
        subscriptions = await bridge.enhance.subscriptions(org_id)
    except DatabaseUnavailable:
        raise
    except BridgeError as error:
        yield f"the panel could not be asked: {error}"
        return
    yield f"as the panel shows it at {_at(await bridge.db.now())}"
    for subscription in subscriptions:
        if subscription.id in numbers:
            for line in _resources(subscription):
                yield line


def _resources(subscription: PanelSubscription) -> Iterator[str]:
    state = "deleted" if subscription.deleted else "suspended" if subscription.suspended_by else "running"
    yield f"hosting {subscription.id}, {subscription.plan_name}: {state}"
    for resource in subscription.resources:
        total = "unlimited" if resource.total is None else resource.total
        yield f"  {resource.name}: {resource.usage} of {total}"


def _told(known: _Known) -> Iterator[str]:
    for mail in known.mails:
        if mail.ended_at is not None and mail.recipient is not None:
            said = mail.reported or mail.answer  # what was heard last
            answer = f": {said}" if said else ""
            yield f"{_at(mail.ended_at)}  {mail.notice.kind} to {mail.recipient}, {mail.status}{answer}"


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _within(text: str) -> str:
    """A text that fits into Stripe's field."""
    if len(text.encode()) <= MOST_BYTES:
        return text
    return text.encode()[:MOST_BYTES].decode(errors="ignore").rpartition("\n")[0] + "\n(cut: the rest is in the log)\n"
