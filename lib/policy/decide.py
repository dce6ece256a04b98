"""The whole decision about one customer in one call, for passes, dry runs, explanations and whoever looks ahead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lib.config import Policy
from lib.model import ActionKind, Clock, Decided, Facts, Memory, Payer, Question, Read, Subject, Want, Wanted
from lib.model.reason import Reason
from lib.policy.checkout_domain import seeking_on, sought_domains
from lib.policy.desired import desired
from lib.policy.naming import readable
from lib.policy.next_action import next_action, unsure_plans
from lib.policy.recognise import observe, plans_arrived, recognise
from lib.structs import replace

_NEVER_BEGUN = (Reason.DOUBLE_PURCHASE, Reason.NEVER_PAID)
"""Rules of what was never to be made and is remembered all the same: a person may let it through."""


def decide(facts: Facts, policy: Policy, clock: Clock, blocked: Iterable[Subject] = ()) -> Decided:
    """Lay the panel onto memory, say what should be, and find the one change that leads there.

    Args:
        blocked: subjects that failed in this pass already; they are left alone and the rest goes on.
    """
    facts, wanted = _wanted(facts, policy, clock)
    reads = _reads(facts, wanted, clock)
    impossible = set(blocked)
    if _without_plans(facts):
        impossible |= {(ActionKind.CHANGE_PLAN, goal.key) for goal in wanted.goals}
    facts = replace(facts, memory=_remembering(facts.memory, wanted, facts.payer))
    decision = next_action(facts, wanted, policy, clock.here, impossible)
    return Decided(facts.memory, wanted, decision, reads)


def _wanted(facts: Facts, policy: Policy, clock: Clock) -> tuple[Facts, Wanted]:
    """What should be, with the panel ids that our marks prove, and the plans that turn out to be true already."""

    def want(memory: Memory) -> Wanted:
        return desired(facts.payer, memory, facts.catalogue, policy, clock.stripe)

    memory = observe(facts.memory, facts.actual)
    wanted = want(memory)
    services, doubles = recognise([goal.service for goal in wanted.goals], facts.actual)
    if services != tuple(goal.service for goal in wanted.goals):
        known = {service.key: service for service in memory.services}
        known.update({service.key: service for service in services if service.made})
        memory = replace(memory, services=tuple(known.values()))
        wanted = want(memory)
    arrived = plans_arrived(memory, wanted, facts.actual, facts.payer)
    if arrived != memory:
        memory, wanted = arrived, want(arrived)
    goals = tuple(replace(goal, wake_at=clock.ours(goal.wake_at)) if goal.wake_at else goal for goal in wanted.goals)
    wanted = seeking_on(Wanted(goals, (*wanted.problems, *doubles)), memory, clock.here)
    return replace(facts, memory=memory), wanted


def _reads(facts: Facts, wanted: Wanted, clock: Clock) -> tuple[Read, ...]:
    """What must be read before this is certain: of one kind at a time, for each may make others needless."""
    sought = sought_domains(wanted, facts.memory, clock.here)
    plans = [(facts.payer.id, Question.PLANS)] if unsure_plans(wanted, facts.actual) else []
    for kind in (wanted.questions, [(subscription_id, Question.DOMAIN) for subscription_id in sought], plans):
        if left := tuple(read for read in kind if read not in facts.tried):
            return left
    return ()


def _without_plans(facts: Facts) -> bool:
    """Whether the panel's plans are needed and can't be read: nobody is moved meanwhile."""
    return facts.actual.plans is None and (facts.payer.id, Question.PLANS) in facts.tried


def _remembering(memory: Memory, wanted: Wanted, payer: Payer) -> Memory:
    """Memory with the goals' services: those that exist already, and new ones once they are to be made.

    Who has a problem is remembered without any, by name and address: somebody will ask for them by that.
    """
    known = {service.key: service for service in memory.services}
    for goal in wanted.goals:
        if goal.key in known or goal.want is Want.ON or goal.rule in _NEVER_BEGUN:
            known[goal.key] = goal.service
    if not known and not memory.known and not wanted.problems:
        return memory
    return replace(
        memory,
        known=True,
        services=tuple(known.values()),
        email=None if memory.erased else payer.email or memory.email,
        name=None if memory.erased else payer.name if readable(payer.name) else memory.name,
    )


def with_domain(memory: Memory, wanted: Wanted, subscription_id: str, domain: str | None, now: datetime) -> Memory:
    """Memory once the Checkout session of a subscription was asked for its domain; the first service gets it.

    Args:
        now: the database's time.
    """
    known = {service.key: service for service in memory.services}
    for goal in wanted.goals:
        if goal.key.subscription_id == subscription_id and goal.want is Want.ON:
            known[goal.key] = replace(goal.service, domain_sought_at=now, domain=domain)
            domain = None  # one domain was typed
    return replace(memory, services=tuple(known.values()))
