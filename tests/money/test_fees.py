"""Fees by the rules that held when an order started, and when a seller's money is free."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.model.money import FeeKind, FeeLine, FeeRule, PaymentState, RefundState
from lib.model.provider import Provider
from lib.policy.fees import fees, of_buyer, of_seller, seller_net
from lib.policy.payments import follows, left, state_of, surplus, why_not_refunded
from lib.structs import replace
from tests.money.goods import NOW

DAY = timedelta(days=1)


def tariff(percent: str = "0", **others: Any) -> FeeRule:
    """A platform fee of so many percent, valid since yesterday."""
    rule = FeeRule(1, FeeKind.PLATFORM, 1, Decimal(percent), 0, NOW - DAY)
    return replace(rule, **others)


def charged(*rules: FeeRule, amount: int = 1900, at: datetime = NOW) -> tuple[FeeLine, ...]:
    """The fees of an order of the basic plan at Stripe, in euros."""
    return fees(rules, amount, "eur", provider=Provider.STRIPE, billing_plan_id="price_basic_monthly", started_at=at)


@pytest.mark.parametrize(
    ("percent", "amount", "fee"),
    [("2.5", 1900, 48), ("2.5", 1880, 47), ("2.5", 1899, 47), ("0.05", 1000, 1), ("33.3333", 3, 1), ("100", 1, 1)],
)
def test_percents_are_rounded_half_up(percent: str, amount: int, fee: int) -> None:
    """Half a cent is a cent, as on paper; nothing is computed in binary fractions."""
    assert charged(tariff(percent), amount=amount)[0].amount == fee


def test_fixed_minimum_and_maximum() -> None:
    """The fixed part is added to the percents, then the limits are kept."""
    assert charged(tariff("1", fixed=30))[0].amount == 49
    assert charged(tariff("1", fixed=30, minimum=100))[0].amount == 100
    assert charged(tariff("50", fixed=30, maximum=500))[0].amount == 500


def test_the_line_says_why() -> None:
    """A frozen fee names the rule, its version and what it was computed from."""
    (line,) = charged(tariff("2.5", id=7, version=3, fixed=10, maximum=500))
    assert line == FeeLine(FeeKind.PLATFORM, 7, 3, 1900, Decimal("2.5"), 10, 58, None, 500)


def test_the_most_specific_rule_counts_then_the_newest() -> None:
    """A plan says more than a provider, that more than a currency; a newer rule of a wider scope changes nothing."""
    wide = tariff("1", id=1)
    currency = tariff("2", id=2, currency="eur", valid_from=NOW - 5 * DAY)
    provider = tariff("3", id=3, provider=Provider.STRIPE, valid_from=NOW - 6 * DAY)
    plan = tariff("4", id=4, billing_plan_id="price_basic_monthly", valid_from=NOW - 7 * DAY)
    pairs = ((wide, wide), (wide, currency), (currency, provider), (provider, plan))
    assert [charged(*pair)[0].rule_id for pair in pairs] == [1, 2, 3, 4]
    newer = replace(plan, id=5, version=2, valid_from=NOW - DAY)
    future = replace(plan, id=6, version=3, valid_from=NOW + DAY)
    assert charged(plan, newer, future, wide)[0].rule_id == 5
    assert charged(plan, newer, future, wide, at=NOW + DAY)[0].rule_id == 6


def test_rules_of_something_else_do_not_count() -> None:
    """Another currency, provider or plan, and what is not valid yet, bear no fee."""
    others = (
        tariff("1", currency="usd"),
        tariff("1", provider=Provider.BANK_TRANSFER),
        tariff("1", billing_plan_id="price_big_monthly"),
        tariff("1", valid_from=NOW + timedelta(seconds=1)),
    )
    assert charged(*others) == ()


def test_what_costs_nothing_bears_no_fee() -> None:
    """A least fee is not taken of an order for which nobody pays."""
    assert charged(tariff("1", minimum=100), amount=0) == ()


def test_each_kind_counts_once() -> None:
    """All kinds are taken of the order's amount, and the seller has what is left."""
    rules = [tariff("10", id=n, kind=kind) for n, kind in enumerate(FeeKind)]
    cash = Provider.CASH_ON_DELIVERY
    lines = fees(rules * 2, 1000, "eur", provider=cash, billing_plan_id=None, started_at=NOW)
    assert [(line.kind, line.amount) for line in lines] == [(kind, 100) for kind in FeeKind]
    assert seller_net(1000, lines) == 600


def test_cash_is_handled_where_there_is_cash() -> None:
    """A rule of all providers for it counts at the door, and for nothing that is paid online."""
    assert charged(tariff("10", kind=FeeKind.CASH_HANDLING)) == ()


def test_who_pays_which_fee() -> None:
    """The platform's is the seller's; the others are on the buyer's bill, unless they come to nothing."""
    rules = [tariff("10", id=n, kind=kind) for n, kind in enumerate(FeeKind)]
    lines = charged(*rules, amount=1000)
    assert [line.kind for line in of_buyer(lines)] == [FeeKind.BUYER_PROTECTION, FeeKind.SHIPPING]
    assert [line.kind for line in of_seller(lines)] == [FeeKind.PLATFORM]
    assert of_buyer(charged(tariff("0", kind=FeeKind.SHIPPING))) == ()


@pytest.mark.parametrize(("currency", "fee"), [("kwd", 160), ("isk", 200), ("jpy", 155), ("eur", 155)])
def test_a_fee_can_be_charged(currency: str, fee: int) -> None:
    """Stripe takes no amount with the last digits that a currency does not have: half of a step is a step."""
    (line,) = fees(
        [tariff("10", kind=FeeKind.SHIPPING)], 1550, currency, provider=Provider.STRIPE, billing_plan_id=None,
        started_at=NOW,
    )  # fmt: skip
    assert line.amount == fee


some_rules = st.builds(
    FeeRule,
    id=st.integers(1, 10**6),
    kind=st.sampled_from(FeeKind),
    version=st.integers(1, 9),
    percent=st.decimals(0, 100, places=4),
    fixed=st.integers(0, 10**5),
    valid_from=st.integers(-9, 9).map(lambda days: NOW + days * DAY),
    minimum=st.none() | st.integers(0, 100),
    maximum=st.none() | st.integers(100, 10**6),
    currency=st.sampled_from([None, "eur", "usd"]),
    provider=st.sampled_from([None, *Provider]),
    billing_plan_id=st.sampled_from([None, "price_basic_monthly", "price_big_monthly"]),
)


@given(st.lists(some_rules, max_size=12), st.integers(0, 10**9), st.randoms())
def test_fees_depend_on_the_rules_alone(rules: list[FeeRule], amount: int, chance: Any) -> None:
    """In whichever order the rules come: one line a kind, within its limits, and nobody's later rule counts."""
    rules = list({(r.kind, r.currency, r.provider, r.billing_plan_id, r.valid_from): r for r in rules}.values())
    lines = charged(*rules, amount=amount)
    shuffled = rules[:]
    chance.shuffle(shuffled)
    assert charged(*shuffled, amount=amount) == lines
    assert charged(*[rule for rule in rules if rule.valid_from <= NOW], amount=amount) == lines
    assert len({line.kind for line in lines}) == len(lines)
    for line in lines:
        exact = Decimal(amount) * line.percent / 100 + line.fixed
        low, high = line.minimum or 0, line.maximum if line.maximum is not None else 10**12
        assert low <= line.amount <= max(high, low)
        assert low > exact or high < exact or abs(line.amount - exact) <= Decimal("0.5")
    assert seller_net(amount, lines) + sum(line.amount for line in lines) == amount


# --- attempts and what may go back ------------------------------------------------------------------------------------


def test_stripes_words_for_an_attempt() -> None:
    """A declined method can be tried again, and a word that is new to us changes nothing."""
    assert state_of("requires_payment_method", tried=False) is PaymentState.PENDING
    assert state_of("requires_payment_method", tried=True) is PaymentState.FAILED
    assert state_of("requires_action", tried=True) is PaymentState.ACTION_REQUIRED
    assert state_of("of_tomorrow", tried=False) is None
    assert follows(PaymentState.FAILED, PaymentState.SUCCEEDED) is PaymentState.SUCCEEDED
    assert follows(PaymentState.PROCESSING, None) is PaymentState.PROCESSING


@given(st.sampled_from([PaymentState.SUCCEEDED, PaymentState.CANCELED]), st.sampled_from(PaymentState))
def test_what_is_final_stays(final: PaymentState, seen: PaymentState) -> None:
    """An answer that was read earlier and came later takes nothing back."""
    assert follows(final, seen) is final


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.sampled_from(RefundState), st.integers(0, 2000))),
    st.integers(-10, 5000),
)
def test_no_more_goes_back_than_came(came: int, refunds: list[tuple[RefundState, int]], amount: int) -> None:
    """A refund that is allowed never takes more than is left, counting those under way."""
    why = why_not_refunded(amount, "eur", paid=(came, "eur"), refunds=refunds)
    gone = sum(part for state, part in refunds if state not in (RefundState.FAILED, RefundState.CANCELED))
    assert left(came, refunds) == came - gone
    if why is None:
        assert 0 < amount <= came - gone
        assert RefundState.REQUESTED not in {state for state, _ in refunds}


@given(st.integers(0, 5000), st.lists(st.integers(0, 5000), max_size=3), st.integers(0, 5000))
def test_what_came_too_much_is_never_more_than_came(asked: int, before: list[int], own: int) -> None:
    """Together with what fills up the order it is the payment, and nothing is too much while the order lacks it."""
    found = surplus(asked, before, own)
    assert 0 <= found <= own
    assert sum(before) + own - found <= max(asked, sum(before))
    assert found == own or sum(before) + own - found == max(asked, sum(before)) or found == 0
    assert surplus(asked, [asked], own) == own


def test_a_refund_is_refused_in_words() -> None:
    """The answer names what is left, the currency, or the request that is under way."""
    paid = (19000, "kwd")
    assert why_not_refunded(5000, "kwd", paid=paid, refunds=[(RefundState.FAILED, 19000)]) is None
    assert why_not_refunded(19010, "kwd", paid=paid, refunds=[]) == "19.000 KWD are left to refund"
    assert "multiples of 10" in (why_not_refunded(5001, "kwd", paid=paid, refunds=[]) or "")
    assert "KWD" in (why_not_refunded(5000, "eur", paid=paid, refunds=[]) or "")
    assert "another refund" in (why_not_refunded(10, "kwd", paid=paid, refunds=[(RefundState.REQUESTED, 10)]) or "")
