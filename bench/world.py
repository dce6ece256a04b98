"""Both other sides in a process of their own, so that what is measured is ours alone, and a database to go with them.

.venv/bin/python -m bench.world SIZE PANEL_MS     # is started by the measurements
"""

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.stage import ROOT, make_schema
from lib.config import Policy
from lib.model import ServiceKey
from lib.policy import fingerprint, friendly_name, marks
from lib.stripe_client.shapes import read_subscription
from scripts import sim
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

OTHER_PLANS = 64
"""Plans that nobody has yet, `bench-0` and so on."""


class Gauge:
    """An app whose calls are counted, each answered so much later."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._calls = self._now = self._most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        self._calls += 1
        self._now += 1
        self._most = max(self._most, self._now)
        try:
            if self._seconds:
                await asyncio.sleep(self._seconds)
            await self._app(scope, receive, send)
        finally:
            self._now -= 1

    def read(self) -> dict[str, int]:
        """Calls so far, and how many there were at one time at most."""
        return {"calls": self._calls, "at_once": self._most}


@dataclass(frozen=True)
class World:
    """Where the two sides are, and what they hold."""

    environ: dict[str, str]
    rows: Path
    customers: list[tuple[str, str]]
    """Each with the id of their subscription."""
    _in: IO[str]
    _out: IO[str]

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls of each side until now."""
        found: dict[str, dict[str, int]] = self._ask("counts")
        return found

    def lapse(self, every: int) -> int:
        """Let one customer of so many be long behind with their payment; how many are."""
        return int(self._ask(f"lapse {every}"))

    def buy(self, count: int) -> list[str]:
        """Let so many new customers buy, each with a domain of their own; their ids."""
        found: list[str] = self._ask(f"buy {count}")
        return found

    def unequal(self) -> list[str]:
        """Subscriptions whose hosting is not what Stripe's side says: there once, on while it is paid, else off."""
        found: list[str] = self._ask("unequal")
        return found

    def _ask(self, what: str) -> Any:
        self._in.write(f"{what}\n")
        self._in.flush()
        return json.loads(self._out.readline())


@contextmanager
def simulated(size: int, *, panel_ms: float = 0.0) -> Iterator[World]:
    """Both sides with so many customers, each with a hosting that is live."""
    command = [sys.executable, "-m", "bench.world", str(size), str(panel_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            world: dict[str, Any] = json.loads(process.stdout.readline())
            rows = Path(world.pop("rows"))
            with rows.open() as lines:
                customers = [(row["customer"], row["subscription"]) for row in map(json.loads, lines)]
            yield World(world, rows, customers, process.stdin, process.stdout)
        finally:
            process.communicate()


def simulate(size: int, panel_ms: float) -> None:
    """Serve both simulators; a line says where they are and what is in them, each line in is a question."""
    stripe, panel = StripeSim(), EnhanceSim()
    stripe.create_price("price_bench")
    stripe.seed_many(size, "price_bench")
    panel.seed_many(size, panel.add_plan("bench"))
    for number in range(OTHER_PLANS):
        panel.add_plan(f"bench-{number}")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        held = zip(stripe.subscriptions.values(), panel.subscriptions.values(), strict=True)
        websites = {site.subscription_id: site.id for site in panel.websites.values()}
        sites = {site.subscription_id: site.domain for site in panel.websites.values()}
        owners = {member.org_id: member for member in panel.members.values()}
        invoices, orgs, logins = stripe.invoices, panel.orgs, panel.logins  # each is gathered anew when asked for
        payers = stripe.customers
        for subscription, hosting in held:
            lines, payer, domain = subscription["items"]["data"], payers[subscription["customer"]], sites[hosting.id]
            # As passes would have left it: the next one has nothing to do.
            subscription["metadata"]["domain"] = domain
            hosting.friendly_name = friendly_name(ServiceKey(subscription["id"], 1), domain)
            orgs[hosting.org_id].name = payer["name"]
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
                "domain": domain,
                "billing_email": payer["email"],
            }
            file.write(json.dumps(row) + "\n")
        file.flush()
        gc.collect()
        gc.freeze()  # else the simulators' own memory is searched again and again, and counted as the sweep's seconds
        gauges = {"stripe": Gauge(stripe.app, 0.0), "panel": Gauge(panel.app, panel_ms / 1000)}
        with serve(gauges["stripe"]) as stripe_url, serve(gauges["panel"]) as panel_url:
            world = {
                "rows": file.name,
                **sim.settings(stripe, stripe_url, panel, panel_url),
                "ADMIN_API_KEY": "admin_fake_key",
                "CRON_SECRET": "cron_fake_secret",
                "LOG_LEVEL": "error",
            }
            print(json.dumps(world), flush=True)
            for line in sys.stdin:
                match line.split():
                    case ["counts"]:
                        answer: object = {name: gauge.read() for name, gauge in gauges.items()}
                    case ["buy", count]:
                        answer = [buy(stripe) for _ in range(int(count))]
                    case ["lapse", every]:
                        answer = lapse(stripe, int(every))
                    case _:
                        answer = unequal(stripe, panel)
                print(json.dumps(answer), flush=True)


def buy(stripe: StripeSim) -> str:
    """A new customer with a paid subscription."""
    name = f"new{len(stripe.customers)}.example"
    customer = str(stripe.create_customer(email=f"buyer@{name}", name=f"Buyer of {name}")["id"])
    stripe.subscribe(customer, ["price_bench"], metadata={"domain": name})
    return customer


def lapse(stripe: StripeSim, every: int) -> int:
    """Let the payment of one subscription of so many have failed longer ago than any grace."""
    chosen = list(stripe.subscriptions)[::every]
    for subscription in chosen:
        stripe.fail_payment(subscription, stripe.now() - 30 * 86400)
    return len(chosen)


def unequal(stripe: StripeSim, panel: EnhanceSim) -> list[str]:
    """Subscriptions whose hosting is not there once, or on while it is not paid, or off while it is."""
    there: dict[str, list[bool]] = {}
    for hosting in panel.subscriptions.values():
        for subscription, _ in marks(hosting.friendly_name) if not hosting.deleted else ():
            there.setdefault(subscription, []).append(hosting.suspended_by is None)
    return [
        str(subscription["id"])
        for subscription in stripe.subscriptions.values()
        if there.get(subscription["id"]) != [subscription["status"] == "active"]
    ]


async def fill(url: str, rows: Path) -> None:
    """Write everything into the database as if each had been provisioned and had come to rest."""
    await make_schema(url)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
            " VALUES ('stripe', 'price_bench', 'bench')"
        )
        await connection.execute("CREATE TEMPORARY TABLE loaded (row jsonb)")
        cursor = connection.cursor()
        async with cursor.copy("COPY loaded FROM STDIN") as copy:
            with rows.open() as lines:
                for line in lines:
                    await copy.write_row([line])
        await connection.execute(
            "INSERT INTO customers (customer_id, email, name, org_id, org_name, panel_name, panel_email, panel_surplus,"
            " login_id, member_id, welcomed_at) SELECT row->>'customer', row->>'billing_email', row->>'name',"
            " (row->>'org')::uuid, row->>'name', row->>'name', row->>'email', 0,"
            " (row->>'login')::uuid, (row->>'member')::uuid, now() FROM loaded"
        )
        await connection.execute(
            "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, plan, state,"
            " panel_subscription_id, panel_plan_id, website_id, domain)"
            " SELECT row->>'customer', row->>'subscription', 1, row->>'item', 'price_bench', 'bench', 'live',"
            " (row->>'hosting')::integer, (row->>'plan')::integer, (row->>'website')::uuid,"
            " row->>'domain' FROM loaded"
        )
        await connection.execute(
            "INSERT INTO subscriptions (subscription_id, customer_id, fingerprint)"
            " SELECT row->>'subscription', row->>'customer', row->>'fingerprint' FROM loaded"
        )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    simulate(int(sys.argv[1]), float(sys.argv[2]))
