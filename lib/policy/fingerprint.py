"""What of a subscription can change a decision, as one short text: equal texts need no pass."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import astuple

from lib.config import Policy
from lib.model import Memory, Payer, Subscription
from lib.structs import replace


def fingerprint(subscription: Subscription, policy: Policy) -> str:
    """A digest of everything that a list page tells of a subscription and that `desired` looks at.

    Args:
        policy: the operator's choices, in the digest too: after a change each customer is looked at once.
    """
    invoice = subscription.latest_invoice
    facts = (
        subscription.status,
        tuple(sorted((item.id, item.price_id, item.quantity) for item in subscription.items)),
        (invoice.id, invoice.status) if invoice else None,
        subscription.ended_at,
        subscription.trial_end,
        subscription.cancel_at,
        subscription.collection_paused,
        subscription.domain,
    )
    said = f"({_choices(policy)}, {repr(facts)[1:]}"
    return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


@lru_cache(maxsize=8)
def _choices(policy: Policy) -> str:
    """The operator's choices as text: the same for each of a hundred thousand subscriptions."""
    return repr(_plain(policy))


def _plain(value: object) -> object:
    """A struct as the tuple of its values, also within others."""
    match value:
        case Struct():
            return tuple(_plain(part) for part in astuple(value))
        case tuple():
            return tuple(_plain(part) for part in value)
    return value


def with_money_back(payer: Payer, memory: Memory) -> Payer:
    """The payer with what we know of disputes and refunds, which no list of subscriptions tells."""
    return replace(
        payer,
        subscriptions=tuple(
            replace(
                s,
                disputes=tuple(status for subscription_id, status in memory.disputes if subscription_id == s.id),
                refunded=memory.refunded_invoices,
            )
            for s in payer.subscriptions
        ),
    )
