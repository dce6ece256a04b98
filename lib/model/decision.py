"""What should be, what must be read before that is certain, and what to do now."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from lib.model.action import Action
    from lib.model.memory import Memory
    from lib.model.reason import Reason, Rule, Why
    from lib.model.service import Service, ServiceKey


class Want(StrEnum):
    """What should be true of a service."""

    ON = "on"
    OFF = "off"
    NOTHING = "nothing"
    """Nothing yet, or never: make nothing."""
    KEEP = "keep"
    """We can't tell: leave everything as it is."""
    GONE = "gone"
    """Soft-deleted: its retention is over."""


class Question(StrEnum):
    """Something that a decision needs and that costs a call of its own."""

    INVOICES = "invoices"
    """All invoices of a subscription."""
    FIRST_PAYMENT = "first_payment"
    """How the payment of its first invoice stands."""
    DOMAIN = "domain"
    """The domain that was typed at Checkout."""
    PLANS = "plans"
    """The panel's list of plans."""


Read = tuple[str, Question]
"""Of which subscription (or customer) something must be read, and what."""


class Goal(Struct, frozen=True):
    """What should be true of one service, and by which rule."""

    service: Service
    """The service as it should be remembered from now on (holds, dates, item)."""
    want: Want
    rule: Why
    plan: str | None = None
    """The plan it should be on; `None`: the present one stays."""
    plan_rule: Rule | None = None
    """Why it is to be moved there, when no change at Stripe asked for it: such moves are braked."""
    create_website: bool = True
    server_group_id: str | None = None
    awaits: str | None = None
    """The domain of the website that it is bought with and does not have yet; empty while nobody knows which."""
    website_from: ServiceKey | None = None
    """The ended service whose website it gets."""
    wake_at: datetime | None = None
    """When this goal may change by the clock alone."""
    asks: Question | None = None
    """What must be read before this is certain; until then nothing is changed that depends on it."""

    @property
    def key(self) -> ServiceKey:
        return self.service.key


class Problem(Struct, frozen=True):
    """Something that only a person can solve; `reason` is stable, `detail` is for people."""

    reason: Reason
    detail: str
    subject: str = ""
    """The price, subscription or organisation it is about."""


class Wanted(Struct, frozen=True):
    """What should be true of a customer: a goal for each service, and what could not be decided."""

    goals: tuple[Goal, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def questions(self) -> tuple[Read, ...]:
        """What must be read of Stripe before the goals are certain, each once."""
        return tuple(dict.fromkeys((g.key.subscription_id, g.asks) for g in self.goals if g.asks is not None))


class Wait(Struct, frozen=True):
    """Nothing to do before `at`. Waiting is not failing."""

    at: datetime
    why: Why
    detail: str = ""
    """The same for people, where the word does not say enough."""


class Decision(Struct, frozen=True):
    """What to do now: at most one action; else until when to wait, and what a person must solve."""

    action: Action | None = None
    wait: Wait | None = None
    problems: tuple[Problem, ...] = ()


class Decided(Struct, frozen=True):
    """Everything that follows from what is known now."""

    memory: Memory
    """As it is to be remembered from now on."""
    wanted: Wanted
    decision: Decision
    reads: tuple[Read, ...] = ()
    """What must be read first, if there is any: until then nothing of the rest is certain."""
