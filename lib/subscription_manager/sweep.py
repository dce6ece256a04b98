"""The sweep: whatever events were lost, both sides are compared in bulk, and only what differs is made due.

It walks through phases page by page. Its cursor lives in the database, so it goes on where a time limit or a crash
left it, and a second one started meanwhile finds it under way. It costs list pages and one statement for each:
nothing is asked or held for each customer.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from lib.config import Settings
from lib.database import Database, due, money, sweeps
from lib.database.events import ReceivedEvent
from lib.log import bound, get_logger
from lib.policy import fingerprint, marks
from lib.stripe_events import makes_due

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

log = get_logger()

PHASES = ("events", "undelivered", "subscriptions", "disputes", "refunds", "orgs", "websites", "prune")

LEASE = timedelta(seconds=120)
"""Longer than any one page takes, with its retries."""

OVERLAP = timedelta(hours=1)
"""How far the events' window reaches back before the last sweep: listings may lag, clocks may differ."""

FIRST_WINDOW = timedelta(days=3)
"""The first sweep's window: as long as Stripe itself delivers again. Older changes show in the objects."""

HISTORY = timedelta(days=30)
"""How far back Stripe lists events, and pages of disputes and refunds are asked for."""

ORPHANS_SHOWN = 100
"""More of them than this are counted, not listed."""

Progress = Callable[[str, Mapping[str, int]], None]


class Accept(Protocol):
    """Stores event bodies and marks their customers due; the events that were new."""

    async def __call__(self, bodies: Sequence[bytes], *, source: str) -> list[ReceivedEvent]: ...


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How far a sweep has come by the end of one run."""

    counts: dict[str, int]
    finished: bool
    elsewhere: bool = False
    """Another process was at it; this run did nothing."""

    def as_json(self) -> dict[str, Any]:
        return {"finished": self.finished, "elsewhere": self.elsewhere, "counts": self.counts}


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
        self._holder = str(uuid4())
        self._counts: Counter[str] = Counter()
        self._orphans: list[dict[str, str]] = []

    async def run(self, *, deadline: float, progress: Progress | None = None) -> SweepReport:
        """Begin a sweep or go on with the one under way, until it is done or `deadline` (steady clock) has come."""
        if not await due.take_lease(self._db, "sweep", self._holder, LEASE):
            return SweepReport({}, finished=False, elsewhere=True)
        try:
            sweep = await sweeps.begin(self._db)
            self._counts.update(sweep.counts)
            self._orphans = list(sweep.orphans)
            with bound(sweep=sweep.id):
                return await self._walk(sweep, deadline, progress)
        finally:
            await due.give_back_lease(self._db, "sweep", self._holder)

    async def _walk(self, sweep: sweeps.Sweep, deadline: float, progress: Progress | None) -> SweepReport:
        phase, cursor = sweep.phase, sweep.cursor
        steps: dict[str, Callable[[sweeps.Sweep, str | None], Awaitable[str | None]]] = {
            "events": self._events,
            "undelivered": self._undelivered,
            "subscriptions": self._subscriptions,
            "disputes": self._disputes,
            "refunds": self._refunds,
            "orgs": self._orgs,
            "websites": self._websites,
            "prune": self._prune,
        }
        while True:
            if time.monotonic() > deadline:
                return SweepReport(dict(self._counts), finished=False)
            cursor = await steps[phase](sweep, cursor)
            done = cursor is None and phase == PHASES[-1]
            if cursor is None and not done:
                phase = PHASES[PHASES.index(phase) + 1]
            await sweeps.save(
                self._db, sweep.id, phase=phase, cursor=cursor, counts=self._counts, orphans=self._orphans
            )
            if progress is not None:
                progress(phase, self._counts)
            if done:
                await sweeps.finish(self._db, sweep.id)
                log.info("sweep_finished", **self._counts)
                return SweepReport(dict(self._counts), finished=True)
            if not await due.take_lease(self._db, "sweep", self._holder, LEASE):
                return SweepReport(dict(self._counts), finished=False, elsewhere=True)

    # --- (a) events ---

    async def _events(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        since = sweep.since - OVERLAP if sweep.since else sweep.started_at - FIRST_WINDOW
        return await self._event_page(max(since, sweep.started_at - HISTORY), cursor, {})

    async def _undelivered(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        return await self._event_page(sweep.started_at - HISTORY, cursor, {"delivery_success": "false"})

    async def _event_page(self, since: datetime, cursor: str | None, query: dict[str, str]) -> str | None:
        """Accept what the inbox lacks of one page of Stripe's events, newest first."""
        more = {"starting_after": cursor} if cursor else {}
        page = await self._stripe.get("/v1/events", limit=100, created={"gte": int(since.timestamp())}, **query, **more)
        data = page.get("data") or []
        bodies = [json.dumps(event).encode() for event in data if makes_due(str(event.get("type")))]
        self._counts["events"] += len(data)
        if bodies:
            self._counts["eventsMissed"] += len(await self._accept(bodies, source="sweep"))
        return str(data[-1]["id"]) if data and page.get("has_more") else None

    # --- (b) objects ---

    async def _subscriptions(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        page, after = await self._stripe.subscriptions_page(cursor)
        rows = [(s.id, customer, fingerprint(s, self._settings.policy)) for customer, s in page]
        self._counts["subscriptions"] += len(rows)
        if rows:
            self._mark(await sweeps.compare_subscriptions(self._db, sweep.id, rows))
        if after is None:
            self._mark(await sweeps.missing_subscriptions(self._db, sweep))
        return after

    async def _disputes(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        statuses, after = await self._statuses("/v1/disputes", sweep, cursor)
        await self._mark_objects("dispute", await money.changed_disputes(self._db, statuses))
        return after

    async def _refunds(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        statuses, after = await self._statuses("/v1/refunds", sweep, cursor)
        await self._mark_objects("refund", await money.changed_refunds(self._db, statuses))
        return after

    async def _statuses(self, path: str, sweep: sweeps.Sweep, cursor: str | None) -> tuple[dict[str, str], str | None]:
        more = {"starting_after": cursor} if cursor else {}
        since = int((sweep.started_at - 3 * HISTORY).timestamp())  # disputes are decided within three months
        page = await self._stripe.get(path, limit=100, created={"gte": since}, **more)
        data = page.get("data") or []
        after = str(data[-1]["id"]) if data and page.get("has_more") else None
        return {str(thing["id"]): str(thing.get("status")) for thing in data}, after

    # --- (c) panel ---

    async def _orgs(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        page, after = await self._enhance.orgs_page(int(cursor or 0))
        self._counts["orgs"] += len(page)
        seen = [
            sweeps.SeenOrg(
                org.id, org.name, org.deleted, org.suspended_by is not None, org.owner_email, org.owner_login_id
            )
            for org in page
        ]
        self._mark(await sweeps.compare_orgs(self._db, sweep.id, seen))
        marked = {org.id: found[0][0] for org in page if not org.deleted and (found := marks(org.name))}
        for org_id in await sweeps.strange_orgs(self._db, marked):
            self._counts["orphans"] += 1
            if len(self._orphans) < ORPHANS_SHOWN:
                self._orphans.append({"org": org_id, "mark": marked[org_id]})
            log.warning("orphan_in_panel", org=org_id, mark=marked[org_id])
        if after is None:
            self._mark(await sweeps.missing_orgs(self._db, sweep))
        return None if after is None else str(after)

    async def _websites(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        page, after = await self._enhance.websites_page(int(cursor or 0))
        self._counts["websites"] += len(page)
        seen = [sweeps.SeenWebsite(w.id, w.subscription_id, w.plan_id, w.deleted, w.off) for w in page]
        self._mark(await sweeps.compare_websites(self._db, sweep.id, seen))
        if after is None:
            self._mark(await sweeps.missing_websites(self._db, sweep))
        return None if after is None else str(after)

    # --- and the rest ---

    async def _prune(self, _: sweeps.Sweep, __: str | None) -> str | None:
        """Delete old events in small steps; at last give the parked their try."""
        pruned = await sweeps.prune_events(self._db, self._settings.event_retention_days)
        self._counts["eventsPruned"] += pruned
        if pruned:
            return "more"
        self._counts["parkedRetried"] += await sweeps.retry_parked(self._db)
        return None

    def _mark(self, customers: list[str]) -> None:
        self._counts["marked"] += len(customers)
        for customer in customers:
            log.info("sweep_differs", customer=customer)

    async def _mark_objects(self, kind: str, ids: list[str]) -> None:
        if ids:
            self._counts["marked"] += await due.mark(self._db, [(kind, object_id) for object_id in ids])
