"""What an action changes, said once: of a live pass, of one that finds out what was interrupted, and of a dry run."""

from __future__ import annotations

from lib.model import (
    Action,
    Actual,
    AddOwner,
    ChangePlan,
    CreateLogin,
    CreateOrg,
    CreateSubscription,
    CreateWebsite,
    CustomerAction,
    Given,
    Mark,
    Memory,
    MoveWebsite,
    PanelSubscription,
    RenameOrg,
    Resume,
    SendWelcome,
    Service,
    ServiceAction,
    ServiceKey,
    ServiceState,
    Suspend,
    Terminate,
)
from lib.policy.plan_references import plan_number
from lib.structs import replace

IMAGINED = "imagined"
"""Stands for an id that only a real panel could give."""


def remembered(memory: Memory, action: Action, given: Given) -> Memory:
    """Memory once `action` was made and the panel gave that for it."""
    match action:
        case CreateOrg() | CreateLogin() | AddOwner() | RenameOrg() | SendWelcome():
            return _of_customer(memory, action, given)
        case CreateWebsite() | MoveWebsite():
            return _with_website(memory, action.service, given.id)
        case _:
            return with_service(memory, _of_service(memory.service(action.service), action, given))


def _of_customer(memory: Memory, action: CustomerAction, given: Given) -> Memory:
    match action:
        case CreateOrg(name=name):
            return replace(memory, org_id=given.id, org_name=name)
        case CreateLogin():
            return replace(memory, login_id=given.id)
        case AddOwner():
            return replace(memory, member_id=given.id)
        case RenameOrg(name=name):
            return replace(memory, org_name=name)
        case SendWelcome():
            return replace(memory, welcomed=True)


def _of_service(service: Service, action: ServiceAction, given: Given) -> Service:
    match action:
        case CreateSubscription(plan=plan):
            made = replace(service, panel_subscription_id=given.number, panel_plan_id=given.plan_id)
            since = service.plan_since or given.at
            return replace(made, plan=plan, plan_since=since, state=ServiceState.LIVE)
        case ChangePlan(plan=plan):
            return replace(service, plan=plan, plan_since=given.at, panel_plan_id=given.plan_id)
        case Suspend():
            ours = ServiceState.SUSPENDED
            return replace(service, suspended_by=given.suspended_by, panel_suspended=False, state=ours)
        case Resume():
            return replace(service, suspended_by=None, state=ServiceState.LIVE)
        case Mark():
            return service
        case _:
            return replace(service, state=ServiceState.TERMINATED)


def _with_website(memory: Memory, key: ServiceKey, website_id: str | None) -> Memory:
    """The website is the one of this service, and no other service's any more."""
    for service in memory.services:
        if service.website_id == website_id != IMAGINED:
            memory = with_service(memory, replace(service, website_id=None))
    return with_service(memory, replace(memory.service(key), website_id=website_id))


def with_service(memory: Memory, changed: Service) -> Memory:
    """Memory with one of its services as it is now."""
    return replace(memory, services=tuple(changed if s.key == changed.key else s for s in memory.services))


# --- for dry runs -----------------------------------------------------------------------------------------------------


def imagine(action: Action, memory: Memory, actual: Actual) -> tuple[Memory, Actual]:
    """Memory and panel as they would be, had `action` been applied and remembered."""
    given = _imagined(action, memory, actual)
    return remembered(memory, action, given), _shown(actual, action, memory, given)


def _imagined(action: Action, memory: Memory, actual: Actual) -> Given:
    """What a panel would give, as far as it can be imagined."""
    match action:
        case CreateSubscription(plan=plan):
            return Given(number=-1 - len(actual.subscriptions), plan_id=_id(plan))
        case ChangePlan(plan=plan):
            return Given(plan_id=_id(plan))
        case MoveWebsite(source=source):
            return Given(id=memory.service(source).website_id)
        case _:
            return Given(id=IMAGINED, suspended_by=IMAGINED)


def _shown(actual: Actual, action: Action, memory: Memory, given: Given) -> Actual:
    """What the panel would show afterwards."""
    match action:
        case CreateSubscription(plan=plan, friendly_name=name):
            assert given.number is not None and given.plan_id is not None
            made = PanelSubscription(given.number, given.plan_id, plan, name)
            return replace(actual, subscriptions=(*actual.subscriptions, made))
        case ChangePlan(plan=plan):
            changes: dict[str, object] = {"plan_id": given.plan_id, "plan_name": plan}
        case Suspend() | Resume():
            changes = {"suspended_by": IMAGINED if isinstance(action, Suspend) else None}
        case Mark(friendly_name=name):
            changes = {"friendly_name": name}
        case Terminate():
            changes = {"deleted": True}
        case _:
            return actual
    number = memory.service(action.service).panel_subscription_id
    subscriptions = (replace(s, **changes) if s.id == number else s for s in actual.subscriptions)  # type: ignore[arg-type]
    return replace(actual, subscriptions=tuple(subscriptions))


def _id(plan: str) -> int:
    number = plan_number(plan)
    return -1 if number is None else number
