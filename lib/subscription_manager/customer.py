"""One pass for one customer: truth, memory, panel, decide, act, look again, until there is nothing left to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from lib import tally
from lib.config import Settings
from lib.database import Database, ledger
from lib.database import memory as memories
from lib.database import shadow as shadows
from lib.database.customers import remember_customer
from lib.database.services import remember_services
from lib.database.subscriptions import Said, remember_said
from lib.errors import DatabaseUnavailable, Denied, LeaseLost, NotFound, OutcomeUnknown, Refused, Retryable
from lib.log import get_logger
from lib.model import (
    Action,
    ActionKind,
    Actual,
    Catalogue,
    Failed,
    Invoice,
    Memory,
    Outcome,
    Parked,
    Payer,
    Problem,
    Question,
    ServiceKey,
    Settled,
    Subject,
    Waits,
    Want,
    Wanted,
)
from lib.policy import (
    InvalidDomain,
    desired,
    fingerprint,
    imagine,
    next_action,
    normalise_domain,
    observe,
    paid_after_end,
    payable,
    plans_arrived,
    readable,
    recognise,
    seeking_on,
    settles_at,
    sought_domains,
    unsure_plans,
    with_money_back,
)
from lib.subscription_manager.apply import Applier
from lib.subscription_manager.ask import answer
from lib.subscription_manager.interrupted import Interrupted
from lib.subscription_manager.panel import Panel
from lib.subscription_manager.report import PassReport, action_json
from lib.subscription_manager.step import Pass, Waiting

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

log = get_logger()

MAX_ACTIONS = 100
"""No customer needs so many in one pass; a policy that never comes to rest must not hammer the panel."""

LONGEST_PASS = 60.0
"""Seconds after which a pass that has done something begins nothing more, and lets another customer have its place."""

MAX_FAILURES = 3
"""After so many failures of one kind of action in one pass the panel, not the service, is the likely cause: the rest of
that kind goes back to the queue, and every other kind goes on."""

CLOCKS_AGREE = timedelta(seconds=5)
"""Below this the difference of two clocks is only the way between them."""

REFUSED_AGAIN = timedelta(minutes=15)
"""When a pass that was refused before it could decide anything is tried again by itself."""

FRESH = 2.0
"""Seconds for which what was seen in the panel is good enough to suspend on."""

TIME_TO_ACT = 15.0
"""Seconds before the deadline after which no further action is begun."""


@dataclass(slots=True)
class _State:
    """The world as one pass knows it; replaced piece by piece as it looks and acts."""

    payer: Payer
    memory: Memory
    stored: Memory
    """The memory as the database has it; `_save` writes the difference."""
    catalogue: Catalogue
    actual: Actual = field(default_factory=Actual)
    asked: set[str] = field(default_factory=set)
    """Subscriptions whose Checkout session this pass has asked for a domain."""
    questions: set[tuple[str, Question]] = field(default_factory=set)
    """What else this pass has asked Stripe, answered or not."""
    actions: list[Action] = field(default_factory=list)
    blocked: set[Subject] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    errors: list[Retryable] = field(default_factory=list)
    failures: Counter[ActionKind] = field(default_factory=Counter)
    looked_at: float = 0.0
    """When the panel was looked at last, on the steady clock."""


class Reconciler:
    """Runs passes: the one place where truth, memory, panel and policy meet."""

    def __init__(self, settings: Settings, db: Database, stripe: StripeClient, enhance: EnhanceClient) -> None:
        self._settings = settings
        self._db = db
        self._stripe = stripe
        self._enhance = enhance

    async def run(
        self,
        customer_id: str,
        *,
        lease_id: str,
        now: datetime,
        pass_id: str | None = None,
        deadline: float | None = None,
        dry_run: bool = False,
        actor: str = "bridge",
        edit: Callable[[Catalogue], Catalogue] | None = None,
    ) -> PassReport:
        """Bring one customer to rest. Failures of the other sides become the outcome, never an exception.

        Args:
            lease_id: the lease under which the panel may be changed; unused in a dry run.
            now: the database's time; what follows counts from it with this process's steady clock.
            deadline: on the steady clock (`time.monotonic`), when this process must have come to an end.
            dry_run: change nothing and write nothing; report what would be done.
            edit: what would be sold instead, in a dry run.

        Raises:
            DatabaseUnavailable: it can't be remembered what happens. LeaseLost: somebody else has this customer.
        """
        began = time.monotonic()
        pass_id = pass_id or str(uuid4())
        calls = tally.begin()
        state: _State | None = None
        wanted = Wanted(())
        try:
            state = await self._observe(customer_id, edit)
            if state is None:
                outcome: Outcome = Settled()
            else:
                current = Pass(pass_id, lease_id, state.payer, self._settings, actor)
                clock = _clock(now, began, deadline, state.payer)
                shadow = self._settings.provisioning_mode == "shadow"
                outcome, wanted = await self._to_rest(state, current, clock, dry_run=dry_run or shadow)
                if not dry_run:
                    await self._conclude(state, current, outcome, shadow=shadow)
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Refused as error:
            # Nothing could be decided, no date either: it is not left to the sweep alone.
            outcome = Parked((Problem(error.reason, str(error), customer_id),), now + REFUSED_AGAIN)
        except Retryable as error:
            outcome = _ended(error, now)
        return PassReport(
            pass_id=pass_id,
            customer_id=customer_id,
            outcome=outcome,
            actions=tuple(state.actions) if state else (),
            goals=wanted.goals,
            stripe_calls=calls["stripe"],
            panel_calls=calls["panel"],
            dry_run=dry_run or self._settings.provisioning_mode == "shadow",
        )

    async def _conclude(self, state: _State, current: Pass, outcome: Outcome, *, shadow: bool) -> None:
        """Remember what Stripe said, for the sweep to compare with; in shadow mode also what would be done."""
        if shadow:
            planned = [_shown(action, erased=state.memory.erased) for action in state.actions]
            if await shadows.remember(self._db, state.payer.id, planned):
                facts = [
                    ledger.Fact(
                        str(uuid4()), "planned", a.kind, state.payer.id, a.service, a.rule,
                        pass_id=current.id, actor=current.actor,
                    )
                    for a in state.actions
                ]  # fmt: skip
                await ledger.record(self._db, facts)
        if isinstance(outcome, Waits | Failed):
            return
        said = [
            Said(s, fingerprint(s, self._settings.policy), closed=s.status == "canceled" and not payable(s))
            for s in state.payer.subscriptions
        ]
        changed = [s for s in said if s.is_news(state.stored)]
        looked_at = [s for s in said if s.subscription.invoices is not None or s in changed]
        if notes := [_late_money(current, s, i) for s in looked_at for i in paid_after_end(s.subscription)]:
            for note in await ledger.record(self._db, notes):
                log.warning("paid_after_end", customer=current.payer.id, note=note)
        if changed:
            await remember_said(self._db, state.memory, changed, current.lease_id)

    async def _observe(self, customer_id: str, edit: Callable[[Catalogue], Catalogue] | None = None) -> _State | None:
        """Truth and memory; `None` for somebody who never bought anything and of whom we remember nothing."""
        memory, catalogue = await memories.load(self._db, customer_id)
        if edit is not None:
            catalogue = edit(catalogue)
        known = bool(memory.services or memory.intents) or memory.org_id is not None
        try:
            payer = await self._stripe.payer(customer_id, memory.heard_of, known=known)
        except NotFound as error:
            if known:
                said = f"Stripe does not know customer {customer_id}, whom we remember; nothing was changed: {error}"
                raise NotFound("unknown_customer", said) from error
            log.info("customer_unknown", error=str(error))
            return None
        if not payer.subscriptions and not known:
            return None
        return _State(with_money_back(payer, memory), memory, memory, catalogue)

    async def _to_rest(self, state: _State, current: Pass, clock: _Clock, *, dry_run: bool) -> tuple[Outcome, Wanted]:
        panel = Panel(self._db, self._enhance, current)
        state.actual = await panel.look(state.memory, doubt=True)
        state.looked_at = time.monotonic()
        state.memory = observe(state.memory, state.actual)
        wanted = await self._want(state, current, clock, dry_run=dry_run)
        if state.memory.intents and not dry_run:
            state.memory, state.actual = await Interrupted(panel).settle(state.memory, state.actual, clock.now())
            state.stored = state.memory
            wanted = await self._want(state, current, clock, dry_run=dry_run)
        for _ in range(MAX_ACTIONS):
            await self._know_plans(panel, wanted, state)
            decision = next_action(
                state.payer,
                wanted,
                state.memory,
                state.actual,
                self._settings.policy,
                clock.now(),
                state.blocked,
            )
            if decision.action is None:
                break
            if (
                decision.action.kind is ActionKind.SUSPEND
                and not dry_run
                and time.monotonic() > state.looked_at + FRESH
            ):
                # Minutes may have passed over websites: what somebody suspended meanwhile must not become ours.
                state.actual = await panel.look(state.memory)
                state.looked_at = time.monotonic()
                continue
            if decision.action.subject in {action.subject for action in state.actions}:
                _stand_still(decision.action, state)
                continue
            if state.actions and not dry_run and time.monotonic() > clock.began + LONGEST_PASS:
                state.errors.append(Waiting("it goes on after others", why="more_to_do", again=timedelta()))
                break
            if clock.short():
                state.errors.append(Waiting("this invocation ends soon", why="time", again=timedelta()))
                break
            await self._act(Applier(panel), decision.action, state, dry_run=dry_run)
            wanted = await self._want(state, current, clock, dry_run=dry_run)
            for kind, times in state.failures.items():
                if times >= MAX_FAILURES:
                    state.blocked |= {(kind, goal.key) for goal in wanted.goals}
        else:
            more = f"more to do after {MAX_ACTIONS} actions"
            return Waits(clock.now(), "more_to_do", more, decided=bool(wanted.goals)), wanted
        state.memory = plans_arrived(observe(state.memory, state.actual), wanted, state.actual, state.payer)
        if not dry_run:
            await self._save(state, current)
        problems = tuple(dict.fromkeys([*decision.problems, *state.problems]))
        wait = decision.wait
        if state.errors:
            failures = [error for error in state.errors if not isinstance(error, Waiting)]
            waits = [error for error in state.errors if isinstance(error, Waiting)]
            dates = [goal.wake_at for goal in wanted.goals if goal.wake_at is not None]
            dates += [clock.now() + error.again for error in waits]
            own = [error for error in failures if not isinstance(error, Denied)]
            first = (own or failures or waits)[0]
            wake_at = min(dates, default=None)
            # A release of the brake must find them, whatever failed or is waited for besides.
            why = next((wait.why for wait in waits if wait.why == "brake"), waits[0].why if waits else None)
            ended, decided = _ended(first, clock.now()), bool(wanted.goals)
            if isinstance(ended, Waits):
                ended = replace(ended, at=wake_at or ended.at, why=why or ended.why)
                return replace(ended, problems=problems, decided=decided), wanted
            return replace(ended, why=why, problems=problems, wake_at=wake_at, decided=decided), wanted
        if wait is not None and any(clock.now() < settles_at(intent) for intent in state.memory.intents):
            # No success yet: the failures in a row are not forgotten over it.
            return Waits(wait.at, wait.why, wait.why, problems, bool(wanted.goals)), wanted
        if problems:
            return Parked(problems, wait.at if wait else None), wanted
        return Settled(wait.at if wait else None, wait.why if wait else None), wanted

    async def _know_plans(self, panel: Panel, wanted: Wanted, state: _State) -> None:
        """Read the panel's plans where a name alone does not tell; while they can't be read nobody is moved."""
        if not unsure_plans(wanted, state.actual):
            return
        try:
            state.actual = await panel.with_plans(state.actual)
        except Refused as error:
            state.problems.append(Problem(error.reason, str(error), state.payer.id))
        except Retryable as error:
            state.errors.append(error)
        else:
            return
        state.actual = replace(state.actual, plans=())
        state.blocked |= {(ActionKind.CHANGE_PLAN, goal.key) for goal in wanted.goals}

    async def _act(self, applier: Applier, action: Action, state: _State, *, dry_run: bool) -> None:
        """Make one change, in a dry run only what leads up to it; what fails is left alone for the rest of the pass."""
        try:
            if dry_run:
                await applier.foresee(action, state.memory, state.actual)
                state.memory, state.actual = imagine(action, state.memory, state.actual)
            else:
                state.memory, state.actual = await applier.apply(action, state.memory, state.actual)
                state.stored = state.memory
            state.actions.append(action)
            return
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Refused as error:
            subject = str(action.service or state.payer.id)
            state.problems.append(Problem(error.reason, str(error), subject))
            log.warning("action_refused", action=action.kind, reason=error.reason, error=str(error))
        except Retryable as error:
            state.errors.append(error)
            state.failures[action.kind] += not isinstance(error, Waiting)
            log.warning(
                "action_failed", action=action.kind, error=str(error), unknown=isinstance(error, OutcomeUnknown)
            )
        state.blocked.add(action.subject)
        if dry_run:
            return
        # It may have failed after something was remembered already (an id whose reading back failed).
        state.memory, state.catalogue = await memories.load(self._db, state.payer.id)
        state.stored = state.memory

    async def _want(self, state: _State, current: Pass, clock: _Clock, *, dry_run: bool) -> Wanted:
        """Decide what should be, and remember of it what must outlive this pass."""
        wanted = self._decide(state, clock)
        while open_questions := [asked for asked in wanted.questions if asked not in state.questions]:
            for subscription_id, question in open_questions:
                state.questions.add((subscription_id, question))
                await self._ask(subscription_id, question, state)
            current.payer = state.payer
            wanted = self._decide(state, clock)
        for subscription_id in sought_domains(wanted, state.memory, clock.now()):
            if subscription_id not in state.asked:
                state.asked.add(subscription_id)
                await self._ask_for_domain(subscription_id, wanted, state, clock)
                wanted = self._decide(state, clock)
        state.memory = _remembering(state, wanted)
        if not dry_run:
            await self._save(state, current)
        return wanted

    def _decide(self, state: _State, clock: _Clock) -> Wanted:
        """`desired`, with the panel ids that our marks prove."""
        policy = self._settings.policy
        wanted = desired(state.payer, state.memory, state.catalogue, policy, clock.stripe_now())
        services, problems = recognise([goal.service for goal in wanted.goals], state.actual)
        if services != tuple(goal.service for goal in wanted.goals):
            known = {service.key: service for service in state.memory.services}
            known.update({service.key: service for service in services if service.made})
            state.memory = replace(state.memory, services=tuple(known.values()))
            wanted = desired(state.payer, state.memory, state.catalogue, policy, clock.stripe_now())
        goals = tuple(
            replace(goal, wake_at=clock.ours(goal.wake_at)) if goal.wake_at else goal for goal in wanted.goals
        )
        return seeking_on(Wanted(goals, (*wanted.problems, *problems)), state.memory, clock.now())

    async def _ask(self, subscription_id: str, question: Question, state: _State) -> None:
        """Read what a decision needs; where that fails, what depends on it stays as it is."""
        try:
            state.payer = await answer(self._stripe, state.payer, subscription_id, question)
        except DatabaseUnavailable:
            raise
        except Refused as error:
            state.problems.append(Problem(error.reason, str(error), subscription_id))
        except Retryable as error:
            state.errors.append(error)

    async def _ask_for_domain(self, subscription_id: str, wanted: Wanted, state: _State, clock: _Clock) -> None:
        """Look for the domain that was typed at Checkout. A wrong one stays a problem until it is corrected."""
        try:
            typed = await self._stripe.checkout_domain(subscription_id)
        except DatabaseUnavailable:
            raise
        except Refused as error:  # the rest of the customer goes on without this one's domain
            state.problems.append(Problem(error.reason, str(error), subscription_id))
            return
        except Retryable as error:
            state.errors.append(error)
            return
        try:
            domain = normalise_domain(typed) if typed else None
        except InvalidDomain as error:
            detail = f"{error}; set metadata.domain of {subscription_id} in Stripe"
            state.problems.append(Problem("invalid_domain", detail, subscription_id))
            return
        known = {service.key: service for service in state.memory.services}
        for goal in wanted.goals:
            if goal.key.subscription_id == subscription_id and goal.want is Want.ON:
                known[goal.key] = replace(goal.service, domain_sought_at=clock.now(), domain=domain)
                domain = None  # one domain was typed, so it is the first one's
        state.memory = replace(state.memory, services=tuple(known.values()))

    async def _save(self, state: _State, current: Pass) -> None:
        """Write the difference between memory and database; nothing when there is none."""
        before, after = state.stored, state.memory
        stored = {service.key: service for service in before.services}
        changed = [service for service in after.services if stored.get(service.key) != service]
        if after.known and replace(before, services=(), intents=()) != replace(after, services=(), intents=()):
            await remember_customer(self._db, after, current.lease_id, livemode=current.settings.livemode)
            if before.known and before.email != after.email and after.login_id is not None:
                await ledger.record(self._db, [_email_note(current, after)])
        if changed:
            await remember_services(self._db, after, changed, current.lease_id)
        state.stored = after


@dataclass(frozen=True, slots=True)
class _Clock:
    """The database's time, carried on by this process's steady clock."""

    start: datetime
    began: float
    deadline: float | None
    ahead: timedelta = timedelta()
    """How far Stripe's clock is ahead of the database's."""

    def now(self) -> datetime:
        """The database's time: leases, intents and dates of the queue."""
        return self.start + timedelta(seconds=time.monotonic() - self.began)

    def stripe_now(self) -> datetime:
        """Stripe's time: what Stripe dates is only ever compared with Stripe's own clock."""
        return self.now() + self.ahead

    def ours(self, when: datetime) -> datetime:
        """Stripe's date on the database's clock."""
        try:
            return when - self.ahead
        except OverflowError:  # a date at the end of all time, which an admin may have typed
            return when

    def short(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline - TIME_TO_ACT


def _clock(now: datetime, began: float, deadline: float | None, payer: Payer) -> _Clock:
    clock = _Clock(now, began, deadline)
    ahead = payer.as_of - clock.now() if payer.as_of else timedelta()
    return clock if abs(ahead) < CLOCKS_AGREE else replace(clock, ahead=ahead)


def _remembering(state: _State, wanted: Wanted) -> Memory:
    """Memory with the goals' services: those that exist already, and new ones once they are to be made."""
    memory = state.memory
    known = {service.key: service for service in memory.services}
    for goal in wanted.goals:
        if goal.key in known or goal.want is Want.ON or goal.rule in ("double_purchase", "never_paid"):
            known[goal.key] = goal.service
    if not known and not memory.known:
        return memory
    return replace(
        memory,
        known=True,
        services=tuple(known.values()),
        email=None if memory.erased else state.payer.email or memory.email,
        name=None if memory.erased else state.payer.name if readable(state.payer.name) else memory.name,
    )


def _stand_still(action: Action, state: _State) -> None:
    """Leave alone, and show, what is to be done a second time in one pass: whatever the cause, it gets nowhere."""
    subject = str(action.service or state.payer.id)
    detail = f"{action.kind} of {subject} was done, and is called for again ({action.rule})"
    state.problems.append(Problem("no_progress", f"{detail}; nothing more is tried in this pass", subject))
    state.blocked.add(action.subject)
    log.error("no_progress", action=action.kind, rule=action.rule, subject=subject)


def _shown(action: Action, *, erased: bool) -> dict[str, Any]:
    """An action as it is written down: without the name of who was erased."""
    shown = action_json(action)
    return {**shown, "details": {key: value for key, value in shown["details"].items() if key != "name" or not erased}}


def _ended(error: Retryable, now: datetime) -> Waits | Failed:
    if isinstance(error, Waiting):
        return Waits(now + error.again, error.why, str(error))
    return Failed(str(error), error.after, parks=not isinstance(error, Denied))


def _late_money(current: Pass, said: Said, invoice: Invoice) -> ledger.Fact:
    """Money for what had ended; always the same fact, so that it stands in the ledger once."""
    return ledger.Fact(
        str(uuid5(NAMESPACE_URL, f"paid_after_end:{invoice.id}")),
        "noted",
        "paid_after_end",
        current.payer.id,
        ServiceKey(said.subscription.id, 1),
        rule="paid_after_end",
        facts={
            "invoice": invoice.id,
            "amount": invoice.amount_paid,
            "currency": invoice.currency,
            "paid_at": invoice.paid_at and invoice.paid_at.isoformat(),
            "remedy": "give the money back in Stripe, or sell a new subscription; this one stays ended",
        },
        pass_id=current.id,
        actor=current.actor,
    )


def _email_note(current: Pass, memory: Memory) -> ledger.Fact:
    return ledger.Fact(
        str(uuid4()),
        "noted",
        "email_changed",
        memory.customer_id,
        rule="email_has_no_call",
        facts={"remedy": "the panel has no call to change a login's e-mail: change it there by hand"},
        pass_id=current.id,
    )
