"""A whole small world for a test: both simulators over real HTTP, a real database, and the functions in between."""

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from lib.bridge import Bridge, forget
from lib.config import Settings
from lib.model.report import PassReport
from lib.subscription_manager import Drained
from scripts import sim
from scripts._functions import functions_app
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import Obj, StripeSim
from tests.tampering import Tampered

BASIC = "basic-hosting-plan"
ADMIN_KEY = "admin_fake_key"
CRON_SECRET = "cron_fake_secret"


class World:
    """Stripe, the panel, the database, and the product between them."""

    def __init__(
        self,
        stripe: StripeSim,
        panel: EnhanceSim,
        environ: dict[str, str],
        answers: tuple[Tampered, Tampered],
    ) -> None:
        self.stripe = stripe
        self.panel = panel
        self.stripe_says, self.panel_says = answers
        self.environ = environ
        self.open(environ["DATABASE_URL"])
        self.plan_id = panel.add_plan(BASIC)
        self.big_plan_id = panel.add_plan("big-hosting-plan")
        stripe.create_price("price_basic_monthly")
        stripe.create_price("price_big_monthly", amount=4900)
        self.map_price("price_basic_monthly", BASIC)
        self.map_price("price_big_monthly", "big-hosting-plan")

    def open(self, database_url: str) -> None:
        """Go on in this database."""
        self.environ["DATABASE_URL"] = database_url
        self.connection = psycopg.connect(database_url, autocommit=True, row_factory=dict_row, prepare_threshold=None)

    # --- the operator ---

    def map_price(self, price: str, plan: str | None, **columns: Any) -> None:
        """Type a mapping the way an operator does."""
        names = ["billing_provider", "billing_plan_id", "enhance_plan_id", *columns]
        places = ", ".join(["%s"] * len(names))
        statement = f"INSERT INTO plan_mappings ({', '.join(names)}) VALUES ({places})"  # noqa: S608
        self.connection.execute(statement, ["stripe", price, plan, *columns.values()])

    def sql(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run one statement."""
        cursor = self.connection.execute(statement, parameters)
        if cursor.description is None and (cursor.statusmessage or "").startswith("SELECT"):
            raise AssertionError("rows without a column are no rows to the driver: name one, or this asserts nothing")
        return list(cursor.fetchall()) if cursor.description else []

    # --- the buyer ---

    def customer(self, name: str = "Ada Example", email: str = "ada@example.com") -> str:
        """Create a customer at Stripe."""
        return str(self.stripe.create_customer(email=email, name=name)["id"])

    def buy(
        self, customer: str, price: str = "price_basic_monthly", domain: str | None = "shop.example", **more: Any
    ) -> str:
        """Subscribe a customer, paid at once; the subscription's id."""
        metadata = {"domain": domain} if domain else {}
        return str(self.stripe.subscribe(customer, [price], metadata=metadata, **more)["id"])

    # --- the product ---

    @asynccontextmanager
    async def bridge(self, **environ: str) -> AsyncIterator[Bridge]:
        """A fresh process' manager, with other settings where given."""
        manager = Bridge(Settings.load({**self.environ, **environ}))
        try:
            yield manager
        finally:
            await manager.close()

    async def sync(self, customer: str, **environ: str) -> PassReport:
        """Run one pass of this customer in a fresh process."""
        async with self.bridge(**environ) as manager:
            return await manager.reconcile(customer)

    @asynccontextmanager
    async def functions(self, **environ: str) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client to the functions under their Vercel paths, in one process of their own."""
        before = dict(os.environ)
        os.environ.update({**self.environ, **environ})
        await forget()
        app = functions_app()
        try:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test", timeout=60) as client:
                yield client
        finally:
            os.environ.clear()
            os.environ.update(before)
            await forget()

    async def drain(self, **environ: str) -> Drained:
        """Run whatever is due in a fresh process."""
        async with self.bridge(**environ) as manager:
            return await manager.drain(deadline=time.monotonic() + 120)

    async def come_to_rest(self, **environ: str) -> list[dict[str, Any]]:
        """Let fresh processes run and time pass until nothing is due any more but what is parked; what is left."""
        for _ in range(12):
            await self.drain(**environ)
            if all(row["parked_reason"] for row in self.due()):
                break
            self.hurry()
            self.age_intents()
        return self.due()

    async def deliver(self, client: httpx.AsyncClient, event: Obj) -> httpx.Response:
        """Deliver one signed event; returns when the work after the answer has ended, too."""
        body, headers = self.stripe.signed(event)
        return await client.post("/api/webhook", content=body, headers=headers)

    # --- looking ---

    def only_subscription(self) -> Any:
        """The one live hosting subscription in the panel."""
        (found,) = [s for s in self.panel.subscriptions.values() if not s.deleted]
        return found

    def ledger(self, state: str | None = None) -> list[str]:
        """The kinds of the ledger's facts, oldest first."""
        rows = self.sql("SELECT kind, state FROM actions ORDER BY id")
        return [row["kind"] for row in rows if state in (None, row["state"])]

    def due(self) -> list[dict[str, Any]]:
        """Every row of the queue."""
        return self.sql("SELECT * FROM due ORDER BY kind, key")

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Everything we remember and wrote down, to see whether a pass wrote anything at all."""
        return {
            "customers": self.sql("SELECT *, xmin::text FROM customers ORDER BY provider, customer_id"),
            "services": self.sql("SELECT *, xmin::text FROM services ORDER BY provider, subscription_id, slot"),
            "actions": self.sql("SELECT *, xmin::text FROM actions ORDER BY id"),
        }

    def service(self, subscription: str, slot: int = 1) -> dict[str, Any]:
        """One row of services."""
        (row,) = self.sql("SELECT * FROM services WHERE subscription_id = %s AND slot = %s", subscription, slot)
        return row

    def dangling(self) -> list[dict[str, Any]]:
        """Intents of which the ledger does not say how they ended."""
        return self.sql(
            "SELECT customer_id, kind, at FROM actions AS i WHERE state = 'intent' AND NOT EXISTS"
            " (SELECT FROM actions AS e WHERE e.action_id = i.action_id AND e.state IN ('applied', 'failed'))"
        )

    def hurry(self) -> None:
        """Let the time pass that rows of the queue wait for, and that the leases of the dead last."""
        self.sql("UPDATE due SET due_at = now() - interval '1 second', retry_at = NULL WHERE due_at IS NOT NULL")
        self.sql("UPDATE due SET leased_until = now() - interval '1 second' WHERE lease_id IS NOT NULL")
        self.sql("UPDATE leases SET leased_until = now() - interval '1 second'")

    def age_intents(self, minutes: int = 10) -> None:
        """Let the time pass within which an unfinished action may still take effect."""
        self.sql("ALTER TABLE actions DISABLE TRIGGER actions_append_only")
        self.sql("UPDATE actions SET at = at - make_interval(mins => %s)", minutes)
        self.sql("ALTER TABLE actions ENABLE TRIGGER actions_append_only")


@contextmanager
def make_world(database_url: str) -> Iterator[World]:
    """A world over an empty, migrated database."""
    stripe, panel = StripeSim(), EnhanceSim()
    answers = Tampered(stripe.app), Tampered(panel.app)
    with serve(answers[0]) as stripe_url, serve(answers[1]) as panel_url:
        environ = {
            "DATABASE_URL": database_url,
            **sim.settings(stripe, stripe_url, panel, panel_url),
            "ADMIN_API_KEY": ADMIN_KEY,
            "CRON_SECRET": CRON_SECRET,
        }
        world = World(stripe, panel, environ, answers)
        try:
            yield world
        finally:
            world.connection.close()
        assert panel.violations == [], json.dumps(panel.violations, indent=1)
