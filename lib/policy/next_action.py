"""The one change that leads from what is to what should be; the order is: who paid first, deletions last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from lib.config import Policy
from lib.model import (
    Action,
    ActionKind,
    Actual,
    AddOwner,
    ChangePlan,
    CreateLogin,
    CreateOrg,
    CreateSubscription,
    CreateWebsite,
    Decision,
    Facts,
    Goal,
    Hold,
    Intent,
    Mark,
    Memory,
    MoveWebsite,
    PanelSubscription,
    Payer,
    Problem,
    RenameOrg,
    Resume,
    SendWelcome,
    Subject,
    Suspend,
    Terminate,
    Wait,
    Want,
    Wanted,
)
from lib.model.reason import Reason, Rule, WaitReason
from lib.policy.naming import clean_name, friendly_name, mark, marked_name, marks
from lib.policy.plan_references import on_plan, plan_number

MAY_STILL_APPEAR = {
    ActionKind.CREATE_ORG: (timedelta(seconds=30), timedelta(seconds=90)),
    ActionKind.CREATE_SUBSCRIPTION: (timedelta(seconds=30), timedelta(seconds=90)),
    ActionKind.CREATE_WEBSITE: (timedelta(seconds=90), timedelta(minutes=5)),
    ActionKind.SUSPEND: (timedelta(seconds=10), timedelta(seconds=90)),
    ActionKind.MOVE_WEBSITE: (timedelta(seconds=10), timedelta(seconds=90)),
}
"""How long an action may still take effect: (the panel answered with an error, the answer was lost). It counts from the
end of the last try, or from the intent when nobody was left to write that down.

Only afterwards does not finding it mean that it never happened. Creating a website is the slow one: panels have been
seen to finish it long after the client gave up; the other creations get three times what a client waits for. A
suspension is here because one that appears unexpected would be taken for somebody else's and never be lifted; a move of
a website because what it was moved for may have ended when it comes late.
"""


LOOK_SOONEST, LOOK_LATEST = timedelta(seconds=10), timedelta(seconds=60)
"""How long to wait between looks for what may still appear; the panel's slow call is done within a minute or two."""


def outcome_known_at(intent: Intent) -> datetime:
    """When not finding the result of `intent` begins to mean that it never happened."""
    answered, lost = MAY_STILL_APPEAR.get(intent.action.kind, (timedelta(), timedelta()))
    return (intent.lost_at or intent.at) + (answered if intent.answered else lost)


def _look_at(intent: Intent, now: datetime) -> datetime:
    """When to look for an unfinished action again: soon at first, and at the latest when its outcome is known."""
    return min(outcome_known_at(intent), now + min(max(now - intent.at, LOOK_SOONEST), LOOK_LATEST))


def next_action(
    facts: Facts, wanted: Wanted, policy: Policy, now: datetime, blocked: Iterable[Subject] = ()
) -> Decision:
    """At most one action; when there is none, until when to wait and what a person must solve.

    Args:
        blocked: subjects that failed in this pass already; they are left alone and the rest goes on.
    """
    payer, memory, actual = facts.payer, facts.memory, facts.actual
    problems = list(wanted.problems)
    waits = [Wait(goal.wake_at, goal.rule) for goal in wanted.goals if goal.wake_at]
    # Also those that nobody wants any more: a suspension that comes late must be known as ours, and be lifted.
    for intent in (i for i in memory.intents if now < outcome_known_at(i)):
        unknown = f"{intent.action.kind} may still take effect"
        waits.append(Wait(_look_at(intent, now), WaitReason.OUTCOME_UNKNOWN, unknown))

    if memory.org_id is not None and actual.org_gone:
        if any(_is_missed(goal) for goal in wanted.goals):
            remedy = f"organisation {memory.org_id} is gone from the panel; restore it there, or recreate it"
            problems.append(Problem(Reason.PANEL_DELETED, remedy, memory.org_id))
        return Decision(problems=tuple(problems))

    present, deleted = _lay_on(wanted, actual)
    in_doubt = {intent.action.subject for intent in memory.intents if now < outcome_known_at(intent)}
    impossible = in_doubt.union(blocked)
    candidates = _candidates(facts, wanted, present, policy)
    action = next((action for action in candidates if action.subject not in impossible), None)
    if action is not None:
        return Decision(action=action)
    problems += [*deleted, *_no_login(payer, wanted, memory)]
    return Decision(wait=min(waits, key=lambda w: w.at, default=None), problems=tuple(dict.fromkeys(problems)))


def _lay_on(wanted: Wanted, actual: Actual) -> tuple[list[tuple[Goal, PanelSubscription]], list[Problem]]:
    """The goals with what the panel has for them, and those whose hosting somebody deleted there."""
    by_id = {s.id: s for s in actual.subscriptions}
    present: list[tuple[Goal, PanelSubscription]] = []
    problems: list[Problem] = []
    for goal in wanted.goals:
        number = goal.service.panel_subscription_id
        if number is None:
            continue
        found = by_id.get(number)
        if found is not None and not found.deleted:
            present.append((goal, found))
        elif _is_missed(goal):
            remedy = f"hosting subscription {number} of {goal.key} was deleted in the panel"
            problems.append(Problem(Reason.PANEL_DELETED, f"{remedy}; restore it there, or recreate it", str(goal.key)))
    return present, problems


def _candidates(
    facts: Facts, wanted: Wanted, present: list[tuple[Goal, PanelSubscription]], policy: Policy
) -> Iterator[Action]:
    """Every change that is due, most urgent first; later ones may depend on earlier ones."""
    payer, memory, plans = facts.payer, facts.memory, facts.actual.plans or ()
    for goal, found in present:
        if goal.want is Want.ON and goal.service.suspension_is_ours(found.suspended_by):
            yield Resume(goal.rule, goal.key)
    yield from _provision(payer, wanted, memory)
    for goal, found in present:
        if goal.want is Want.ON and goal.plan is not None and not on_plan(found, goal.plan, plans):
            yield ChangePlan(goal.plan_rule or goal.rule, goal.key, goal.plan, found.plan_name)
    yield from _websites(present)
    for goal, found in present:
        if mark(goal.key) not in found.friendly_name and not goal.service.adopted and goal.want is Want.ON:
            yield Mark(Rule.OUR_MARK, goal.key, f"{found.friendly_name} {mark(goal.key)}".strip())
    name = clean_name(payer, memory)
    # Of who was erased no name is remembered: only the mark that a new organisation carries at first is taken off.
    stale = bool(marks(memory.org_name or "")) if memory.erased else memory.org_name != name
    nameless = memory.erased and name == payer.id  # the name that it had is not ours to know, and not to be lost
    if memory.org_id is not None and stale and not (payer.deleted or nameless or memory.linked):
        yield RenameOrg(Rule.NAME_FOLLOWS_STRIPE, name)
    if policy.welcome == "panel_recovery" and not memory.welcomed and memory.member_id and payer.email:
        if any(goal.want is Want.ON for goal, _ in present):
            yield SendWelcome(Rule.FIRST_SERVICE)
    for goal, found in present:
        if goal.want is Want.OFF and found.suspended_by is None:
            yield Suspend(goal.rule, goal.key, goal.service.holds)
    waiting = tuple(sorted({goal.awaits for goal in wanted.goals if goal.awaits}))
    for goal, _ in present:
        if goal.want is Want.GONE:
            yield Terminate(goal.rule, goal.key, waiting)


def _websites(present: list[tuple[Goal, PanelSubscription]]) -> Iterator[Action]:
    """The websites that are missing: fetched from the ended service that has it, else made."""
    by_key = {goal.key: (goal.service, found) for goal, found in present}
    for goal, found in present:
        service = goal.service
        if goal.want is not Want.ON or not goal.create_website or not service.domain or service.website_id is not None:
            continue
        if found.suspended_by is not None:  # the panel refuses websites on a suspended subscription
            continue
        if goal.website_from in by_key:
            source, old = by_key[goal.website_from]
            yield MoveWebsite(Rule.WIN_BACK, goal.key, service.domain, source.website_id, source.key, old.id, found.id)
        else:
            yield CreateWebsite(goal.rule, goal.key, service.domain, goal.server_group_id)


def _to_provide_for(wanted: Wanted, memory: Memory) -> list[Goal]:
    """The goals for whose sake organisation, login and owner must exist; none while all that is wanted is complete."""
    on = [goal for goal in wanted.goals if goal.want is Want.ON]
    missing = [goal for goal in on if not goal.service.made]
    return missing or ([] if memory.member_id is not None else on)


def _no_login(payer: Payer, wanted: Wanted, memory: Memory) -> list[Problem]:
    """The panel makes no login without an e-mail address."""
    if memory.login_id is not None or payer.email or not _to_provide_for(wanted, memory):
        return []
    return [Problem(Reason.NO_EMAIL, f"customer {payer.id} has no e-mail in Stripe, so no login can be made", payer.id)]


def _provision(payer: Payer, wanted: Wanted, memory: Memory) -> Iterator[Action]:
    """Organisation, login, owner, subscription: each only once the one before it is remembered."""
    goals = _to_provide_for(wanted, memory)
    if not goals or _no_login(payer, wanted, memory):
        return
    rule = goals[0].rule
    if memory.org_id is None:
        yield CreateOrg(rule, marked_name(payer, memory))
        return
    if memory.login_id is None:
        yield CreateLogin(rule)
        return
    if memory.member_id is None:
        yield AddOwner(rule)
        return
    for goal in goals:
        if goal.service.made or goal.plan is None:
            continue
        name = friendly_name(goal.key, goal.service.domain)
        yield CreateSubscription(goal.rule, goal.key, goal.plan, name)


def _is_missed(goal: Goal) -> bool:
    """Whether its deletion in the panel is a surprise: it should be on, or is held for a cause that may be lifted."""
    held = goal.want is Want.OFF and Hold.ENDED not in goal.service.holds
    return held or goal.want in (Want.ON, Want.KEEP)


def unsure_plans(wanted: Wanted, actual: Actual) -> bool:
    """Whether the panel's list of plans is needed to tell who is on the plan that is wanted.

    A mapping names a plan, and the hosting shows another name: it may be another plan, or the same one renamed.
    """
    if actual.plans is not None:
        return False
    present, _ = _lay_on(wanted, actual)
    return any(
        goal.want is Want.ON
        and goal.plan is not None
        and plan_number(goal.plan) is None
        and not on_plan(found, goal.plan)
        for goal, found in present
    )
