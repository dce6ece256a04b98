"""What one pass of each kind costs: statements, round trips, calls of both sides, processor time of this process.

    .venv/bin/python -m bench.passes [--customers 20]

The real drain with one place, between the simulators and a database, with a counter on the way to that. The share of a
drain's own looks at the queue is in each figure. An exchange of several statements that are sent together is one round
trip. The simulators and the counter run in threads of their own, whose time is not counted.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.relay import Wire, relayed
from bench.stage import make_schema
from lib import log
from lib.bridge import Bridge
from lib.config import Settings
from lib.database import due
from lib.kinds import nudge
from scripts import sim
from scripts._postgres import start
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

LAPSED = 30 * 86400
"""Seconds since a payment failed that are more than any grace."""


def main() -> None:
    """Measure each kind and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.passes", description=__doc__)
    parser.add_argument("--customers", type=int, default=20, help="passes of each kind (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
        url = postgres.create_database("bench")
        with relayed(url) as wire:
            results = asyncio.run(measure(url, wire, options.customers))
    for row in results:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


class Stage:
    """Both sides, the database, and one process of ours."""

    def __init__(self, stripe: StripeSim, panel: EnhanceSim, bridge: Bridge, wire: Wire) -> None:
        self.stripe = stripe
        self.panel = panel
        self.bridge = bridge
        self._wire = wire
        self.bought: dict[str, str] = {}
        """Customer -> subscription."""

    def buy(self, customers: int) -> None:
        """So many new customers with a domain each."""
        self.bought = {}
        for number in range(customers):
            name = f"{len(self.stripe.customers)}.example"
            customer = str(self.stripe.create_customer(email=f"buyer@{name}", name=f"Buyer {number}")["id"])
            bought = self.stripe.subscribe(customer, ["price_bench"], metadata={"domain": f"shop{name}"})
            self.bought[customer] = str(bought["id"])

    async def passes(self, kind: str, change: Callable[[str], object] | None = None) -> dict[str, Any]:
        """Make a change to every subscription, and run a pass of every customer; what one of them costs."""
        for subscription in self.bought.values():
            if change is not None:
                change(subscription)
        await due.mark(self.bridge.db, [nudge("customer", customer) for customer in self.bought])
        self.stripe.calls.clear()
        self.panel.forget_calls()
        self._wire.take()
        began = time.thread_time()
        drained = await self.bridge.drain(deadline=float("inf"))
        cpu = time.thread_time() - began
        assert drained.outcomes == {"settled": len(self.bought)}, drained
        counts = {
            **self._wire.take(),
            "stripe_calls": len(self.stripe.calls),
            "panel_calls": len(self.panel.calls),
        }
        share = {name: round(count / len(self.bought), 2) for name, count in counts.items()}
        return {"kind": kind, **share, "cpu_ms": round(cpu * 1000 / len(self.bought), 2)}


@contextmanager
def sides() -> Iterator[tuple[StripeSim, EnhanceSim, dict[str, str]]]:
    """Both simulators, and the settings that lead to them."""
    stripe, panel = StripeSim(), EnhanceSim()
    stripe.create_price("price_bench")
    panel.add_plan("bench")
    with serve(stripe.app) as stripe_url, serve(panel.app) as panel_url:
        yield (
            stripe,
            panel,
            {
                **sim.settings(stripe, stripe_url, panel, panel_url),
                "ADMIN_API_KEY": "admin_fake_key",
                "CRON_SECRET": "cron_fake_secret",
                "LOG_LEVEL": "error",
                "BRAKE_MAX": "100000",
                "BRAKE_PERCENT": "100",
            },
        )


async def measure(url: str, wire: Wire, customers: int) -> list[dict[str, Any]]:
    """Passes of each kind, one after another in the life of the same customers."""
    await make_schema(url)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
            " VALUES ('stripe', 'price_bench', 'bench')"
        )
    with sides() as (stripe, panel, environ):
        settings = Settings.load({**environ, "DATABASE_URL": wire.url})
        log.configure(settings.log_level)
        bridge = Bridge(settings)
        stage = Stage(stripe, panel, bridge, wire)
        try:
            stage.buy(1)
            await stage.passes("the first of a process")
            stage.buy(customers)
            lapsed = stripe.now() - LAPSED
            return [
                await stage.passes("first provisioning"),
                await stage.passes("no change"),
                await stage.passes("suspend", lambda subscription: stripe.fail_payment(subscription, lapsed)),
                await stage.passes("resume", stripe.pay_open_invoice),
            ]
        finally:
            await bridge.close()


if __name__ == "__main__":
    main()
