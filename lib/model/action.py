"""Every change that we ever make in the panel: decided, begun, and what the panel gave for it.

An action is what ledger, log, dry run and shadow plan show, so it never holds a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

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


class _Action(Struct, frozen=True):
    kind: ClassVar[ActionKind]
    rule: Why
    """Why."""

    shown: ClassVar[Mapping[str, str | None]] = {"rule": None, "service": None}
    """What `details` calls a field; `None`: it is left out. The others have their own name."""

    @property
    def details(self) -> dict[str, Shown]:
        """What the change is made with, as it is written down and shown; empty lists are left out."""
        names = {part: self.shown.get(part, part) for part in self.__struct_fields__}
        shown = {name: _shown(getattr(self, part)) for part, name in names.items() if name is not None}
        return {name: value for name, value in shown.items() if value != ""}


class _OfCustomer(_Action, frozen=True):
    @property
    def service(self) -> None:
        return None

    @property
    def subject(self) -> Subject:
        return self.kind, None


class _OfService(_Action, frozen=True):
    service: ServiceKey

    @property
    def subject(self) -> Subject:
        return self.kind, self.service


class CreateOrg(_OfCustomer, frozen=True):
    """Make the organisation; its name carries our mark until its id is remembered."""

    kind = ActionKind.CREATE_ORG
    name: str


class CreateLogin(_OfCustomer, frozen=True):
    """Make the login, or find the one that has this e-mail address."""

    kind = ActionKind.CREATE_LOGIN


class AddOwner(_OfCustomer, frozen=True):
    """Make the login the owner of the organisation."""

    kind = ActionKind.ADD_OWNER


class RenameOrg(_OfCustomer, frozen=True):
    """Give the organisation the name that Stripe has now."""

    kind = ActionKind.RENAME_ORG
    name: str


class SendWelcome(_OfCustomer, frozen=True):
    """Have the panel send its set-password mail."""

    kind = ActionKind.SEND_WELCOME


class CreateSubscription(_OfService, frozen=True):
    """Make the hosting."""

    kind = ActionKind.CREATE_SUBSCRIPTION
    plan: str
    """As the mapping spells it."""
    friendly_name: str
    """With our mark."""


class CreateWebsite(_OfService, frozen=True):
    """Make the website, or take over the one of this domain that the customer has."""

    kind = ActionKind.CREATE_WEBSITE
    domain: str
    server_group: str | None = None


class MoveWebsite(_OfService, frozen=True):
    """Fetch the website of an ended service for the one that was bought again with its domain."""

    kind = ActionKind.MOVE_WEBSITE
    shown = {"rule": None, "service": "to", "source": "from"}
    domain: str
    website: str | None
    source: ServiceKey
    from_subscription: int | None
    """The panel's number of the hosting that it leaves."""
    to_subscription: int | None


class ChangePlan(_OfService, frozen=True):
    """Move the hosting to another plan."""

    kind = ActionKind.CHANGE_PLAN
    shown = {"rule": None, "service": None, "from_plan": "from"}
    plan: str
    """As the mapping spells it."""
    from_plan: str
    """As the panel calls it."""


class Mark(_OfService, frozen=True):
    """Put our mark back into a name that somebody changed, and leave the rest of the name as it is."""

    kind = ActionKind.MARK
    friendly_name: str


class Suspend(_OfService, frozen=True):
    """Suspend the hosting."""

    kind = ActionKind.SUSPEND
    holds: frozenset[Hold] = frozenset()


class Resume(_OfService, frozen=True):
    """Lift the suspension that is ours."""

    kind = ActionKind.RESUME


class Terminate(_OfService, frozen=True):
    """Soft-delete the hosting."""

    kind = ActionKind.TERMINATE
    awaited: tuple[str, ...] = ()
    """Domains whose websites purchases wait for: one of which we do not know might be in it, so it is looked first."""


class HardDelete(_OfService, frozen=True):
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


class Intent(Struct, frozen=True):
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


class Given(Struct, frozen=True):
    """What the panel gave for a change; empty where a change gives nothing."""

    id: str | None = None
    """Of the organisation, login, membership or website."""
    number: int | None = None
    """Of the hosting subscription."""
    plan_id: int | None = None
    suspended_by: str | None = None
    at: datetime | None = None
    """Stripe's time when it said what led to it."""
