"""Every world settles within a bounded number of actions, then stays still, and is what the oracle says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import combinations, product
from typing import Literal

import pytest

from lib.config import Policy
from lib.model import (
    ActionKind,
    Actual,
    Clock,
    Decision,
    Facts,
    Item,
    Memory,
    PlanMapping,
    ServiceKey,
    ServiceState,
    Want,
)
from lib.model.reason import Reason
from lib.policy import decide, desired, imagine
from tests.policy.oracle import ANY_REASON, Circumstances, Fate, Verdict, verdict
from tests.policy.worlds import (
    CLEAN_NAME,
    INVOICES,
    STATUSES,
    Case,
    Impossible,
    World,
    cases,
    catalogue,
    customer,
    parts,
    payer,
    plan_of,
    service,
    stranger,
    subscription,
    world,
)

EVERY = 107
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

    if judged.marked and found is not None and f"[{KEY}]" not in found.friendly_name:
        wrong.append(f"does not carry our mark: {found.friendly_name}")

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
    factors = list(parts(status))
    possible = {pair for a, b in combinations(factors, 2) for pair in product(a, b)}
    tried = {
        pair
        for case in cases(status, EVERY)
        for pair in combinations(
            (case.invoice, case.paused, case.mapping, (case.memory, case.panel), case.policy, case.money_back), 2
        )
    }
    assert tried == possible


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
        memory, actual = real.memory, real.actual
        for _ in range(14):
            remembered = {service.key for service in memory.services}
            decided = decide(Facts(real.payer, memory, real.catalogue, actual), real.policy, Clock(real.now))
            memory, dry = decided.memory, decided.decision
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


FIRST = {"live": ("trialing", "active", "past_due for 2 days"), "over": ("canceled yesterday", "incomplete_expired")}
SECOND: dict[str, Memory] = {
    "never seen": stranger(),
    "running": customer(service("sub_1"), service("sub_2")),
    "let through by an admin": customer(
        service("sub_1"),
        service("sub_2", released=True, panel_subscription_id=None, website_id=None, state=ServiceState.PENDING),
    ),
}


@pytest.mark.parametrize("choice", ["hold", "provision"])
@pytest.mark.parametrize("price", ["price_1", "price_2"])
@pytest.mark.parametrize("first", [status for kind in FIRST.values() for status in kind])
def test_only_a_second_live_subscription_of_one_price_is_a_double_purchase(
    first: str, price: str, choice: Literal["hold", "provision"]
) -> None:
    """`ON_DOUBLE_PURCHASE=hold` makes nothing of it and says so; what runs already, and whatever differs, runs on."""
    sold = catalogue(PlanMapping("price_1", plan="2"), PlanMapping("price_2", plan="2"))
    doubled = price == "price_1" and choice == "hold" and first in FIRST["live"]
    for status, memory, age in product(FIRST["live"], SECOND, (10, 500)):
        latest = INVOICES["paid"]
        bought = [
            subscription("sub_1", **STATUSES[first], latest=latest),
            subscription("sub_2", items=(Item("si_2", price, 1),), age=age, **STATUSES[status], latest=latest),
        ]
        start = world(payer(*bought), SECOND[memory], sold=sold, policy=Policy(on_double_purchase=choice))
        last = start.run()
        key = ServiceKey("sub_2", 1)
        told = [problem.reason for problem in last.problems].count(Reason.DOUBLE_PURCHASE)
        case = f"{first}, then {status}, {memory}, {age} days old"
        younger = age < 400
        if doubled and younger and memory == "never seen":
            assert (start.panel(key), told) == (None, 1), case
        else:
            found = start.panel(key)
            assert found is not None and found.suspended_by is None, case
        if not doubled:
            assert told == 0, case
