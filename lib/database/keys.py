"""The keys of customers in statements: as parameters, and as the queue writes them (`model.CustomerKey` as text)."""

from __future__ import annotations

from lib.model import CustomerKey
from lib.model.provider import Provider

STRIPE = Provider.STRIPE.value
"""What comes from Stripe and from nobody else: its events, subscriptions, disputes and refunds."""

_OFFLINE = ", ".join(f"'{provider.value}'" for provider in Provider if provider.offline)


def whose(customer: CustomerKey) -> dict[str, str]:
    """The parameters `%(provider)s` and `%(customer)s`."""
    return {"provider": customer.provider.value, "customer": customer.id}


def as_text(row: str = "") -> str:
    """The text of the key in the columns `provider` and `customer_id` of a row; `row`: its name and a dot."""
    bare = f"{row}provider = '{STRIPE}'"
    return f"CASE WHEN {bare} THEN {row}customer_id ELSE {row}provider || ':' || {row}customer_id END"


def provider_in(text: str) -> str:
    """The provider in the text of a key."""
    return f"CASE WHEN {_prefixed(text)} THEN split_part({text}, ':', 1) ELSE '{STRIPE}' END"


def id_in(text: str) -> str:
    """The customer's id in the text of a key."""
    return f"CASE WHEN {_prefixed(text)} THEN substr({text}, strpos({text}, ':') + 1) ELSE {text} END"


def _prefixed(text: str) -> str:
    return f"(split_part({text}, ':', 1) IN ({_OFFLINE}) AND split_part({text}, ':', 2) <> '')"
