"""Finding our own things again: what the panel shows, laid onto what we remember. Pure, and done before deciding."""

from __future__ import annotations

from collections.abc import Sequence

from lib.model import Actual, Memory, PanelSubscription, Payer, Problem, Service, ServiceState, Wanted
from lib.model.reason import Reason
from lib.policy.naming import marks
from lib.policy.plan_references import on_plan
from lib.structs import replace


def recognise(services: Sequence[Service], actual: Actual) -> tuple[tuple[Service, ...], tuple[Problem, ...]]:
    """The services with the panel ids that our marks prove, and the marks that stand there twice.

    A creation whose answer was lost is found here, before anything is created again.
    """
    by_mark: dict[tuple[str, int], list[PanelSubscription]] = {}
    for found in sorted(actual.subscriptions, key=lambda s: s.id):
        if not found.deleted:
            for marked in marks(found.friendly_name):
                by_mark.setdefault(marked, []).append(found)
    recognised, problems = [], []
    for service in services:
        same = by_mark.get((service.key.subscription_id, service.key.slot), [])
        if not service.made and same:
            service = replace(
                service,
                panel_subscription_id=same[0].id,
                panel_plan_id=same[0].plan_id,
                state=ServiceState.LIVE,
            )
        if len(same) > 1:
            ids = ", ".join(str(s.id) for s in same)
            detail = f"panel subscriptions {ids} all carry the mark of {service.key}; delete the surplus by hand"
            problems.append(Problem(Reason.DUPLICATE_IN_PANEL, detail, str(service.key)))
        recognised.append(service)
    return tuple(recognised), tuple(problems)


def observe(memory: Memory, actual: Actual) -> Memory:
    """What the panel shows, as we are to remember it: who suspended, on which plan, whether it still lives."""
    by_id = {s.id: s for s in actual.subscriptions}
    services = []
    for service in memory.services:
        found = by_id.get(service.panel_subscription_id or 0)
        if found is not None and not found.deleted and service.state is not ServiceState.TERMINATED:
            ours = service.suspension_is_ours(found.suspended_by)
            service = replace(
                service,
                panel_plan_id=found.plan_id,
                # Forgotten once somebody lifted it: a later suspension with the same value is not ours.
                suspended_by=service.suspended_by if ours else None,
                panel_suspended=found.suspended_by is not None and not ours,
                state=ServiceState.SUSPENDED if ours else ServiceState.LIVE,
            )
        services.append(service)
    return replace(memory, services=tuple(services))


def plans_arrived(memory: Memory, wanted: Wanted, actual: Actual, payer: Payer) -> Memory:
    """Memory with the plans that turn out to be true already, such as one whose mapping only spells it otherwise.

    Without it each pass would ask once more whether the change has been paid.
    """
    by_id = {s.id: s for s in actual.subscriptions if not s.deleted}
    arrived = {}
    for goal in wanted.goals:
        found = by_id.get(goal.service.panel_subscription_id or 0)
        if (
            found is not None
            and goal.plan not in (None, goal.service.plan)
            and on_plan(found, goal.plan, actual.plans or ())
        ):
            arrived[goal.key] = goal.plan
    if not arrived:
        return memory
    return replace(
        memory,
        services=tuple(
            replace(s, plan=arrived[s.key], plan_since=payer.as_of) if s.key in arrived else s for s in memory.services
        ),
    )
