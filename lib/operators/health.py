"""Whether this deployment can do its work: database, Stripe, panel, and how long due work has been waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Literal

from lib.database import due, latest_version, schema_version
from lib.errors import BridgeError, SchemaOutdated
from lib.log import get_logger
from lib.subscription_manager.manager import SubscriptionManager

log = get_logger()

FRESH = 5.0
"""Seconds for which an answer serves everybody who asks: probes come from many places at once."""

PATIENCE = 8.0
"""Seconds that one check may take; a probe itself usually gives up after ten."""

Check = Literal["ok", "failing", "outdated"]


@dataclass(frozen=True, slots=True)
class Health:
    """One look at everything."""

    version: str
    mode: str
    checks: dict[str, Check]
    errors: dict[str, str]
    latencies: dict[str, float]
    load: due.Load | None
    migration: int | None
    max_lag: int
    taken: float

    @property
    def stuck(self) -> bool:
        """Whether due work waits longer than `HEALTH_MAX_LAG` although it should run."""
        return self.mode != "paused" and self.load is not None and self.load.oldest_seconds > self.max_lag

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
                "oldestDueSeconds": round(self.load.oldest_seconds, 1) if self.load else None,
                "due": self.load.due if self.load else None,
                "parked": self.load.parked if self.load else None,
                "migration": self.migration,
                "migrationWanted": latest_version(),
            }
        return body


async def check(bridge: SubscriptionManager) -> Health:
    """Look at all three sides at once; an answer is reused for `FRESH` seconds."""
    async with bridge.health_lock:
        cached = bridge.health_cache
        if isinstance(cached, Health) and time.monotonic() - cached.taken < FRESH:
            return cached
        bridge.health_cache = fresh = await _look(bridge)
        return fresh


async def _look(bridge: SubscriptionManager) -> Health:
    checks: dict[str, Check] = {}
    errors: dict[str, str] = {}
    latencies: dict[str, float] = {}
    found: dict[str, Any] = {}

    async def database() -> None:
        found["migration"] = await schema_version(bridge.db)
        if found["migration"] < latest_version():
            raise SchemaOutdated(f"migration {found['migration']} of {latest_version()} is applied")
        found["load"] = await due.load(bridge.db)

    async def timed(name: str, work: Awaitable[object]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await work
            checks[name] = "ok"
        except SchemaOutdated as error:
            checks[name], errors[name] = "outdated", str(error)
        except (BridgeError, TimeoutError) as error:
            checks[name], errors[name] = "failing", str(error) or "no answer in time"
        except Exception as error:  # such as an answer of an unknown shape: one check, and never the whole report
            log.exception("check_crashed", check=name)
            checks[name], errors[name] = "failing", f"unexpected answer: {type(error).__name__}"
        latencies[name] = round((time.monotonic() - began) * 1000, 1)

    await asyncio.gather(
        timed("database", database()), timed("stripe", bridge.stripe.check()), timed("enhance", bridge.enhance.check())
    )
    return Health(
        version=bridge.settings.app_version,
        mode=bridge.settings.provisioning_mode,
        checks={name: checks[name] for name in ("database", "stripe", "enhance")},
        errors=errors,
        latencies=latencies,
        load=found.get("load"),
        migration=found.get("migration"),
        max_lag=bridge.settings.health_max_lag,
        taken=time.monotonic(),
    )
