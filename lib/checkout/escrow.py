"""The money of orders that were sold for somebody else: when it may go to them, and an operator's word that it went."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from lib.checkout.till import Done, Till, done_before
from lib.database import orders, outbox, payments
from lib.database.order_trouble import troubles_of
from lib.errors import Declined
from lib.log import get_logger
from lib.model import CustomerKey
from lib.model.money import EscrowState, Order, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told
from lib.policy.currencies import shown
from lib.policy.escrow import Pot, followed, net_of, pot_of, why_not_released
from lib.structs import replace

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database import Database
    from lib.database.connection import Connection

log = get_logger()


class Look(Struct, frozen=True):
    """Who looks at it, and when."""

    settings: Settings
    cause: str
    now: datetime
    pass_id: str | None = None


async def pot(connection: Connection, order: Order) -> Pot:
    """The money that an order's escrow is about, with what happened to it; the caller holds the order's row."""
    if order.terms.seller_id is None:
        return Pot()
    known = await payments.standing(connection, order.id)
    return pot_of(order, known, await troubles_of(connection, order.id))


async def follow(connection: Connection, order: Order, money: Pot, look: Look) -> tuple[Order, datetime | None]:
    """Let quiet days or trouble have their way with an order whose row the caller holds.

    The order afterwards, and when the clock alone changes it again.
    """
    if order.escrow is None or order.paid_at is None or order.terms.seller_id is None:
        return order, None
    after, stands = followed(order, money, look.settings.escrow_days, look.now)
    if after == order:
        return order, stands.wake_at
    await orders.save(connection, after)
    if after.escrow is not order.escrow or stands.anew:
        await _log(connection, after, money, stands.state.value, look.cause)
    elif after.to_claim_back > order.to_claim_back:
        log.warning("seller_owes", order=order.id, amount=after.to_claim_back, currency=order.currency)
        await _log(connection, after, money, "to_claim_back", look.cause)
    if stands.anew:
        await _tell(connection, after, money, look)
    return after, stands.wake_at


async def _log(connection: Connection, order: Order, money: Pot, fact: str, cause: str) -> None:
    """A line with all numbers that it follows from."""
    detail = {
        "seller_net": net_of(order, money),
        "seller_due": order.seller_due,
        "came": money.came,
        "tax_on_top": money.tax,
        "went_back": money.went,
        "released": order.released,
        "to_claim_back": order.to_claim_back,
        "currency": order.currency,
        "payments": list(money.payments),
        "shown": shown(order.seller_due or 0, order.currency or ""),
    }
    step = Step(StepKind.ESCROW, StepState.SUCCEEDED, cause, fact=fact, detail=detail)
    await orders.log(connection, order.id, step)


async def _tell(connection: Connection, order: Order, money: Pot, look: Look) -> None:
    """Tell the operator's own systems what may be paid out: anew where trouble had taken that back, or some of it."""
    if not look.settings.outbox:
        return
    from lib.model.payloads import EscrowData

    assert order.terms.seller_id is not None and order.releasable_at is not None
    data = EscrowData(
        order_id=order.id,
        seller_id=order.terms.seller_id,
        seller_net=net_of(order, money),
        seller_due=order.seller_due or 0,
        came=money.came,
        went_back=money.went,
        currency=str(order.currency),
        payment_ids=list(money.payments),
    )
    kind, customer = OutgoingType.ESCROW_RELEASABLE, order.terms.customer_id
    whom = CustomerKey(order.provider, customer) if customer else None
    once = f"{kind.value}:{order.id}:{order.releasable_at.isoformat()}"
    told = Told(kind, whom, data, pass_id=look.pass_id, rule="quiet_days", once=once)
    await outbox.write(connection, look.settings.outbox, [told])


async def release(till: Till, order_id: str, amount: int | None = None) -> Done:
    """Write down that the money of an order was paid out to the seller. Nothing is paid out from here.

    Args:
        amount: what was paid out, in minor units; `None`: as much as there was.

    Raises:
        Declined: it may not go to them (any more), and why; or the key stands for another act.
    """
    now = await till.db.now()

    async def work(connection: Connection) -> Done:
        order = await orders.locked(connection, order_id)
        if order is None:
            raise Declined("unknown_order", f"there is no order {order_id}", field="orderId")
        words = {} if amount is None else {"amount": amount}
        before = await done_before(connection, till.act("releaseEscrow", order_id, **words))
        if before or order.escrow is EscrowState.RELEASED:
            _must_be(order, order.released, amount)
            return Done(order, repeated=True)
        money = await pot(connection, order)
        order, _ = await follow(connection, order, money, Look(till.settings, till.cause, now))
        if (why := why_not_released(order, money)) is not None:
            raise Declined("not_releasable", f"the money of order {order.id} does not go to its seller now: {why}")
        _must_be(order, order.seller_due, amount)
        order = replace(order, escrow=EscrowState.RELEASED, released=order.seller_due)
        await orders.save(connection, order)
        await _log(connection, order, money, EscrowState.RELEASED.value, till.cause)
        return Done(order)

    return await till.db.transact(work)


def _must_be(order: Order, there: int | None, amount: int | None) -> None:
    if amount is None or there in (None, amount):
        return
    currency = order.currency or ""
    verb = "were released" if order.escrow is EscrowState.RELEASED else "may go to the seller"
    detail = f"{shown(there, currency)} of order {order.id} {verb}, and not {shown(amount, currency)}"
    raise Declined("not_releasable", detail, field="amount")


async def why_not(db: Database, order: Order) -> str | None:
    """Why the money of an order that was sold for somebody else may not go to them now; `None`: it may, or it did."""
    if order.terms.seller_id is None:
        return None
    async with db.transaction() as connection:
        return why_not_released(order, await pot(connection, order))
