"""What a sweep of unchanged subscriptions costs: calls, seconds and memory, for two sizes in one run.

    .venv/bin/python -m bench.sweep [--sizes 10000 100000]

The simulators run in a process of their own, so that the memory shown is the sweep's alone. The figure to look at is
the ratio between the sizes: calls and the sweep's own processor seconds grow with the number of list pages, memory
does not grow at all. The seconds on the clock are partly the simulators'.
"""

import argparse
import asyncio
import gc
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

import psycopg

from lib.bridge import Bridge
from lib.config import Policy, Secret, Settings
from lib.database import Database, migrate
from lib.policy import fingerprint
from lib.stripe_client.shapes import read_subscription
from scripts import sim
from scripts._postgres import Postgres, start
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure each size in a fresh process and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.simulate:
        simulate(arguments.simulate)
    elif arguments.measure:
        asyncio.run(measure(json.loads(arguments.measure)))
    else:
        with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
            results = [run(postgres, size) for size in arguments.sizes]
        report(results)


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
    simulators = subprocess.Popen(
        [*command, "--simulate", str(size)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert simulators.stdout is not None
        world = json.loads(simulators.stdout.readline())
        asyncio.run(fill(url, Path(world.pop("rows"))))
        environ = {**world, "DATABASE_URL": url}
        done = subprocess.run(
            [*command, "--measure", json.dumps(environ)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    finally:
        simulators.communicate("end\n")


def simulate(size: int) -> None:
    """Serve both simulators until told to end; the first line says where they are and what is in them."""
    stripe, panel = StripeSim(), EnhanceSim()
    stripe.create_price("price_bench")
    stripe.seed_many(size, "price_bench")
    panel.seed_many(size, panel.add_plan("bench"))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        held = zip(stripe.subscriptions.values(), panel.subscriptions.values(), strict=True)
        websites = {site.subscription_id: site.id for site in panel.websites.values()}
        owners = {member.org_id: member for member in panel.members.values()}
        invoices, orgs, logins = stripe.invoices, panel.orgs, panel.logins  # each is gathered anew when asked for
        for subscription, hosting in held:
            lines = subscription["items"]["data"]
            truth = read_subscription(
                {**subscription, "latest_invoice": invoices[subscription["latest_invoice"]]}, lines
            )
            owner = owners[hosting.org_id]
            row = {
                "customer": subscription["customer"],
                "subscription": subscription["id"],
                "item": lines[0]["id"],
                "fingerprint": fingerprint(truth, Policy()),
                "org": hosting.org_id,
                "name": orgs[hosting.org_id].name,
                "email": logins[owner.login_id].email,
                "login": owner.login_id,
                "member": owner.id,
                "hosting": hosting.id,
                "plan": hosting.plan_id,
                "website": websites[hosting.id],
            }
            file.write(json.dumps(row) + "\n")
        file.flush()
        gc.collect()
        gc.freeze()  # else the simulators' own memory is searched again and again, and counted as the sweep's seconds
        with serve(stripe.app) as stripe_url, serve(panel.app) as panel_url:
            world = {
                "rows": file.name,
                **sim.settings(stripe, stripe_url, panel, panel_url),
                "ADMIN_API_KEY": "admin_fake_key",
                "CRON_SECRET": "cron_fake_secret",
                "LOG_LEVEL": "error",
            }
            print(json.dumps(world), flush=True)
            sys.stdin.readline()


async def fill(url: str, rows: Path) -> None:
    """Write everything into the database as if each had been provisioned and had come to rest."""
    database = Database(Secret(url))
    await migrate(database)
    await database.close()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE TEMPORARY TABLE loaded (row jsonb)")
        cursor = connection.cursor()
        async with cursor.copy("COPY loaded FROM STDIN") as copy:
            with rows.open() as lines:
                for line in lines:
                    await copy.write_row([line])
        await connection.execute(
            "INSERT INTO customers (customer_id, org_id, org_name, panel_name, panel_email, panel_surplus, login_id,"
            " member_id) SELECT row->>'customer', (row->>'org')::uuid, row->>'name', row->>'name', row->>'email', 0,"
            " (row->>'login')::uuid, (row->>'member')::uuid FROM loaded"
        )
        await connection.execute(
            "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, plan, state,"
            " panel_subscription_id, panel_plan_id, website_id)"
            " SELECT row->>'customer', row->>'subscription', 1, row->>'item', 'price_bench', 'bench', 'live',"
            " (row->>'hosting')::integer, (row->>'plan')::integer, (row->>'website')::uuid FROM loaded"
        )
        await connection.execute(
            "INSERT INTO subscriptions (subscription_id, customer_id, fingerprint)"
            " SELECT row->>'subscription', row->>'customer', row->>'fingerprint' FROM loaded"
        )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("VACUUM ANALYZE")


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
