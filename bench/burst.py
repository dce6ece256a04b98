"""What a burst of events costs, with passes on: acknowledged, passes for each customer, claims, time until it is quiet.

    .venv/bin/python -m bench.burst [--customers 1000 --events 10000 --connections 32 --panel-ms 20 --processes 2]

Each customer is live and equal at both sides, and gets their share of the events in a random order: a pass reads Stripe
and the panel once and changes nothing. One of ten has been behind with their payment for too long, and is suspended by
the first pass that comes. The figures to look at: passes for each customer (at most 1.3), claims for each event (well
below 1), the panel's calls at one time (never above PANEL_CONCURRENCY), and that nothing is left due. It fails when an
event is not in the inbox, something is left due, or a hosting is not at the end what Stripe's side says.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg

from bench.stage import PLACES, Sender, request, serving
from bench.world import World, fill, simulated
from scripts._postgres import start

LIMIT = 600.0
"""Seconds after which it is given up."""

BEHIND = 10
"""One customer of so many has not paid."""

BY_ITSELF = 30.0
"""Seconds that are left for passes after an answer (`lib/web/deadline.py`), less the time for the last one."""


def main() -> int:
    """Measure and print; 1 when something is left due, lost, or not equal at both sides."""
    parser = argparse.ArgumentParser(prog="python -m bench.burst", description=__doc__)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32, help="deliveries at one time (%(default)s)")
    parser.add_argument("--panel-ms", type=float, default=20.0, help="that each panel call takes besides (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="of ./scripts/serve (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    with ExitStack() as running:
        world = running.enter_context(simulated(options.customers, panel_ms=options.panel_ms))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory())) / "data"
        postgres = running.enter_context(start(folder))
        url = postgres.create_database("bench")
        asyncio.run(fill(url, world.rows))
        world.lapse(BEHIND)
        settings = {**world.environ, "BRAKE_MAX": str(options.customers), "BRAKE_PERCENT": "100"}
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE bench SET log_statement = 'all'")
            connection.execute("ALTER DATABASE bench SET log_parameter_max_length = 0")
        ports = [running.enter_context(serving(url, "live", **settings)).port for _ in range(options.processes)]
        result = asyncio.run(burst(world, url, folder, ports, options))
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["left_due"] or result["lost"] or result["unequal"] else 0


async def burst(world: World, url: str, folder: Path, ports: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """Deliver all events, and wait until nothing is due."""
    order = [customer for customer in world.customers for _ in range(options.events // options.customers)]
    random.Random(7).shuffle(order)  # noqa: S311 - the same in each run
    secret = world.environ["STRIPE_WEBHOOK_SECRET"]
    stock = iter([request(f"burst_{n}", *customer, secret=secret) for n, customer in enumerate(order)])
    before, seen_before = world.counts(), _seen(folder)
    began = time.perf_counter()

    await asyncio.gather(*(_deliver(ports[n % len(ports)], stock) for n in range(options.connections)))
    acknowledged = time.perf_counter() - began
    left = await _quiet(url, began, ports[0], world.environ["CRON_SECRET"])
    quiet = time.perf_counter() - began
    after = world.counts()
    claims, passes = (later - earlier for later, earlier in zip(_seen(folder), seen_before, strict=True))
    return {
        "events": len(order),
        "customers": options.customers,
        "processes": len(ports),
        "panel_ms": options.panel_ms,
        "acks_per_second": round(len(order) / acknowledged),
        "seconds_until_quiet": round(quiet, 1),
        "passes": passes,
        "passes_per_customer": round(passes / options.customers, 3),
        "claims_per_event": round(claims / len(order), 3),
        "panel_calls_per_pass": round((after["panel"]["calls"] - before["panel"]["calls"]) / passes, 2),
        "panel_calls_at_once": after["panel"]["at_once"],
        "panel_concurrency": PLACES,
        "left_due": left,
        "lost": len(order) - await _one(url, "SELECT count(*) FROM events WHERE outcome = 'accepted'"),
        "unequal": len(world.unequal()),
    }


async def _deliver(port: int, stock: Iterator[bytes]) -> None:
    _, sender = await asyncio.get_running_loop().create_connection(Sender, "127.0.0.1", port)
    for one in stock:
        if (status := await sender.send(one)) != 200:
            raise SystemExit(f"an event was answered with {status}")
    sender.close()


async def _quiet(url: str, began: float, port: int, secret: str) -> int:
    """Wait until nothing is due; what the time after the answers did not suffice for is the cron's, as always."""
    bearer = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=bearer, timeout=LIMIT) as cron:
        while (left := await _due(url)) and time.perf_counter() - began < LIMIT:
            await asyncio.sleep(0.05)
            if time.perf_counter() - began > BY_ITSELF:
                (await cron.get("/api/cron/drain")).raise_for_status()
        return left


async def _due(url: str) -> int:
    return await _one(url, "SELECT count(*) FROM due WHERE due_at <= now() OR lease_id IS NOT NULL")


async def _one(url: str, statement: LiteralString) -> int:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


def _seen(folder: Path) -> tuple[int, int]:
    """Looks at the queue with claims, and ends of passes, from the server's log of statements."""
    said = (folder / "server.log").read_text()
    looks = said.count(" FROM claim_due(") + said.count("waiting.passes > 0")
    return looks, said.count("SELECT 1 FROM due WHERE lease_id")


if __name__ == "__main__":
    sys.exit(main())
