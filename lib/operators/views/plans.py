"""What is sold: prices, the panel plans that they buy, and what a change would do."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lib.operators.views.money import MoneyView
from lib.operators.views.passes import ProblemView
from lib.operators.views.undo import Undo
from lib.web.typed import View


class PriceView(MoneyView):
    """A price at the billing provider, as it is now."""

    id: str
    name: str | None
    """Its nickname, else its product's name."""
    active: bool
    amount: int | None
    """Minor units of `currency`; `null` where the price has no fixed amount."""
    currency: str
    interval: str | None
    """month, year ...; `null`: it is paid once."""
    interval_count: int | None


class PlanView(View):
    """A plan in the panel."""

    id: int
    name: str


class MappingView(View):
    """A mapping with both of its sides beside it."""

    billing_provider: str
    billing_plan_id: str
    enhance_plan_id: str | None
    kind: str
    activate_on: str
    grace_days: int | None
    create_website: bool
    server_group_id: str | None
    updated_at: datetime
    services: int
    """How many services that are not terminated were bought by it."""
    price: PriceView | None
    """`null`: the provider does not know it, or can't be asked just now (see `away`)."""
    plan: PlanView | None
    """`null`: the panel has no such plan, or can't be asked just now."""


class Unmapped(View):
    """A price without a mapping that customers wait for."""

    billing_plan_id: str
    customers: int
    price: PriceView | None


class RuleView(View):
    """What a base price and an add-on buy together."""

    billing_provider: str
    base_plan_id: str
    addon_plan_id: str
    min_quantity: int
    enhance_plan_id: str


class MappingChange(View):
    """A change to a mapping that somebody made here; one by plain SQL leaves no line."""

    at: datetime
    actor: str
    billing_provider: str
    billing_plan_id: str
    before: dict[str, Any] | None
    """The row with its columns as the route takes them; null: there was none."""
    after: dict[str, Any] | None
    undo: Undo | None
    """What sets it back, while the row is still as this left it."""


class Plans(View):
    """Everything that is sold."""

    unmapped: list[Unmapped]
    """Most waited for first."""
    data: list[MappingView]
    next_cursor: str | None
    rules: list[RuleView]
    plans: list[PlanView]
    """Every plan of the panel, to choose from."""
    away: dict[str, str]
    """Which side could not be asked, and why."""
    changes: list[MappingChange]
    """The newest ones, on the first page."""


class Effect(View):
    """What a change would do to one service."""

    customer_id: str
    subscription_id: str
    slot: int
    action: str
    from_plan: str | None
    to_plan: str | None


class Refusal(View):
    """Whom a change can't reach, and why."""

    customer_id: str
    problems: list[ProblemView]


class Unclear(View):
    """Who could not be looked at."""

    customer_id: str
    error: str


class ChangePreview(View):
    """What a change of a mapping would do. Send `asOf` back to apply exactly this."""

    as_of: datetime
    customers: int
    """Who lives by the price."""
    looked_at: int
    """So many of them were looked at; where that is fewer, the rest is not shown and not let through the brake."""
    moves: list[Effect]
    suspends: list[Effect]
    refused: list[Refusal]
    unclear: list[Unclear]
    """Who could not be looked at just now."""


class ChangeMade(View):
    """A mapping was written."""

    billing_provider: str
    billing_plan_id: str
    changed: bool
    moves: int
    """How many moves pass the brake, as they were shown."""
