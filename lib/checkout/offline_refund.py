"""Offline money that goes back although it was owed: the operator pays it out themselves, and here it is written down.

What it means for the hosting is the choice that holds for Stripe's refunds, and it is waived in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid4, uuid5

from lib.checkout.offline import customer_of, offline_order
from lib.checkout.till import Done, Till, done_before
from lib.database import due, offline_money, orders, outbox, payments
from lib.database.offline_money import GivenBack
from lib.errors import Declined
from lib.kinds import nudge
from lib.model.money import Order, OrderFact, OrderState, PaymentState, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told
from lib.policy.currencies import shown
from lib.policy.offline_lines import line_name
from lib.structs import replace

if TYPE_CHECKING:
    from lib.database.connection import Connection


async def refund(till: Till, order_id: str, amount: int | None, reason: str | None) -> Done:
    """Write down that so much of a paid order was given back.

    Args:
        amount: in minor units; `None`: all that is left.

    Raises:
        Declined: it is not paid, there is not so much left of it, or the key stands for another act.
    """
    await offline_order(till, order_id)
    now, key = await till.db.now(), till.own_key("refund")
    refund_id = str(uuid5(NAMESPACE_URL, key) if key is not None else uuid4())
    act = till.act("refund", order_id, amount=amount, reason=reason)

    async def work(connection: Connection) -> Done:
        order = await orders.locked(connection, order_id)
        assert order is not None and order.currency is not None
        before = await done_before(connection, act)
        if before or await offline_money.was_given_back(connection, order, refund_id):
            return Done(order, repeated=True)
        wanted = _wanted(order, amount)
        order = replace(order, refunded=order.refunded + wanted)
        await orders.save(connection, order)
        (paid,) = [p for p in await payments.standing(connection, order.id) if p.state is PaymentState.SUCCEEDED]
        about = GivenBack(paid.id, line_name(order.line_id or order.id), till.actor, reason)
        await offline_money.give_back(connection, order, refund_id, wanted, about=about, at=now)
        step = Step(StepKind.REFUND, StepState.SUCCEEDED, till.cause, subject=refund_id, detail={"amount": wanted})
        await orders.log(connection, order.id, step)
        if order.refunded == order.amount:
            moved = await orders.apply(connection, order.id, OrderFact.REFUNDED, till.cause, now)
            assert moved is not None
            order = moved[1]
        await due.nudge(
            connection, [nudge("customer", str(customer_of(order))), nudge("offline", order.line_id or order.id)]
        )
        await _tell(till, connection, order, refund_id, paid.id, wanted)
        return Done(order)

    return await till.db.transact(work)


def _wanted(order: Order, amount: int | None) -> int:
    """How much is to go back; in words what is done instead where it is no refund."""
    assert order.amount is not None and order.currency is not None
    rest = order.amount - order.refunded if order.state is OrderState.PAID else 0
    wanted = rest if amount is None else amount
    if 0 < wanted <= rest:
        return wanted
    detail = f"{shown(rest, order.currency)} of order {order.id} are left to refund"
    if order.state is OrderState.PAYING:
        detail += f": it is not paid in full; cancel it, and then return the {shown(order.collected, order.currency)}"
    elif order.overpaid:
        detail += f"; {shown(order.overpaid, order.currency)} are to be returned: that is the action return"
    raise Declined("refund_refused", detail, field="amount")


async def _tell(till: Till, connection: Connection, order: Order, refund_id: str, payment_id: str, amount: int) -> None:
    if not till.settings.outbox:
        return
    from lib.model.payloads import RefundData

    data = RefundData(
        refund_id=refund_id,
        order_id=order.id,
        payment_id=payment_id,
        charge_id=None,
        amount=amount,
        currency=order.currency or "",
        full=order.state is OrderState.REFUNDED,
    )
    kind = OutgoingType.REFUND_SUCCEEDED
    once = f"{kind.value}:{refund_id}"
    told = Told(kind, customer_of(order), data, rule="given_back", actor=till.actor, once=once)
    await outbox.write(connection, till.settings.outbox, [told])
