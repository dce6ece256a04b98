"""What a sweep of unchanged subscriptions costs: calls, seconds and memory, for two sizes in one run.

    .venv/bin/python -m bench.sweep [--sizes 10000 100000]

The simulators run in a process of their own, so that the memory shown is the sweep's alone. The figure to look at is
the ratio between the sizes: calls and the sweep's own processor seconds grow with the number of list pages, memory
does not grow at all. The seconds on the clock are partly the simulators'.
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.stage import ROOT
from bench.world import fill, simulated
from lib.bridge import Bridge
from lib.config import Settings
from scripts._postgres import Postgres, start


def main() -> None:
    """Measure each size in a fresh process and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        asyncio.run(measure(json.loads(arguments.measure)))
    else:
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
            results = [run(postgres, size) for size in arguments.sizes]
        report(results)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def report(results: list[dict[str, Any]]) -> None:
    """Print a row for each size, and the ratio of the last to the first."""
    names = ("subscriptions", "stripe_calls", "panel_calls", "marked", "cpu_seconds", "seconds", "peak_mb", "grown_mb")
    print("".join(f"{name:>15}" for name in names))
    for result in results:
        print("".join(f"{result[name]:>15}" for name in names))
    for result in results:
        print(f"{result['subscriptions']:>15}  milliseconds by phase: {result['phases_ms']}")
    first, last = results[0], results[-1]
    ratios = [last[name] / first[name] if first[name] else float("nan") for name in names]
    print("".join(f"{ratio:>14.2f}x" for ratio in ratios))


def run(postgres: Postgres, size: int) -> dict[str, Any]:
    """Start the simulators, fill the database as if all had been provisioned, and measure one sweep."""
    url = postgres.create_database(f"bench_{size}")
    command = [sys.executable, "-m", "bench.sweep"]
    with simulated(size) as world:
        asyncio.run(fill(url, world.rows))
        environ = {**world.environ, "DATABASE_URL": url}
        done = subprocess.run(
            [*command, "--measure", json.dumps(environ)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


async def measure(environ: dict[str, str]) -> None:
    """Sweep once; print what it cost as JSON."""
    from lib import log, outside_calls

    settings = Settings.load(environ)
    log.configure(settings.log_level)
    bridge = Bridge(settings)
    await bridge.stripe.check()
    await bridge.enhance.check()
    await bridge.ensure_schema(migrates=False)
    calls = outside_calls.begin()
    before = resource.getrusage(resource.RUSAGE_SELF)
    phases: Counter[str] = Counter()
    current = "events"
    began = last = time.perf_counter()

    def step(phase: str, _: Mapping[str, int]) -> None:
        nonlocal last, current
        phases[current] += round((time.perf_counter() - last) * 1000)
        current, last = phase, time.perf_counter()

    swept = await bridge.sweep(deadline=time.monotonic() + 3600, progress=step)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    await bridge.close()
    result = {
        "subscriptions": swept.counts["subscriptions"],
        "stripe_calls": calls["stripe"],
        "panel_calls": calls["panel"],
        "marked": swept.counts.get("marked", 0),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "seconds": round(seconds, 1),
        "peak_mb": round(after.ru_maxrss / 1024),
        "grown_mb": round((after.ru_maxrss - before.ru_maxrss) / 1024),
        "phases_ms": phases,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
