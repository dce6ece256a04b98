"""The one place that knows how the product is called: reading, deciding, remembering, without database or network."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from lib.config import Policy, Secret
from lib.model import (
    Action,
    Catalogue,
    Clock,
    Decided,
    Facts,
    Hold,
    Memory,
    PlanMapping,
    Problem,
    Question,
    Service,
    Wanted,
)
from lib.policy import closed, decide, fingerprint, with_money_back
from lib.stripe_client import StripeClient
from lib.stripe_events import DUE_BY_TYPE, SUBSCRIBE_TO
from lib.structs import replace
from lib.subscription_manager.truth import StripeTruth
from tests.histories.account import Account
from tests.histories.books import CUSTOMER
from tests.histories.panel import Panel
from tests.histories.wire import Wire

MAX_ACTIONS = 30
"""No customer of a history needs so many at once."""

T = TypeVar("T")


class Restless(AssertionError):
    """A pass that does not come to rest, or acts again when nothing has changed."""


@dataclass(slots=True)
class Product:
    """The bridge, as far as it decides: one customer's passes over a panel in memory."""

    account: Account
    policy: Policy
    mappings: dict[str, PlanMapping]
    lie: Callable[[dict[str, Any]], object] | None = None
    """What is done to each object before the product reads it: to see that the oracle notices."""
    panel: Panel = field(default_factory=Panel)
    memory: Memory = field(default_factory=lambda: Memory(CUSTOMER))
    wake_at: datetime | None = None
    problems: tuple[Problem, ...] = ()
    goals: Wanted = field(default_factory=lambda: Wanted(()))
    actions: list[Action] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)
    asked: int = 0
    """How many calls to Stripe the last pass over an unchanged world took."""
    wire: Wire = field(init=False)
    _stripe: StripeClient = field(init=False)
    _money: dict[str, str] = field(default_factory=dict)
    """Disputes and refunds as they were when last read: id -> status."""
    _refunds: dict[str, tuple[str, bool]] = field(default_factory=dict)
    _disputes: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stripe = StripeClient(Secret("sk_test_fake"), "http://stripe.test")  # whose pace is nobody's
        self.wire = Wire(self.account, self.lie)
        self._stripe._sdk = self.wire  # type: ignore[assignment]

    # --- what makes it look ---

    def hear(self, events: list[tuple[str, str]]) -> None:
        """Events were delivered: those of the types that the endpoint is subscribed to lead to a look."""
        heard = [(kind, about) for kind, about in events if kind in SUBSCRIBE_TO]
        for _, about in heard:
            if about.startswith(("dp_", "re_", "ch_")):
                self._learn(about)
        if any(_leads_to_a_pass(kind) for kind, _ in heard):
            self.look()

    def sweep(self, missed: list[tuple[str, str]]) -> None:
        """The hourly comparison: missed events are caught up with, and every subscription is compared."""
        self.hear(missed)
        page, unread, _ = _run(self._stripe.subscriptions_page())
        assert not unread, unread
        said = {sub.id: fingerprint(sub, self.policy) for _, sub in page}
        for kind in ("dispute", "refund"):
            statuses, _ = _run(self._stripe.statuses_page(kind, self.account.subscriptions[0].created))
            for thing_id, status in statuses.items():
                if self._money.get(thing_id) != status:
                    self._learn(thing_id)
                    self.look()
        if said != dict(self.memory.fingerprints):
            self.look()

    def _learn(self, about: str) -> None:
        """What the passes for disputes and refunds remember."""
        if about.startswith("dp_"):
            dispute = _run(self._stripe.dispute(about))
            self._money[about] = dispute.status
            if dispute.subscription_id is not None:
                self._disputes[about] = (dispute.subscription_id, dispute.status)
        else:
            charge = _run(self._stripe.refund(about)).charge_id if about.startswith("re_") else about
            assert charge is not None
            for refund in _run(self._stripe.refunds_of(charge))[1]:
                self._money[refund.refund_id] = refund.status
                if refund.invoice_id is not None:
                    self._refunds[refund.refund_id] = (refund.invoice_id, refund.charge_refunded)

    # --- what people do ---

    def hold(self, subscription_id: str, *, lift: bool = False) -> None:
        """An admin holds the services of a subscription, or lifts that."""
        services = []
        for service in self.memory.services:
            if service.key.subscription_id == subscription_id:
                held = service.holds - {Hold.ADMIN} if lift else service.holds | {Hold.ADMIN}
                service = replace(service, holds=held)
            services.append(service)
        self.memory = replace(self.memory, services=tuple(services))
        self.look()

    # --- the pass ---

    def look(self) -> None:
        """One pass: read, decide, act, until it rests."""
        self.looks.append(self.account.now)
        memory = replace(
            self.memory,
            disputes=tuple(self._disputes[d] for d in sorted(self._disputes)),
            refunded_invoices=frozenset(invoice for invoice, whole in self._refunds.values() if whole),
        )
        remembered = {service.key.subscription_id for service in memory.services}
        payer = _run(self._stripe.payer(CUSTOMER, remembered))
        if not payer.subscriptions and not memory.services and memory.org_id is None:
            return
        facts = Facts(with_money_back(payer, memory), memory, Catalogue(dict(self.mappings)))
        for _ in range(MAX_ACTIONS):
            facts, decided = self._decide(facts)
            action = decided.decision.action
            if action is None:
                break
            self.actions.append(action)
            self.account.say(f"        -> {action.kind} {action.service or ''} ({action.rule})")
            facts = replace(facts, memory=self.panel.apply(action, facts.memory, self.account.now))
        else:
            raise Restless(f"{MAX_ACTIONS} actions in one pass, the last {self.actions[-1]}")
        self.goals, self.problems = (
            decided.wanted,
            tuple(dict.fromkeys([*decided.wanted.problems, *decided.decision.problems])),
        )
        self.wake_at = decided.decision.wait.at if decided.decision.wait else None
        said = {s.id: fingerprint(s, self.policy) for s in facts.payer.subscriptions}
        self.memory = replace(facts.memory, fingerprints=said, closed=closed(facts.payer, facts.memory.closed))

    def _decide(self, facts: Facts) -> tuple[Facts, Decided]:
        """Decide, once everything is read that this needs."""
        facts = replace(facts, actual=self.panel.actual())
        while True:
            decided = decide(facts, self.policy, Clock(self.account.now))
            asked = [read for read in decided.reads if read[1] not in (Question.DOMAIN, Question.PLANS)]
            for read in asked:
                payer = _run(StripeTruth(self._stripe).answer(facts.payer, *read))
                facts = replace(facts, payer=payer, tried=facts.tried | {read})
            if not asked:
                break
        assert not any(problem.reason == "duplicate_in_panel" for problem in decided.wanted.problems)
        return replace(facts, memory=decided.memory), decided

    def look_again(self) -> None:
        """A second pass over an unchanged world must do nothing.

        Raises:
            Restless: it acted, or remembers something else.
        """
        before, acted, asked = self.memory, len(self.actions), self.wire.calls
        self.look()
        self.looks.pop()
        self.asked = self.wire.calls - asked
        if len(self.actions) != acted:
            raise Restless(f"the same world once more, and it does {self.actions[-1]}")
        if told := _difference(before, self.memory):
            raise Restless(f"the same world once more, and it remembers otherwise: {told}")


def _leads_to_a_pass(kind: str) -> bool:
    return any(kind == known or (known.endswith("*") and kind.startswith(known[:-1])) for known in DUE_BY_TYPE)


def _difference(before: Memory, after: Memory) -> str:
    """What two memories have otherwise, one service beside the other."""
    told = []
    for name in Memory.__struct_fields__:
        was, now = getattr(before, name), getattr(after, name)
        if name == "services" and len(was) == len(now):
            for old, new in zip(was, now, strict=True):
                told += [
                    f"{old.key} {part}: {getattr(old, part)} -> {getattr(new, part)}"
                    for part in Service.__struct_fields__
                    if getattr(old, part) != getattr(new, part)
                    and (new.made or part != "holds")  # what was never made can't be held, whatever is remembered
                ]
        elif was != now:
            told.append(f"{name}: {was} -> {now}")
    return "; ".join(told)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: no event loop for each of a hundred thousand reads."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waited for something")
