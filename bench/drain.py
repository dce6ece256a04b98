"""How the rate of a drain grows with passes at one time: as slots of one process, and as processes with one slot each.

    .venv/bin/python -m bench.drain [--slots 1 2 4 8] [--each 10] [--rounds 2] [--panel-ms 200]

Every customer who is due is to be moved to another plan, because a mapping was edited: the panel is looked at, changed
and looked at again, and takes `--panel-ms` for each of these. Every slot has `--each` customers to come to. First
provisionings (of a third as many) come on top, in slots of one process: nine calls, of which the creation of a website
is one at a time over all processes. It is the drain of `./scripts/worker`; PANEL_CONCURRENCY does not bind. The figure
to look at is the rate with 8 of them, of that with one: at least 7. It fails when somebody has not got at the end what
they were to get.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from bench.stage import ENVIRON, ROOT
from bench.world import OTHER_PLANS, World, fill, simulated
from lib import log
from lib.bridge import Bridge
from lib.config import Settings
from lib.model import Lane
from scripts._postgres import start

BINDS_NOT = 64
"""PANEL_CONCURRENCY."""


def main() -> int:
    """Measure and print; 1 when somebody has not got what they were to get."""
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8], help="passes at one time (%(default)s)")
    parser.add_argument("--each", type=int, default=10, help="customers of each slot (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="the brake ends a second one (%(default)s)")
    parser.add_argument("--panel-ms", type=float, default=200.0, help="that each panel call takes (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--drain", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        asyncio.run(_drain(options.drain))
        return 0
    if 2 * options.rounds * len(options.slots) > OTHER_PLANS:
        parser.error(f"there are {OTHER_PLANS} plans to move to")
    with ExitStack() as running:
        world = running.enter_context(simulated(max(options.slots) * options.each, panel_ms=options.panel_ms))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        url = running.enter_context(start(folder / "data")).create_database("bench")
        asyncio.run(fill(url, world.rows))
        results = measure(world, url, options)
    for row in results:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any(row["left_out"] for row in results) else 0


def measure(world: World, url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each number of slots, in both senses, in turns."""
    plans = count()
    results = []
    for _ in range(options.rounds):
        for slots in options.slots:
            for sense, processes in {"slots": [slots], "processes": [1] * slots}.items():
                if slots == 1 and sense == "processes":
                    continue  # it is the same
                moved = partial(move, url, slots * options.each, f"bench-{next(plans)}")
                found = round_of(world, url, processes, moved)
                results.append({"sense": sense, "slots": slots, "panel_ms": options.panel_ms, **found})
        for slots in sorted({min(options.slots), max(options.slots)}):
            bought = partial(provision, world, url, max(2, slots * options.each // 3))
            found = round_of(world, url, [slots], bought)
            results.append({"sense": "provisioning", "slots": slots, "panel_ms": options.panel_ms, **found})
    return results


def move(url: str, customers: int, plan: str) -> int:
    """Make so many customers due, who are to be on this plan; how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE plan_mappings SET enhance_plan_id = %s", [plan])
        connection.execute("DELETE FROM due WHERE key NOT IN (SELECT key FROM due ORDER BY key LIMIT %s)", [customers])
    return customers


def provision(world: World, url: str, customers: int) -> int:
    """Make so many new customers due, who have bought their first hosting; how many."""
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO due (kind, key) VALUES ('customer', %s)", [[c] for c in world.buy(customers)])
    return customers


def round_of(world: World, url: str, processes: Sequence[int], make_due: Callable[[], int]) -> dict[str, Any]:
    """Have a pass of whom it makes due, in processes with so many slots each; the rate, and what it cost."""
    environ = {
        **os.environ,
        **ENVIRON,
        **world.environ,
        "DATABASE_URL": url,
        "PANEL_CONCURRENCY": str(BINDS_NOT),
        "BRAKE_MAX": "1000000",
        "BRAKE_PERCENT": "100",
    }
    with ExitStack() as running, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM due")
        started = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "bench.drain", "--drain", str(slots)],
                    cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for slots in processes
        ]  # fmt: skip
        for process in started:
            _line_of(process)
        customers = make_due()
        (since,) = connection.execute("SELECT clock_timestamp()").fetchall()[0]
        before, began = world.counts(), time.perf_counter()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ends = [json.loads(_line_of(process)) for process in started]
        seconds = time.perf_counter() - began
        ((reached,),) = connection.execute(
            "SELECT count(DISTINCT customer_id) FROM actions WHERE state = 'verified' AND at > %s", [since]
        ).fetchall()
    passes = sum(end["passes"] for end in ends)
    return {
        "passes": passes,
        "per_second": round(passes / seconds, 2),
        "panel_calls_per_pass": round((world.counts()["panel"]["calls"] - before["panel"]["calls"]) / passes, 2),
        "cpu_ms_per_pass": round(1000 * sum(end["cpu"] for end in ends) / passes, 1),
        "left_out": customers - reached + len(world.unequal()),
    }


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if '"event"' in line:
        raise SystemExit(f"a drain complained: {line}")
    return line


async def _drain(slots: int) -> None:
    """One process: ready, and once it is told to, the drain of a worker until nothing is due."""
    settings = Settings.load(dict(os.environ))
    log.configure(settings.log_level)
    bridge = Bridge(settings)
    known = await bridge.db.row("SELECT customer_id FROM customers LIMIT 1")
    assert known is not None
    await bridge.reconcile(known["customer_id"], dry_run=True)  # everything is loaded, and both sides are connected
    await bridge.enhance.plans()
    await bridge.drain(deadline=float("inf"), workers=slots, lanes=(Lane.PANEL,))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    before = resource.getrusage(resource.RUSAGE_SELF)
    drained = await bridge.drain(deadline=float("inf"), workers=slots, lanes=(Lane.PANEL,))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"passes": drained.passes, "cpu": cpu}), flush=True)
    await bridge.close()


if __name__ == "__main__":
    sys.exit(main())
