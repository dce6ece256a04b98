"""Whether the database need be asked at all: what functions tell each other of it in Vercel's runtime cache.

The cron asks `rests` before it touches the database, and tells with `looked` what its look has found. Whoever may have
made something due says so with `stir`. Without a cache, or while it fails, the database is asked each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from lib.config import Settings
from lib.database import Database, alerts, latest_version, outlook
from lib.errors import DatabaseUnavailable, SchemaOutdated
from lib.log import get_logger
from lib.policy import quiet
from lib.runtime_cache import CacheError, RuntimeCache, current

log = get_logger()

NEXT_TRY = 1.0
"""Seconds after which a word that the cache did not take is said again, with whatever is done then."""


class Lookout:
    """For one database and one way to work; belongs to one event loop."""

    def __init__(self, settings: Settings, db: Database, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._db = db
        self._clock = clock
        database = _digest(*_where(settings.database_url.reveal()))
        self._rest, self._stir = f"bridge-rest-{database}", f"bridge-stir-{database}"
        self._of = _digest(database, latest_version(), settings.provisioning_mode, settings.alarm is not None)
        self._stirred_until = 0.0
        self._stirring: asyncio.Task[None] | None = None

    async def rests(self) -> quiet.Rest | None:
        """The rest that holds now; `None`: ask the database."""
        cache = self._cache()
        if cache is None:
            return None
        try:
            found, stir = await asyncio.gather(cache.read(self._rest), cache.read(self._stir))
        except CacheError as error:
            log.warning("rest_unread", error=str(error))
            return None
        return quiet.holds(found, stir, self._of, self._clock())

    async def looked(self) -> None:
        """Look at what can be due next, and tell until when nobody else needs to."""
        cache = self._cache()
        if cache is None:
            return
        seen = self._clock()
        try:
            found = await outlook.look(self._db, self._kinds())
            rest = quiet.rest_after(found, self._of, seen, self._settings.quiet_minutes * 60.0)
            if rest is None:
                await cache.drop(self._rest)
            else:
                await cache.write(self._rest, quiet.written(rest), lasts=rest.until - seen)
        except (CacheError, DatabaseUnavailable, SchemaOutdated) as error:
            log.warning("rest_untold", error=str(error))

    def _kinds(self) -> tuple[str, ...] | None:
        """What runs in this mode; `None`: everything. What waits for the end of a pause wakes nobody."""
        if self._settings.provisioning_mode != "paused":
            return None
        return (alerts.LOOK.kind, alerts.KIND) if self._settings.alarm is not None else ()

    async def keep(self, name: str, value: str, rest: quiet.Rest) -> None:
        """Keep what was found while the database was awake, for as long as this rest holds."""
        cache = self._cache()
        try:
            if cache is not None:
                await cache.write(
                    self._kept(name), {"seen": rest.seen, "value": value}, lasts=rest.until - self._clock()
                )
        except CacheError as error:
            log.warning("not_kept", name=name, error=str(error))

    async def kept(self, name: str, rest: quiet.Rest) -> str | None:
        """What was kept for this very rest; `None`: nothing, or nobody knows."""
        cache = self._cache()
        try:
            found = await cache.read(self._kept(name)) if cache is not None else None
        except CacheError as error:
            log.warning("kept_unread", name=name, error=str(error))
            return None
        match found:
            case {"seen": rest.seen, "value": str(value)}:
                return value
        return None

    def _kept(self, name: str) -> str:
        return f"{self._rest}-{name}"

    def needs_stir(self) -> bool:
        """Whether nobody has said it so far."""
        return self._clock() > self._stirred_until and self._cache() is not None

    async def stir(self, ahead: float = quiet.STIRRED_AHEAD) -> None:
        """Tell that what was looked at until now is not the newest; of a burst only the first one sends something.

        Args:
            ahead: seconds from now on for which that holds for later looks, too.
        """
        if not self.needs_stir():
            return
        if self._stirring is None:
            self._stirring = asyncio.create_task(self._tell_stir(ahead))
        await asyncio.shield(self._stirring)

    async def _tell_stir(self, ahead: float) -> None:
        cache, until = self._cache(), self._clock() + ahead
        try:
            if cache is not None:
                await cache.write(self._stir, quiet.stirred(until), lasts=quiet.LONGEST + quiet.STIRRED_AHEAD)
        except CacheError as error:  # after `quiet.LONGEST` the database is asked all the same
            log.warning("stir_untold", error=str(error))
            until = self._clock() + NEXT_TRY
        finally:
            self._stirring = None
        self._stirred_until = until

    def _cache(self) -> RuntimeCache | None:
        return current() if self._settings.quiet_minutes else None


def _where(database_url: str) -> tuple[str | None, int | None, str]:
    """What names a database in its address: neither user nor password."""
    parts = urlsplit(database_url)
    return parts.hostname, parts.port, parts.path


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
