"""A panel in memory: takes the product's actions as the real one would, and refuses what must never be asked of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from uuid import NAMESPACE_DNS, uuid5

from lib.model import Action, ActionKind, Actual, Memory, PanelPlan, PanelSubscription, Service, ServiceState
from lib.structs import replace

PLANS = {1: "small", 2: "medium", 3: "large", 4: "other"}
TOKEN = "0a0a0a0a-0000-4000-8000-000000000001"
SOMEBODY = "0b0b0b0b-0000-4000-8000-000000000002"
"""What `suspendedBy` says when we did it, and when a person did."""


class NeverAsked(AssertionError):
    """The product asked for something that must not happen: a second of what exists, a change of what is gone."""


def plan_id(plan: str) -> int:
    """The id of a plan as a mapping spells it."""
    return int(plan) if plan.isascii() and plan.isdigit() else next(i for i, name in PLANS.items() if name == plan)


@dataclass(slots=True)
class Panel:
    """One customer's organisation."""

    made: bool = False
    subscriptions: dict[int, PanelSubscription] = field(default_factory=dict)
    websites: dict[str, int] = field(default_factory=dict)
    """Domain -> the hosting subscription that has it."""
    lost: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    """Domains whose website was deleted, when, and with which hosting subscription."""
    made_at: dict[int, datetime] = field(default_factory=dict)
    """When each hosting subscription was made."""
    _numbers: int = 100

    def actual(self) -> Actual:
        """What a look at it shows."""
        plans = tuple(PanelPlan(number, name) for number, name in PLANS.items())
        return Actual(subscriptions=tuple(self.subscriptions.values()), plans=plans)

    def of(self, subscription_id: str) -> list[PanelSubscription]:
        """The hosting subscriptions that carry this subscription's mark, in the order in which they were made."""
        return [s for s in self.subscriptions.values() if re.search(rf"\[{subscription_id}(/\d+)?\]", s.friendly_name)]

    def suspend_by_hand(self, found: PanelSubscription, *, lift: bool = False) -> None:
        """Somebody suspends it in the panel, or lifts that."""
        self.subscriptions[found.id] = replace(found, suspended_by=None if lift else SOMEBODY)

    def apply(self, action: Action, memory: Memory, now: datetime) -> Memory:
        """Make one change; the memory with what the product would remember of it."""
        match action.kind:
            case ActionKind.CREATE_ORG:
                _never(self.made, "a second organisation")
                self.made = True
                return replace(memory, org_id="org", org_name=str(action.details["name"]))
            case ActionKind.CREATE_LOGIN:
                _never(memory.login_id is not None, "a second login")
                return replace(memory, login_id="login")
            case ActionKind.ADD_OWNER:
                _never(memory.member_id is not None, "a second owner")
                return replace(memory, member_id="member")
            case ActionKind.RENAME_ORG:
                return replace(memory, org_name=str(action.details["name"]))
            case ActionKind.SEND_WELCOME:
                _never(memory.welcomed, "a second welcome")
                return replace(memory, welcomed=True)
        service = next(s for s in memory.services if s.key == action.service)
        if action.kind is ActionKind.MOVE_WEBSITE:
            return self._move(action, service, memory)
        if action.kind is ActionKind.TERMINATE:
            self._delete_websites(service, now)
        changed = self._change(action, service)
        if action.kind is ActionKind.CREATE_SUBSCRIPTION:
            self.made_at[self._numbers] = now
            changed = replace(changed, plan_since=changed.plan_since or now)
        if action.kind is ActionKind.CHANGE_PLAN:
            changed = replace(changed, plan_since=now)
        return replace(memory, services=tuple(changed if s.key == changed.key else s for s in memory.services))

    def _move(self, action: Action, service: Service, memory: Memory) -> Memory:
        domain, number = str(action.details["domain"]), service.panel_subscription_id
        source = next(s for s in memory.services if str(s.key) == action.details["from"])
        old, new = (self.subscriptions[s.panel_subscription_id or 0] for s in (source, service))
        _never(self.websites.get(domain) != old.id, f"moving {domain} from where it is not")
        _never(new.suspended_by is not None, f"moving {domain} into what is suspended")
        assert number is not None
        self.websites[domain] = number
        changed = {source.key: replace(source, website_id=None)}
        changed[service.key] = replace(service, website_id=source.website_id)
        return replace(memory, services=tuple(changed.get(s.key, s) for s in memory.services))

    def _delete_websites(self, service: Service, now: datetime) -> None:
        for domain in [d for d, number in self.websites.items() if number == service.panel_subscription_id]:
            self.lost[domain] = now, self.websites.pop(domain)

    def _change(self, action: Action, service: Service) -> Service:
        if action.kind is ActionKind.CREATE_SUBSCRIPTION:
            return self._create(action, service)
        number = service.panel_subscription_id
        found = self.subscriptions.get(number or 0)
        _never(number is None or found is None or found.deleted, f"{action.kind} of what is not there")
        assert number is not None and found is not None
        match action.kind:
            case ActionKind.CREATE_WEBSITE:
                domain = str(action.details["domain"])
                _never(domain in self.websites, f"a second website {domain}")
                _never(found.suspended_by is not None, "a website on a suspended subscription")
                self.websites[domain] = number
                return replace(service, website_id=str(uuid5(NAMESPACE_DNS, domain)))
            case ActionKind.SUSPEND:
                _never(found.suspended_by is not None, "suspending what is suspended")
                self.subscriptions[number] = replace(found, suspended_by=TOKEN)
                return replace(service, suspended_by=TOKEN, state=ServiceState.SUSPENDED)
            case ActionKind.RESUME:
                _never(found.suspended_by != TOKEN, "lifting what is not ours")
                self.subscriptions[number] = replace(found, suspended_by=None)
                return replace(service, suspended_by=None, state=ServiceState.LIVE)
            case ActionKind.CHANGE_PLAN:
                wanted = str(action.details["plan"])
                _never(found.plan_id == plan_id(wanted), "a move to the plan it is on")
                self.subscriptions[number] = replace(found, plan_id=plan_id(wanted), plan_name=PLANS[plan_id(wanted)])
                return replace(service, plan=wanted, panel_plan_id=plan_id(wanted))
            case ActionKind.TERMINATE:
                self.subscriptions[number] = replace(found, deleted=True)
                return replace(service, state=ServiceState.TERMINATED)
        raise NeverAsked(f"{action.kind}: nothing here takes its mark away, and nobody confirmed a deletion")

    def _create(self, action: Action, service: Service) -> Service:
        name = str(action.details["friendly_name"])
        _never(service.made, f"a second hosting subscription for {service.key}")
        _never(any(s.friendly_name == name for s in self.subscriptions.values()), f"a second {name}")
        self._numbers += 1
        plan = plan_id(str(action.details["plan"]))
        self.subscriptions[self._numbers] = PanelSubscription(self._numbers, plan, PLANS[plan], name)
        return replace(
            service, panel_subscription_id=self._numbers, panel_plan_id=plan, plan=str(action.details["plan"]),
            state=ServiceState.LIVE,
        )  # fmt: skip


def _never(wrong: bool, what: str) -> None:
    if wrong:
        raise NeverAsked(f"the product asked for {what}")
