"""Whether this deployment can do its work: database, Stripe, panel, and how long due work has been waiting.

Costs Stripe and the panel nothing while passes run: their last real call is told, whichever process made it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from lib.bridge import Bridge
from lib.database import due, latest_version, pulses, schema_version, shards
from lib.errors import BridgeError, DatabaseUnavailable, DatabaseUnfit, SchemaOutdated
from lib.log import get_logger
from lib.subscription_manager.pulse_reporter import REPORT_EVERY

if TYPE_CHECKING:
    from lib.enhance_client import EnhanceClient
    from lib.stripe_client import StripeClient

log = get_logger()

FRESH = 5.0
"""Seconds for which an answer serves everybody who asks: probes come from many places at once."""

PATIENCE = 8.0
"""Seconds that one check may take; a probe itself usually gives up after ten."""

TOLD_FOR = timedelta(minutes=5)
"""For how long a real call says how a side is; then one process asks."""

TURN = timedelta(seconds=6)
"""For how long others wait for the one that asks."""

LOOK_AGAIN = 0.2
"""Seconds between two looks at what the other one found."""

CHECKS = ("database", "stripe", "enhance")
"""What is looked at."""

Check = Literal["ok", "failing", "outdated"]


class Health(Struct, frozen=True):
    """One look at everything."""

    version: str
    mode: str
    checks: dict[str, Check]
    errors: dict[str, str]
    latencies: dict[str, float]
    load: due.Load | None
    last_pass: float | None
    """Seconds since any process ended a pass."""
    migration: int | None
    beats: Mapping[str, datetime]
    """When a process last called each side, and when the last pass ended."""
    max_lag: int
    taken: float

    @property
    def stuck(self) -> bool:
        """Whether what was asked for waits longer than `HEALTH_MAX_LAG`, or nothing moves although there is routine.

        A sweep may find thousands who differ: that they take their time is no reason for alarm while passes run.
        """
        if self.mode == "paused" or self.load is None:
            return False
        patience = max(self.max_lag, 2 * REPORT_EVERY)
        still = self.last_pass is None or self.last_pass > patience
        return self.load.oldest_seconds > self.max_lag or (still and self.load.backlog_seconds > patience)

    @property
    def healthy(self) -> bool:
        """Whether money can become hosting: the database answers and work moves; the others may be away a while."""
        return self.checks["database"] == "ok" and not self.stuck

    def as_json(self, *, detailed: bool) -> dict[str, Any]:
        """The public form holds exactly `status`, `version` and `checks`."""
        status = "ok" if all(check == "ok" for check in self.checks.values()) and not self.stuck else "degraded"
        body: dict[str, Any] = {
            "status": status if self.healthy else "failing",
            "version": self.version,
            "checks": self.checks,
        }
        if detailed:
            body |= {
                "mode": self.mode,
                "errors": self.errors,
                "latenciesMs": self.latencies,
                "lastCallAt": {name: _iso(self.beats.get(name)) for name in ("stripe", "enhance")},
                "lastPassAt": _iso(self.beats.get("passes")),
                "oldestDueSeconds": round(self.load.oldest_seconds, 1) if self.load else None,
                "oldestRoutineSeconds": round(self.load.backlog_seconds, 1) if self.load else None,
                "due": self.load.due if self.load else None,
                "parked": self.load.parked if self.load else None,
                "migration": self.migration,
                "migrationWanted": latest_version(),
            }
        return body


async def public(bridge: Bridge) -> tuple[dict[str, Any], bool]:
    """What strangers are told, and whether it is healthy.

    Probes wake no database that rests: what a first one found to be well, all are told until the rest is over.
    """
    rest = await bridge.rests()
    if rest is not None and await bridge.lookout.kept("health", rest) == bridge.settings.app_version:
        return {"status": "ok", "version": bridge.settings.app_version, "checks": dict.fromkeys(CHECKS, "ok")}, True
    report = await check(bridge)
    body = report.as_json(detailed=False)
    if rest is not None and body["status"] == "ok":
        await bridge.lookout.keep("health", report.version, rest)
    return body, report.healthy


async def check(bridge: Bridge) -> Health:
    """Look at all three sides at once; an answer is reused for `FRESH` seconds."""
    async with bridge.health_lock:
        cached = bridge.health_cache
        if isinstance(cached, Health) and time.monotonic() - cached.taken < FRESH:
            return cached
        bridge.health_cache = fresh = await _look(bridge)
        return fresh


async def _look(bridge: Bridge) -> Health:
    look = _Look(bridge)
    await asyncio.gather(
        look.timed("database", look.database()),
        look.timed("stripe", look.side("stripe")),
        look.timed("enhance", look.side("enhance")),
    )
    beats: Mapping[str, datetime] = {}
    if look.checks["database"] == "ok":
        beats = await _beats(bridge)
    return Health(
        version=bridge.settings.app_version,
        mode=bridge.settings.provisioning_mode,
        checks={name: look.checks[name] for name in CHECKS},
        errors=look.errors,
        latencies=look.latencies,
        load=look.load,
        last_pass=look.last_pass,
        migration=look.migration,
        beats=beats,
        max_lag=bridge.settings.health_max_lag,
        taken=time.monotonic(),
    )


async def _beats(bridge: Bridge) -> Mapping[str, datetime]:
    try:
        return await pulses.beats(bridge.db)
    except DatabaseUnavailable as error:  # away since it was looked at: the next look says so
        log.warning("beats_unread", error=str(error))
        return {}


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


class _Look:
    """One look at all sides, each within its own time, and what was found so far."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.checks: dict[str, Check] = {}
        self.errors: dict[str, str] = {}
        self.latencies: dict[str, float] = {}
        self.migration: int | None = None
        self.load: due.Load | None = None
        self.last_pass: float | None = None

    async def database(self) -> None:
        """Whether the schema is this code's, the database this shard's, and how work stands."""
        db = self._bridge.db
        self.migration = await schema_version(db)
        if self.migration < latest_version():
            raise SchemaOutdated(f"migration {self.migration} of {latest_version()} is applied")
        if why := await shards.wrong(db, self._bridge.settings.shard):
            raise DatabaseUnfit(why)
        self.load = await due.load(db)
        self.last_pass = await pulses.age(db, "passes")

    async def side(self, name: pulses.Name) -> None:
        """How the last call to another side ended."""
        error, self.latencies[name] = await _pulse_of(self._bridge, name)
        if error is not None:
            raise _Failing(error)

    async def timed(self, name: str, work: Awaitable[object]) -> None:
        """Note how a look ends, and how long it took where nobody said."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await work
            self.checks[name] = "ok"
        except SchemaOutdated as error:
            self.checks[name], self.errors[name] = "outdated", str(error)
        except (BridgeError, TimeoutError) as error:
            self.checks[name], self.errors[name] = "failing", str(error) or "no answer in time"
        self.latencies.setdefault(name, round((time.monotonic() - began) * 1000, 1))


class _Failing(BridgeError):
    """A side that was found failing, by whichever process."""


async def _pulse_of(bridge: Bridge, name: pulses.Name) -> tuple[str | None, float]:
    """(what is wrong with a side, milliseconds of the call that showed it): told if it is known, else asked."""
    while True:
        try:
            standing = await pulses.look(bridge.db, name, TOLD_FOR, TURN)
        except (DatabaseUnavailable, SchemaOutdated):  # nobody can be asked how it was found: go by this process alone
            pulse = _client(bridge, name).pulse
            if pulse.ended is None or pulse.ended < time.monotonic() - TOLD_FOR.total_seconds():
                await _ask(bridge, name)
            return pulse.error, pulse.took_ms
        if standing.fresh:
            return standing.error, round(standing.took_ms or 0.0, 1)
        if standing.ours:
            await _ask(bridge, name)
            pulse = _client(bridge, name).pulse
            try:
                await pulses.tell(bridge.db, [pulses.Beat(name, 0.0, pulse.error, pulse.took_ms)])
            except (DatabaseUnavailable, SchemaOutdated) as error:
                log.warning("pulse_untold", error=str(error))
            return pulse.error, pulse.took_ms
        await asyncio.sleep(LOOK_AGAIN)


async def _ask(bridge: Bridge, name: pulses.Name) -> None:
    """Ask a side, and note in its client's pulse how it was found."""
    client = _client(bridge, name)
    began = time.monotonic()
    error = None
    try:
        async with asyncio.timeout(TURN.total_seconds() - 1):
            await client.check()
    except (BridgeError, TimeoutError) as failure:
        error = str(failure) or "no answer in time"
    except Exception as failure:  # such as an answer of an unknown shape: one check, and never the whole report
        log.exception("check_crashed", check=name)
        error = f"unexpected answer: {type(failure).__name__}"
    client.pulse.note(began, error)


def _client(bridge: Bridge, name: pulses.Name) -> StripeClient | EnhanceClient:
    return bridge.stripe if name == "stripe" else bridge.enhance
