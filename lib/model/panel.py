"""Actual: what the panel has."""

from __future__ import annotations

from msgspec import Struct


class Resource(Struct, frozen=True):
    """One counted resource of a panel subscription or plan; `total` is `None` when unlimited."""

    name: str
    total: int | None
    usage: int = 0


class PanelPlan(Struct, frozen=True):
    """A plan in the panel's list."""

    id: int
    name: str
    resources: tuple[Resource, ...] = ()


class PanelSubscription(Struct, frozen=True):
    """A hosting subscription as the panel has it. Suspended means: `suspended_by` is set while it is not deleted."""

    id: int
    plan_id: int
    plan_name: str
    friendly_name: str
    deleted: bool = False
    suspended_by: str | None = None
    resources: tuple[Resource, ...] = ()


class Actual(Struct, frozen=True):
    """The panel's side of one customer. Empty before the organisation exists."""

    org_gone: bool = False
    """The organisation that we remember does not exist any more."""
    subscriptions: tuple[PanelSubscription, ...] = ()
    plans: tuple[PanelPlan, ...] | None = None
    """The panel's plans; `None` while they were not needed."""
