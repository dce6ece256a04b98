"""A pass as the admin routes answer it: what it did, or would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Self

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from lib.model import Action, Failed, Goal, Outcome, Parked, Problem, Settled, Waits
from lib.model.reason import remedy
from lib.model.report import PassReport, action_json
from lib.web.typed import View


class ProblemView(View):
    """Something that only a person can solve."""

    reason: str
    detail: str
    subject: str
    remedy: str


def problem_views(problems: Iterable[Problem | Mapping[str, Any]]) -> list[ProblemView]:
    """Each problem with what to do about it."""
    plain = [asdict(problem) if isinstance(problem, Problem) else dict(problem) for problem in problems]
    return [ProblemView(**{**problem, "remedy": remedy(problem["reason"])}) for problem in plain]


class ActionView(View):
    """A change in the panel, done or planned."""

    kind: str
    rule: str
    service: str | None
    details: dict[str, Any]

    @classmethod
    def of_action(cls, action: Action) -> Self:
        return cls(**action_json(action))


class SettledView(View, tag_field="state", tag="settled"):
    """Both sides are equal."""

    wake_at: datetime | None
    why: str | None


class AgainView(View, tag_field="state", tag="again"):
    """It failed, or waits for something, and runs again by itself."""

    error: str
    at: datetime | None
    why: str | None
    problems: list[ProblemView]


class ParkedView(View, tag_field="state", tag="parked"):
    """A person must act."""

    reason: str
    problems: list[ProblemView]
    wake_at: datetime | None


OutcomeView = SettledView | AgainView | ParkedView


def outcome_view(outcome: Outcome) -> OutcomeView:
    """How a pass ended."""
    match outcome:
        case Settled():
            return SettledView.of(outcome)
        case Waits():
            said, problems = outcome.detail, problem_views(outcome.problems)
            return AgainView(error=said, at=outcome.at, why=outcome.why, problems=problems)
        case Failed():
            return AgainView.of(outcome, problems=problem_views(outcome.problems))
        case Parked():
            return ParkedView.of(outcome, problems=problem_views(outcome.problems))


class GoalView(View):
    """What should be true of a service, and by which rule."""

    subscription_id: str
    slot: int
    price_id: str
    want: str
    rule: str
    state: str
    holds: list[str]
    plan: str | None
    panel_subscription_id: int | None
    domain: str | None
    website_id: str | None
    panel_suspended: bool
    grace_until: datetime | None
    retain_until: datetime | None
    waits_for: str | None

    @classmethod
    def of_goal(cls, goal: Goal) -> Self:
        service = goal.service
        return cls.of(
            service,
            subscription_id=service.key.subscription_id,
            slot=service.key.slot,
            want=goal.want.value,
            rule=goal.rule,
            waits_for=service.wait_reason,
            holds=sorted(service.holds),
            plan=goal.plan or service.plan,
        )


class PassView(View):
    """What one pass did, or would do (`dryRun`)."""

    pass_id: str
    customer_id: str
    dry_run: bool
    outcome: OutcomeView
    actions: list[ActionView]
    services: list[GoalView]
    stripe_calls: int
    panel_calls: int

    @classmethod
    def of_report(cls, report: PassReport, **more: Any) -> Self:
        return cls.of(
            report,
            outcome=outcome_view(report.outcome),
            actions=[ActionView.of_action(action) for action in report.actions],
            services=[GoalView.of_goal(goal) for goal in report.goals],
            **more,
        )


class ActedView(PassView, kw_only=True):
    """What an admin asked for, and what the pass then did."""

    action: str
    held: list[str] | UnsetType = UNSET
    """Services that are off by an admin's word by now."""
    not_held: list[str] | UnsetType = UNSET
    """Services that are still on: the panel could not be told."""
