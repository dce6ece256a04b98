"""One pass for one customer: truth, memory, panel, decide, act, look again, until there is nothing left to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from lib import outside_calls
from lib.config import Policy, Settings
from lib.database import Database
from lib.database.journal import Journal
from lib.errors import DatabaseUnavailable, Denied, LeaseLost, Limited, OutcomeUnknown, Refused, Retryable
from lib.kinds import Context, Ended, elsewhere
from lib.log import get_logger
from lib.model import (
    Action,
    ActionKind,
    Catalogue,
    Claim,
    Decided,
    Decision,
    Facts,
    Failed,
    Goal,
    Mandate,
    Memory,
    Outcome,
    Parked,
    Problem,
    Question,
    Settled,
    Subject,
    Suspend,
    Waits,
)
from lib.model.reason import Reason, WaitReason
from lib.model.report import PassReport
from lib.policy import InvalidDomain, decide, normalise_domain, outcome_known_at, with_domain
from lib.structs import replace
from lib.subscription_manager.apply import Live
from lib.subscription_manager.dry import Dry, Shadow
from lib.subscription_manager.panel import Panel
from lib.subscription_manager.pass_clock import PassClock
from lib.subscription_manager.truth import Truth, truth_of
from lib.subscription_manager.write_ahead import Waiting, turn_later

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

REFUSED_AGAIN = timedelta(minutes=15)
"""When a pass that was refused before it could decide anything is tried again by itself."""

FRESH = 2.0
"""Seconds for which what was seen in the panel is good enough to suspend on."""


class Applier(Protocol):
    """What a pass does with its decisions."""

    live: bool
    """Whether anything is changed."""

    async def load(self, customer_id: str) -> tuple[Memory, Catalogue]:
        """The customer as the database has them, and what is sold."""

    async def save(self, memory: Memory) -> None:
        """Write down what is to be remembered."""

    async def resolve_interrupted(self, facts: Facts, now: datetime, /) -> Facts:
        """Find out what became of actions that were begun and never finished."""

    async def apply(self, action: Action, facts: Facts) -> Facts:
        """Make one change; what is known afterwards."""

    async def conclude(self, facts: Facts, outcome: Outcome, /) -> None:
        """Write down what came of the pass."""


async def run(claim: Claim, context: Context) -> Ended:
    """Bring the customer of a claimed row to rest."""
    if not context.settings.holds(claim.key):  # made due by hand, or before this database was split
        return await elsewhere(claim.key, claim, context)
    reconciler = Reconciler(context.settings, context.db, context.stripe, context.enhance)
    journal = Journal(context.db, claim.lease_id)
    try:
        report = await reconciler.run(claim, context.mandate, journal)
    except (LeaseLost, DatabaseUnavailable):
        raise
    except Exception:
        with suppress(Exception):  # what happened in the panel before it stays known
            await journal.flush()
        raise
    facts = {
        "actions": [action.kind for action in report.actions],
        "stripe_calls": report.stripe_calls,
        "panel_calls": report.panel_calls,
    }
    return Ended(report.outcome, report.customer_id, facts, report, journal.take())


class Reconciler:
    """Runs passes over the settings, the database and the two other sides."""

    def __init__(self, settings: Settings, db: Database, stripe: StripeClient, enhance: EnhanceClient) -> None:
        self._settings = settings
        self._db = db
        self._stripe = stripe
        self._enhance = enhance

    async def run(self, claim: Claim, mandate: Mandate, journal: Journal) -> PassReport:
        """Bring one customer to rest. Failures of the other sides become the outcome, never an exception.

        Args:
            journal: has what is left to be written down at the end.

        Raises:
            DatabaseUnavailable: it can't be remembered what happens. LeaseLost: somebody else has this customer.
        """
        panel = Panel(self._db, self._enhance)
        kind = Shadow if self._settings.provisioning_mode == "shadow" else Live
        applier = kind(panel, journal, mandate, self._settings, claim.memory)
        with outside_calls.preceded_by(journal.flush):
            return await self._run(claim.key, mandate, panel, applier)

    async def foresee(
        self, customer_id: str, mandate: Mandate, edit: Callable[[Catalogue], Catalogue] | None = None
    ) -> PassReport:
        """What a pass would do; nothing is changed and nothing written.

        Args:
            edit: what would be sold instead.
        """
        panel = Panel(self._db, self._enhance)
        return await self._run(customer_id, mandate, panel, Dry(panel, edit))

    async def _run(self, customer_id: str, mandate: Mandate, panel: Panel, applier: Applier) -> PassReport:
        clock, calls = PassClock(mandate), outside_calls.begin()
        facts: Facts | None = None
        current: CustomerPass | None = None
        outcome: Outcome = Settled()
        try:
            facts = await self._observe(customer_id, applier)
            if facts is not None and (facts.payer.subscriptions or facts.memory.has_something):
                clock.compare(facts.payer.as_of)
                truth = truth_of(facts.memory, self._db, self._stripe)
                current = CustomerPass(facts, self._settings.policy, truth, panel, applier, clock)
                outcome = await current.run()
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Refused as error:
            # Nothing could be decided, no date either: it is not left to the sweep alone.
            outcome = Parked((Problem(error.reason, str(error), customer_id),), mandate.now + REFUSED_AGAIN)
        except Retryable as error:
            outcome = _ended(error, mandate.now)
        return PassReport(
            pass_id=mandate.pass_id,
            customer_id=customer_id,
            outcome=outcome,
            actions=tuple(current.actions) if current else (),
            goals=current.goals if current else (),
            stripe_calls=calls["stripe"],
            panel_calls=calls["panel"],
            dry_run=not applier.live,
            seen=current.seen if current else facts,
            looked=current is not None and current.looked,
        )

    async def _observe(self, customer_id: str, applier: Applier) -> Facts | None:
        """Truth and memory; `None` for somebody whom nobody knows."""
        memory, catalogue = await applier.load(customer_id)
        payer = await truth_of(memory, self._db, self._stripe).payer(memory)
        return Facts(payer, memory, catalogue) if payer is not None else None


class CustomerPass:
    """One pass: made for it and thrown away. The one place where truth, memory, panel and policy meet."""

    def __init__(
        self, facts: Facts, policy: Policy, truth: Truth, panel: Panel, applier: Applier, clock: PassClock
    ) -> None:
        self.facts = facts
        self.seen = facts
        """As it was found; `facts` go on."""
        self.looked = False
        self.goals: tuple[Goal, ...] = ()
        self.actions: list[Action] = []
        self._policy = policy
        self._truth = truth
        self._panel = panel
        self._applier = applier
        self._clock = clock
        self._blocked: set[Subject] = set()
        """What failed already, and is left alone for the rest of the pass."""
        self._problems: list[Problem] = []
        self._errors: list[Retryable] = []
        self._failures: Counter[ActionKind] = Counter()
        self._looked_at = 0.0
        """When the panel was looked at last, on the steady clock."""

    async def run(self) -> Outcome:
        """Bring the customer to rest.

        Raises:
            Refused, Retryable: nothing could be decided.
        """
        await self._look(doubt=True)
        self.seen, self.looked = self.facts, True
        decision = await self._decide()
        if self.facts.memory.intents:
            self.facts = await self._applier.resolve_interrupted(self.facts, self._clock.now())
            decision = await self._decide()
        outcome = await self._act_until_at_rest(decision)
        await self._applier.conclude(self.facts, outcome)
        return outcome

    # --- seeing ---

    async def _look(self, *, doubt: bool = False) -> None:
        actual = await self._panel.look(self.facts.memory, doubt=doubt)
        self.facts = replace(self.facts, actual=actual)
        self._looked_at = time.monotonic()

    async def _decide(self) -> Decision:
        """Decide, once everything is read that this needs, and remember what must outlive this pass."""
        while True:
            decided = decide(self.facts, self._policy, self._clock.read(), self._blocked)
            if not decided.reads:
                break
            for subject, question in decided.reads:
                await self._read(subject, question, decided)
        self.facts = replace(self.facts, memory=decided.memory)
        self.goals = decided.wanted.goals
        await self._applier.save(decided.memory)
        return decided.decision

    async def _read(self, subject: str, question: Question, decided: Decided) -> None:
        """Read what a decision needs; where that fails, what depends on it stays as it is."""
        self.facts = replace(self.facts, tried=self.facts.tried | {(subject, question)})
        try:
            match question:
                case Question.PLANS:
                    self.facts = replace(self.facts, actual=await self._panel.with_plans(self.facts.actual))
                case Question.DOMAIN:
                    await self._read_domain(subject, decided)
                case _:
                    payer = await self._truth.answer(self.facts.payer, subject, question)
                    self.facts, self.seen = replace(self.facts, payer=payer), replace(self.seen, payer=payer)
        except DatabaseUnavailable:
            raise
        except Refused as error:
            self._problems.append(Problem(error.reason, str(error), subject))
        except Limited as error:
            self._errors.append(turn_later(error))
        except Retryable as error:
            self._errors.append(error)

    async def _read_domain(self, subscription_id: str, decided: Decided) -> None:
        """Look for the domain that was typed at Checkout. A wrong one stays a problem until it is corrected."""
        typed = await self._truth.typed_domain(subscription_id)
        try:
            domain = normalise_domain(typed) if typed else None
        except InvalidDomain as error:
            raise Refused(
                Reason.INVALID_DOMAIN, f"{error}; set metadata.domain of {subscription_id} in Stripe"
            ) from error
        memory = with_domain(self.facts.memory, decided.wanted, subscription_id, domain, self._clock.now())
        self.facts = replace(self.facts, memory=memory)

    # --- acting ---

    async def _act_until_at_rest(self, decision: Decision) -> Outcome:
        for _ in range(MAX_ACTIONS):
            action = decision.action
            if action is None:
                return self._outcome(decision)
            if self._applier.live and isinstance(action, Suspend) and time.monotonic() > self._looked_at + FRESH:
                # Minutes may have passed over websites: what somebody suspended meanwhile must not become ours.
                await self._look()
            elif action.subject in {done.subject for done in self.actions}:
                self._stand_still(action)
            elif self._must_stop():
                return self._outcome(decision)
            else:
                await self._act(action)
            decision = await self._decide()
        more = f"more to do after {MAX_ACTIONS} actions"
        return Waits(self._clock.now(), WaitReason.MORE_TO_DO, more, decided=bool(self.goals))

    def _must_stop(self) -> bool:
        """Whether nothing more is to be begun, because of others or of the time."""
        if self.actions and self._applier.live and self._clock.elapsed() > LONGEST_PASS:
            self._errors.append(Waiting("it goes on after others", why=WaitReason.MORE_TO_DO, delay=timedelta()))
        elif self._clock.short():
            self._errors.append(Waiting("this invocation ends soon", why=WaitReason.TIME, delay=timedelta()))
        else:
            return False
        return True

    async def _act(self, action: Action) -> None:
        """Make one change; what fails is left alone for the rest of the pass."""
        try:
            self.facts = await self._applier.apply(action, self.facts)
            self.actions.append(action)
            return
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Refused as error:
            subject = str(action.service or self.facts.payer.id)
            self._problems.append(Problem(error.reason, str(error), subject))
            log.warning("action_refused", action=action.kind, reason=error.reason, error=str(error))
        except Retryable as error:
            self._errors.append(error)
            self._failures[action.kind] += not isinstance(error, Waiting)
            unknown = isinstance(error, OutcomeUnknown)
            log.warning("action_failed", action=action.kind, error=str(error), unknown=unknown)
        self._blocked.add(action.subject)
        if self._failures[action.kind] >= MAX_FAILURES:
            self._blocked |= {(action.kind, goal.key) for goal in self.goals}
        if self._applier.live:
            # It may have failed after something was remembered already (an id whose reading back failed).
            memory, catalogue = await self._applier.load(self.facts.payer.id)
            self.facts = replace(self.facts, memory=memory, catalogue=catalogue)

    def _stand_still(self, action: Action) -> None:
        """Leave alone, and show, what is to be done a second time in one pass: whatever the cause, it gets nowhere."""
        subject = str(action.service or self.facts.payer.id)
        detail = f"{action.kind} of {subject} was done, and is called for again ({action.rule})"
        self._problems.append(Problem(Reason.NO_PROGRESS, f"{detail}; nothing more is tried in this pass", subject))
        self._blocked.add(action.subject)
        log.error("no_progress", action=action.kind, rule=action.rule, subject=subject)

    # --- ending ---

    def _outcome(self, decision: Decision) -> Outcome:
        problems = tuple(dict.fromkeys([*decision.problems, *self._problems]))
        wait, now = decision.wait, self._clock.now()
        if self._errors:
            return self._unfinished(problems)
        if wait is not None and any(now < outcome_known_at(intent) for intent in self.facts.memory.intents):
            # No success yet: the failures in a row are not forgotten over it.
            return Waits(wait.at, wait.why, wait.detail or wait.why, problems, bool(self.goals))
        if problems:
            return Parked(problems, wait.at if wait else None)
        return Settled(wait.at if wait else None, wait.why if wait else None)

    def _unfinished(self, problems: tuple[Problem, ...]) -> Waits | Failed:
        """What a pass in which something failed, or has to wait, comes to."""
        now, decided = self._clock.now(), bool(self.goals)
        failures = [error for error in self._errors if not isinstance(error, Waiting)]
        waits = [error for error in self._errors if isinstance(error, Waiting)]
        dates = [goal.wake_at for goal in self.goals if goal.wake_at is not None]
        dates += [now + error.delay for error in waits]
        own = [error for error in failures if not isinstance(error, Denied)]
        wake_at = min(dates, default=None)
        # A release of the brake must find them, whatever failed or is waited for besides.
        why = next((wait.why for wait in waits if wait.why is WaitReason.BRAKE), waits[0].why if waits else None)
        ended = _ended((own or failures or waits)[0], now)
        if isinstance(ended, Waits):
            ended = replace(ended, at=wake_at or ended.at, why=why or ended.why)
            return replace(ended, problems=problems, decided=decided)
        return replace(ended, why=why, problems=problems, wake_at=wake_at, decided=decided)


def _ended(error: Retryable, now: datetime) -> Waits | Failed:
    if isinstance(error, Limited):
        error = turn_later(error)
    if isinstance(error, Waiting):
        return Waits(now + error.delay, error.why, str(error))
    return Failed(str(error), error.after, parks=not isinstance(error, Denied))
