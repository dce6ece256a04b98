"""Actual: what the panel has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One counted resource of a panel subscription or plan; `total` is `None` when unlimited."""

    name: str
    total: int | None
    usage: int = 0


@dataclass(frozen=True, slots=True)
class PanelPlan:
    """A plan in the panel's list."""

    id: int
    name: str
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelSubscription:
    """A hosting subscription as the panel has it. Suspended means: `suspended_by` is set while it is not deleted."""

    id: int
    plan_id: int
    plan_name: str
    friendly_name: str
    deleted: bool = False
    suspended_by: str | None = None
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Actual:
    """The panel's side of one customer. Empty before the organisation exists."""

    org_gone: bool = False
    """The organisation that we remember does not exist any more."""
    subscriptions: tuple[PanelSubscription, ...] = ()
    plans: tuple[PanelPlan, ...] | None = None
    """The panel's plans; `None` while they were not needed."""
