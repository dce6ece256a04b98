"""Every change that we ever make in the panel, decided or begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lib.model.service import ServiceKey


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


@dataclass(frozen=True, slots=True)
class Action:
    """One change to make in the panel, with the rule that led to it. The same object feeds ledger, log and dry run."""

    kind: ActionKind
    rule: str
    service: ServiceKey | None = None
    details: Mapping[str, str | int | None] = field(default_factory=dict)
    """What the change is made with (name, plan, domain ...); never a password."""

    @property
    def subject(self) -> tuple[ActionKind, ServiceKey | None]:
        """What it is about: after a failure the pass leaves the same subject alone and goes on with the rest."""
        return self.kind, self.service


@dataclass(frozen=True, slots=True)
class Intent:
    """An action that was begun and whose end nobody recorded: it may have happened."""

    action_id: str
    kind: ActionKind
    service: ServiceKey | None
    at: datetime
    answered: bool = False
    """The panel answered, with a server error; else the answer was lost, or we died."""
    lost_at: datetime | None = None
    """When the last try ended without telling; `None`: we died before it did."""
    plan: str | None = None
    """The plan it was made with, as the mapping spells it."""
    token: str | None = None
    """Which of the panel's tokens it was made with, if it is a suspension."""
    website: str | None = None
    """The website that was to be moved, if it is a move."""
