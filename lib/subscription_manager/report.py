"""What one pass did, for the log, the admin's answer and the explanation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from lib.model import Action, Again, Goal, Outcome, Parked, Settled


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did, or would do (`dry_run`)."""

    pass_id: str
    customer_id: str
    outcome: Outcome
    actions: tuple[Action, ...]
    goals: tuple[Goal, ...] = ()
    stripe_calls: int = 0
    panel_calls: int = 0
    dry_run: bool = False

    @property
    def decided(self) -> bool:
        """Whether both sides were seen, and it is known what should be."""
        return bool(self.goals) or isinstance(self.outcome, Settled)

    def as_json(self) -> dict[str, Any]:
        """As the admin routes answer it: camelCase, ISO times."""
        return {
            "passId": self.pass_id,
            "customerId": self.customer_id,
            "dryRun": self.dry_run,
            "outcome": _outcome(self.outcome),
            "actions": [action_json(action) for action in self.actions],
            "services": [_goal(goal) for goal in self.goals],
            "stripeCalls": self.stripe_calls,
            "panelCalls": self.panel_calls,
        }


def action_json(action: Action) -> dict[str, Any]:
    """An action as it is shown, done or planned."""
    return {
        "kind": action.kind.value,
        "rule": action.rule,
        "service": str(action.service) if action.service else None,
        "details": {_camel(name): value for name, value in action.details.items()},
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _utc(when: datetime | None) -> str | None:
    return when.astimezone(UTC).isoformat() if when else None


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Settled(wake_at, why):
            return {"state": "settled", "wakeAt": _utc(wake_at), "why": why}
        case Again(error=error, at=at, why=why, problems=problems):
            listed = [asdict(p) for p in problems]
            return {"state": "again", "error": error, "at": _utc(at), "why": why, "problems": listed}
        case Parked(problems, wake_at):
            listed = [asdict(p) for p in problems]
            return {
                "state": "parked",
                "reason": outcome.reason,
                "problems": listed,
                "wakeAt": _utc(wake_at),
            }


def _goal(goal: Goal) -> dict[str, Any]:
    service = goal.service
    return {
        "subscriptionId": service.key.subscription_id,
        "slot": service.key.slot,
        "priceId": service.price_id,
        "want": goal.want.value,
        "rule": goal.rule,
        "state": service.state.value,
        "holds": sorted(service.holds),
        "plan": goal.plan or service.plan,
        "panelSubscriptionId": service.panel_subscription_id,
        "domain": service.domain,
        "websiteId": service.website_id,
        "panelSuspended": service.panel_suspended,
        "graceUntil": _utc(service.grace_until),
        "retainUntil": _utc(service.retain_until),
        "waitsFor": service.waits_for,
    }
