"""The panel's lists as a sweep walks them: pages that overlap, what they lack asked for by itself, and orphans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from lib.database import Database, comparison, sweeps
from lib.errors import Denied, NotFound, Refused
from lib.log import get_logger
from lib.policy import marks
from lib.subscription_manager.read_ahead import ReadAhead

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient, Org, Website

log = get_logger()

ORPHANS_SHOWN = 100
"""More of them than this are counted, not listed."""

AGAIN = 20
"""Rows of a panel's page that are read again with the next one: when rows are deleted in between, others move up."""

CONFIRM = "confirm"
"""The cursor behind a panel's last page: what it did not list is asked for by itself."""

CONFIRMED_AT_ONCE = 10
CONFIRMED = 100
"""At most as many of each list in one sweep; what is left over waits for the next one."""

Row = TypeVar("Row")


class FromTheStart(Exception):
    """Where a list was left can't be found again."""


class PanelLists:
    """Compares the panel's organisations and websites, a page at a time."""

    def __init__(
        self,
        db: Database,
        enhance: EnhanceClient,
        ahead: ReadAhead,
        counts: Counter[str],
        orphans: list[dict[str, str]],
        differ: Callable[[list[str]], None],
        is_ours: Callable[[str], bool],
    ) -> None:
        """`counts` and `orphans` are the sweep's and go on; `differ` is told whom a comparison has made due.

        `is_ours`: whether a mark in the panel names somebody whom this deployment serves.
        """
        self._db = db
        self._enhance = enhance
        self._ahead = ahead
        self._counts = counts
        self._orphans = orphans
        self._differ = differ
        self._is_ours = is_ours

    async def orgs(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        """Compare a page of the organisations; the cursor of the next one, `None` after the last."""
        after = await self._panel_page(sweep, cursor, "org", self._enhance.orgs_page, self._compare_orgs)
        if after is not None:
            return after
        missing = await comparison.missing_orgs(self._db, sweep, CONFIRMED_AT_ONCE)
        if not self._may_ask("orgs", missing):
            return None
        found, gone, unclear = await _ask({org: partial(self._enhance.org, org) for org in missing})
        await self._compare_orgs(sweep, found)
        self._differ(await comparison.orgs_gone(self._db, sweep, gone, unclear))
        return CONFIRM

    async def _panel_page(
        self,
        sweep: sweeps.Sweep,
        cursor: str | None,
        kind: Literal["org", "website"],
        read: Callable[[int], Awaitable[tuple[list[Row], int | None]]],
        compare: Callable[[sweeps.Sweep, Sequence[Row]], Awaitable[None]],
    ) -> str | None:
        """Compare a page of one of the panel's lists: where the next one is, `None` once all of it was met."""
        if cursor != CONFIRM:
            if cursor is None:
                await comparison.open_walk(self._db, sweep, kind)
            page, new, after = await self._ahead.page((kind, cursor), partial(_overlapping, read, int(cursor or 0)))
            if after is not None:
                self._ahead.begin((kind, str(after)), partial(_overlapping, read, after))
            self._counts[f"{kind}s"] += new
            await compare(sweep, page)
            if after is not None:
                return str(after)
        await all_there(self._db, sweep, kind)
        return None

    async def _compare_orgs(self, sweep: sweeps.Sweep, page: Sequence[Org]) -> None:
        seen = [
            comparison.SeenOrg(
                id=org.id,
                name=org.name,
                gone=org.deleted,
                suspended=org.suspended_by is not None,
                owner_email=org.owner_email,
                owner_login_id=org.owner_login_id,
                subscriptions=org.subscriptions_count,
            )
            for org in page
        ]
        self._differ(await comparison.compare_orgs(self._db, sweep, seen))
        marked = {org.id: found[0][0] for org in page if not org.deleted and (found := marks(org.name))}
        shown = {orphan["org"] for orphan in self._orphans}  # a page begins with some rows of the one before
        unseen = {org: mark for org, mark in marked.items() if org not in shown and self._is_ours(mark)}
        for org_id in await comparison.strange_orgs(self._db, unseen):
            self._counts["orphans"] += 1
            if len(self._orphans) < ORPHANS_SHOWN:
                self._orphans.append({"org": org_id, "mark": marked[org_id]})
            log.warning("orphan_in_panel", org=org_id, mark=marked[org_id])

    async def websites(self, sweep: sweeps.Sweep, cursor: str | None) -> str | None:
        """Compare a page of the websites; the cursor of the next one, `None` after the last."""
        after = await self._panel_page(sweep, cursor, "website", self._enhance.websites_page, self._compare_websites)
        if after is not None:
            return after
        missing = await comparison.missing_websites(self._db, sweep, CONFIRMED_AT_ONCE)
        if not self._may_ask("websites", missing):
            return None
        asked = {site: partial(self._enhance.website, org, site) for site, org in missing if org is not None}
        found, gone, unclear = await _ask(asked)
        await self._compare_websites(sweep, found)
        gone += [site for site, org in missing if org is None]
        self._differ(await comparison.websites_gone(self._db, sweep, gone, unclear))
        return CONFIRM

    async def _compare_websites(self, sweep: sweeps.Sweep, page: Sequence[Website]) -> None:
        seen = [comparison.SeenWebsite(w.id, w.subscription_id, w.plan_id, w.deleted, w.off) for w in page]
        self._differ(await comparison.compare_websites(self._db, sweep, seen))

    def _may_ask(self, kind: str, missing: Sequence[object]) -> bool:
        """Whether there is something to ask for by itself, and some of this sweep's share is left."""
        if not missing:
            return False
        if self._counts[f"{kind}AskedFor"] >= CONFIRMED:
            log.warning("sweep_leaves_some", kind=kind)
            return False
        self._counts[f"{kind}AskedFor"] += len(missing)
        return True


async def all_there(db: Database, sweep: sweeps.Sweep, kind: str) -> None:
    """Go on only if everything is still known that was met while walking a list.

    Raises:
        FromTheStart: it is not.
    """
    if not await comparison.whole(db, sweep, kind):
        raise FromTheStart("the database has lost what was met so far")


async def _overlapping(
    read: Callable[[int], Awaitable[tuple[list[Row], int | None]]], offset: int
) -> tuple[list[Row], int, int | None]:
    """A page of the panel with the last rows before it; how many rows are new, and where the next page begins."""
    start = max(0, offset - AGAIN)
    rows, after = await read(start)
    if start < offset and after is not None and after <= offset:  # its pages are shorter than what is read again
        start = offset
        rows, after = await read(start)
    return rows, max(0, start + len(rows) - offset), after


async def _ask(calls: Mapping[str, Callable[[], Awaitable[Row]]]) -> tuple[list[Row], list[str], list[str]]:
    """Ask for each by itself: what is there, the ids of what is gone, and of what the panel would not tell."""
    found, gone, unclear = [], [], []
    for wanted, call in calls.items():
        try:
            found.append(await call())
        except NotFound:
            gone.append(wanted)
        except (Refused, Denied) as error:
            log.warning("sweep_refused", id=wanted, error=str(error))
            unclear.append(wanted)
    return found, gone, unclear
