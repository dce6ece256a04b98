"""What an event is believed of: which objects it speaks of, and whom it therefore makes due. Nothing else.

Needs neither the SDK nor the network; the webhook's hot path runs through here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lib.database.events import ReceivedEvent

DUE_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "customer.updated": ("customer=id",),
    "customer.deleted": ("customer=id",),
    "customer.subscription.*": ("customer=customer", "subscription=id"),
    "subscription_schedule.*": ("customer=customer",),
    "invoice.*": ("customer=customer",),
    "invoice_payment.*": ("invoice=invoice",),
    "checkout.session.*": ("customer=customer", "checkout_session=id"),
    "payment_intent.succeeded": ("customer=customer",),
    "payment_intent.payment_failed": ("customer=customer",),
    "charge.succeeded": ("customer=customer",),
    "charge.failed": ("customer=customer",),
    "charge.updated": ("customer=customer",),
    "charge.refunded": ("customer=customer", "charge=id"),
    "refund.*": ("refund=id",),
    "charge.refund.updated": ("refund=id",),
    "charge.dispute.*": ("dispute=id",),
    "radar.early_fraud_warning.created": ("charge=charge",),
}
"""Event type (``*`` ends a prefix; the longest fitting entry counts) -> ``due kind = field of the object``.

The first field that is present decides: a pass for a customer finds everything of that customer, so the object's own
kind is only used when the event does not name the customer. Types that are not here are stored and make nobody due.
Both lists are those of https://docs.stripe.com/api/events/types.
"""

SUBSCRIBE_TO = (
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.failed",
    "charge.refunded",
    "charge.succeeded",
    "charge.updated",
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
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "refund.created",
    "refund.failed",
    "refund.updated",
)
"""What a webhook endpoint should be subscribed to; the README and `./scripts/doctor` name the same list."""

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


def read_event(body: bytes, *, livemode: bool) -> ReceivedEvent:
    """A signed body as it goes into the inbox; never fails, because a retry of the same bytes could not help either.

    Args:
        livemode: the mode of our key; an event of the other mode, or of another (Connect) account, makes nobody due.
    """
    text = body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")  # text columns hold no NUL
    try:
        event = json.loads(body)
        if not isinstance(event, dict) or event.get("object") not in ("event", "v2.core.event"):
            raise ValueError("not a Stripe event")
        event_id, kind = event["id"], event["type"]
        if not (isinstance(event_id, str) and event_id and isinstance(kind, str) and kind):
            raise ValueError("id or type is no text")
        return _read(event, event_id, kind, text, livemode)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        digest = hashlib.sha256(body).hexdigest()
        error = f"{type(problem).__name__}: {problem}"[:300].replace("\x00", "")
        return ReceivedEvent(f"unreadable_{digest}", "unreadable", text, "unreadable", error=error)


def _read(event: dict[str, Any], event_id: str, kind: str, text: str, livemode: bool) -> ReceivedEvent:
    thin = event["object"] == "v2.core.event"
    if thin:
        related = event.get("related_object") or {}
        found, object_id = _THIN_KIND.get(related.get("type", "")), related.get("id")
        nudges = ((found, object_id),) if found and _is_id(object_id) else ()
        customer = object_id if found == "customer" else None
    else:
        thing = event["data"]["object"]
        object_id, customer = thing.get("id"), _customer_of(kind, thing)
        nudges = _nudges(kind, thing)
    fields = {
        "type": kind,
        "body": text,
        "livemode": event.get("livemode") if isinstance(event.get("livemode"), bool) else None,
        "object_id": object_id if _is_id(object_id) else None,
        "customer_id": customer if _is_id(customer) else None,
        "created_at": _time(event.get("created")),
    }
    if fields["livemode"] is not None and fields["livemode"] != livemode:
        mode = "live" if livemode else "test"
        return ReceivedEvent(event_id, outcome="ignored", error=f"not a {mode}-mode event", **fields)
    if event.get("account"):
        return ReceivedEvent(event_id, outcome="ignored", error="event of a connected account", **fields)
    return ReceivedEvent(event_id, outcome="accepted" if nudges else "ignored", nudges=nudges, **fields)


def _nudges(kind: str, thing: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    for source in _due_by(kind):
        due_kind, _, name = source.partition("=")
        value = _id(thing.get(name))
        if value:
            return ((due_kind, value),)
    return ()


def _due_by(kind: str) -> tuple[str, ...]:
    if kind in DUE_BY_TYPE:
        return DUE_BY_TYPE[kind]
    parts = kind.split(".")
    for length in range(len(parts) - 1, 0, -1):
        sources = DUE_BY_TYPE.get(".".join(parts[:length]) + ".*")
        if sources:
            return sources
    return ()


def _customer_of(kind: str, thing: Mapping[str, Any]) -> str | None:
    return _id(thing.get("id")) if thing.get("object") == "customer" else _id(thing.get("customer"))


def _id(value: object) -> str | None:
    """An id, from the id itself or from an expanded object."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if _is_id(value) else None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _time(value: object) -> datetime | None:
    """When the provider made it: Unix seconds (snapshot) or ISO 8601 (thin)."""
    try:
        if isinstance(value, str):
            when = datetime.fromisoformat(value)
            return when if when.tzinfo else when.replace(tzinfo=UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
