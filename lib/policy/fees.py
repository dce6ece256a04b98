"""The operator's own fees of an order, by the rules that held when it started. Frozen: a later tariff touches none.

Of each kind one rule counts: among those that hold, the most specific one, and of these the newest. Percents are exact
decimals; what they make is rounded half up to the minor unit, then the fixed part is added and the limits are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from lib.model.money import FeeKind, FeeLine, FeeRule
from lib.model.provider import Provider


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
        and rule.currency in (None, currency)
        and rule.provider in (None, provider)
        and rule.billing_plan_id in (None, billing_plan_id)
    ]
    lines = []
    for kind in FeeKind:
        rule = max((rule for rule in fitting if rule.kind is kind), key=_rank, default=None)
        if rule is not None:
            lines.append(_line(rule, amount))
    return tuple(lines)


def seller_net(amount: int, lines: Iterable[FeeLine]) -> int:
    """What is left of an order for whom it was sold for. Negative when the least fees are more than it costs."""
    return amount - sum(line.amount for line in lines)


def _rank(rule: FeeRule) -> tuple[bool, bool, bool, datetime, int]:
    """A plan says more than a provider, and a provider more than a currency."""
    scope = (rule.billing_plan_id is not None, rule.provider is not None, rule.currency is not None)
    return (*scope, rule.valid_from, rule.version)


def _line(rule: FeeRule, base: int) -> FeeLine:
    part = (Decimal(base) * rule.percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
    amount = int(part) + rule.fixed
    if rule.minimum is not None:
        amount = max(amount, rule.minimum)
    if rule.maximum is not None:
        amount = min(amount, rule.maximum)
    return FeeLine(rule.kind, rule.id, rule.version, base, rule.percent, rule.fixed, amount, rule.minimum, rule.maximum)
