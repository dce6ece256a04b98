"""How an order moves: the table, any order of facts, and what Stripe's answers mean."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lib.model.money import EscrowState, OrderFact, OrderState
from lib.policy.orders import MOVES, Moved, NoMove, NotAllowed, Seen, Unchanged, after, fact_of, move
from lib.structs import replace
from tests.money.goods import NOW, order, terms

TABLE = {
    (None, OrderState.PENDING): {"started"},
    (OrderState.PENDING, OrderState.PAYING): {"under_way", "part_collected"},
    (OrderState.PENDING, OrderState.PAID): {"paid", "nothing_to_pay", "collected"},
    (OrderState.PAYING, OrderState.PAID): {"paid", "nothing_to_pay", "collected"},
    (OrderState.PENDING, OrderState.EXPIRED): {"session_expired", "cancelled", "due_date_passed"},
    (OrderState.PENDING, OrderState.FAILED): {"refused", "attempt_failed"},
    (OrderState.PAYING, OrderState.FAILED): {"refused", "attempt_failed", "given_up"},
    (OrderState.FAILED, OrderState.PAID): {"paid", "collected"},
    (OrderState.EXPIRED, OrderState.PAID): {"paid", "collected"},
    (OrderState.PAID, OrderState.REFUNDED): {"refunded"},
    (OrderState.REFUNDED, OrderState.PAID): {"refund_failed", "paid_again"},
}
"""The contract, written down a second time."""


def test_the_table_is_the_contract() -> None:
    """Every move of the contract exists, and no other."""
    assert {(begin, OrderFact(fact), end) for (begin, end), facts in TABLE.items() for fact in facts} == MOVES


@pytest.mark.parametrize("state", [None, *OrderState])
@pytest.mark.parametrize("fact", list(OrderFact))
def test_every_fact_moves_leaves_or_is_refused(state: OrderState | None, fact: OrderFact) -> None:
    """What the table names moves, what leads to where the order is changes nothing, all else is refused in words."""
    known = {to for begin, name, to in MOVES if begin is state and name is fact}
    reached = {to for _, name, to in MOVES if name is fact}
    match move(state, fact):
        case Moved(to, late):
            assert {to} == known
            assert late == (state in (OrderState.FAILED, OrderState.EXPIRED))
        case Unchanged(why):
            assert (why, {state}) == (NoMove.SAME, reached)
        case NotAllowed(reason, detail):
            assert not known
            assert state not in reached
            assert reason is NoMove.NOT_IN_THE_TABLE
            assert fact.value in detail


@given(st.sampled_from(list(OrderState)), st.integers(1, 9), st.integers(1, 9))
def test_an_older_attempt_never_overwrites_a_newer_one(state: OrderState, attempt: int, newest: int) -> None:
    """The failure of an attempt counts only if none was begun after it."""
    decided = move(state, OrderFact.ATTEMPT_FAILED, attempt=attempt, newest=newest)
    if attempt < newest:
        assert decided == Unchanged(NoMove.OLDER_ATTEMPT)
    else:
        assert decided == move(state, OrderFact.ATTEMPT_FAILED)


class AnyOrderOfFacts(RuleBasedStateMachine):
    """An order to which anything may happen at any time, also twice, with attempts that begin and fail."""

    def __init__(self) -> None:
        super().__init__()
        self.order = order(terms(seller_id="acct_reseller"))
        self.clock = NOW
        self.came = False

    @rule(fact=st.sampled_from([fact for fact in OrderFact if fact is not OrderFact.STARTED]))
    def happens(self, fact: OrderFact) -> None:
        """A fact is applied, and applied again."""
        before = self.order
        decided = move(before.state, fact, attempt=before.attempt, newest=before.attempt)
        self.clock += timedelta(minutes=1)
        if isinstance(decided, Moved):
            assert (before.state, fact, decided.to) in MOVES
            self.order = after(before, fact, decided, self.clock)
            assert isinstance(move(self.order.state, fact), Unchanged), "twice is once"
        self.came |= self.order.state is OrderState.PAID

    @rule()
    def tries_once_more(self) -> None:
        """A new attempt makes the failure of every older one meaningless."""
        self.order = replace(self.order, attempt=self.order.attempt + 1)
        older = move(
            self.order.state, OrderFact.ATTEMPT_FAILED, attempt=self.order.attempt - 1, newest=self.order.attempt
        )
        assert isinstance(older, Unchanged)

    @invariant()
    def money_that_came_is_never_forgotten(self) -> None:
        """What was paid once is paid or refunded, with the date of its first payment."""
        if self.came:
            assert self.order.state in (OrderState.PAID, OrderState.REFUNDED)
        assert (self.order.paid_at is not None) == self.came
        assert (self.order.escrow is EscrowState.HELD) == self.came

    @invariant()
    def what_is_over_has_a_date(self) -> None:
        """Only what expired or failed has ended."""
        assert (self.order.ended_at is not None) == (self.order.state in (OrderState.EXPIRED, OrderState.FAILED))


TestAnyOrderOfFacts = AnyOrderOfFacts.TestCase


PAID, DEBIT, FREE = ("complete", "paid"), ("complete", "unpaid"), ("complete", "no_payment_required")


@pytest.mark.parametrize(
    ("seen", "state", "fact"),
    [
        (Seen(("open", "unpaid")), OrderState.PENDING, None),
        (Seen(("open", "unpaid"), intent="requires_payment_method"), OrderState.PENDING, None),
        (Seen(), OrderState.PENDING, None),
        (Seen(PAID), OrderState.PENDING, OrderFact.PAID),
        (Seen(FREE, invoice="paid"), OrderState.PENDING, OrderFact.NOTHING_TO_PAY),
        (Seen(DEBIT, intent="processing"), OrderState.PENDING, OrderFact.UNDER_WAY),
        (Seen(DEBIT), OrderState.PENDING, OrderFact.UNDER_WAY),
        (Seen(DEBIT, intent="requires_payment_method"), OrderState.PAYING, OrderFact.ATTEMPT_FAILED),
        (Seen(DEBIT, invoice="paid", intent="requires_payment_method"), OrderState.FAILED, OrderFact.PAID),
        (Seen(DEBIT, invoice="open", intent="requires_payment_method"), OrderState.FAILED, None),
        (Seen(("expired", "unpaid")), OrderState.PENDING, OrderFact.SESSION_EXPIRED),
        (Seen(("expired", "unpaid")), OrderState.FAILED, None),
        (Seen(PAID), OrderState.EXPIRED, OrderFact.PAID),
        (Seen(intent="succeeded"), OrderState.PENDING, OrderFact.PAID),
        (Seen(intent="processing"), OrderState.PENDING, OrderFact.UNDER_WAY),
        (Seen(intent="canceled"), OrderState.PAYING, OrderFact.ATTEMPT_FAILED),
        (Seen(intent="requires_payment_method"), OrderState.PENDING, None),
        (Seen(PAID, came=1900, went=500), OrderState.PAID, None),
        (Seen(PAID, came=1900, went=1900), OrderState.PAID, OrderFact.REFUNDED),
        (Seen(PAID, came=1900, went=1900), OrderState.REFUNDED, OrderFact.REFUNDED),
        (Seen(PAID, came=1900, went=500, went_before=1900), OrderState.REFUNDED, OrderFact.REFUND_FAILED),
        (Seen(PAID, came=3800, went=1900, went_before=1900), OrderState.REFUNDED, OrderFact.PAID_AGAIN),
        (Seen(PAID), OrderState.PAID, None),
        (Seen(PAID), OrderState.REFUNDED, None),
    ],
)
def test_what_stripe_says_means_one_fact(seen: Seen, state: OrderState, fact: OrderFact | None) -> None:
    """The same answer is read in the light of where the order is, and missing parts are no facts."""
    assert fact_of(seen, state) is fact


@given(
    st.builds(
        Seen,
        st.none() | st.tuples(st.sampled_from(["open", "complete", "expired"]), st.sampled_from(["paid", "unpaid"])),
        st.sampled_from([None, "draft", "open", "paid", "void", "uncollectible"]),
        st.sampled_from([None, "processing", "succeeded", "canceled", "requires_payment_method", "requires_action"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    st.sampled_from([OrderState.PENDING, OrderState.PAID, OrderState.REFUNDED, OrderState.FAILED, OrderState.EXPIRED]),
)
def test_reading_again_comes_to_rest(seen: Seen, state: OrderState) -> None:
    """However contradictory an answer is, applying it again and again ends, and is never refused after money came."""
    for _ in range(4):
        fact = fact_of(seen, state)
        if fact is None:
            return
        decided = move(state, fact)
        if isinstance(decided, Unchanged):
            return
        assert isinstance(decided, Moved)
        state = decided.to
    pytest.fail("it goes round in circles")
