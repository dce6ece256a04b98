"""Every world settles within a bounded number of actions, then stays still, and is what the oracle says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from datetime import datetime
from itertools import combinations

import pytest

from lib.model import ActionKind, Actual, Decision, Memory, ServiceKey, ServiceState, Want
from lib.policy import desired, imagine, next_action, observe
from tests.policy.oracle import ANY_REASON, Circumstances, Fate, Verdict, verdict
from tests.policy.worlds import CLEAN_NAME, STATUSES, Case, Impossible, World, cases, plan_of

EVERY = 11
"""Of all worlds one in so many, evenly; tens of thousands remain."""

KEY = ServiceKey("sub_1", 1)


def objections(permitted: Fate, start: Circumstances, end: World, judged: Verdict) -> Iterator[str]:
    """Why this end is not the permitted one."""
    found, service = end.panel(KEY), end.service(KEY)
    kinds = {action.kind for action in end.done}
    if permitted is Fate.NOTHING:
        if end.actual.subscriptions or kinds - {ActionKind.RENAME_ORG}:
            yield f"made something: {sorted(kinds)}"
        return
    if permitted is Fate.UNTOUCHED:
        if found != start.panel or any(action.service for action in end.done):
            yield f"touched: {sorted(kinds)}"
        return
    if found is None or service is None:
        yield "is not in the panel"
        return
    if permitted is Fate.DELETED:
        if not found.deleted or service.state is not ServiceState.TERMINATED:
            yield "is not deleted"
        return
    if found.deleted:
        yield "is deleted"
    if start.suspended_by_somebody_else:
        if start.panel is None or found.suspended_by != start.panel.suspended_by:
            yield "somebody else's suspension was changed"
    elif (found.suspended_by is None) is not (permitted is Fate.ON):
        yield f"suspended by {found.suspended_by}"
    if permitted is Fate.ON and service.holds:
        yield f"is held: {sorted(service.holds)}"
    if permitted is Fate.OFF and not judged.holds <= service.holds <= judged.holds | judged.holds_allowed:
        yield f"holds are {sorted(service.holds)}, not {sorted(judged.holds)}"


def disagreements(judged: Verdict, start: Circumstances, end: World, last: Decision) -> list[str]:
    """Where the end of a world is not what the oracle says; empty when they agree."""
    found, service = end.panel(KEY), end.service(KEY)
    tried = {permitted: list(objections(permitted, start, end, judged)) for permitted in judged.fates}
    wrong = [] if any(not reasons for reasons in tried.values()) else [f"{fate}: {why}" for fate, why in tried.items()]

    if found is not None and not found.deleted and start.mapping is not None and start.mapping.plan is not None:
        bought = plan_of(start.mapping.plan)[0]
        if start.panel is None:
            if found.plan_id != bought:
                wrong.append(f"made on plan {found.plan_id}")
        elif judged.plan_moves is True and found.plan_id != bought:
            wrong.append(f"stays on plan {found.plan_id}")
        elif judged.plan_moves is False and found.plan_id != start.panel.plan_id:
            wrong.append(f"moved to plan {found.plan_id}")

    had = start.service is not None and start.service.website_id is not None
    has = service is not None and service.website_id is not None
    if judged.website is True and not has:
        wrong.append("has no website")
    if judged.website is False and has is not had:
        wrong.append("a website was made")

    if judged.fates == {Fate.ON}:
        if end.memory.member_id is None or end.memory.org_name != CLEAN_NAME:
            wrong.append("the customer has no login or no clean name")
        if not end.memory.welcomed and end.policy.welcome != "none":
            wrong.append("nobody sent the set-password mail")
    if end.welcomes > 1:
        wrong.append("two set-password mails")

    shown = {problem.reason for problem in last.problems}
    if judged.parked == frozenset() and shown:
        wrong.append(f"parked for nothing: {sorted(shown)}")
    if judged.parked == ANY_REASON and not shown:
        wrong.append("nobody is told")
    if judged.parked and judged.parked != ANY_REASON and not judged.parked & shown:
        wrong.append(f"nobody is told {sorted(judged.parked)}, only {sorted(shown)}")

    if judged.wakes_at is not None and (last.wait is None or last.wait.at != judged.wakes_at):
        wrong.append(f"wakes at {last.wait}, not at {judged.wakes_at}")
    return wrong


def settled(case: Case, now: datetime | None = None) -> tuple[World, Decision, list[str]]:
    """Run a case to its end, at its own time or later, and say what is wrong with it."""
    world = case.world()
    world.now = now or world.now
    try:
        last = world.run()
        memory, actual = world.memory, world.actual
        again = world.look()
    except Impossible as problem:
        return world, Decision(), [str(problem)]
    wrong = [] if again == last and world.memory == memory and world.actual == actual else ["does not stay still"]
    judged = verdict(case.circumstances(world.now))
    wrong += [f"{why} ({judged.why})" for why in disagreements(judged, case.circumstances(world.now), world, last)]
    return world, last, wrong


def _report(failures: list[tuple[Case, list[str]]], count: int) -> str:
    lines = [f"{len(failures)} of {count} worlds:"]
    lines += [f"{case}: {'; '.join(wrong)}" for case, wrong in failures[:12]]
    return "\n".join(lines)


@pytest.mark.parametrize("status", STATUSES)
def test_thinning_loses_no_pair_of_circumstances(status: str) -> None:
    """Whatever two parts of a world can meet do meet in the worlds that are tried."""

    def pairs(every: int) -> set[object]:
        return {pair for case in cases(status, every) for pair in combinations(enumerate(astuple(case)), 2)}

    assert pairs(EVERY) == pairs(1)


@pytest.mark.parametrize("status", STATUSES)
def test_every_world_settles_as_the_oracle_says(status: str) -> None:
    """Acting until told to stop ends soon, stays still, and leaves what the design's text demands."""
    failures, count = [], 0
    for case in cases(status, EVERY):
        count += 1
        wrong = settled(case)[2]
        if wrong:
            failures.append((case, wrong))
    assert count > 100
    assert not failures, _report(failures, count)


@pytest.mark.parametrize("status", [name for name in STATUSES if name.startswith(("past_due", "unpaid", "canceled"))])
def test_a_world_that_waits_is_right_when_it_wakes(status: str) -> None:
    """At the very moment for which a pass asked to be woken, the next pass does what is due then."""
    failures, count = [], 0
    for case in cases(status, EVERY * 7):
        _, last, wrong = settled(case)
        if wrong or last.wait is None:
            continue
        count += 1
        wrong = settled(case, last.wait.at)[2]
        if wrong:
            failures.append((case, wrong))
    assert not failures, _report(failures, count)


def _shape(memory: Memory, actual: Actual) -> object:
    """A world without the ids that only a real panel gives."""
    numbers = {found.id: place for place, found in enumerate(actual.subscriptions)}

    def there(value: object) -> bool:
        return value is not None

    return (
        (there(memory.org_id), memory.org_name, there(memory.login_id), there(memory.member_id), memory.welcomed),
        [
            (
                s.key,
                s.item_id,
                s.plan,
                s.state,
                s.holds,
                s.domain,
                there(s.website_id),
                there(s.suspended_by),
                numbers.get(s.panel_subscription_id or 0),
            )
            for s in memory.services
        ],
        [(s.friendly_name, s.deleted, there(s.suspended_by)) for s in actual.subscriptions],
    )


@pytest.mark.parametrize("status", STATUSES)
def test_imagining_goes_where_acting_goes(status: str) -> None:
    """A dry run names exactly the changes that a live run makes, and imagines the world that results from them."""
    for case in cases(status, EVERY * 7):
        real = case.world()
        real.memory = observe(real.memory, real.actual)
        memory, actual = real.memory, real.actual
        for _ in range(14):
            wanted = desired(real.payer, memory, real.catalogue, real.policy, real.now)
            remembered = {service.key for service in memory.services}
            memory = replace(memory, services=tuple(goal.service for goal in wanted.goals))
            dry = next_action(real.payer, wanted, memory, actual, real.policy, real.now)
            decision = real.look()
            assert _spoken(dry) == _spoken(decision), case
            assert _shape(memory, actual) == _shape(real.memory, real.actual), case
            assert remembered <= {service.key for service in memory.services}, case
            if dry.action is None or decision.action is None:
                break
            before = {s.key: s for s in memory.services}
            memory, actual = imagine(dry.action, memory, actual)
            real.apply(decision.action)
            changed = {s.key for s in memory.services if s != before[s.key]}
            assert changed <= {dry.action.service}, case
        else:
            pytest.fail(f"does not end: {case}")


def _spoken(decision: Decision) -> object:
    """What a decision says, without the plan's name that a dry run can't know."""
    action = decision.action
    details = {} if action is None else {name: value for name, value in action.details.items() if name != "from"}
    return (action and (action.kind, action.rule, action.service), details, decision.wait, decision.problems)


@pytest.mark.parametrize("status", STATUSES)
def test_a_goal_that_is_kept_leaves_the_memory_alone(status: str) -> None:
    """Not being able to tell never changes the holds, the state, the plan or the ids that we remember."""
    for case in cases(status, EVERY * 7):
        start = case.world()
        wanted = desired(start.payer, start.memory, start.catalogue, start.policy, start.now)
        for goal in wanted.goals:
            before = start.service(goal.key)
            if goal.want is Want.KEEP and before is not None:
                after = goal.service
                assert (after.holds, after.state, after.plan, after.suspended_by) == (
                    before.holds,
                    before.state,
                    before.plan,
                    before.suspended_by,
                ), case
