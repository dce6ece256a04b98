"""What a sweep of unchanged subscriptions costs, beside the list pages alone: calls, seconds and memory, for two sizes.

    .venv/bin/python -m bench.sweep [--sizes 10000 100000 --rounds 2]

*pages*: the same lists, page by page with the same clients, and thrown away. Both are measured in turns, each in a
process of its own, and so do the simulators have one: what is shown is the sweep's alone. The figures to look at: the
sweep's time is at most 1.2 times that of the pages, it makes no call that is none of a list page, and its memory does
not grow with the number of subscriptions.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.stage import ROOT
from bench.world import fill, simulated
from lib.bridge import Bridge
from lib.config import Settings
from lib.subscription_manager.sweep import FIRST_WINDOW, HISTORY, MONEY_HISTORY
from scripts._postgres import Postgres, start


def main() -> None:
    """Measure each size in a fresh process and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, environ = arguments.measure
        asyncio.run(measure(what, json.loads(environ)))
    else:
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
            results = [run(postgres, size, arguments.rounds) for size in arguments.sizes]
        report(results)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def report(results: list[dict[str, Any]]) -> None:
    """Print a row for each size, and the ratio of the last to the first."""
    names = (
        "subscriptions", "stripe_calls", "panel_calls", "pages", "marked", "cpu_seconds", "pages_cpu", "seconds",
        "pages_seconds", "of_pages", "peak_mb", "grown_mb",
    )  # fmt: skip
    print("".join(f"{name:>14}" for name in names))
    for result in results:
        print("".join(f"{result[name]:>14}" for name in names))
    for result in results:
        print(f"{result['subscriptions']:>14}  milliseconds by phase: {result['phases_ms']}")
    first, last = results[0], results[-1]
    ratios = [last[name] / first[name] if first[name] else float("nan") for name in names]
    print("".join(f"{ratio:>13.2f}x" for ratio in ratios))


def run(postgres: Postgres, size: int, rounds: int) -> dict[str, Any]:
    """Start the simulators, fill the database as if all had been provisioned, and measure both in turns."""
    url = postgres.create_database(f"bench_{size}")
    taken: dict[str, list[dict[str, Any]]] = {"pages": [], "sweep": []}
    with simulated(size) as world:
        asyncio.run(fill(url, world.rows))
        environ = json.dumps({**world.environ, "DATABASE_URL": url})
        for number in range(rounds):
            for what in list(taken)[:: -1 if number % 2 else 1]:
                command = [sys.executable, "-m", "bench.sweep", "--measure", what, environ]
                done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
                taken[what].append(json.loads(done.stdout.splitlines()[-1]))
    pages, swept = taken["pages"], taken["sweep"]
    seconds, pages_seconds = (median(one["seconds"] for one in each) for each in (swept, pages))
    return {
        **swept[-1],
        "cpu_seconds": round(median(one["cpu_seconds"] for one in swept), 1),
        "seconds": round(seconds, 1),
        "pages": pages[-1]["stripe_calls"] + pages[-1]["panel_calls"],
        "pages_cpu": round(median(one["cpu_seconds"] for one in pages), 1),
        "pages_seconds": round(pages_seconds, 1),
        "of_pages": round(seconds / pages_seconds, 2),
    }


async def measure(what: str, environ: dict[str, str]) -> None:
    """Sweep once, or read the pages alone; print what it cost as JSON."""
    from lib import log, outside_calls

    settings = Settings.load(environ)
    log.configure(settings.log_level)
    bridge = Bridge(settings)
    await bridge.stripe.check()
    await bridge.enhance.check()
    await bridge.ensure_schema(migrates=False)
    calls = outside_calls.begin()
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found = await (sweep(bridge) if what == "sweep" else read_pages(bridge))
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    await bridge.close()
    result = {
        **found,
        "stripe_calls": calls["stripe"],
        "panel_calls": calls["panel"],
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "seconds": seconds,
        "peak_mb": round(after.ru_maxrss / 1024),
        "grown_mb": round((after.ru_maxrss - before.ru_maxrss) / 1024),
    }
    print(json.dumps(result))


async def sweep(bridge: Bridge) -> dict[str, Any]:
    """A whole sweep; how long each phase took."""
    phases: Counter[str] = Counter()
    current = "events"
    last = time.perf_counter()

    def step(phase: str, _: Mapping[str, int]) -> None:
        nonlocal last, current
        phases[current] += round((time.perf_counter() - last) * 1000)
        current, last = phase, time.perf_counter()

    swept = await bridge.sweep(deadline=time.monotonic() + 3600, progress=step)
    counts = swept.counts
    return {"subscriptions": counts["subscriptions"], "marked": counts.get("marked", 0), "phases_ms": phases}


async def read_pages(bridge: Bridge) -> dict[str, Any]:
    """Each list that a sweep reads, page by page, and nothing done with it."""
    stripe, panel = bridge.stripe, bridge.enhance
    since = datetime.now(UTC) - MONEY_HISTORY
    lists: tuple[Callable[[Any], Awaitable[tuple[Any, ...]]], ...] = (
        lambda after: stripe.events_page(datetime.now(UTC) - FIRST_WINDOW, after),
        lambda after: stripe.events_page(datetime.now(UTC) - HISTORY, after, undelivered=True),
        stripe.subscriptions_page,
        lambda after: stripe.statuses_page("dispute", since, after),
        lambda after: stripe.statuses_page("refund", since, after),
        lambda after: panel.orgs_page(after or 0),
        lambda after: panel.websites_page(after or 0),
    )
    for read in lists:
        *_, after = await read(None)
        while after is not None:
            *_, after = await read(after)
    return {}


if __name__ == "__main__":
    main()
