"""What the operator sells: the panel plan that each price buys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field


class PlanMapping(Struct, frozen=True):
    """A price and the panel plan it buys (one row of `plan_mappings`)."""

    price_id: str
    kind: Literal["service", "addon", "ignore"] = "service"
    plan: str | None = None
    """The panel plan's integer id as digits, or its exact name."""
    activate_on: Literal["paid", "processing"] = "paid"
    grace_days: int | None = None
    create_website: bool = True
    server_group_id: str | None = None


class PlanRule(Struct, frozen=True):
    """What a base price and an add-on buy together (one row of `plan_rules`)."""

    base_price_id: str
    addon_price_id: str
    min_quantity: int
    plan: str


class Catalogue(Struct, frozen=True):
    """What the operator sells: mappings by price, and the rules for add-ons."""

    mappings: Mapping[str, PlanMapping] = field(default_factory=dict)
    rules: tuple[PlanRule, ...] = ()
