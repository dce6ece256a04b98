"""Orders and payments to begin with: the same for every test, changed by what it is about."""

import uuid
from datetime import UTC, datetime
from typing import Any

from lib.model.money import Order, OrderMode, Origin, Payment, PaymentState, Terms
from lib.model.provider import Provider
from lib.policy.purchases import buyer_of, fingerprint
from lib.policy.references import of_order
from lib.structs import replace

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def terms(**others: Any) -> Terms:
    """What somebody wants to buy."""
    wanted = Terms("price_basic_monthly", 1, "shop.example", "ada@example.com", mode=OrderMode.SUBSCRIPTION)
    return replace(wanted, **others)


def order(wanted: Terms | None = None, **others: Any) -> Order:
    """A new order from our own checkout."""
    wanted = wanted or terms()
    made = Order(
        id=str(uuid.uuid4()),
        provider=Provider.STRIPE,
        origin=Origin.CHECKOUT,
        terms=wanted,
        created_at=NOW,
        buyer=buyer_of(wanted),
        fingerprint=fingerprint(wanted),
        currency="eur",
        amount=1900,
    )
    return replace(made, **others)


def offline(**others: Any) -> Order:
    """A new order that is paid by bank transfer."""
    order_id = str(uuid.uuid4())
    made = order(
        id=order_id,
        provider=Provider.BANK_TRANSFER,
        origin=Origin.ADMIN,
        buyer=None,
        fingerprint=None,
        reference=of_order(order_id),
        period_days=30,
        line_id=order_id,
    )
    return replace(made, **others)


def payment(of: Order, **others: Any) -> Payment:
    """A first attempt to pay an order."""
    made = Payment(
        id=str(uuid.uuid4()),
        order_id=of.id,
        provider=of.provider,
        attempt=1,
        state=PaymentState.PENDING,
        amount=1900,
        currency="eur",
        created_at=NOW,
        payment_intent_id=f"pi_{uuid.uuid4().hex[:12]}",
    )
    return replace(made, **others)
