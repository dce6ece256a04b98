"""A refund that an operator asks for: its row first, whose id is Stripe's idempotency key; then Stripe, then its word.

The payment is locked until the answer is written down, and nobody asks for more than is left. Whoever dies on the way
leaves the row behind, and its own pass goes on: it looks for the refund before it asks for it once more.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lib.database import acts, due, orders, outbox, payments, refund_requests
from lib.errors import Declined, Denied, OutcomeUnknown, Refused, foreign
from lib.kinds import nudge
from lib.log import get_logger
from lib.model import CustomerKey, Refund
from lib.model.money import Order, Payment, PaymentState, RefundRequest, RefundState, Step, StepKind, StepState
from lib.model.outgoing import OutgoingType, Told
from lib.model.provider import Provider
from lib.policy.currencies import shown
from lib.policy.payments import left, why_not_refunded
from lib.structs import replace

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database import Database
    from lib.database.connection import Connection
    from lib.kinds import Context
    from lib.stripe_client import StripeClient

log = get_logger()

SOON = timedelta(minutes=1)
"""After this its own pass goes on with a refund whose answer nobody has written down."""


class Refunding(Struct, frozen=True):
    """What a refund needs; `actor` is who asks for it, or goes on with it."""

    settings: Settings
    db: Database
    stripe: StripeClient
    actor: str = "bridge"
    pass_id: str | None = None
    act: acts.Act | None = None
    """What was asked under the caller's own `Idempotency-Key`: asked again, the refund is the one that was made."""


class Refunded(Struct, frozen=True):
    """A refund that was asked for, as it stands."""

    request_id: str
    refund_id: str | None
    """Stripe's; `None` while its answer is not known."""
    status: str
    amount: int
    currency: str
    order_id: str
    payment_id: str
    repeated: bool = False
    """It had been asked for under the same key before."""


def is_request(key: str) -> bool:
    """Whether a row of the queue is about a request of ours."""
    try:
        uuid.UUID(key)
    except ValueError:
        return False
    return True


async def refund(
    at: Refunding, order_id: str, amount: int | None, reason: str | None, *, payment_id: str | None = None
) -> Refunded:
    """Give money of an order back: of its newest payment, or of the one that is named.

    Never of an older one that nobody named: who lost the answer and asks again would give another month back.

    Args:
        amount: in minor units of the payment's currency; `None`: all that is left of it.
        reason: for the log, in the operator's words.

    Raises:
        Declined: `not_found`; `refund_refused` with what is left or what Stripe says; `refund_under_way`; `key_reused`.
        Retryable: nobody knows yet whether it happened; it is written down, and goes on by itself.
    """
    now = await at.db.now()
    request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, at.act.key) if at.act is not None else uuid.uuid4())

    async def write(connection: Connection) -> RefundRequest | Refunded:
        order = await orders.locked(connection, order_id) if is_request(order_id) else None
        if order is None:
            raise Declined("not_found", f"there is no order {order_id}", field="orderId")
        if at.act is not None:
            await acts.note(connection, at.act)
        if (before := await refund_requests.asked_before(connection, request_id)) is not None:
            return _repeated(before, order, amount)
        payment, rest = await _chosen(connection, order, amount, payment_id)
        wanted = rest if amount is None else amount
        assert payment.charge_id is not None
        request = RefundRequest(request_id, order.id, payment.id, wanted, payment.currency, now, at.actor, reason)
        if not await refund_requests.ask(connection, request, payment, customer_id=order.terms.customer_id):
            raise Declined("refund_under_way", "another refund of this payment waits for Stripe's answer")
        await orders.log(connection, order.id, _step(request, StepState.STARTED, at))
        await due.nudge(connection, [nudge("refund", request.id)], at=now + SOON)
        return request

    request = await at.db.transact(write)
    if isinstance(request, Refunded):
        return request
    log.info("refund_asked", order=request.order_id, refund=request.id, amount=request.amount, actor=at.actor)
    return await _ask(at, request, tries=0)


def _repeated(before: dict[str, Any], order: Order, amount: int | None) -> Refunded:
    """The refund that was asked for under this key, as it stands."""
    if before["order_id"] != order.id or amount not in (None, before["amount"]):
        detail = f"this Idempotency-Key stands for a refund of {before['amount']} of order {before['order_id']}"
        raise Declined("key_reused", f"{detail}: another refund needs another key")
    known = before["refund_id"] if before["refund_id"] != before["request_id"] else None
    return Refunded(
        before["request_id"], known, before["status"], before["amount"], before["currency"], order.id,
        before["payment_id"], repeated=True,
    )  # fmt: skip


async def go_on(request_id: str, context: Context, *, tries: int) -> None:
    """Come to the end of a refund whose answer was lost: it is looked for first."""
    at = Refunding(context.settings, context.db, context.stripe, pass_id=context.mandate.pass_id)

    async def read(connection: Connection) -> tuple[RefundRequest, Payment] | None:
        request = await refund_requests.open_request(connection, request_id)
        payment = await payments.locked(connection, request.payment_id) if request else None
        return (request, payment) if request is not None and payment is not None else None

    found = await context.db.transact(read)
    if found is None:
        return
    request, payment = found
    made = await context.stripe.refund_asked_for(str(payment.charge_id), request.amount, request.id)
    if made is not None:
        await _answered(at, request, made)
        return
    try:
        await _ask(at, request, tries=tries)
    except Declined as why:  # written down: the operator sees it with the order
        log.warning("refund_refused", order=request.order_id, refund=request.id, error=str(why))


async def _chosen(
    connection: Connection, order: Order, amount: int | None, payment_id: str | None
) -> tuple[Payment, int]:
    """The payment that is refunded, locked, and what is left of it."""
    why = "nothing of this order was paid through Stripe"
    for payment in reversed(await payments.standing(connection, order.id)):
        if payment_id not in (None, payment.id) or payment.state is not PaymentState.SUCCEEDED:
            continue
        if payment.provider is not Provider.STRIPE or payment.charge_id is None:
            continue
        await payments.locked(connection, payment.id)
        known = await refund_requests.of_payment(connection, payment.id)
        rest = left(payment.came, known)
        refused = why_not_refunded(
            rest if amount is None else amount, payment.currency, paid=(payment.came, payment.currency), refunds=known
        )
        if refused is None:
            return payment, rest
        if any(state is RefundState.REQUESTED for state, _ in known):
            raise Declined("refund_under_way", refused)
        why = refused
        if payment_id is None:
            why = f"{refused}; an older payment of this order is given back where paymentId names it"
            break
    raise Declined("refund_refused", why, field="amount")


async def _ask(at: Refunding, request: RefundRequest, *, tries: int) -> Refunded:
    """Ask Stripe. An error that it stores under a key is answered by another one, once it is certain that none is made.

    Args:
        tries: how often this was tried in vain; as many keys may hold a stored error.
    """
    payment = await _payment(at, request)
    charge_id = str(payment.charge_id)
    for number in range(1, tries + 3):
        key = request.id if number == 1 else f"{request.id}.{number}"
        try:
            made = await at.stripe.create_refund(charge_id, request.amount, request.id, key)
        except OutcomeUnknown as error:
            if not error.answered:
                raise
            found = await at.stripe.refund_asked_for(charge_id, request.amount, request.id)
            if found is None:
                continue
            made = found
        except (Refused, Denied) as error:
            await _refused(at, request, str(error))
            raise Declined("refund_refused", foreign(str(error))) from error
        return await _answered(at, request, made)
    raise OutcomeUnknown("Stripe fails again and again; the refund is written down and goes on by itself")


async def _payment(at: Refunding, request: RefundRequest) -> Payment:
    found = await payments.of_order(at.db, request.order_id)
    return next(payment for payment in found if payment.id == request.payment_id)


async def _answered(at: Refunding, request: RefundRequest, made: Refund) -> Refunded:
    """Write Stripe's answer down; what else belongs to it is read by the pass of the refund itself."""

    async def write(connection: Connection) -> None:
        order = await orders.locked(connection, request.order_id)
        payment = await payments.locked(connection, request.payment_id)
        if await refund_requests.open_request(connection, request.id) is None:
            return  # its event was faster
        await refund_requests.answered(connection, request.id, made, provider=Provider.STRIPE)
        await orders.log(connection, request.order_id, _step(request, step_of(made), at, made))
        await due.nudge(connection, [nudge("refund", made.refund_id), nudge("order", request.order_id)])
        if at.settings.outbox and made.status == "succeeded" and order is not None and payment is not None:
            await _tell(connection, at, order, payment, made)

    await at.db.transact(write)
    return Refunded(
        request.id, made.refund_id, made.status, made.amount, made.currency, request.order_id, request.payment_id
    )


async def _tell(connection: Connection, at: Refunding, order: Order, payment: Payment, made: Refund) -> None:
    known = await refund_requests.of_payment(connection, payment.id)
    full = _gone(known) >= payment.came
    whose = replace(made, customer_id=order.terms.customer_id)
    told = told_of(whose, payment, at.pass_id, full=full, actor=at.actor)
    await outbox.write(connection, at.settings.outbox, [told])


def told_of(refund: Refund, payment: Payment | None, pass_id: str | None, *, full: bool, actor: str = "bridge") -> Told:
    """What the operator's own systems are told of a refund that succeeded, once."""
    from lib.model.payloads import RefundData

    data = RefundData(
        refund_id=refund.refund_id,
        order_id=payment.order_id if payment else None,
        payment_id=payment.id if payment else None,
        charge_id=refund.charge_id,
        amount=refund.amount,
        currency=refund.currency,
        full=full,
    )
    customer = CustomerKey.stripe(refund.customer_id) if refund.customer_id else None
    once = f"refund.succeeded:{refund.refund_id}"
    return Told(OutgoingType.REFUND_SUCCEEDED, customer, data, pass_id=pass_id, actor=actor, once=once)


def _gone(known: Sequence[tuple[RefundState, int]]) -> int:
    return sum(amount for state, amount in known if state is RefundState.SUCCEEDED)


async def _refused(at: Refunding, request: RefundRequest, why: str) -> None:
    async def write(connection: Connection) -> None:
        await orders.locked(connection, request.order_id)
        await refund_requests.refused(connection, request.id, why)
        await orders.log(connection, request.order_id, _step(request, StepState.FAILED, at, error=why))
        await due.nudge(connection, [nudge("order", request.order_id)])

    await at.db.transact(write)


_ENDS = {"succeeded": StepState.SUCCEEDED, "failed": StepState.FAILED, "canceled": StepState.FAILED}


def step_of(refund: Refund) -> StepState:
    """How far a refund is, by Stripe's status of it."""
    return _ENDS.get(refund.status, StepState.PENDING)


def _step(
    request: RefundRequest, state: StepState, at: Refunding, made: Refund | None = None, error: str | None = None
) -> Step:
    return Step(
        StepKind.REFUND,
        state,
        f"admin:{at.actor}" if at.pass_id is None else f"pass:{at.pass_id}",
        subject=made.refund_id if made else request.id,
        detail={
            "payment": request.payment_id,
            "amount": request.amount,
            "currency": request.currency,
            "request": request.id,
            "shown": shown(request.amount, request.currency),
        },
        error=error,
    )
