"""The money of orders that were sold for somebody else: when it may go to them, and an operator's word that it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from lib.checkout.till import Done, Till, done_before
from lib.database import orders, outbox, payments
from lib.database.order_trouble import trouble_of
from lib.errors import Declined
from lib.model import CustomerKey
from lib.model.money import EscrowState, Order, Payment, PaymentState, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told
from lib.policy.currencies import shown
from lib.policy.escrow import Trouble, escrow, why_not_released

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database import Database
    from lib.database.connection import Connection


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at it, and when."""

    settings: Settings
    cause: str
    now: datetime
    pass_id: str | None = None


def came_of(order: Order, known: Sequence[Payment]) -> int:
    """What an order brought in its own currency, before what went back of it as a refund."""
    if order.provider.offline:
        return order.collected - order.returned
    return sum(one.came for one in known if one.state is PaymentState.SUCCEEDED and one.currency == order.currency)


async def follow(
    connection: Connection, order: Order, came: int, trouble: Trouble, look: Look
) -> tuple[Order, datetime | None]:
    """Let quiet days or trouble have their way with an order whose row the caller holds.

    The order afterwards, and when the clock alone changes it again.
    """
    if order.escrow is None or order.paid_at is None or order.terms.seller_id is None:
        return order, None
    stands = escrow(order, came, trouble, look.settings.escrow_days, look.now)
    at = stands.wake_at if stands.state is EscrowState.HELD else order.releasable_at
    if stands.state is EscrowState.RELEASABLE is not order.escrow:
        at = look.now
    after = replace(order, escrow=stands.state, releasable_at=at)
    if after != order:
        await orders.save(connection, after)
    if after.escrow is not order.escrow:
        step = Step(StepKind.ESCROW, StepState.SUCCEEDED, look.cause, fact=stands.state.value)
        await orders.log(connection, order.id, step)
        if after.escrow is EscrowState.RELEASABLE:
            await _tell(connection, after, look)
    return after, stands.wake_at


async def _tell(connection: Connection, order: Order, look: Look) -> None:
    """Tell the operator's own systems that it may be paid out: anew where trouble had taken that back."""
    if not look.settings.outbox:
        return
    from lib.model.payloads import EscrowData

    assert order.terms.seller_id is not None and order.releasable_at is not None
    data = EscrowData(
        order_id=order.id,
        seller_id=order.terms.seller_id,
        seller_net=order.seller_net if order.seller_net is not None else order.amount or 0,
        currency=str(order.currency),
    )
    kind, customer = OutgoingType.ESCROW_RELEASABLE, order.terms.customer_id
    whom = CustomerKey(order.provider, customer) if customer else None
    once = f"{kind.value}:{order.id}:{order.releasable_at.isoformat()}"
    told = Told(kind, whom, data, pass_id=look.pass_id, rule="quiet_days", once=once)
    await outbox.write(connection, look.settings.outbox, [told])


async def release(till: Till, order_id: str) -> Done:
    """Write down that the money of an order was paid out to the seller. Nothing is paid out from here.

    Raises:
        Declined: it may not go to them (any more), and why; or the key stands for another act.
    """
    now = await till.db.now()

    async def work(connection: Connection) -> Done:
        order = await orders.locked(connection, order_id)
        if order is None:
            raise Declined("unknown_order", f"there is no order {order_id}", field="orderId")
        if await done_before(connection, till.act("releaseEscrow", order_id)) or order.escrow is EscrowState.RELEASED:
            return Done(order, repeated=True)
        trouble = await trouble_of(connection, order.id)
        came = came_of(order, await payments.standing(connection, order.id))
        order, _ = await follow(connection, order, came, trouble, Look(till.settings, till.cause, now))
        if (why := why_not_released(order, trouble)) is not None:
            raise Declined("not_releasable", f"the money of order {order.id} does not go to its seller now: {why}")
        order = replace(order, escrow=EscrowState.RELEASED)
        await orders.save(connection, order)
        net = order.seller_net if order.seller_net is not None else order.amount or 0
        detail = {"seller_net": net, "currency": order.currency, "shown": shown(net, order.currency or "")}
        fact = EscrowState.RELEASED.value
        step = Step(StepKind.ESCROW, StepState.SUCCEEDED, till.cause, fact=fact, detail=detail)
        await orders.log(connection, order.id, step)
        return Done(order)

    return await till.db.transact(work)


async def why_not(db: Database, order: Order) -> str | None:
    """Why the money of an order that was sold for somebody else may not go to them now; `None`: it may, or it did."""
    if order.terms.seller_id is None:
        return None
    async with db.transaction() as connection:
        return why_not_released(order, await trouble_of(connection, order.id))
