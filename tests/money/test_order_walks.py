"""Any walk of one order through Stripe, read freshly or late, by the decisions alone: no database, thousands of walks.

What the passes read is read here by the same functions out of the simulator's objects, and decided by the same policy.
The sentences at the end say what must hold wherever a walk stops.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lib.checkout.order import Known
from lib.ledger.said import Said, numbers_of
from lib.model import Problem
from lib.model.money import (
    Breakdown,
    FrozenRequest,
    Order,
    OrderFact,
    OrderMode,
    OrderState,
    Origin,
    Payment,
    PaymentState,
    RefundState,
)
from lib.model.provider import Provider
from lib.policy import learnt
from lib.policy import orders as policy
from lib.policy.escrow import Trouble
from lib.policy.payments import follows, left, surplus
from lib.stripe_client.purchases import read_bill, read_intent, read_purchase
from lib.structs import replace
from scripts.sim.stripe_sim import ApiError, StripeSim
from tests.money.goods import NOW, order, terms

ONCE, MONTHLY = "price_once", "price_monthly"
PRICE = 5000
OVER = (OrderState.EXPIRED, OrderState.FAILED)
Json = dict[str, Any]


@dataclass
class Read:
    """What Stripe said at one moment: the session, and each PaymentIntent with its bill and its part of that."""

    session: Json
    payments: list[tuple[Json, Json | None, Json | None]]


class OrderWalk(RuleBasedStateMachine):
    """One order, begun by us or by a Payment Link, sold once or by the month."""

    @initialize(monthly=st.booleans(), ours=st.booleans())
    def begin(self, monthly: bool, ours: bool) -> None:
        """Somebody opens a page."""
        self.stripe = StripeSim(clock=lambda: int(NOW.timestamp()))
        self.stripe.create_price(ONCE, amount=PRICE, interval=None)
        self.stripe.create_price(MONTHLY, amount=PRICE)
        price, mode = (MONTHLY, OrderMode.SUBSCRIPTION) if monthly else (ONCE, OrderMode.PAYMENT)
        made = order(terms(billing_plan_id=price, mode=mode, domain=None), livemode=False, amount=PRICE)
        named: Json = {"client_reference_id": made.id, "metadata": {"order_id": made.id}} if ours else {}
        more: Json = {} if monthly else {"customer_creation": "always"}
        self.session = self.stripe.create_checkout(
            mode=mode.value, line_items=[{"price": price}], success_url="https://shop.example", **named, **more
        )
        if not ours:
            self.session["payment_link"] = "plink_1"
        request = FrozenRequest({}, 1, NOW)
        self.order: Order | None = replace(made, request=request) if ours else None
        self.payments: dict[str, Payment] = {}
        self.steps: list[tuple[OrderState, OrderFact, policy.Move]] = []
        self.elsewhere: list[str] = []
        self.twice: set[str] = set()
        self.reads: list[Read] = []
        self.fresh = False

    # --- what happens at Stripe ---

    @precondition(lambda self: self.session["status"] == "open")
    @rule(paid=st.booleans())
    def finish_the_page(self, paid: bool) -> None:
        """The buyer pays, by card or by a debit that takes days."""
        self._happens()
        self.stripe.complete_checkout(self.session["id"], "ada@example.com", payment="paid" if paid else "processing")

    @precondition(lambda self: self.session["status"] == "open")
    @rule()
    def let_it_expire(self) -> None:
        """Nobody pays."""
        self._happens()
        self.stripe.expire_checkout(self.session["id"])

    @precondition(lambda self: (self.session["status"], self.session["payment_status"]) == ("complete", "unpaid"))
    @rule(ok=st.booleans())
    def a_debit_comes_to_its_end(self, ok: bool) -> None:
        """It arrives, or it fails."""
        self._happens()
        try:
            self.stripe.settle_checkout(self.session["id"], ok)
        except ApiError:  # its bill was paid in another way by now
            return

    @precondition(lambda self: self.order is not None and self.session["mode"] == "payment")
    @rule(more=st.sampled_from([0, 0, 700, -1]))
    def money_by_another_payment_intent(self, more: int) -> None:
        """The shop takes money by a page of its own, and names the order; late, twice, or not enough of it."""
        self._happens()
        assert self.order is not None
        customer = self.order.terms.customer_id
        intent = self.stripe._intent(customer, PRICE + more, "eur", self.stripe.now())
        intent["metadata"] = {"order_id": self.order.id}
        self.stripe._charge(intent, True, self.stripe.now())
        self.elsewhere.append(intent["id"])

    @precondition(lambda self: self.session["subscription"] is not None)
    @rule(part=st.sampled_from([None, 1500]), renews=st.booleans())
    def a_bill_is_paid(self, part: int | None, renews: bool) -> None:
        """The next one, or one that failed; all of it, or a part."""
        self._happens()
        if renews:
            self.stripe.renew(self.session["subscription"], "open")
        try:
            invoice = self.stripe.open_invoice(self.session["subscription"])
            if part is not None and part < invoice["amount_remaining"]:
                self.stripe.pay_part(invoice["id"], part)
            else:
                self.stripe.pay_invoice(invoice["id"])
        except LookupError:
            return

    @rule(data=st.data(), amount=st.sampled_from([None, 700, 2500]))
    def money_goes_back(self, data: st.DataObject, amount: int | None) -> None:
        """All of a payment, or a part of it."""
        self._happens()
        charges = [intent["latest_charge"] for intent, _, _ in self._payments() if intent["status"] == "succeeded"]
        if charges:
            try:
                self.stripe.refund(data.draw(st.sampled_from(charges)), amount)
            except ApiError:  # it is all back, or not so much is left
                return

    @rule(data=st.data())
    def money_that_went_back_returns(self, data: st.DataObject) -> None:
        """A refund fails days later."""
        self._happens()
        made = [refund["id"] for refund in self.stripe.refunds.values() if refund["status"] == "succeeded"]
        if made:
            self.stripe.fail_refund(data.draw(st.sampled_from(made)))

    # --- how it is heard of ---

    @rule()
    def read_and_wait(self) -> None:
        """A pass reads everything, and is slow to write."""
        self.reads.append(self._read())

    @precondition(lambda self: bool(self.reads))
    @rule(data=st.data())
    def write_what_was_read_before(self, data: st.DataObject) -> None:
        """A slow pass writes at last, whatever has happened since."""
        self._write(self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1))))
        self.fresh = False

    @rule()
    def look(self) -> None:
        """A pass reads and writes at once."""
        self._look()

    def teardown(self) -> None:
        """However a walk ends, a last look makes everything right."""
        if hasattr(self, "session"):
            self._look()
            self._everything_holds()

    def _look(self) -> None:
        self._write(self._read())  # what is learnt of the session leads to its payments
        self._write(self._read())
        before = (self.order, dict(self.payments), list(self.steps))
        self._write(self._read())
        assert (self.order, self.payments, self.steps) == before, "looking once more changes nothing"
        self.fresh = True

    def _happens(self) -> None:
        self.fresh = False

    def _read(self) -> Read:
        return copy.deepcopy(Read(self.session, list(self._payments())))

    def _payments(self) -> Iterator[tuple[Json, Json | None, Json | None]]:
        stripe, subscription = self.stripe, self.session["subscription"]
        for invoice in reversed(stripe._invoices_of(subscription) if subscription else []):
            for share in stripe.invoice_payments.oldest_first({"invoice": invoice["id"]}):
                yield stripe.get(share["payment"]["payment_intent"]), invoice, share
        for intent in [self.session["payment_intent"], *self.elsewhere]:
            if intent is not None:
                yield stripe.get(intent), None, None

    def _write(self, read: Read) -> None:
        """As the passes of the order and of its payments do."""
        lines = {"object": "list", "data": self.stripe.session_lines[read.session["id"]], "has_more": False}
        session = read_purchase({**read.session, "line_items": lines})
        if self.order is None:
            self.order = learnt.from_session(session)
            if self.order is None:
                return
        if self.order.origin is Origin.CHECKOUT:
            assert learnt.is_session_of(self.order, session)
        else:
            assert not learnt.is_session_of(self.order, session)
        self.order = learnt.linked(self.order, session)
        for intent_json, invoice_json, share_json in read.payments:
            self._remember(intent_json, invoice_json, share_json, session)
        trouble = Trouble(refunded=self._went())
        before, self.order = self.order.refunded, replace(self.order, refunded=trouble.refunded)
        known = Known(sorted(self.payments.values(), key=lambda payment: payment.attempt), {"all": trouble})
        seen = policy.Seen(
            (session.status, session.payment_status),
            intent=known.intent,
            came=known.came("eur"),
            went=trouble.refunded,
            went_before=before,
        )
        fact = policy.fact_of(seen, self.order.state)
        if fact is None:
            return
        attempt = known.newest.attempt if fact is OrderFact.ATTEMPT_FAILED and known.newest else None
        moved = policy.move(self.order.state, fact, attempt=attempt, newest=self.order.attempt)
        if isinstance(moved, policy.Moved):
            self.steps.append((self.order.state, fact, moved))
            self.order = policy.after(self.order, fact, moved, NOW)
        assert not isinstance(moved, policy.NotAllowed), moved

    def _remember(self, intent_json: Json, invoice_json: Json | None, share_json: Json | None, session: Any) -> None:
        assert self.order is not None
        intent = read_intent(self._expanded(intent_json))
        invoice = read_bill(invoice_json, [share_json]) if invoice_json and share_json else None
        known = self.payments.get(intent.id)
        if known is None and intent.id in self.elsewhere and learnt.why_not_paid_by(self.order, intent):
            return
        said = Said(intent, invoice=invoice, share=invoice.shares[0] if invoice else None)
        if known is None:
            attempt = self.order.attempt + 1
            self.order = replace(self.order, attempt=attempt)
            known = Payment(
                intent.id, self.order.id, Provider.STRIPE, attempt, PaymentState.PENDING, intent.amount, "eur", NOW,
                payment_intent_id=intent.id, part=said.part,
            )  # fmt: skip
        state = follows(known.state, said.state)
        part = known.part and said.part if known.settled_at else said.part
        known = replace(known, state=state, part=part, charge_id=known.charge_id or intent.charge_id)
        if said.state is PaymentState.SUCCEEDED and known.breakdown is None:
            numbers = numbers_of(said, session if self.order.terms.mode is OrderMode.PAYMENT else None)
            assert not isinstance(numbers, Problem), numbers
            if isinstance(numbers, Breakdown):
                known = replace(known, breakdown=numbers, settled_at=NOW)
        self.payments[intent.id] = known

    def _expanded(self, intent: Json) -> Json:
        if intent["latest_charge"] is None:
            return intent
        charge = self.stripe.get(intent["latest_charge"])
        transaction = self.stripe.balance_transactions.get(charge["balance_transaction"] or "")
        return {**intent, "latest_charge": {**charge, "balance_transaction": transaction}}

    def _came(self) -> int:
        """What Stripe has of this order's payments, as far as they are known to be its own."""
        return sum(intent["amount_received"] for intent, _, _ in self._payments() if intent["id"] in self.payments)

    def _went(self) -> int:
        charges = {payment.charge_id for payment in self.payments.values() if payment.charge_id}
        refunds = [refund for refund in self.stripe.refunds.values() if refund["charge"] in charges]
        return sum(refund["amount"] for refund in refunds if refund["status"] == "succeeded")

    # --- what must hold ---

    @invariant()
    def what_holds_always(self) -> None:
        """Whatever was read late: every move is one of the table's, and nothing is paid for which no money came."""
        if not hasattr(self, "session") or self.order is None:
            return
        at = OrderState.PENDING
        for begin, fact, moved in self.steps:
            assert isinstance(moved, policy.Moved)
            assert (begin, (begin, fact, moved.to) in policy.MOVES) == (at, True)
            assert moved.late is (begin in OVER), "money for what was over is said to be late"
            at = moved.to
        assert at is self.order.state
        paid = self.order.state in (OrderState.PAID, OrderState.REFUNDED)
        assert paid <= (self._came() > 0)
        assert (self.order.paid_at is not None) is paid, "what was paid once stays so, or went back"
        assert (self.order.ended_at is not None) is (self.order.state in OVER)

    @invariant()
    def what_holds_after_a_look(self) -> None:
        """Once everything was read: the order is where the money is."""
        if getattr(self, "fresh", False):
            self._everything_holds()

    def _everything_holds(self) -> None:
        if self.order is None:
            assert self.session["status"] != "complete", "a complete session of somebody else's is learnt"
            return
        came, went, state = self._came(), self._went(), self.order.state
        whole = [payment for payment in self.payments.values() if payment.breakdown and not payment.part]
        if whole:
            assert state is (OrderState.REFUNDED if went >= came else OrderState.PAID)
        elif self.session["status"] == "complete":
            assert state in (OrderState.PAYING, OrderState.FAILED)
            newest = max(self.payments.values(), key=lambda payment: payment.attempt)
            if newest.state in (PaymentState.FAILED, PaymentState.CANCELED):
                assert state is OrderState.FAILED, "the newest attempt says how it stands"
        else:
            assert state is {"open": OrderState.PENDING, "expired": OrderState.EXPIRED}[self.session["status"]]
        assert sum(payment.breakdown.paid for payment in self.payments.values() if payment.breakdown) == came
        if self.order.terms.mode is OrderMode.PAYMENT:
            self._nothing_too_much_is_kept_silently(came)

    def _nothing_too_much_is_kept_silently(self, came: int) -> None:
        """What a second payment brought is too much, as far as it is kept; the first one never is."""
        asked = self.order.total if self.order and self.order.total is not None else PRICE
        before: list[int] = []
        too_much = 0
        for payment in sorted(self.payments.values(), key=lambda one: one.attempt):
            if payment.breakdown is None:
                continue
            back = [
                (RefundState(refund["status"]), int(refund["amount"]))
                for refund in self.stripe.refunds.values()
                if refund["charge"] == payment.charge_id
            ]
            own = left(payment.came, back)
            too_much += surplus(asked, before, own) if before else 0
            before.append(own)
        assert too_much <= max(sum(before) - min(asked, sum(before)), 0)
        assert sum(before) - too_much <= max(asked, *before) if before else came == 0


def test_any_walk_of_an_order() -> None:
    """Whatever happens and whenever it is read, the order ends where the money is, by moves of the table."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        OrderWalk,
        settings=settings(
            max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
