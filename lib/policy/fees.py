"""The operator's own fees of an order, by the rules that held when it started. Frozen: a later tariff touches none.

Of each kind one rule counts: among those that hold, the most specific one, and of these the newest. Percents are exact
decimals; what they make is rounded half up to the minor unit, then the fixed part is added and the limits are kept. In
a currency whose last digits Stripe takes as zero only, the fee is rounded to what can be charged.

The platform's fee is the seller's to bear. The others are the buyer's: they stand on the bill beside what is bought.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from lib.model.money import FeeKind, FeeLine, FeeRule
from lib.model.provider import Provider
from lib.policy.currencies import step

BUYERS = {
    FeeKind.BUYER_PROTECTION: "Buyer protection",
    FeeKind.SHIPPING: "Shipping",
    FeeKind.CASH_HANDLING: "Cash handling",
}
"""Which fees the buyer pays, and what they are called on the bill."""


def fees(
    rules: Iterable[FeeRule],
    amount: int,
    currency: str,
    *,
    provider: Provider,
    billing_plan_id: str | None,
    started_at: datetime,
) -> tuple[FeeLine, ...]:
    """The fees of an order of this amount, in the order of their kinds. What costs nothing bears no fee."""
    if amount <= 0:
        return ()
    fitting = [
        rule
        for rule in rules
        if rule.valid_from <= started_at
        and (rule.kind is not FeeKind.CASH_HANDLING or provider is Provider.CASH_ON_DELIVERY)
        and rule.currency in (None, currency)
        and rule.provider in (None, provider)
        and rule.billing_plan_id in (None, billing_plan_id)
    ]
    lines = []
    for kind in FeeKind:
        rule = max((rule for rule in fitting if rule.kind is kind), key=_rank, default=None)
        if rule is not None:
            lines.append(_line(rule, amount, step(currency)))
    return tuple(lines)


def of_buyer(lines: Iterable[FeeLine]) -> tuple[FeeLine, ...]:
    """The fees that the buyer pays on top of what is bought."""
    return tuple(line for line in lines if line.kind in BUYERS and line.amount > 0)


def of_seller(lines: Iterable[FeeLine]) -> tuple[FeeLine, ...]:
    """The fees that are taken from the seller's money: all that is known of what was billed by somebody else."""
    return tuple(line for line in lines if line.kind not in BUYERS)


def seller_net(amount: int, lines: Iterable[FeeLine]) -> int:
    """What is left of an order for whom it was sold for. Negative when the least fees are more than it costs.

    Args:
        amount: what the buyer pays, their fees included.
        lines: all fees.
    """
    return amount - sum(line.amount for line in lines)


def _rank(rule: FeeRule) -> tuple[bool, bool, bool, datetime, int]:
    """A plan says more than a provider, and a provider more than a currency."""
    scope = (rule.billing_plan_id is not None, rule.provider is not None, rule.currency is not None)
    return (*scope, rule.valid_from, rule.version)


def _line(rule: FeeRule, base: int, unit: int) -> FeeLine:
    part = (Decimal(base) * rule.percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
    amount = int(part) + rule.fixed
    if rule.minimum is not None:
        amount = max(amount, rule.minimum)
    if rule.maximum is not None:
        amount = min(amount, rule.maximum)
    amount = int((Decimal(amount) / unit).quantize(Decimal(1), ROUND_HALF_UP)) * unit
    return FeeLine(rule.kind, rule.id, rule.version, base, rule.percent, rule.fixed, amount, rule.minimum, rule.maximum)
