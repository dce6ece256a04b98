"""What one pass did, for the log, the admin's answer and the explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lib.model.outcome import Failed, Parked, Settled, Waits

if TYPE_CHECKING:
    from lib.model.action import Action
    from lib.model.decision import Goal
    from lib.model.facts import Facts
    from lib.model.outcome import Outcome


class PassReport(Struct, frozen=True):
    """What one pass did, or would do (`dry_run`)."""

    pass_id: str
    customer_id: str
    outcome: Outcome
    actions: tuple[Action, ...]
    goals: tuple[Goal, ...] = ()
    stripe_calls: int = 0
    panel_calls: int = 0
    dry_run: bool = False
    seen: Facts | None = None
    """What was seen, before anything was changed or imagined. `None`: Stripe is away, or knows nobody of this id."""
    looked: bool = False
    """Whether the panel's side of it was seen as well."""

    @property
    def decided(self) -> bool:
        """Whether both sides were seen, and it is known what should be."""
        return bool(self.goals) or isinstance(self.outcome, Settled)

    @property
    def said(self) -> str:
        """How it ended, in the words of its error or its first problem."""
        match self.outcome:
            case Settled():
                return "nothing is to be done"
            case Waits():
                return self.outcome.detail or self.outcome.why
            case Failed():
                return self.outcome.error
            case Parked():
                return self.outcome.problems[0].detail


def action_json(action: Action) -> dict[str, Any]:
    """An action as it is written down and shown, done or planned."""
    return {
        "kind": action.kind.value,
        "rule": action.rule,
        "service": str(action.service) if action.service else None,
        "details": {_camel(name): value for name, value in action.details.items()},
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
