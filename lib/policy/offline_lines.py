"""A line of offline orders as the subscription that `desired` decides about, each order as one of its invoices.

So grace, holds, plan changes, refunds and retention are one set of rules, whoever takes the money in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from lib.model import CustomerKey, Invoice, Item, Line, Payer, Subscription
from lib.model.money import Order, OrderMode, OrderState
from lib.policy.offline import PERIOD_DAYS, standing

_STATUS = {
    OrderState.PENDING: "open",
    OrderState.PAYING: "open",
    OrderState.PAID: "paid",
    OrderState.REFUNDED: "paid",
    OrderState.EXPIRED: "void",
    OrderState.FAILED: "void",
}


_PREFIX = "off_"


def line_name(line_id: str) -> str:
    """The id that a line has where Stripe's subscriptions have theirs, also in the panel's marks: ``off_...``."""
    return f"{_PREFIX}{line_id.replace('-', '')}"


def line_of(name: str) -> str | None:
    """The id of the line with this name; `None`: it is the name of something else."""
    try:
        return str(UUID(name.removeprefix(_PREFIX))) if name.startswith(_PREFIX) else None
    except ValueError:
        return None


def as_payer(key: CustomerKey, orders: Sequence[Order], now: datetime) -> Payer:
    """A customer with all that they bought offline; what is bought once is no subscription.

    Args:
        orders: all of theirs, oldest first. The newest that names a person says who they are.
    """
    lines: dict[str, list[Order]] = {}
    for order in orders:
        if order.terms.mode is OrderMode.SUBSCRIPTION:
            lines.setdefault(order.line_id or order.id, []).append(order)
    return Payer(
        id=str(key),
        email=next((order.terms.email for order in reversed(orders) if order.terms.email), None),
        name=next((order.name for order in reversed(orders) if order.name), None),
        subscriptions=tuple(as_subscription(line, now) for line in lines.values()),
        as_of=now,
    )


def as_subscription(line: Sequence[Order], now: datetime) -> Subscription:
    """A line of orders in Stripe's words.

    Args:
        line: all orders of one line, in any order; at least one.
    """
    found = standing(line, now)
    orders = sorted(line, key=lambda order: (order.created_at, order.id), reverse=True)
    first = orders[-1]
    name, terms = line_name(first.line_id or first.id), found.order.terms
    ends = {order.id: order.period_end for order in orders}
    invoices = [_invoice(order, ends.get(order.renews or "")) for order in orders]
    owed = found.unpaid_since
    if owed is not None and not any(i.status == "open" for i in invoices):
        # The next period has not been asked for yet, and is owed all the same.
        days = timedelta(days=found.order.period_days or PERIOD_DAYS)
        amount = found.order.amount or 0
        unasked = (Line(terms.billing_plan_id, amount, False, owed, owed + days),)
        invoices.insert(0, Invoice(f"{name}_next", "open", owed, "subscription_cycle", amount, amount, lines=unasked))
    return Subscription(
        id=name,
        status=found.status,
        items=(Item(f"{name}_1", terms.billing_plan_id or "", terms.quantity),),
        created=found.created_at,
        latest_invoice=invoices[0],
        invoices=tuple(invoices),
        first_payment="requires_payment_method",
        ended_at=found.ended_at,
        cancel_at=found.cancel_at,
        changes_at=found.wake_at if found.status == "active" else None,
        domain=terms.domain,
        refunded=frozenset(order.id for order in orders if order.state is OrderState.REFUNDED),
    )


def _invoice(order: Order, continues: datetime | None) -> Invoice:
    """An order as an invoice for its period; one that is not paid yet asks for what follows the period before it."""
    start = order.period_start or continues or order.created_at
    end = order.period_end or start + timedelta(days=order.period_days or PERIOD_DAYS)
    amount = order.amount or 0
    return Invoice(
        id=order.id,
        status=_STATUS[order.state],
        created=order.created_at,
        billing_reason="subscription_create" if order.renews is None else "subscription_cycle",
        amount_due=max(amount - order.collected, 0),
        total=amount,
        due=order.due_at,
        paid_at=order.paid_at,
        amount_paid=min(order.collected, amount),
        currency=order.currency or "",
        lines=(Line(order.terms.billing_plan_id, amount, False, start, end),),
    )
