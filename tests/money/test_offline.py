"""Offline money: collected in parts, due, renewed, and standing where a subscription would."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.model.money import Order, OrderFact, OrderState, Origin
from lib.policy.offline import (
    DUE_AFTER,
    RENEW_BEFORE,
    Collected,
    WrongCurrency,
    collect,
    due,
    expires,
    period,
    renews_at,
    standing,
)
from lib.structs import replace
from tests.money.goods import NOW, offline

DAY = timedelta(days=1)
GRACE = timedelta(days=7)
END = NOW + timedelta(days=30)


def paid(**others: Any) -> Order:
    """A first order whose period of thirty days began now."""
    made = offline(state=OrderState.PAID, paid_at=NOW, period_start=NOW, period_end=END)
    return replace(made, **others)


def renewal(of: Order, **others: Any) -> Order:
    """The next order of a line, not paid yet."""
    made = offline(origin=Origin.RENEWAL, renews=of.id, line_id=of.line_id, created_at=END - RENEW_BEFORE, due_at=END)
    return replace(made, **others)


@given(st.integers(1, 10**6), st.lists(st.integers(1, 10**5), min_size=1, max_size=20))
def test_parts_add_up(asked: int, parts: list[int]) -> None:
    """However an order is collected, it is complete exactly when enough came, and a surplus is shown, never kept."""
    before = 0
    for part in parts:
        made = collect(asked, before, part, asked_currency="eur", currency="eur")
        before += part
        assert (made.fact is OrderFact.COLLECTED) == (before >= asked)
        assert made.missing - made.too_much == asked - before
        assert min(made.missing, made.too_much) == 0


def test_other_money_is_refused() -> None:
    """Another currency is a conflict, and nothing or less is no money."""
    assert collect(1900, 0, 900, asked_currency="eur", currency="eur") == Collected(OrderFact.PART_COLLECTED, 1000, 0)
    with pytest.raises(WrongCurrency, match=r"EUR.*USD"):
        collect(1900, 0, 1900, asked_currency="eur", currency="usd")
    for amount in (0, -1):
        with pytest.raises(ValueError, match="no money"):
            collect(1900, 0, amount, asked_currency="eur", currency="eur")


def test_due_dates() -> None:
    """A first order waits two weeks, a renewal until the period before it ends."""
    assert due(NOW, None) == NOW + DUE_AFTER
    assert due(NOW, paid()) == END


def test_only_an_untouched_first_order_expires() -> None:
    """Who has paid a part is asked by a person, and a renewal stays to be paid while the service waits for it."""
    first = offline(due_at=NOW)
    assert expires(first, NOW)
    assert not expires(first, NOW - timedelta(seconds=1))
    assert not expires(replace(first, state=OrderState.PAYING), NOW)
    assert not expires(renewal(paid(), due_at=NOW), NOW)
    assert not expires(offline(), NOW)


def test_a_renewal_continues_its_period() -> None:
    """Paid early or within the grace it begins where the last one ended; later, with the money."""
    first = paid()
    next_order = renewal(first)
    assert period(first, None, NOW, GRACE) == (NOW, END)
    for when in (END - 10 * DAY, END, END + GRACE - timedelta(seconds=1)):
        assert period(next_order, first, when, GRACE) == (END, END + 30 * DAY)
    assert period(next_order, first, END + GRACE, GRACE) == (END + GRACE, END + GRACE + 30 * DAY)


def test_the_next_period_is_asked_for_once() -> None:
    """Two weeks before the end, unless it was asked for or the line is to end."""
    first = paid()
    assert renews_at([first]) == END - RENEW_BEFORE
    assert renews_at([renewal(first), first]) is None
    assert renews_at([replace(first, cancelled=True)]) is None
    assert renews_at([offline()]) is None


def later(line: list[Order], at: datetime) -> str:
    """The status of a line at a time."""
    return standing(line, at).status


def test_a_line_stands_as_a_subscription_does() -> None:
    """Unpaid, paid, behind, paid again and ended: each in Stripe's own word, with the date that grace counts from."""
    first = offline(due_at=NOW + DUE_AFTER)
    assert later([first], NOW) == "incomplete"
    assert later([replace(first, state=OrderState.PAYING)], NOW) == "incomplete"
    assert later([replace(first, state=OrderState.EXPIRED)], NOW) == "incomplete_expired"
    first = paid()
    assert later([first], END - timedelta(seconds=1)) == "active"
    assert standing([first], NOW).wake_at == END
    behind = standing([first, renewal(first)], END)
    assert (behind.status, behind.unpaid_since) == ("past_due", END)
    again = renewal(first, state=OrderState.PAID, paid_at=END + DAY, period_start=END, period_end=END + 30 * DAY)
    assert later([first, again], END + 29 * DAY) == "active"
    assert standing([first, again], END + 30 * DAY).unpaid_since == END + 30 * DAY


def test_a_line_that_is_not_to_go_on_ends_with_its_period() -> None:
    """A cancelled renewal, or a paid order that is not to be renewed, runs to the end of what was paid."""
    first = paid()
    gone = renewal(first, state=OrderState.EXPIRED, cancelled=True)
    for line in ([first, gone], [replace(first, cancelled=True)]):
        assert (later(line, NOW), standing(line, NOW).cancel_at) == ("active", END)
        assert (later(line, END), standing(line, END).ended_at) == ("canceled", END)


def test_a_renewal_whose_date_has_passed_can_still_be_paid() -> None:
    """An order that expired by date leaves the line behind, and not at its end."""
    first = paid()
    late = renewal(first, state=OrderState.EXPIRED)
    assert later([first, late], END + 90 * DAY) == "past_due"


def test_returned_money_ends_nothing_by_itself() -> None:
    """A full refund is told beside the status; what it does is the operator's choice."""
    first = paid(state=OrderState.REFUNDED)
    assert (later([first], NOW), standing([first], NOW).refunded) == ("active", True)
    again = renewal(first, state=OrderState.PAID, paid_at=NOW, period_start=END, period_end=END + 30 * DAY)
    assert standing([first, again], NOW).refunded
    assert not standing([first, again], END).refunded


orders = st.lists(
    st.builds(
        lambda days, state, cancelled, length: offline(
            created_at=NOW + days * DAY,
            state=state,
            cancelled=cancelled,
            paid_at=NOW,
            period_start=NOW + days * DAY,
            period_end=NOW + (days + length) * DAY,
        ),
        st.integers(0, 90),
        st.sampled_from(OrderState),
        st.booleans(),
        st.integers(1, 90),
    ),
    min_size=1,
    max_size=5,
)


@given(orders, st.integers(0, 200), st.randoms())
def test_who_paid_is_on(line: list[Order], days: int, chance: Any) -> None:
    """Whatever the line looks like and in whichever order it is read: paid time is on, and only paid time."""
    now = NOW + days * DAY
    came = [order for order in line if order.state in (OrderState.PAID, OrderState.REFUNDED)]
    runs = any(order.period_end and now < order.period_end for order in came)
    found = standing(line, now)
    assert (found.status == "active") == runs
    assert (found.status in ("incomplete", "incomplete_expired")) == (not came)
    shuffled = line[:]
    chance.shuffle(shuffled)
    assert standing(shuffled, now) == found
