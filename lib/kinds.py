"""The kinds of passes that share the queue. A new one is a module with `run` and a line in `KINDS`.

    async def run(claim: Claim, context: Context) -> Ended: ...        # in lib/ledger/payment.py, say
    "payment": Kind(Lane.STRIPE, "lib.ledger.payment"),                 # here

Nothing else knows a kind by name. The module is named and not imported: its first pass loads it, so that the webhook
loads no checkout, no mail and no types of the admin's side.

A pass has one key of its kind to itself: the lease is taken before and kept for it, and what must not run side by side
shares a key. It may die anywhere and run again, so it writes down what can't be repeated before it does it, and reads
back. Time is `claim.claimed_at` or `context.mandate.now`, the database's.

It ends with one outcome. `Settled()`: done, the row is gone; with `wake_at` it is due again at that date.
`Waits(at, why)`: not done, and nothing failed. `Failed(error)`: the retry curve, or the other side's `wish`, says when
it is tried again, and after the last time it is parked as given up. `Parked(problems)`: a person's turn, tried again
by every nudge. An exception is a failure too, whatever it is, and so is a pass that takes longer than its kind may.
With `customer` a parking is written to that customer's ledger; without, it is in the queue and in the log alone.
`facts` are for the log: no address, no name, no secret.

Something is made due by `due.mark(db, [nudge(kind, key)])`, by `due.nudge(connection, ...)` in the transaction that
writes why (at once, or `at` a date), or by an event (`lib.stripe_events.DUE_BY_TYPE`: any number of kinds for a type).
A nudge that comes during the pass makes it run again. The database's modules know no kinds: they are given nudges.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from lib.config import Settings
from lib.log import get_logger
from lib.model import Claim, CustomerKey, Lane, Mandate, Nudge, Outcome, Settled

if TYPE_CHECKING:
    from lib.database import Database
    from lib.database.connection import Beside, Write
    from lib.enhance_client import EnhanceClient
    from lib.model.report import PassReport
    from lib.stripe_client import StripeClient

log = get_logger()

LONGEST = 60.0
"""Seconds after which a pass that hangs has failed."""

READERS = 4
SENDERS = 4
"""Passes at one time over all processes in the lanes that leave the panel alone."""


class Sides(Protocol):
    """The two other sides, each loaded and made when it is first asked for."""

    @property
    def stripe(self) -> StripeClient:
        """The billing side."""

    @property
    def enhance(self) -> EnhanceClient:
        """The panel's side."""


class Context(Struct, frozen=True):
    """What a pass may use, whatever its kind."""

    settings: Settings
    db: Database
    sides: Sides
    mandate: Mandate

    @property
    def stripe(self) -> StripeClient:
        """The billing side."""
        return self.sides.stripe

    @property
    def enhance(self) -> EnhanceClient:
        """The panel's side."""
        return self.sides.enhance


class Ended(Struct, frozen=True):
    """What came of a pass."""

    outcome: Outcome
    customer: str | None = None
    """Whom it was about, as far as it came to be known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the log says of it besides."""
    report: PassReport | None = None
    """What whoever asked for it is told."""
    unwritten: Sequence[Write | Beside] = ()
    """What is written down together with its end."""


Run = Callable[[Claim, Context], Awaitable[Ended]]


class Kind(Struct, frozen=True):
    """A kind of pass: where it runs, and what runs."""

    lane: Lane
    module: str
    """The module whose `run` it is; loaded when the first of its kind runs, so that a webhook loads none."""
    longest: float | None = LONGEST
    """Seconds that a pass may take; `None` where it sees to that itself."""
    about: str = "object"
    """What its key names, in the log. Where that is a customer, a failure is theirs, and comes into their ledger."""

    @property
    def run(self) -> Run:
        found: Run = import_module(self.module).run
        return found


_HERE = "lib.subscription_manager"

KINDS: dict[str, Kind] = {
    "customer": Kind(Lane.PANEL, f"{_HERE}.customer", longest=None, about="customer"),
    "subscription": Kind(Lane.STRIPE, f"{_HERE}.find_customer"),
    "invoice": Kind(Lane.STRIPE, f"{_HERE}.find_customer"),
    "checkout_session": Kind(Lane.STRIPE, f"{_HERE}.find_customer"),
    "dispute": Kind(Lane.STRIPE, "lib.ledger.dispute"),
    "refund": Kind(Lane.STRIPE, "lib.ledger.refund"),
    "charge": Kind(Lane.STRIPE, "lib.ledger.refund"),
    "offline": Kind(Lane.STRIPE, "lib.checkout.offline_line", about="line"),
    "debt": Kind(Lane.STRIPE, "lib.checkout.one_debt", about="order"),
    "nudge": Kind(Lane.STRIPE, f"{_HERE}.postponed_nudge"),
    "act": Kind(Lane.STRIPE, f"{_HERE}.act", about="act"),
    "outbox": Kind(Lane.OUT, "lib.messages.outbox", about="stream"),
    "order": Kind(Lane.STRIPE, "lib.checkout.order"),
    "payment": Kind(Lane.STRIPE, "lib.ledger.payment"),
    "notice": Kind(Lane.OUT, "lib.messages.notice", longest=90.0, about="notice"),
    "watch": Kind(Lane.STRIPE, "lib.messages.watch"),
    "alert": Kind(Lane.OUT, "lib.messages.alert", longest=90.0, about="cause"),
}


def nudge(kind: str, key: str) -> Nudge:
    """The row of the queue for a subject, in the lane of its kind."""
    known = KINDS.get(kind)
    return Nudge(kind, key, known.lane if known else Lane.STRIPE)


def places(settings: Settings) -> dict[Lane, int]:
    """How many passes may run at one time in each lane, over all processes."""
    return {Lane.PANEL: settings.panel_concurrency, Lane.STRIPE: READERS, Lane.OUT: SENDERS}


def other_shard(customer_id: str, settings: Settings) -> str:
    """In words for people, that another deployment serves a customer."""
    from lib.model.shard import shard_of

    assert settings.shard is not None
    number, count = shard_of(customer_id, settings.shard.count), settings.shard.count
    return f"this deployment is shard {settings.shard}; {customer_id} is served by shard {number}/{count}"


async def elsewhere(customer_id: str | None, claim: Claim, context: Context) -> Ended:
    """Leave an object alone that turned out to be of a customer of another shard, which is told of it too."""
    from lib.database import shards

    log.info("object_of_another_shard", kind=claim.kind, customer=customer_id)
    if claim.kind in ("dispute", "refund"):  # sweeps list them, and do not see whose they are
        await shards.note_elsewhere(context.db, claim.kind, claim.key)
    return Ended(Settled())


async def led_to(customer_id: str | None, claim: Claim, context: Context) -> Ended:
    """Note whose an object is, with the events that did not say so themselves: it counts for them, erased or not."""
    from lib.database import erasure, events

    if customer_id is None:
        log.info("object_without_customer", kind=claim.kind)
        return Ended(Settled())
    whom = CustomerKey.stripe(customer_id)
    await events.belong(context.db, claim.key, whom)
    await erasure.empty_late(context.db, claim.key, whom)
    return Ended(Settled(), customer_id)
