"""What an installation costs a month on Vercel Pro and Neon: measured calls, times prices, over a month as it goes.

    .venv/bin/python -m bench.costs [--rounds 30 --customers 1000]

Each call runs in this process as its function would, with both other sides, the cache and PostgreSQL in processes of
their own: its CPU is what this process used, its seconds what it took on loopback, plus `AWAY` for each call of another
side. The month is played minute by minute with the very decision that the cron takes (`lib.policy.quiet`).
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.stage import ROOT, request
from bench.world import World, fill, simulated
from lib import runtime_cache
from lib.policy import quiet
from lib.runtime_cache import RuntimeCache
from lib.structs import replace
from scripts._functions import functions_app
from scripts._postgres import start
from scripts.sim.cache_sim import PATH, TOKEN

PRICES = {
    "vercel": {
        "cpu_hour": 0.128,
        "gb_hour": 0.0106,
        "million_calls": 0.60,
        "million_cache_reads": 0.40,
        "million_cache_writes": 4.00,
        "memory_gb": 2.0,
    },
    "neon": {"launch_cu_hour": 0.106, "scale_cu_hour": 0.222, "free_cu_hours": 100.0, "smallest_cu": 0.25},
}
"""US dollars. Vercel: fluid-compute/pricing (iad1, the lowest; fra1 and others up to 1.7 times) and
data-cache/limits-and-pricing for the cache; Neon: introduction/plans of 12 November 2026."""

AWAY = 0.25
"""Seconds that a call of Stripe or the panel takes besides, on a real network."""

SWEEP_AT = 17
"""Minute of the hour, as in vercel.json."""

MONTH = int(quiet.MONTH * 60)
"""Minutes."""

EVENTS = 6
"""Events that one renewal brings within a few seconds."""


@dataclass(frozen=True)
class Cost:
    """One call of a function: medians over the rounds."""

    cpu_ms: float
    seconds: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--customers", type=int, default=1000, help="of the sweep (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    calls = asyncio.run(_measured(options.rounds, options.customers))
    result = {
        "prices": PRICES,
        "swept": options.customers,
        "calls": {name: vars(cost) for name, cost in calls.items()},
        "months": [month(calls, *kind) for kind in ((0, False), (0, True), (1000, False), (1000, True))],
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


# --- what a call costs ------------------------------------------------------------------------------------------------


@contextmanager
def _cache() -> Iterator[RuntimeCache]:
    """A runtime cache in a process of its own."""
    command = [sys.executable, "-m", "scripts.sim.cache_sim"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RuntimeCache(process.stdout.readline().strip() + PATH, {"authorization": TOKEN})
        finally:
            process.communicate()


async def _measured(rounds: int, customers: int) -> dict[str, Cost]:
    with ExitStack() as running:
        world = running.enter_context(simulated(customers))
        postgres = running.enter_context(start(Path(running.enter_context(tempfile.TemporaryDirectory())) / "data"))
        url = postgres.create_database("bench")
        await fill(url, world.rows)
        os.environ.update({**world.environ, "DATABASE_URL": url})
        return await _Meter(world, running.enter_context(_cache())).all(rounds)


class _Meter:
    """Calls the functions as Vercel's runtime does, and reads the clocks."""

    def __init__(self, world: World, cache: RuntimeCache) -> None:
        self._world, self._cache = world, cache
        self._app = functions_app()
        self._taken: dict[str, list[Cost]] = {}

    async def all(self, rounds: int) -> dict[str, Cost]:
        """Each call in turns; the first round warms everything up and is not counted."""
        for number in range(rounds + 1):
            if number == 1:
                self._taken.clear()
            await self._take("webhook", partial(self._event, number))
            await self._forget()
            await self._take("cron_asks", lambda: self._cron("drain"))
            await self._take("cron_rests", lambda: self._cron("drain"))
            if number % 10 == 1:
                await self._take("sweep", lambda: self._cron("sweep"))
                await self._cron("drain")
        return {
            name: Cost(round(median(c.cpu_ms for c in taken), 2), round(median(c.seconds for c in taken), 4))
            for name, taken in self._taken.items()
        }

    async def _take(self, name: str, call: Callable[[], Awaitable[None]]) -> None:
        calls = sum(side["calls"] for side in self._world.counts().values())
        cpu, began = time.process_time(), time.perf_counter()
        await call()
        cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
        calls = sum(side["calls"] for side in self._world.counts().values()) - calls
        self._taken.setdefault(name, []).append(Cost(cpu * 1000, seconds + calls * AWAY))

    async def _forget(self) -> None:
        """Let it look as if nothing had happened for long, and nobody had looked."""
        from lib.bridge import current

        await current().db.rows("UPDATE pulses SET beat_at = now() - interval '1 day'")
        await current().db.rows("UPDATE events SET received_at = now() - interval '1 day'")
        current().__dict__.pop("lookout", None)
        self._cache = replace(self._cache, endpoint=f"{self._cache.endpoint}0")

    async def _event(self, number: int) -> None:
        customer = self._world.customers[number % len(self._world.customers)]
        sent = request(f"costs_{number}", *customer, secret=self._world.environ["STRIPE_WEBHOOK_SECRET"])
        head, _, body = sent.partition(b"\r\n\r\n")
        signature = head.decode().partition("Stripe-Signature: ")[2]
        await self._call("POST", "/api/webhook", {"stripe-signature": signature}, body)

    async def _cron(self, job: str) -> None:
        await self._call("GET", f"/api/cron/{job}", {"authorization": f"Bearer {self._world.environ['CRON_SECRET']}"})

    async def _call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """One request, with what goes on after its answer."""
        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "scheme": "http", "server": ("bench", 80), "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        runtime_cache.offer(self._cache)
        await self._app(scope, receive, send)
        if status != 200:
            raise SystemExit(f"{path} answered {status}")


# --- what a month costs -----------------------------------------------------------------------------------------------


@dataclass
class Month:
    """What happened in one."""

    asks: int = 0
    rests: int = 0
    sweeps: int = 0
    events: int = 0
    awake: int = 0
    """Minutes in which the database's compute was on."""


def played(customers: int, *, rests: bool) -> Month:
    """A month minute by minute: a renewal of each customer at a time of its own, a sweep each hour, a cron each minute.

    Args:
        rests: whether the cron asks the cache first.
    """
    month, awake_until = Month(), 0.0
    noise = random.Random(7)  # noqa: S311 - the same in each run
    renewals = {noise.randrange(MONTH) for _ in range(customers)}
    rest: quiet.Rest | None = None
    stirred, last_event = -1e9, -1e9
    for minute in range(MONTH):
        now = minute * 60.0
        touched = minute in renewals or minute % 60 == SWEEP_AT
        if minute in renewals:
            month.events += EVENTS
            last_event, stirred = now + 30, now + 30 + quiet.STIRRED_AHEAD
        if minute % 60 == SWEEP_AT:
            month.sweeps += 1
            stirred = max(stirred, now)
        written = quiet.written(rest) if rest else None
        found = rests and quiet.holds(written, quiet.stirred(stirred), "", now + 1)
        month.rests += bool(found)
        month.asks += not found
        if not found:
            touched = True
            rest = quiet.rest_after(quiet.Outlook(None, busy=False, idle=now + 1 - last_event), "", now + 1)
        if touched:
            awake_until = minute + quiet.SUSPENDS
        month.awake += minute < awake_until
    return month


def month(calls: Mapping[str, Cost], customers: int, rests: bool) -> dict[str, Any]:
    """A month and its price; `sweep` was measured over as many customers as there are, in an idle one over none."""
    went = played(customers, rests=rests)
    counts = {"cron_asks": went.asks, "cron_rests": went.rests, "sweep": went.sweeps, "webhook": went.events}
    vercel, neon = PRICES["vercel"], PRICES["neon"]
    cpu = sum(calls[name].cpu_ms * n for name, n in counts.items()) / 3_600_000
    gigabytes = sum(calls[name].seconds * n for name, n in counts.items()) * vercel["memory_gb"] / 3600
    reads = 2 * (went.asks + went.rests) * rests
    writes = (went.asks + went.sweeps + went.events // EVENTS) * rests
    cu_hours = went.awake / 60 * neon["smallest_cu"]
    return {
        "customers": customers,
        "rests": rests,
        "asks": went.asks,
        "calls": sum(counts.values()),
        "cpu_hours": round(cpu, 3),
        "gb_hours": round(gigabytes, 2),
        "vercel_usd": round(
            cpu * vercel["cpu_hour"]
            + gigabytes * vercel["gb_hour"]
            + sum(counts.values()) * vercel["million_calls"] / 1e6
            + reads * vercel["million_cache_reads"] / 1e6
            + writes * vercel["million_cache_writes"] / 1e6,
            2,
        ),
        "cu_hours": round(cu_hours, 1),
        "neon_launch_usd": round(cu_hours * neon["launch_cu_hour"], 2),
        "neon_scale_usd": round(cu_hours * neon["scale_cu_hour"], 2),
        "of_free": round(cu_hours / neon["free_cu_hours"], 2),
    }


# --- as it is shown ---------------------------------------------------------------------------------------------------

MONTHS = ("idle, before", "idle, now", "1,000 customers, before", "1,000 customers, now")
CALLS = {
    "cron_rests": "cron that asks the cache alone",
    "cron_asks": "cron that asks the database, and finds nothing",
    "webhook": "webhook with the pass that follows (nothing to change)",
    "sweep": "sweep of {swept:,} customers",
}


def month_lines(result: Mapping[str, Any]) -> list[str]:
    """The rows of `docs/costs.md` about months."""
    return [
        f"| {name} | {m['calls']:,} | {m['cpu_hours']:.2f} | {m['gb_hours']:.1f} | {m['vercel_usd']:.2f} |"
        f" {m['cu_hours'] / PRICES['neon']['smallest_cu'] / quiet.MONTH:.0%} | {m['cu_hours']:.0f} |"
        f" {m['neon_launch_usd']:.2f} | {m['neon_scale_usd']:.2f} |"
        for name, m in zip(MONTHS, result["months"], strict=True)
    ]


def call_lines(result: Mapping[str, Any]) -> list[str]:
    """The rows about calls."""
    return [
        f"| {said.format(**result)} | {result['calls'][name]['cpu_ms']:.1f} | {result['calls'][name]['seconds']:.3g} |"
        for name, said in CALLS.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
