"""The populated world: everybody is equal on both sides, every state is there, and time has passed."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.bridge import Bridge
from lib.config import Settings
from scripts import sim
from scripts._postgres import Postgres
from scripts.demo_world.listener import Listener
from scripts.demo_world.lives import LIVES
from scripts.demo_world.population import POLICIES, Populated, populate
from scripts.demo_world.today import BOUGHT
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim


@dataclass
class Populace:
    """The world that these tests look at; none of them changes it but by the product's own passes."""

    stripe: StripeSim
    panel: EnhanceSim
    environ: dict[str, str]
    database: psycopg.Connection[dict[str, Any]]
    made: Populated
    shop: Listener
    books: Listener

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """What the database says."""
        return self.database.execute(statement.encode()).fetchall()

    def count(self, statement: str) -> dict[Any, int]:
        """Rows of two columns, the second a count, as a mapping."""
        return {row["what"]: row["n"] for row in self.rows(statement)}


@pytest.fixture(scope="module")
def world(postgres: Postgres, template_database: str) -> Iterator[Populace]:
    """One populated world for all of them, over one receiver that listens and one that is broken."""
    urls = {name: postgres.create_database(name, template_database) for name in ("populated", "populated_models")}
    stripe, panel, shop, books = StripeSim(), EnhanceSim(), Listener(), Listener(broken=True)
    with (
        serve(stripe.app) as stripe_url,
        serve(panel.app) as panel_url,
        serve(shop) as shop_url,
        serve(books) as books_url,
        psycopg.connect(urls["populated"], autocommit=True, row_factory=dict_row) as database,
    ):
        environ = {
            "DATABASE_URL": urls["populated"],
            **sim.settings(stripe, stripe_url, panel, panel_url),
            "ADMIN_API_KEY": "admin_fake_key",
            "CRON_SECRET": "cron_fake_secret",
            "OUTBOX_URL": f"{shop_url}/,{books_url}/",
            "OUTBOX_SECRET": f"{shop.secret},{books.secret}",
            "OUTBOX_ALLOW_PRIVATE": "1",
            **POLICIES,
        }
        made = populate(stripe, panel, environ, models_url=urls["populated_models"])
        yield Populace(stripe, panel, environ, database, made, shop, books)
    for name in urls:
        postgres.drop_database(name)


def test_the_numbers_that_are_kept_are_those_of_its_rows(world: Populace) -> None:
    """No trigger has seen its rows, and the first page tells of all of them."""
    assert world.rows("SELECT name, labels, n FROM tallies_lack()") == []
    kept = world.rows("SELECT coalesce(sum(n), 0)::int AS n FROM tallies WHERE name = 'customers'")
    assert kept[0]["n"] > 300


def test_every_life_is_lived_as_often_as_it_says(world: Populace) -> None:
    """A few hundred customers, and a website for each live service that has a domain."""
    assert world.made.lives == {life.name: life.copies for life in LIVES}
    assert len(world.stripe.customers) == world.made.customers + len(BOUGHT)
    named = world.rows(
        "SELECT website_id::text AS id FROM services WHERE state = 'live' AND website_id IS NOT NULL"
        " AND NOT panel_suspended"
    )
    sites = [world.panel.websites[row["id"]] for row in named]
    off = [site.domain for site in sites if world.panel.state.website_status(site) != "active"]
    assert len(off) == 2  # deleted by hand, and parked for it
    assert all(site.domain.endswith(".example") for site in world.panel.websites.values())


def test_every_state_is_there(world: Populace) -> None:
    """Each hold, each kind of waiting and several reasons to be parked, each with somebody."""
    holds = world.count("SELECT h AS what, count(*) AS n FROM services, unnest(holds) AS h GROUP BY 1")
    assert set(holds) == {"unpaid", "paused", "ended", "dispute", "refund", "admin"}
    states = world.count("SELECT state AS what, count(*) AS n FROM services GROUP BY 1")
    assert states["live"] > 250
    assert states["terminated"] > 0
    parked = world.count("SELECT parked_reason AS what, count(*) AS n FROM due WHERE due_at IS NULL GROUP BY 1")
    assert parked["unmapped_price"] >= 5
    assert {"no_email", "invalid_domain", "domain_in_use", "panel_deleted", "downgrade_blocked"} <= set(parked)
    waiting = world.count("SELECT waits_for AS what, count(*) AS n FROM due GROUP BY 1")
    assert {"in_grace", "in_one_off_grace", "canceled", "brake"} <= set(waiting)
    (days,) = world.rows("SELECT count(DISTINCT grace_until::date) AS n FROM services WHERE grace_until > now()")
    assert days["n"] >= 5
    orders = world.count("SELECT state AS what, count(*) AS n FROM orders WHERE provider <> 'stripe' GROUP BY 1")
    assert orders == {"paying": 1, "paid": 2, "pending": 1, "expired": 1}
    assert world.count("SELECT status AS what, count(*) AS n FROM disputes GROUP BY 1")["needs_response"] == 2
    (brake,) = world.rows("SELECT counts, reason FROM brake WHERE engaged_at IS NOT NULL")
    assert brake["counts"] == "moves"
    assert brake["reason"].startswith("20 moves to another plan")


def test_it_happened_when_it_would_have(world: Populace) -> None:
    """The ledger goes back weeks, nothing lies ahead, and the last two days have events in most of their hours."""
    (row,) = world.rows("SELECT min(at) < now() - interval '60 days' AS long, max(at) <= now() AS past FROM actions")
    assert row == {"long": True, "past": True}
    (row,) = world.rows(
        "SELECT bool_and(received_at >= created_at) AS after, max(received_at) <= now() AS past FROM events"
    )
    assert row == {"after": True, "past": True}
    (hours,) = world.rows(
        "SELECT count(DISTINCT date_trunc('hour', received_at)) AS n FROM events"
        " WHERE received_at > now() - interval '48 hours'"
    )
    assert hours["n"] >= 15
    dates = world.rows(
        "SELECT d.key, d.due_at, s.grace_until, s.retain_until FROM due d JOIN services s ON s.customer_id = d.key"
        " WHERE d.waits_for IN ('in_grace', 'in_one_off_grace', 'canceled')"
    )
    assert len(dates) >= 20
    for row in dates:
        assert abs(row["due_at"] - (row["grace_until"] or row["retain_until"])) < timedelta(minutes=2), row["key"]
    late = world.rows(
        "SELECT i.customer_id, i.kind FROM actions i JOIN actions e USING (action_id)"
        " WHERE i.state = 'intent' AND e.state = 'applied' AND e.at < i.at"
    )
    assert late == []


def test_a_receiver_that_fails_has_a_queue(world: Populace) -> None:
    """What happened today was told to the one that listens, and waits for the other."""
    assert {event["type"] for event, signed in world.shop.heard if signed} >= {"service.provisioned", "order.paid"}
    assert world.books.heard == []
    (row,) = world.rows("SELECT count(*) AS n FROM outbox WHERE state = 'waiting'")
    assert row["n"] >= 6
    (failing,) = world.rows(
        "SELECT failing_since < now() - interval '1 day' AS long FROM outbox_endpoints WHERE failing_since IS NOT NULL"
    )
    assert failing["long"]


def test_a_sweep_finds_only_what_is_meant(world: Populace) -> None:
    """Nobody differs: it makes due whom it retries because they are parked, and payments that are still open."""

    async def sweep() -> None:
        bridge = Bridge(Settings.load(world.environ))
        try:
            report = await bridge.sweep(deadline=time.monotonic() + 100)
            assert (report.finished, report.errors) == (True, {})
            assert report.counts["eventsMissed"] == 0
        finally:
            await bridge.close()

    async def drain() -> None:
        bridge = Bridge(Settings.load(world.environ))
        try:
            await bridge.drain(deadline=time.monotonic() + 100, workers=4)
        finally:
            await bridge.close()

    asyncio.run(sweep())
    found = world.rows(
        "SELECT kind, key FROM due WHERE due_at <= now() AND kind NOT IN ('payment', 'outbox')"
        " AND parked_reason IS NULL AND waits_for IS DISTINCT FROM 'brake'"
    )
    assert found == []
    before = (world.panel.world(), world.rows("SELECT max(id) AS n FROM actions WHERE state IN ('intent', 'failed')"))
    parked = world.rows("SELECT key, parked_reason FROM due WHERE parked_reason IS NOT NULL ORDER BY key")
    asyncio.run(drain())
    after = (world.panel.world(), world.rows("SELECT max(id) AS n FROM actions WHERE state IN ('intent', 'failed')"))
    assert after == before
    assert world.rows("SELECT key, parked_reason FROM due WHERE parked_reason IS NOT NULL ORDER BY key") == parked
    assert world.panel.violations == []
