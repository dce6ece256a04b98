"""What an event is believed of: which objects it speaks of, and whom it therefore makes due. Nothing else.

Needs neither the SDK nor the network; the webhook's hot path runs through here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict

import msgspec

from lib.model import ReceivedEvent

DUE_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "customer.updated": ("customer=id",),
    "customer.deleted": ("customer=id",),
    "customer.subscription.*": ("customer=customer|subscription=id",),
    "subscription_schedule.*": ("customer=customer",),
    "invoice.*": ("customer=customer",),
    "invoice_payment.*": ("invoice=invoice",),
    "payment_intent.processing": ("customer=customer",),
    "checkout.session.*": ("customer=customer|checkout_session=id",),
    "charge.refunded": ("charge=id",),
    "refund.*": ("refund=id",),
    "charge.refund.updated": ("refund=id",),
    "charge.dispute.*": ("dispute=id",),
    "radar.early_fraud_warning.created": ("charge=charge",),
}
"""Event type (``*`` ends a prefix; the longest fitting entry counts) -> each ``due kind = field of the object``.

Of alternatives (``|``) the first whose field is present counts: a pass for a customer finds everything of that
customer, so the object's own kind is only used when the event does not name the customer. Types that are not here are
stored and make nobody due.
Both lists are those of https://docs.stripe.com/api/events/types.
"""

ORDERS_DUE_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "checkout.session.*": ("order=id",),
    "payment_intent.succeeded": ("payment=id",),
    "payment_intent.processing": ("payment=id",),
    "payment_intent.payment_failed": ("payment=id",),
    "payment_intent.requires_action": ("payment=id",),
    "payment_intent.canceled": ("payment=id",),
    "invoice.paid": ("payment=id",),
    "invoice.payment_failed": ("payment=id",),
    "invoice.payment_action_required": ("payment=id",),
    "invoice_payment.*": ("payment=invoice",),
    "charge.updated": ("payment=payment_intent",),
    "credit_note.*": ("payment=invoice",),
}
"""The same, besides, where orders and payments are kept (`Settings.keeps_orders`)."""

SUBSCRIBE_TO = (
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.voided",
    "payment_intent.processing",
    "refund.created",
    "refund.failed",
    "refund.updated",
)
"""What a webhook endpoint should be subscribed to; `docs/deploy.md` and `./scripts/doctor` name the same list."""

SUBSCRIBE_TO_FOR_ORDERS = (
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
)
"""And these, where orders and payments are kept."""

_THIN_KIND = {
    "customer": "customer",
    "subscription": "subscription",
    "checkout.session": "checkout_session",
    "invoice": "invoice",
    "charge": "charge",
    "refund": "refund",
    "dispute": "dispute",
}
"""Type of a thin notification's related object -> kind of `due` row."""

_THIN_ORDER_KIND = {"checkout.session": "order", "invoice": "payment", "payment_intent": "payment"}
"""The same, besides, where orders and payments are kept."""


def subscribe_to(*, orders: bool) -> tuple[str, ...]:
    """The types of events that are needed with these features."""
    return tuple(sorted((*SUBSCRIBE_TO, *SUBSCRIBE_TO_FOR_ORDERS))) if orders else SUBSCRIBE_TO


def read_event(body: bytes, *, livemode: bool, orders: bool = False) -> ReceivedEvent:
    """A signed body as it goes into the inbox; never fails, because a retry of the same bytes could not help either.

    Args:
        livemode: the mode of our key; an event of the other mode, or of another (Connect) account, makes nobody due.
        orders: whether orders and payments are kept, which it makes due as well.
    """
    text = body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")  # text columns hold no NUL
    try:
        return _read(_fields(body), text, livemode, orders)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        digest = hashlib.sha256(body).hexdigest()
        error = f"{type(problem).__name__}: {problem}"[:300].replace("\x00", "")
        return ReceivedEvent(f"unreadable_{digest}", "unreadable", text, "unreadable", error=error)


class _Related(TypedDict, total=False):
    """What an event speaks of, as far as somebody reads it here (`_snapshot`, the tables above)."""

    id: Any
    object: Any
    charge: Any
    customer: Any
    dispute: Any
    invoice: Any
    parent: Any
    payment_intent: Any
    refund: Any
    subscription: Any


class _Data(TypedDict, total=False):
    object: _Related


class _Event(TypedDict, total=False):
    id: Any
    object: Any
    account: Any
    created: Any
    data: _Data
    livemode: Any
    related_object: Any
    type: Any


_whole = msgspec.json.Decoder(_Event)


def _fields(body: bytes) -> Any:
    """The fields that are read; the others, which are most of an event, are passed over.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _whole.decode(body)
    except (
        msgspec.DecodeError
    ):  # another shape than an event's, or JSON of the tolerant kind: the standard's reader says
        return json.loads(body)


def _read(event: Any, text: str, livemode: bool, orders: bool) -> ReceivedEvent:
    """Raises ValueError, KeyError and their like for what is no event."""
    if not isinstance(event, dict) or event.get("object") not in ("event", "v2.core.event"):
        raise ValueError("not a Stripe event")
    event_id, kind = event["id"], event["type"]
    if not (isinstance(event_id, str) and isinstance(kind, str) and _is_id(event_id) and _is_id(kind)):
        raise ValueError("id or type is not usable")
    thin = event["object"] == "v2.core.event"
    about = _thin(event, orders) if thin else _snapshot(kind, event["data"]["object"], orders)
    mode = event.get("livemode")
    error = None
    if isinstance(mode, bool) and mode != livemode:
        error = f"not an event of {'live' if livemode else 'test'} mode"
    elif event.get("account"):
        error = "event of a connected account"
    return ReceivedEvent(
        event_id=event_id,
        type=kind,
        body=text,
        outcome="accepted" if about.nudges and not error else "ignored",
        nudges=() if error else about.nudges,
        livemode=mode if isinstance(mode, bool) else None,
        object_id=about.object_id,
        customer_id=about.customer_id,
        subscription_id=about.subscription_id,
        created_at=_time(event.get("created")),
        error=error,
    )


class _About(NamedTuple):
    """Which objects an event speaks of, and what it makes due."""

    object_id: str | None
    customer_id: str | None
    subscription_id: str | None
    nudges: tuple[tuple[str, str], ...]


def _thin(event: Mapping[str, Any], orders: bool) -> _About:
    """A thin notification tells only the type and id of a related object."""
    related = event.get("related_object") or {}
    object_id, thing = _id(related), str(related.get("type"))
    kind = _THIN_KIND.get(thing)
    kinds = (kind, _THIN_ORDER_KIND.get(thing) if orders else None)
    return _About(
        object_id,
        object_id if kind == "customer" else None,
        object_id if kind == "subscription" else None,
        tuple((kind, object_id) for kind in kinds if kind and object_id),
    )


def _snapshot(kind: str, thing: Mapping[str, Any], orders: bool) -> _About:
    """A snapshot carries the object, of which only the ids in it are believed."""
    object_id = _id(thing)
    customer_id = object_id if thing.get("object") == "customer" else _id(thing.get("customer"))
    return _About(object_id, customer_id, _subscription_of(thing), _nudges(kind, thing, orders))


def _subscription_of(thing: Mapping[str, Any]) -> str | None:
    """The subscription itself, or the one that a Checkout session, a schedule or an invoice belongs to."""
    if thing.get("object") == "subscription":
        return _id(thing)
    parent = thing.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    return _id(thing.get("subscription")) or (_id(details.get("subscription")) if isinstance(details, dict) else None)


def _nudges(kind: str, thing: Mapping[str, Any], orders: bool) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for alternatives in _sources(kind, orders):
        for due_kind, name in alternatives:
            if value := _id(thing.get(name)):
                found[due_kind, value] = None
                break
    return tuple(found)


@lru_cache(maxsize=256)
def _sources(kind: str, orders: bool) -> tuple[tuple[tuple[str, str], ...], ...]:
    """What a type of event makes due: for each row its alternatives, as (due kind, field)."""
    sources = (*_due_by(kind, DUE_BY_TYPE), *(_due_by(kind, ORDERS_DUE_BY_TYPE) if orders else ()))
    pairs = ([one.partition("=") for one in source.split("|")] for source in sources)
    return tuple(tuple((due_kind, name) for due_kind, _, name in alternatives) for alternatives in pairs)


def _due_by(kind: str, table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if kind in table:
        return table[kind]
    parts = kind.split(".")
    for length in range(len(parts) - 1, 0, -1):
        sources = table.get(".".join(parts[:length]) + ".*")
        if sources:
            return sources
    return ()


def _id(value: object) -> str | None:
    """An id, from the id itself or from an expanded object."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and _is_id(value) else None


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 255 and text.isprintable()


def _time(value: object) -> datetime | None:
    """When the provider made it: Unix seconds (snapshot) or ISO 8601 (thin)."""
    try:
        if isinstance(value, str):
            when = datetime.fromisoformat(value)
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
