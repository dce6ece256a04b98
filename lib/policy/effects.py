"""What the world looks like after an action: for dry runs and shadow mode, which must go on without acting."""

from __future__ import annotations

from dataclasses import replace

from lib.model import Action, ActionKind, Actual, Memory, PanelSubscription, Service, ServiceState
from lib.policy.plans import plan_number

IMAGINED = "imagined"
"""Stands for an id that only a real panel could give."""


def imagine(action: Action, memory: Memory, actual: Actual) -> tuple[Memory, Actual]:
    """Memory and panel as they would be, had `action` been applied and remembered."""
    match action.kind:
        case ActionKind.CREATE_ORG:
            return replace(memory, org_id=IMAGINED, org_name=str(action.details["name"])), actual
        case ActionKind.CREATE_LOGIN:
            return replace(memory, login_id=IMAGINED), actual
        case ActionKind.ADD_OWNER:
            return replace(memory, member_id=IMAGINED), actual
        case ActionKind.RENAME_ORG:
            return replace(memory, org_name=str(action.details["name"])), actual
        case ActionKind.SEND_WELCOME:
            return replace(memory, welcomed=True), actual
    service = next(s for s in memory.services if s.key == action.service)
    match action.kind:
        case ActionKind.CREATE_SUBSCRIPTION:
            number = -1 - len(actual.subscriptions)
            plan = str(action.details["plan"])
            made = PanelSubscription(number, _id(plan), plan, str(action.details["friendly_name"]))
            memory = _with(memory, replace(service, panel_subscription_id=number, plan=plan, state=ServiceState.LIVE))
            return memory, replace(actual, subscriptions=(*actual.subscriptions, made))
        case ActionKind.CREATE_WEBSITE:
            return _with(memory, replace(service, website_id=IMAGINED)), actual
        case ActionKind.MOVE_WEBSITE:
            source = next(s for s in memory.services if str(s.key) == action.details["from"])
            memory = _with(memory, replace(source, website_id=None))
            return _with(memory, replace(service, website_id=source.website_id)), actual
        case ActionKind.SUSPEND:
            memory = _with(memory, replace(service, suspended_by=IMAGINED, state=ServiceState.SUSPENDED))
            return memory, _changed(actual, service, suspended_by=IMAGINED)
        case ActionKind.RESUME:
            memory = _with(memory, replace(service, suspended_by=None, state=ServiceState.LIVE))
            return memory, _changed(actual, service, suspended_by=None)
        case ActionKind.CHANGE_PLAN:
            plan = str(action.details["plan"])
            memory = _with(memory, replace(service, plan=plan))
            return memory, _changed(actual, service, plan_id=_id(plan), plan_name=plan)
        case ActionKind.MARK:
            return memory, _changed(actual, service, friendly_name=action.details["friendly_name"])
        case ActionKind.TERMINATE:
            memory = _with(memory, replace(service, state=ServiceState.TERMINATED))
            return memory, _changed(actual, service, deleted=True)
    raise AssertionError(action.kind)


def _id(plan: str) -> int:
    number = plan_number(plan)
    return -1 if number is None else number


def _with(memory: Memory, changed: Service) -> Memory:
    return replace(memory, services=tuple(changed if s.key == changed.key else s for s in memory.services))


def _changed(actual: Actual, service: Service, **changes: object) -> Actual:
    return replace(
        actual,
        subscriptions=tuple(
            replace(s, **changes) if s.id == service.panel_subscription_id else s  # type: ignore[arg-type]
            for s in actual.subscriptions
        ),
    )
