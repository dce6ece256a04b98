"""Every change that we ever make in the panel: decided, begun, and what the panel gave for it.

An action is what ledger, log, dry run and shadow plan show, so it never holds a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from lib.model.reason import Rule
from lib.model.service import Hold, ServiceKey

if TYPE_CHECKING:
    from lib.model.reason import Why

Shown = str | int | None


class ActionKind(StrEnum):
    """Every change we ever make in the panel."""

    CREATE_ORG = "create_org"
    CREATE_LOGIN = "create_login"
    ADD_OWNER = "add_owner"
    CREATE_SUBSCRIPTION = "create_subscription"
    CREATE_WEBSITE = "create_website"
    MOVE_WEBSITE = "move_website"
    """From an ended service to the one that was bought again with its domain."""
    SEND_WELCOME = "send_welcome"
    RENAME_ORG = "rename_org"
    SUSPEND = "suspend"
    RESUME = "resume"
    CHANGE_PLAN = "change_plan"
    MARK = "mark"
    TERMINATE = "terminate"
    HARD_DELETE = "hard_delete"
    """Only ever by an admin's confirmed word; no pass decides it."""


Subject = tuple[ActionKind, ServiceKey | None]
"""What an action is about: after a failure the pass leaves the same subject alone and goes on with the rest."""


@dataclass(frozen=True, slots=True)
class _Action:
    kind: ClassVar[ActionKind]
    rule: Why = field(metadata={"shown": None})
    """Why."""

    @property
    def details(self) -> dict[str, Shown]:
        """What the change is made with, as it is written down and shown; empty lists are left out."""
        names = {part.name: part.metadata.get("shown", part.name) for part in fields(self)}
        shown = {name: _shown(getattr(self, part)) for part, name in names.items() if name is not None}
        return {name: value for name, value in shown.items() if value != ""}


@dataclass(frozen=True, slots=True)
class _OfCustomer(_Action):
    @property
    def service(self) -> None:
        return None

    @property
    def subject(self) -> Subject:
        return self.kind, None


@dataclass(frozen=True, slots=True)
class _OfService(_Action):
    service: ServiceKey = field(metadata={"shown": None})

    @property
    def subject(self) -> Subject:
        return self.kind, self.service


@dataclass(frozen=True, slots=True)
class CreateOrg(_OfCustomer):
    """Make the organisation; its name carries our mark until its id is remembered."""

    kind = ActionKind.CREATE_ORG
    name: str


@dataclass(frozen=True, slots=True)
class CreateLogin(_OfCustomer):
    """Make the login, or find the one that has this e-mail address."""

    kind = ActionKind.CREATE_LOGIN


@dataclass(frozen=True, slots=True)
class AddOwner(_OfCustomer):
    """Make the login the owner of the organisation."""

    kind = ActionKind.ADD_OWNER


@dataclass(frozen=True, slots=True)
class RenameOrg(_OfCustomer):
    """Give the organisation the name that Stripe has now."""

    kind = ActionKind.RENAME_ORG
    name: str


@dataclass(frozen=True, slots=True)
class SendWelcome(_OfCustomer):
    """Have the panel send its set-password mail."""

    kind = ActionKind.SEND_WELCOME


@dataclass(frozen=True, slots=True)
class CreateSubscription(_OfService):
    """Make the hosting."""

    kind = ActionKind.CREATE_SUBSCRIPTION
    plan: str
    """As the mapping spells it."""
    friendly_name: str
    """With our mark."""


@dataclass(frozen=True, slots=True)
class CreateWebsite(_OfService):
    """Make the website, or take over the one of this domain that the customer has."""

    kind = ActionKind.CREATE_WEBSITE
    domain: str
    server_group: str | None = None


@dataclass(frozen=True, slots=True)
class MoveWebsite(_OfService):
    """Fetch the website of an ended service for the one that was bought again with its domain."""

    kind = ActionKind.MOVE_WEBSITE
    service: ServiceKey = field(metadata={"shown": "to"})
    domain: str
    website: str | None
    source: ServiceKey = field(metadata={"shown": "from"})
    from_subscription: int | None
    """The panel's number of the hosting that it leaves."""
    to_subscription: int | None


@dataclass(frozen=True, slots=True)
class ChangePlan(_OfService):
    """Move the hosting to another plan."""

    kind = ActionKind.CHANGE_PLAN
    plan: str
    """As the mapping spells it."""
    from_plan: str = field(metadata={"shown": "from"})
    """As the panel calls it."""


@dataclass(frozen=True, slots=True)
class Mark(_OfService):
    """Put our mark back into a name that somebody changed, and leave the rest of the name as it is."""

    kind = ActionKind.MARK
    friendly_name: str


@dataclass(frozen=True, slots=True)
class Suspend(_OfService):
    """Suspend the hosting."""

    kind = ActionKind.SUSPEND
    holds: frozenset[Hold] = frozenset()


@dataclass(frozen=True, slots=True)
class Resume(_OfService):
    """Lift the suspension that is ours."""

    kind = ActionKind.RESUME


@dataclass(frozen=True, slots=True)
class Terminate(_OfService):
    """Soft-delete the hosting."""

    kind = ActionKind.TERMINATE
    awaited: tuple[str, ...] = ()
    """Domains whose websites purchases wait for: one of which we do not know might be in it, so it is looked first."""


@dataclass(frozen=True, slots=True)
class HardDelete(_OfService):
    """Wipe the hosting for good."""

    kind = ActionKind.HARD_DELETE
    panel_subscription_id: int | None


CustomerAction = CreateOrg | CreateLogin | AddOwner | RenameOrg | SendWelcome
ServiceAction = (
    CreateSubscription | CreateWebsite | MoveWebsite | ChangePlan | Mark | Suspend | Resume | Terminate | HardDelete
)
Action = CustomerAction | ServiceAction
"""One change to make in the panel, with the rule that led to it."""


def _shown(value: Any) -> Shown:
    match value:
        case frozenset():
            return ",".join(sorted(value))
        case tuple():
            return " ".join(value)
        case ServiceKey():
            return str(value)
        case int() | None:
            return value
        case _:
            return str(value)


def recalled(kind: ActionKind, key: ServiceKey | None, details: Mapping[str, Any]) -> Action:
    """An action as far as the ledger tells of it: no name of a customer stands there."""
    rule = Rule.FOUND_AFTER_INTERRUPTION
    if kind in _OF_CUSTOMER:
        return _OF_CUSTOMER[kind](rule)
    assert key is not None, kind

    def text(name: str) -> str:
        return str(details.get(name) or "")

    match kind:
        case ActionKind.CREATE_SUBSCRIPTION:
            return CreateSubscription(rule, key, text("plan"), text("friendly_name"))
        case ActionKind.CREATE_WEBSITE:
            return CreateWebsite(rule, key, text("domain"), details.get("server_group"))
        case ActionKind.MOVE_WEBSITE:
            source = ServiceKey.read(text("from"))
            numbers = details.get("from_subscription"), details.get("to_subscription")
            return MoveWebsite(rule, key, text("domain"), details.get("website"), source, *numbers)
        case ActionKind.CHANGE_PLAN:
            return ChangePlan(rule, key, text("plan"), text("from"))
        case ActionKind.MARK:
            return Mark(rule, key, text("friendly_name"))
        case ActionKind.SUSPEND:
            return Suspend(rule, key, frozenset(map(Hold, filter(None, text("holds").split(",")))))
        case ActionKind.TERMINATE:
            return Terminate(rule, key, tuple(text("awaited").split()))
        case ActionKind.HARD_DELETE:
            return HardDelete(rule, key, details.get("panel_subscription_id"))
        case _:
            return Resume(rule, key)


_OF_CUSTOMER: Mapping[ActionKind, Callable[[Why], CustomerAction]] = {
    ActionKind.CREATE_ORG: lambda rule: CreateOrg(rule, ""),
    ActionKind.CREATE_LOGIN: CreateLogin,
    ActionKind.ADD_OWNER: AddOwner,
    ActionKind.RENAME_ORG: lambda rule: RenameOrg(rule, ""),
    ActionKind.SEND_WELCOME: SendWelcome,
}


@dataclass(frozen=True, slots=True)
class Intent:
    """An action that was begun and whose end nobody recorded: it may have happened."""

    action_id: str
    action: Action
    at: datetime
    answered: bool = False
    """The panel answered, with a server error; else the answer was lost, or we died."""
    lost_at: datetime | None = None
    """When the last try ended without telling; `None`: we died before it did."""
    token: str | None = None
    """Which of the panel's tokens it was made with, if it is a suspension."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the panel gave for a change; empty where a change gives nothing."""

    id: str | None = None
    """Of the organisation, login, membership or website."""
    number: int | None = None
    """Of the hosting subscription."""
    plan_id: int | None = None
    suspended_by: str | None = None
    at: datetime | None = None
    """Stripe's time when it said what led to it."""
