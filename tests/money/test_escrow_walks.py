"""Random lives of a seller's order: what was paid out and what went back is never more than what came in."""

from datetime import datetime, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lib.model.money import EscrowState, Order, OrderMode, OrderState, Payment, PaymentState
from lib.policy.escrow import Pot, Trouble, followed, pot_of, why_not_released
from lib.structs import replace
from tests.money import goods
from tests.money.goods import NOW

PRICE = 1900
RELEASABLE, RELEASED, HELD = EscrowState.RELEASABLE, EscrowState.RELEASED, EscrowState.HELD


class Life(RuleBasedStateMachine):
    """One order, with its money counted by hand beside what the product counts."""

    order: Order

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.days = 14
        self.payments: list[Payment] = []
        self.refunds: dict[str, list[tuple[str, int]]] = {}
        self.disputes: dict[str, list[tuple[str, int]]] = {}
        self.last: dict[str, datetime] = {}
        self.told: list[int] = []
        self.looked = False

    # --- how it begins ---

    @initialize(
        kind=st.sampled_from(["subscription", "once", "offline"]),
        asked=st.sampled_from([PRICE, PRICE, 950, 2261]),
        fees=st.sampled_from([0, 190, 190, 2500]),
        parts=st.booleans(),
    )
    def it_is_sold(self, kind: str, asked: int, fees: int, parts: bool) -> None:
        """At its price, with a discount or with tax on top; its first bill is paid, in one or in two payments."""
        self.kind, self.asked = kind, PRICE if kind == "offline" else asked
        mode = OrderMode.SUBSCRIPTION if kind == "subscription" else OrderMode.PAYMENT
        made = goods.offline() if kind == "offline" else goods.order(goods.terms(mode=mode))
        terms = replace(made.terms, seller_id="shop_1")
        self.order = replace(
            made,
            terms=terms,
            seller_net=PRICE - fees,
            total=self.asked,
            state=OrderState.PAID,
            paid_at=NOW,
            escrow=HELD,
        )
        if kind == "offline":
            self.order = replace(self.order, collected=self.asked)
            self._pays(self.asked, None)
            return
        for amount in (
            (self.asked // 2, self.asked - self.asked // 2)
            if parts and mode is not OrderMode.PAYMENT
            else (self.asked,)
        ):
            self._pays(amount, "in_1")

    def _pays(self, amount: int, invoice_id: str | None) -> None:
        number = len(self.payments) + 1
        payment = goods.payment(
            self.order, attempt=number, state=PaymentState.SUCCEEDED, amount=amount, paid_at=self.now,
            created_at=self.now, invoice_id=invoice_id if self.kind == "subscription" else None,
        )  # fmt: skip
        self.payments.append(payment)
        self.refunds[payment.id], self.disputes[payment.id] = [], []
        self.looked = False

    # --- what happens ---

    @precondition(lambda self: self.kind == "subscription" and len(self.payments) < 4)
    @rule()
    def it_renews(self) -> None:
        """A later bill is paid."""
        self._pays(PRICE, f"in_{len(self.payments) + 1}")

    @precondition(lambda self: self.kind == "once" and len(self.payments) < 3)
    @rule()
    def it_is_paid_twice(self) -> None:
        """The same debt is paid once more."""
        self._pays(self.asked, None)

    @precondition(lambda self: self.kind == "offline")
    @rule(amount=st.sampled_from([100, PRICE]))
    def too_much_comes(self, amount: int) -> None:
        """Somebody transfers more than is asked for."""
        self.order = replace(self.order, collected=self.order.collected + amount)

    @precondition(lambda self: self.kind == "offline" and self.order.overpaid)
    @rule()
    def a_surplus_goes_back(self) -> None:
        """All of it."""
        self.order = replace(self.order, returned=self.order.returned + self.order.overpaid)

    @rule(which=st.integers(0, 9), amount=st.sampled_from([1, 500, 1400, None]), pending=st.booleans())
    def some_goes_back(self, which: int, amount: int | None, pending: bool) -> None:
        """A refund of no more than is left; it may be under way for a while."""
        payment = self.payments[which % len(self.payments)]
        left = payment.came - sum(sum_ for state, sum_ in self.refunds[payment.id] if state != "failed")
        wanted = left if amount is None else min(amount, left)
        if wanted > 0:
            self._refunds(payment, len(self.refunds[payment.id]), "pending" if pending else "succeeded", wanted)

    @precondition(lambda self: any(self.refunds.values()))
    @rule(which=st.integers(0, 9), state=st.sampled_from(["succeeded", "failed"]))
    def a_refund_ends(self, which: int, state: str) -> None:
        """One under way succeeds or fails; one that had succeeded fails."""
        found = [payment for payment in self.payments if self.refunds[payment.id]]
        payment = found[which % len(found)]
        for number, (before, amount) in enumerate(self.refunds[payment.id]):
            if before == "pending" or (before == "succeeded" and state == "failed"):
                self._refunds(payment, number, state, amount)
                return

    def _refunds(self, payment: Payment, number: int, state: str, amount: int) -> None:
        known = self.refunds[payment.id]
        known[number : number + 1] = [(state, amount)]
        self.last[payment.id] = self.now
        self.looked = False

    @precondition(lambda self: self.kind != "offline")
    @rule(which=st.integers(0, 9), part=st.booleans())
    def it_is_disputed(self, which: int, part: bool) -> None:
        """All of a payment, or a part."""
        payment = self.payments[which % len(self.payments)]
        self.disputes[payment.id].append(("open", payment.came // 2 if part else payment.came))
        self.looked = False

    @precondition(lambda self: any(self.disputes.values()))
    @rule(which=st.integers(0, 9), end=st.sampled_from(["won", "lost"]))
    def a_dispute_ends(self, which: int, end: str) -> None:
        """Well, or not."""
        found = [payment for payment in self.payments if self.disputes[payment.id]]
        payment = found[which % len(found)]
        known = self.disputes[payment.id]
        for number, (state, amount) in enumerate(known):
            if state == "open":
                known[number] = (end, amount)
                self.last[payment.id] = self.now
                self.looked = False
                return

    @rule(days=st.sampled_from([1, 14, 14, 40]), wake=st.sampled_from([True, True, False]))
    def time_passes(self, days: int, wake: bool) -> None:
        """A pass looks in time, or nobody does."""
        self.now += timedelta(days=days)
        self.looked = False
        if wake:
            self.a_pass_looks()

    @rule(days=st.sampled_from([0, 3, 14, 60]))
    def the_setting_changes(self, days: int) -> None:
        """`ESCROW_DAYS` is another number from now on."""
        self.days = days
        self.looked = False

    @rule()
    def a_pass_looks(self) -> None:
        """The order is decided anew, and what may be paid out is told where that is news."""
        before = self.order
        self.order, stands = followed(before, self.pot(), self.days, self.now)
        self.looked = True
        if stands.anew:
            self.told.append(self.order.seller_due or 0)
            last = [at for payment_id, at in self.last.items() if payment_id in {p.id for p in self.own()}]
            assert self.now >= max(last, default=NOW) + timedelta(days=self.days)
        assert before.escrow is not RELEASED or (self.order.escrow, self.order.released) == (RELEASED, before.released)
        if stands.wake_at is not None:  # nothing else has to happen until then
            later, then = followed(self.order, self.pot(), self.days, stands.wake_at)
            assert (later.escrow, then.anew) == (RELEASABLE, True)

    @rule()
    def somebody_releases(self) -> None:
        """Only what may be, and exactly what was told."""
        self.a_pass_looks()
        if self.order.escrow is RELEASED or why_not_released(self.order, self.pot()) is not None:
            return
        self.order = replace(self.order, escrow=RELEASED, released=self.order.seller_due)
        assert self.order.released == self.told[-1]
        assert (self.order.released or 0) + self.back() <= self.came()

    # --- by hand ---

    def own(self) -> list[Payment]:
        """The payments that escrow is about."""
        return [p for p in self.payments if p.invoice_id == "in_1"] if self.kind == "subscription" else self.payments

    def came(self) -> int:
        """All that came in for it, a surplus too."""
        return self.order.collected if self.kind == "offline" else sum(payment.came for payment in self.own())

    def back(self) -> int:
        """All that went back to the buyer."""
        refunds = sum(n for p in self.own() for state, n in self.refunds[p.id] if state == "succeeded")
        lost = sum(n for p in self.own() for state, n in self.disputes[p.id] if state == "lost")
        return refunds + lost + self.order.returned

    def pot(self) -> Pot:
        """What the product makes of it."""
        troubles = {
            payment.id: Trouble(
                refunded=sum(amount for state, amount in self.refunds[payment.id] if state == "succeeded"),
                refund_under_way=any(state == "pending" for state, _ in self.refunds[payment.id]),
                dispute_open=any(state == "open" for state, _ in self.disputes[payment.id]),
                lost=sum(amount for state, amount in self.disputes[payment.id] if state == "lost"),
                last=self.last.get(payment.id),
            )
            for payment in self.payments
        }
        return pot_of(self.order, self.payments, troubles)

    # --- what holds ---

    @invariant()
    def nothing_is_promised_that_is_not_here(self) -> None:
        """Releasable is some of the frozen net, all of it here, told with its number, undisputed and quiet."""
        if not self.looked or self.order.escrow is not RELEASABLE:
            return
        due, net = self.order.seller_due or 0, self.order.seller_net or 0
        assert 0 < due <= net
        assert due + self.back() + self.order.overpaid <= self.came()
        assert due == self.told[-1]
        mine = {payment.id for payment in self.own()}
        assert not any(state == "pending" for id_ in mine for state, _ in self.refunds[id_])
        assert not any(state == "open" for id_ in mine for state, _ in self.disputes[id_])
        assert all(at <= (self.order.releasable_at or NOW) for id_, at in self.last.items() if id_ in mine)

    @invariant()
    def what_is_all_there_is_not_returned(self) -> None:
        """Without anything that went back nothing is the buyer's again."""
        if self.looked and self.back() == self.order.returned:
            assert self.order.escrow is not EscrowState.RETURNED


def test_no_more_is_paid_out_than_is_here() -> None:
    """Renewed, overpaid, refunded, disputed, failed, waited for in any order: the sentences hold after each step."""
    run_state_machine_as_test(Life, settings=settings(max_examples=150, stateful_step_count=30, deadline=None))
