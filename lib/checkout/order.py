"""The pass of one order: what Stripe says of its session and its payments moves it, and nothing else does.

Keys of its rows are an order's id, or the id of a session or of an invoice at Stripe, which lead to one or become one.
Whatever is read is compared with the order as it stands at that moment, under the lock of its row: passes may run side
by side, and answers may be old.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from lib.checkout import escrow
from lib.checkout.escrow import Look
from lib.checkout.learn import INVOICE, Subject, subject_of
from lib.database import due, orders, outbox, payments
from lib.database.connection import Connection
from lib.database.order_trouble import troubles_of
from lib.errors import NotFound
from lib.kinds import Context, Ended, nudge
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Nudge, Parked, Priority, Problem, Settled, Waits
from lib.model.money import (
    Order,
    OrderFact,
    OrderMode,
    OrderState,
    Origin,
    Payment,
    PaymentState,
    Step,
    StepKind,
    StepState,
)
from lib.model.outgoing import OutgoingType, Told
from lib.model.reason import Reason, WaitReason
from lib.model.stripe_money import SeenSession
from lib.policy import learnt
from lib.policy import orders as policy
from lib.policy.escrow import Trouble, pot_of, together
from lib.structs import replace

log = get_logger()

SKEW = timedelta(minutes=5)
"""How far Stripe's clock may be from the database's."""

SOON = timedelta(minutes=10)
DEBIT = timedelta(days=1)
"""How long after a look the next one is, where no event came: at the soonest, and at a bank debit."""

_AT_REST = (OrderState.PAID, OrderState.REFUNDED)


async def run(claim: Claim, context: Context) -> Ended:
    """Read what an order depends on, and move it; or learn of a purchase that somebody else began."""
    subject = await subject_of(claim.key, context)
    if subject is None:
        return Ended(Settled())
    session = subject.session or await _session_of(subject.order, context)
    moving = Moving(claim.key, subject, session, context)
    return await context.db.transact(moving.write)


async def _session_of(order: Order, context: Context) -> SeenSession | None:
    """The session of an order, unless everything that it can tell is known."""
    if order.session_id is not None:
        linked = order.terms.mode is OrderMode.PAYMENT or order.subscription_id is not None
        if order.state in _AT_REST and linked:
            return None
        try:
            return await context.stripe.purchase(order.session_id)
        except NotFound as error:  # forgotten by Stripe, or of another account: nothing is decided on that
            log.warning("object_unknown", kind="order", error=str(error))
            return None
    request = order.request
    over = order.expires_at is not None and context.mandate.now >= order.expires_at
    if order.state is OrderState.PENDING and over and request is not None and request.sent_at is not None:
        # Asked for, and the answer was lost: whether there is one is looked up before the order counts as over.
        found = await context.stripe.session_of(order.id, order.created_at - SKEW, context.mandate.now + SKEW)
        return await context.stripe.purchase(found.id) if found is not None else None
    return None


def _belongs(order: Order, session: SeenSession) -> bool:
    if order.session_id is not None:
        return order.session_id == session.id
    return order.origin is Origin.LEARNT or learnt.is_session_of(order, session)


class Known(Struct, frozen=True):
    """What is remembered of an order's money, all of it read under the lock of its row."""

    payments: list[Payment]
    troubles: dict[str, Trouble]
    """Of each payment, by its id."""

    @property
    def trouble(self) -> Trouble:
        """Of all of them together."""
        return together(self.troubles.values())

    def came(self, currency: str | None) -> int:
        """What all of them brought in this currency, before what went back."""
        succeeded = [payment for payment in self.payments if payment.state is PaymentState.SUCCEEDED]
        return sum(payment.came for payment in succeeded if payment.currency == currency)

    @property
    def newest(self) -> Payment | None:
        return self.payments[-1] if self.payments else None

    @property
    def intent(self) -> str | None:
        """How it is paid, in Stripe's words: by whichever attempt succeeded, else the newest one decides.

        A part of a bill is money under way: the order is paid once all of it has come.
        """
        came = [payment for payment in self.payments if payment.state is PaymentState.SUCCEEDED]
        if came:
            return "processing" if all(payment.part for payment in came) else "succeeded"
        return _WORDS[self.newest.state] if self.newest else None


_WORDS = {
    PaymentState.PENDING: "requires_confirmation",
    PaymentState.ACTION_REQUIRED: "requires_action",
    PaymentState.PROCESSING: "processing",
    PaymentState.SUCCEEDED: "succeeded",
    PaymentState.FAILED: "requires_payment_method",
    PaymentState.CANCELED: "canceled",
}


class Moving:
    """One pass that writes what it has read."""

    def __init__(self, key: str, subject: Subject, session: SeenSession | None, context: Context) -> None:
        self._key = key
        self._order_id = subject.order.id
        self._session = session
        self._context = context
        self._now = context.mandate.now
        self._cause = f"pass:{context.mandate.pass_id}"

    async def write(self, connection: Connection) -> Ended:
        """All that follows from it, in one transaction."""
        order = await orders.locked(connection, self._order_id)
        if order is None or order.provider.offline:
            return Ended(Settled())
        known = Known(
            await payments.standing(connection, order.id),
            await troubles_of(connection, order.id),
        )
        if self._session is not None and not _belongs(order, self._session):
            self._session = None
        before, order = order, await self._linked(connection, order, known)
        fact = self._fact(order, known, before.refunded)
        moved: policy.Move | None = None
        if fact is not None:
            order, moved = await self._apply(connection, order, fact, known)
        if follow := self._follow(order, known, moved):
            await due.nudge(connection, follow)
        await self._thank(connection, before, order)
        await self._tell(connection, before, order)
        look = Look(self._context.settings, self._cause, self._now, self._context.mandate.pass_id)
        money = pot_of(order, known.payments, known.troubles)
        order, wake_at = await escrow.follow(connection, order, money, look)
        facts = {"order": order.id, "state": order.state.value}
        if isinstance(moved, policy.NotAllowed):
            problem = Problem(Reason.ORDER_MOVE_UNKNOWN, moved.detail, order.id)
            return Ended(Parked((problem,), wake_at), order.terms.customer_id, facts)
        rest = self._rest(order, wake_at)
        if self._key != order.id:  # what comes later is the order's own row's
            if at := rest.at if isinstance(rest, Waits) else rest.wake_at:
                await due.nudge(connection, [nudge("order", order.id)], at=at, priority=Priority.ROUTINE)
            rest = Settled()
        return Ended(rest, order.terms.customer_id, facts)

    async def _linked(self, connection: Connection, order: Order, known: Known) -> Order:
        """The order with the ids and numbers that are known by now."""
        session = self._session
        current = learnt.linked(order, session) if session is not None else order
        trouble = known.trouble
        refunded = trouble.refunded if current.currency is not None else 0
        current = replace(current, refunded=refunded, disputed=trouble.dispute_open)
        if current != order:
            await orders.save(connection, current)
            await orders.keep_erased(connection, current)
        if session is not None and order.session_id is None and current.session_id is not None:
            step = Step(StepKind.SESSION, StepState.SUCCEEDED, self._cause, subject=session.id)
            await orders.log(connection, order.id, step)
        return current

    def _fact(self, order: Order, known: Known, went_before: int) -> OrderFact | None:
        session = self._session
        seen = policy.Seen(
            session=(session.status, session.payment_status) if session is not None else None,
            intent=known.intent,
            came=known.came(order.currency),
            went=order.refunded,
            went_before=went_before,
        )
        fact = policy.fact_of(seen, order.state)
        end = order.expires_at if session is None and order.session_id is None else None
        if fact is None and order.state is OrderState.PENDING and end is not None and self._now >= end:
            return OrderFact.SESSION_EXPIRED  # there is none, and Stripe would not make it any more
        return fact

    async def _apply(
        self, connection: Connection, order: Order, fact: OrderFact, known: Known
    ) -> tuple[Order, policy.Move]:
        attempt = known.newest.attempt if fact is OrderFact.ATTEMPT_FAILED and known.newest else None
        result = await orders.apply(connection, order.id, fact, self._cause, self._now, attempt=attempt)
        assert result is not None  # its row is locked
        moved, after = result
        if isinstance(moved, policy.Moved):
            log.info("order_moved", order=order.id, state=after.state, fact=fact, late=moved.late)
            if moved.late:
                log.warning("order_paid_late", order=order.id, was=order.state)
        return after, moved

    async def _thank(self, connection: Connection, before: Order, order: Order) -> None:
        """Write to the buyer that their order is paid."""
        if self._context.settings.mail is None or before.paid_at is not None or order.paid_at is None:
            return
        from lib.database import notices
        from lib.policy.notices import of_paid_order

        await notices.write(connection, of_paid_order(order, self._now))

    async def _tell(self, connection: Connection, before: Order, order: Order) -> None:
        """Tell the operator's own systems that an order has become paid, in this transaction."""
        outlet = self._context.settings.outbox
        if not outlet or before.paid_at is not None or order.paid_at is None:
            return
        from lib.model.payloads import OrderData

        customer = CustomerKey.stripe(order.terms.customer_id) if order.terms.customer_id else None
        kind, once = OutgoingType.ORDER_PAID, f"order.paid:{order.id}"
        told = Told(kind, customer, OrderData.of(order), pass_id=self._context.mandate.pass_id, once=once)
        await outbox.write(connection, outlet, [told])

    def _follow(self, order: Order, known: Known, moved: policy.Move | None) -> list[Nudge]:
        """What has to be looked at next: payments that nobody has told us of, and the customer who has paid."""
        found = [nudge("payment", self._key)] if self._key.startswith(INVOICE) else []
        session = self._session
        if session is not None and session.status == "complete" and session.payment_status != "no_payment_required":
            paid_by = {payment.payment_intent_id for payment in known.payments}
            billed = {payment.invoice_id for payment in known.payments}
            if session.invoice_id is not None and session.invoice_id not in billed:
                found.append(nudge("payment", session.invoice_id))
            elif session.invoice_id is None and session.intent_id is not None and session.intent_id not in paid_by:
                found.append(nudge("payment", session.intent_id))
        begun = isinstance(moved, policy.Moved) and moved.to in (OrderState.PAID, OrderState.PAYING)
        if begun and order.terms.customer_id is not None and order.subscription_id is not None:
            found.append(nudge("customer", order.terms.customer_id))
        return found

    def _rest(self, order: Order, escrow_at: datetime | None) -> Settled | Waits:
        """When it is looked at again, if nothing is heard until then."""
        if escrow_at is not None:
            return Settled(escrow_at, WaitReason.ESCROW)
        if order.state is OrderState.PENDING and order.expires_at is not None:
            over = self._now - order.expires_at  # then Stripe is slow to say so, or can't be asked about it
            return Waits(max(order.expires_at + SKEW, self._now + min(max(over, SOON), DEBIT)), WaitReason.PAGE_OPEN)
        if order.state is OrderState.PAYING:
            return Waits(self._now + DEBIT, WaitReason.MONEY_UNDER_WAY)
        return Settled()
