"""The money of offline orders that were sold for somebody else: when it may go to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from lib.checkout.offline import customer_of
from lib.database import orders, outbox
from lib.database.order_trouble import trouble_of
from lib.model.money import EscrowState, Order, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told
from lib.policy.escrow import escrow

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database.connection import Connection


async def watch(connection: Connection, order: Order, settings: Settings, cause: str, now: datetime) -> datetime | None:
    """Let the quiet days pass for an order whose row the caller holds; when the clock alone may change it."""
    if order.escrow is None or order.paid_at is None or order.terms.seller_id is None:
        return None
    trouble = await trouble_of(connection, order.id)
    stands = escrow(order.escrow, order.paid_at, order.collected - order.returned, trouble, settings.escrow_days, now)
    if stands.state is order.escrow:
        return stands.wake_at
    at = now if stands.state is EscrowState.RELEASABLE else order.releasable_at
    await orders.save(connection, replace(order, escrow=stands.state, releasable_at=at))
    await orders.log(connection, order.id, Step(StepKind.ESCROW, StepState.SUCCEEDED, cause, fact=stands.state.value))
    if stands.state is EscrowState.RELEASABLE and settings.outbox:
        from lib.model.payloads import EscrowData

        data = EscrowData(
            order_id=order.id,
            seller_id=order.terms.seller_id,
            seller_net=order.seller_net if order.seller_net is not None else order.amount or 0,
            currency=str(order.currency),
        )
        kind = OutgoingType.ESCROW_RELEASABLE
        told = Told(kind, customer_of(order), data, rule="quiet_days", once=f"{kind.value}:{order.id}")
        await outbox.write(connection, settings.outbox, [told])
    return stands.wake_at
