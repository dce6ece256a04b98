"""The sweep: whatever events were lost, both sides are compared in bulk, and only what differs is made due.

It walks through phases page by page. Its cursor lives in the database, so it goes on where a time limit or a crash
left it, and a second one started meanwhile finds it under way. It costs list pages and one statement for each:
nothing is asked or held for each customer. A phase that can't be done is left out with its error, and the others go on.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from msgspec import Struct, field

from lib.config import Settings
from lib.database import (
    Database,
    alerts,
    checkout_limits,
    comparison,
    due,
    leases,
    metric_totals,
    money_back,
    orders,
    outbox,
    pruning,
    pulses,
    shards,
    sweeps,
    tallies,
    unsettled,
)
from lib.errors import BridgeError, DatabaseUnavailable, Denied, NotFound, Refused, SchemaOutdated
from lib.kinds import nudge
from lib.log import bound, get_logger
from lib.model import CustomerKey, Priority, ReceivedEvent
from lib.model.money import Order, OrderMode
from lib.model.reason import SettingsFault
from lib.policy import fingerprint
from lib.policy.escrow import is_overdue
from lib.policy.offline import acts_at
from lib.policy.offline_lines import as_subscription
from lib.stripe_events import subscribe_to
from lib.structs import replace
from lib.subscription_manager.panel_lists import FromTheStart, PanelLists, all_there
from lib.subscription_manager.read_ahead import ReadAhead

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

log = get_logger()

PHASES = (
    "events", "undelivered", "subscriptions", "disputes", "refunds", "orders", "offline", "orgs", "websites", "prune",
)  # fmt: skip

EVENT_PHASES = ("events", "undelivered")

LEASE = timedelta(seconds=120)
"""Longer than any one page takes, with its retries."""

RENEW_EVERY = 10.0
"""Seconds after which the lease is prolonged. What is written in between is written under it, or not at all."""

TRIES = 5
"""As often a sweep is begun at one place without getting further: then the phase is left out, and the others go on."""

OVERLAP = timedelta(hours=1)
"""How far the events' window reaches back before the last sweep: listings may lag, clocks may differ."""

FIRST_WINDOW = timedelta(days=3)
"""The first sweep's window: as long as Stripe itself delivers again. Older changes show in the objects."""

HISTORY = timedelta(days=30)
"""How far back Stripe lists events."""

MONEY_HISTORY = timedelta(days=90)
"""How far back disputes and refunds are listed: most are decided within it; those that are not are asked for."""

REST = "rest"
"""The last step of the last phase: deletes what else is too old, and ends the sweep."""

LINES = 200
"""Lines of offline orders in one page."""

Progress = Callable[[str, Mapping[str, int]], None]


class Accept(Protocol):
    """Stores event bodies and marks their customers due; the events that were new."""

    async def __call__(self, bodies: Sequence[bytes], *, source: str) -> list[ReceivedEvent]: ...


class SweepReport(Struct, frozen=True):
    """How far a sweep has come by the end of one run."""

    counts: dict[str, int]
    finished: bool
    elsewhere: bool = False
    """Another process was at it; this run did nothing."""
    errors: dict[str, str] = field(default_factory=dict)
    """What could not be compared, by phase."""
    stopped: str | None = None
    """What ended this run before its time; the next one tries again at the same place."""

    def as_json(self) -> dict[str, Any]:
        return {
            "finished": self.finished,
            "elsewhere": self.elsewhere,
            "counts": self.counts,
            "errors": self.errors,
            "stopped": self.stopped,
        }


class Sweeper:
    """Runs one sweep, or the part of it that fits before a deadline."""

    def __init__(
        self, settings: Settings, db: Database, stripe: StripeClient, enhance: EnhanceClient, accept: Accept
    ) -> None:
        self._settings = settings
        self._db = db
        self._stripe = stripe
        self._enhance = enhance
        self._accept = accept
        self._wanted = frozenset(subscribe_to(orders=settings.keeps_orders))
        self._holder = str(uuid4())
        self._counts: Counter[str] = Counter()
        self._orphans: list[dict[str, str]] = []
        self._errors: dict[str, str] = {}
        self._restarted: set[str] = set()
        self._ahead = ReadAhead()
        self._unread: dict[str, str] = {}
        """By phase, what of its list lacked something: the rest was compared."""

    async def run(self, *, deadline: float, progress: Progress | None = None) -> SweepReport:
        """Begin a sweep or go on with the one under way, until it is done or `deadline` (steady clock) has come.

        Raises:
            DatabaseUnavailable, SchemaOutdated: nothing can be compared. What else fails stands in the report.
        """
        if time.monotonic() > deadline:
            return SweepReport({}, finished=False)
        if not await leases.take(self._db, "sweep", self._holder, LEASE):
            return SweepReport({}, finished=False, elsewhere=True)
        try:
            sweep = await sweeps.begin(self._db, self._holder)
            self._counts.update(sweep.counts)
            self._orphans = list(sweep.orphans)
            self._errors = dict(sweep.errors)
            with bound(sweep=sweep.id):
                return await self._walk(sweep, deadline, progress)
        finally:
            await self._ahead.drop()
            await leases.give_back(self._db, "sweep", self._holder)

    async def _walk(self, sweep: sweeps.Sweep, deadline: float, progress: Progress | None) -> SweepReport:
        phase, cursor = sweep.phase, sweep.cursor
        worn_out = sweep.tries > TRIES
        taken = time.monotonic()
        while True:
            if time.monotonic() > deadline:
                return self._report(finished=False)
            try:
                after, cursor = self._worn_out(phase) if worn_out else await self._page(sweep, phase, cursor)
            except (DatabaseUnavailable, SchemaOutdated):
                raise
            except Exception as error:  # such as an answer of an unknown shape: tried again, and then left out
                said = str(error) if isinstance(error, BridgeError) else f"{type(error).__name__}: {error}"[:300]
                log.warning("sweep_stopped", phase=phase, error=said, exc_info=not isinstance(error, BridgeError))
                self._errors[phase] = said
                await sweeps.stumble(self._db, sweep, phase, said)
                return self._report(finished=False, stopped=f"{phase}: {said}")
            worn_out = False
            phase = after or phase
            if not await self._save(sweep, phase, cursor):
                return self._report(finished=False, elsewhere=True)
            if progress is not None:
                progress(phase, self._counts)
            if after is None:
                await sweeps.finish(self._db, sweep)
                log.info("sweep_finished", **self._counts, errors=self._errors)
                return self._report(finished=True)
            if time.monotonic() - taken > RENEW_EVERY:
                taken = time.monotonic()
                if not await leases.take(self._db, "sweep", self._holder, LEASE):
                    return self._report(finished=False, elsewhere=True)

    async def _page(self, sweep: sweeps.Sweep, phase: str, cursor: str | None) -> tuple[str | None, str | None]:
        """Do one page: where the next one is (phase, cursor); no phase after the last."""
        panel = PanelLists(
            self._db,
            self._enhance,
            self._ahead,
            self._counts,
            self._orphans,
            partial(self._mark, "panel"),
            self._is_ours,
        )
        steps: dict[str, Callable[[sweeps.Sweep, str | None], Awaitable[str | None]]] = {
            "events": self._events,
            "undelivered": self._undelivered,
            "subscriptions": self._subscriptions,
            "disputes": partial(self._money, "dispute"),
            "refunds": partial(self._money, "refund"),
            "orders": lambda _sweep, _cursor: self._orders(),
            "offline": self._offline,
            "orgs": panel.orgs,
            "websites": panel.websites,
            "prune": self._prune,
        }
        try:
            cursor = await steps[phase](sweep, cursor)
        except FromTheStart as why:
            if phase not in EVENT_PHASES:
                return self._restart(phase, why), None
            cursor = None  # they are listed newest first, and Stripe forgets the oldest: nothing is left behind it
        except (Refused, Denied) as error:  # such as a permission that the key lacks
            return self._left_out(phase, str(error)), None
        self._errors.pop(phase, None)
        if phase in self._unread:
            self._errors[phase] = self._unread[phase]
        return (phase, cursor) if cursor is not None else (_next(phase), None)

    def _restart(self, phase: str, why: FromTheStart) -> str | None:
        """Walk the list once more; a second time the phase is left out."""
        if phase in self._restarted:
            return self._left_out(phase, str(why))
        log.info("sweep_restarts", phase=phase, reason=str(why))
        self._restarted.add(phase)
        for name in (phase, f"{phase}Elsewhere"):
            self._counts.pop(name, None)
        return phase

    def _worn_out(self, phase: str) -> tuple[str | None, None]:
        error = self._errors.get(phase, f"it was begun {TRIES} times at the same place and came to no end")
        return self._left_out(phase, error), None

    def _left_out(self, phase: str, error: str) -> str | None:
        """Go on without this phase; the one that follows."""
        log.warning("sweep_phase_left_out", phase=phase, error=error)
        self._errors[phase] = error
        return _next(phase)

    async def _save(self, sweep: sweeps.Sweep, phase: str, cursor: str | None) -> bool:
        reached = replace(
            sweep, phase=phase, cursor=cursor, counts=dict(self._counts), orphans=self._orphans, errors=self._errors
        )
        return await sweeps.save(self._db, reached)

    def _report(self, *, finished: bool, elsewhere: bool = False, stopped: str | None = None) -> SweepReport:
        return SweepReport(dict(self._counts), finished, elsewhere, dict(self._errors), stopped)

    # --- (a) events ---

    async def _events(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        since = sweep.since - OVERLAP if sweep.since else sweep.started_at - FIRST_WINDOW
        return await self._event_page(max(since, sweep.started_at - HISTORY), cursor)

    async def _undelivered(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        missed = self._counts["eventsMissed"]
        after = await self._event_page(sweep.started_at - HISTORY, cursor, undelivered=True)
        # Whatever endpoint of the account did not take them: a dead one of somebody else leaves 30 days of them. Once
        # all of it was read, only what comes late is new, and stands at the beginning.
        return after if sweep.since is None or self._counts["eventsMissed"] > missed else None

    async def _event_page(self, since: datetime, cursor: str | None, *, undelivered: bool = False) -> str | None:
        """Accept what the inbox lacks of one page of Stripe's events: of the types that the endpoint is to be sent."""
        with _found_again(cursor):
            events, after = await self._stripe.events_page(since, cursor, undelivered=undelivered)
        bodies = [json.dumps(event).encode() for event in events if event.get("type") in self._wanted]
        self._counts["events"] += len(events)
        if bodies:
            self._counts["eventsMissed"] += len(await self._accept(bodies, source="sweep"))
        return after

    # --- (b) objects ---

    async def _subscriptions(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        if cursor is None:
            await comparison.open_walk(self._db, sweep, "subscription")
        read = self._stripe.subscriptions_page
        with _found_again(cursor):
            page, unread, after = await self._ahead.page(("subscriptions", cursor), partial(read, cursor))
        if after is not None:
            self._ahead.begin(("subscriptions", after), partial(read, after))
        ours = [(customer, s) for customer, s in page if self._settings.holds(customer)]
        rows = [(s.id, customer, fingerprint(s, self._settings.policy)) for customer, s in ours]
        self._counts["subscriptions"] += len(rows) + len(unread)
        if self._settings.shard is not None:
            self._counts["subscriptionsElsewhere"] += len(page) - len(rows)
        if rows:
            self._mark("billing", await comparison.compare_subscriptions(self._db, sweep, rows))
        if unread:
            await self._pass_over(sweep, unread)
        if after is None:
            await all_there(self._db, sweep, "subscription")
            listed = self._counts["subscriptions"] + self._counts["subscriptionsElsewhere"]
            if listed == 0 and await comparison.any_subscription(self._db):
                said = (
                    "no subscription at all is listed, and some are remembered: of which account and mode is the key?"
                )
                raise Denied(SettingsFault.STRIPE_KEY, said)
            self._mark("billing", await comparison.missing_subscriptions(self._db, sweep))
        return after

    async def _pass_over(self, sweep: sweeps.Sweep, unread: Mapping[str, str]) -> None:
        """Note what of a list could not be read: it is there, and how it stands nobody knows."""
        self._counts["subscriptionsUnread"] += len(unread)
        await comparison.meet(self._db, sweep, "subscription", list(unread))
        for subscription_id, why in unread.items():
            log.error("sweep_unread", subscription=subscription_id, error=why)
        self._unread["subscriptions"] = f"{self._counts['subscriptionsUnread']} not compared, last: {why}"

    async def _money(self, kind: money_back.Kind, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        with _found_again(cursor):
            statuses, after = await self._stripe.statuses_page(kind, _listed_from(sweep), cursor)
        changed = await money_back.changed(self._db, kind, statuses)
        unlisted = await money_back.undecided(self._db, kind, _listed_from(sweep)) if after is None else []
        if found := changed + unlisted:
            marks = [nudge(kind, object_id) for object_id in found]
            marked = await due.mark(self._db, marks, priority=Priority.ROUTINE)
            self._counts["marked"] += marked
            self._counts["billingDiffers"] += marked
        return after

    async def _offline(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        """Compare a page of the lines of offline orders: they are our own, and nobody else tells of them."""
        ids = await orders.lines_after(self._db, cursor, LINES)
        lines: dict[str, list[Order]] = {}
        for order in await orders.in_lines(self._db, ids):
            lines.setdefault(order.line_id or order.id, []).append(order)
        now = await self._db.now()
        page, late = [], []
        for line_id, line in lines.items():
            bought, at, whom = as_subscription(line, now), acts_at(line), line[0].terms.customer_id
            if whom is not None and line[0].terms.mode is OrderMode.SUBSCRIPTION:
                said = fingerprint(bought, self._settings.policy)
                page.append((bought.id, CustomerKey(line[0].provider, whom), said))
            held = any(is_overdue(order, self._settings.escrow_days, now) for order in line)
            if held or (at is not None and at <= now):
                late.append(nudge("offline", line_id))
        self._counts["offline"] += len(page)
        if page:
            self._mark("billing", await comparison.compare_lines(self._db, sweep, page))
        if late:
            self._counts["marked"] += await due.mark(self._db, late, priority=Priority.ROUTINE)
        return ids[-1] if len(ids) == LINES else None

    async def _orders(self) -> str | None:
        """Make due what is not at rest and forgotten: our own records, in one statement for a page of each kind."""
        if not self._settings.keeps_orders:
            return None
        found = await unsettled.unsettled(self._db, self._settings.escrow_days)
        self._counts["orders"] += len(found)
        if found:
            marks = [nudge(kind, key) for kind, key in found]
            self._counts["marked"] += await due.mark(self._db, marks, priority=Priority.ROUTINE)
        return "more" if len(found) >= unsettled.PAGE else None

    # --- and the rest ---

    async def _prune(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        """Count what is new and delete what is old in small steps; at last give the parked their try."""
        if await metric_totals.fold(self._db):
            return cursor or "events"
        pruned = 0
        table, _, after = (cursor or "events").partition(" ")
        if table == "events":
            return await self._prune_step("events", self._settings.event_retention_days, after) or "actions"
        if table == "actions" and (days := self._settings.ledger_retention_days):
            return await self._prune_step("actions", days, after) or REST
        if outlet := self._settings.outbox:
            pruned += await outbox.prune(self._db, outlet, self._settings.event_retention_days)
        if self._settings.mail is not None:
            pruned += await self._prune_notices()
        if pruned:
            return REST
        if outlet:  # whatever was lost of the queue, nothing that waits is forgotten
            await outbox.remind(self._db, outlet)
        if self._settings.sells:
            await checkout_limits.prune(self._db, sweep.started_at)
        if self._settings.alarm is not None:
            await alerts.remind(self._db)
        await self._look_at_token()
        await shards.prune(self._db)
        await pruning.prune_sweeps(self._db, self._settings.event_retention_days)
        await tallies.fold(self._db, long=0)
        await tallies.count_anew(self._db)
        self._counts["parkedRetried"] += await sweeps.retry_parked(self._db, sweep)
        return None

    async def _prune_step(self, table: pruning.Table, days: int, after: str) -> str | None:
        """Delete one step of what is too old; the cursor of the next one, `None` after the last."""
        pruned = await pruning.prune(self._db, table, days, after or None)
        self._counts[f"{table}Pruned"] += pruned.rows
        return pruned.after and f"{table} {pruned.after}"

    def _is_ours(self, mark: str) -> bool:
        """Whether a mark in the panel is of this shard; of who pays elsewhere than at Stripe it does not tell."""
        shard = self._settings.shard
        return shard is None or (shard.holds(mark) and not CustomerKey.read(mark).provider.offline)

    async def _look_at_token(self) -> None:
        """Remember when the panel's token ends; where the panel does not say, what it said before stands."""
        try:
            ends = await self._enhance.token_ends()
        except BridgeError as error:
            log.info("token_not_shown", error=str(error))
            return
        await pulses.token_ends(self._db, ends)

    async def _prune_notices(self) -> int:
        """Delete old mails' rows; what the queue has lost of those that wait is made due."""
        from lib.database import notices

        await notices.remind(self._db)
        return await notices.prune(self._db, self._settings.event_retention_days)

    def _mark(self, side: str, customers: list[str]) -> None:
        """Count and log who differs, by the side that said something new."""
        self._counts["marked"] += len(customers)
        if customers:
            self._counts[f"{side}Differs"] += len(customers)
        for customer in customers:
            log.info("sweep_differs", customer=customer)


def _listed_from(sweep: sweeps.Sweep) -> datetime:
    return (sweep.started_at - MONEY_HISTORY).replace(microsecond=0)


def _next(phase: str) -> str | None:
    at = PHASES.index(phase) + 1
    return PHASES[at] if at < len(PHASES) else None


@contextmanager
def _found_again(cursor: str | None) -> Iterator[None]:
    """Tell a cursor that Stripe does not know any more from everything else that it does not know."""
    try:
        yield
    except NotFound as error:
        if cursor is None:
            raise
        raise FromTheStart(str(error)) from error
