"""Offline money that comes: taken in once, by whoever tells of it, and what is paid by it begins to run.

One debt is paid once: what the same buyer has open at Stripe for it is closed before anything is written, and looked
for once more afterwards (`checkout.one_debt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from lib.checkout.offline import CAME, OPEN, customer_of, offline_order
from lib.checkout.one_debt import DESPITE
from lib.checkout.paid_elsewhere import closed, declined
from lib.checkout.shop import Desk
from lib.checkout.till import Done, Till
from lib.database import due, offline_money, orders, outbox, payments, plans
from lib.database.services import grace_of
from lib.errors import Declined
from lib.kinds import nudge
from lib.log import get_logger
from lib.model.money import (
    Breakdown,
    Collection,
    Order,
    OrderState,
    Payment,
    PaymentState,
    Step,
    StepKind,
    StepState,
)
from lib.model.outgoing import OutgoingType, Told
from lib.model.provider import Provider
from lib.policy import bills, offline
from lib.policy.breakdown import break_down
from lib.policy.currencies import shown
from lib.policy.offline_lines import line_name
from lib.policy.orders import Moved
from lib.structs import replace

if TYPE_CHECKING:
    from lib.database.connection import Connection
    from lib.stripe_client import StripeClient

log = get_logger()


class Money(Struct, frozen=True):
    """Money that came."""

    amount: int
    currency: str
    external_id: str | None = None
    """The bank's or the courier's own id of it."""
    at: datetime | None = None
    """When it came, where that is known; else now."""
    anyway: bool = False
    """Take it although the same debt is paid, or can be paid, at Stripe. What is open there is ended all the same."""
    exact: bool = False
    """Take it only where it is just what an order waits for that nobody has cancelled: it was matched by a machine."""


async def collect(till: Till, order_id: str, money: Money, stripe: StripeClient) -> Done:
    """Take money in for an order: all of it, a part, or more than was asked for.

    One debt is paid once: what the same buyer has open at Stripe for it is closed before anything is written.

    Raises:
        Declined: it is no offline order, the caller's key does not reach it, the money is of another currency, its line
            or key was used for other money, or the same debt is paid, or can still be paid, at Stripe.
        Retryable: Stripe can't say whether it is.
    """
    order = await offline_order(till, order_id)
    if till.collects is not None and order.provider not in till.collects:
        raise _beyond(till, order, till.collects)
    if await _repetition(till, order, money):
        return Done(order, repeated=True)
    _becomes(till, order, money)  # what is refused ends nobody's page
    despite: list[str] = []
    if order.state not in CAME:
        found = await closed(Desk(till.settings, till.db, stripe), order, till.cause, anyway=money.anyway)
        if found and not money.anyway:
            raise declined(found[0])
        despite = [one.order.id for one in found]
    now = await till.db.now()

    async def work(connection: Connection) -> Done:
        return await _take(till, connection, order_id, money, now, despite)

    done = await till.db.transact(work)
    if not done.repeated:
        taken = done.order
        log.info("offline_money", order=taken.id, state=taken.state, missing=taken.missing, actor=till.actor)
        if order.state in (OrderState.EXPIRED, OrderState.FAILED):
            log.warning(
                "offline_money_late", order=taken.id, state=taken.state, remedy="it is paid; see that it is meant"
            )
    return done


async def _repetition(till: Till, order: Order, money: Money) -> bool:
    async with till.db.transaction() as connection:
        return await _taken(till, connection, order, money)


async def _taken(till: Till, connection: Connection, order: Order, money: Money) -> bool:
    """Whether this line, or this call, was written down before.

    A line is its amount for its order, whatever the key of the call that tells of it. A key is one call: another line
    under it is other money, which must not pass for the first.
    """
    key = till.own_key("collect")
    known = await offline_money.find(connection, order.provider, external_id=money.external_id, idempotency_key=key)
    for found in known:
        same = (found.order_id, found.amount, found.currency) == (order.id, money.amount, money.currency)
        if not same or found.external_id != money.external_id:
            what = f"{shown(found.amount, found.currency)} for order {found.order_id}"
            detail = f"this externalId or Idempotency-Key stands for {what}: other money needs another one"
            raise Declined("key_reused", detail, field="externalId")
    return bool(known)


def _beyond(till: Till, order: Order, providers: frozenset[Provider]) -> Declined:
    of = " and ".join(sorted(providers))
    detail = f"by KEY_SCOPES, the key {till.actor} collects open orders of {of} alone, and order {order.id} is none"
    return Declined("forbidden", f"{detail}: use an operator's key for this")


def _becomes(till: Till, order: Order, money: Money) -> offline.Collected:
    """What an order is with this money, as it stands now.

    Raises:
        Declined: it is not to be taken in.
    """
    assert order.amount is not None and order.currency is not None
    if till.collects is not None and order.state not in OPEN:
        raise _beyond(till, order, till.collects)
    try:
        found = offline.collect(
            order.amount,
            order.collected - order.returned,
            money.amount,
            asked_currency=order.currency,
            currency=money.currency,
        )
    except offline.WrongCurrency as error:
        raise Declined("wrong_currency", f"{error}: give it back; nothing was written", field="currency") from error
    if money.exact and (order.state in CAME or order.cancelled or found.missing or found.too_much):
        detail = f"order {order.id} was changed, cancelled or paid meanwhile: read the statement once more"
        raise Declined("order_changed", detail)
    return found


async def _take(
    till: Till, connection: Connection, order_id: str, money: Money, now: datetime, despite: Sequence[str]
) -> Done:
    order = await orders.locked(connection, order_id)
    assert order is not None
    if await _taken(till, connection, order, money):
        return Done(order, repeated=True)
    found = _becomes(till, order, money)
    line = Collection(
        order_id=order.id,
        provider=order.provider,
        amount=money.amount,
        currency=money.currency,
        collected_at=money.at or now,
        actor=till.actor,
        external_id=money.external_id,
        idempotency_key=till.own_key("collect"),
    )
    if not await offline_money.add(connection, line):  # somebody else wrote it a moment ago, for another order
        await _taken(till, connection, order, money)
        return Done(order, repeated=True)
    detail: dict[str, Any] = {"amount": money.amount, "currency": money.currency}
    detail |= {"missing": found.missing, "too_much": found.too_much}
    detail |= {DESPITE: list(despite)} if despite else {}
    step = Step(StepKind.COLLECTION, StepState.SUCCEEDED, till.cause, subject=money.external_id, detail=detail)
    await orders.log(connection, order.id, step)
    await due.nudge(connection, [nudge("debt", order.id)])  # pages that begin just now are ended by it
    moved = await orders.apply(connection, order.id, found.fact, till.cause, now)
    assert moved is not None
    move, order = moved
    if isinstance(move, Moved) and move.to is OrderState.PAID:
        order = await _paid(till, connection, order, now)
    return Done(order)


async def _paid(till: Till, connection: Connection, order: Order, now: datetime) -> Order:
    """Give an order that is paid in full its time, freeze its numbers, and make due whoever it is for."""
    payment = await _settle(connection, order, till.cause, now)
    renewed = await orders.locked(connection, order.renews) if order.renews is not None else None
    start, end = offline.period(order, renewed, now, await _grace(till, connection, order, renewed))
    current = await orders.locked(connection, order.id)
    assert current is not None
    order = replace(current, period_start=start, period_end=end, total=order.amount)
    await orders.save(connection, order)
    await due.nudge(
        connection, [nudge("customer", str(customer_of(order))), nudge("offline", order.line_id or order.id)]
    )
    if payment is not None:
        await _thank(till, connection, order, now)
        await _tell(till, connection, order, payment)
    return order


async def _thank(till: Till, connection: Connection, order: Order, now: datetime) -> None:
    """Write to the buyer that their order is paid."""
    if till.settings.mail is None:
        return
    from lib.database import notices
    from lib.policy.notices import of_paid_order

    await notices.write(connection, of_paid_order(order, now))


async def _tell(till: Till, connection: Connection, order: Order, payment: Payment) -> None:
    """Tell the operator's own systems that an order is paid, and by which payment."""
    if not till.settings.outbox:
        return
    from lib.model.payloads import OrderData, PaymentData

    whom, told = customer_of(order), []
    named = replace(order, subscription_id=line_name(order.line_id or order.id))
    for kind, data, about in (
        (OutgoingType.PAYMENT_SUCCEEDED, PaymentData.of(payment), payment.id),
        (OutgoingType.ORDER_PAID, OrderData.of(named), order.id),
    ):
        told.append(Told(kind, whom, data, rule="collected", actor=till.actor, once=f"{kind.value}:{about}"))
    await outbox.write(connection, till.settings.outbox, told)


async def _grace(till: Till, connection: Connection, order: Order, renewed: Order | None) -> timedelta:
    """For how long after the last period the service ran: the plan's grace, or the date that was given once."""
    days = await plans.grace_days(connection, order.provider.value, order.terms.billing_plan_id)
    grace = timedelta(days=till.settings.policy.grace_days if days is None else days)
    until = await grace_of(connection, customer_of(order), line_name(order.line_id or order.id))
    if until is not None and renewed is not None and renewed.period_end is not None:
        grace = max(grace, until - renewed.period_end)
    return grace


async def _settle(connection: Connection, order: Order, cause: str, now: datetime) -> Payment | None:
    """The payment of an order, once: its numbers are what was asked for and what came."""
    assert order.amount is not None and order.currency is not None
    payment = Payment(
        id=str(uuid5(NAMESPACE_URL, f"offline:{order.id}")),
        order_id=order.id,
        provider=order.provider,
        attempt=1,
        state=PaymentState.PENDING,
        amount=order.amount,
        currency=order.currency,
        created_at=now,
    )
    begun = await payments.begin(connection, payment, cause)
    if begun is None:
        return None
    paid = replace(begun, state=PaymentState.SUCCEEDED, paid_at=now)
    await payments.save(connection, begun, paid, cause)
    bill = bills.of_collections(order.amount, order.collected - order.returned, order.currency)
    numbers = break_down(bill, None, charged=False)
    assert isinstance(numbers, Breakdown)
    await payments.settle(connection, begun, numbers, cause, now)
    return paid
