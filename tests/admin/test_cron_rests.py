"""An installation in which nothing can be due lets its database sleep, and misses nothing for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

import lib.runtime_cache
from lib.policy import quiet
from lib.runtime_cache import RuntimeCache
from lib.web.request import Receive, Scope, Send
from scripts._functions import ROOT, function_files, functions_app, load_function
from scripts.sim.cache_sim import PATH, CacheSim
from scripts.sim.server import serve
from tests.gateway import Gateway, gateway
from tests.world import CRON_SECRET, World

BEARER = {"Authorization": f"Bearer {CRON_SECRET}"}
ADMIN = {"Authorization": "Bearer admin_fake_key"}
QUARTER = quiet.LONGEST


class Installation:
    """A deployment on Vercel: functions, a cache, and a database of which every connection is counted."""

    def __init__(self, world: World, cache: CacheSim, cache_url: str, way: Gateway) -> None:
        self.world, self.cache, self.way = world, cache, way
        self.offered: RuntimeCache | None = RuntimeCache(cache_url + PATH, cache.headers)

    @asynccontextmanager
    async def instance(self, **environ: str) -> AsyncIterator[httpx.AsyncClient]:
        """A fresh process, to whose requests the runtime hands its cache."""
        async with self.world.functions(**environ):
            app = functions_app()

            async def as_runtime(scope: Scope, receive: Receive, send: Send) -> None:
                lib.runtime_cache.offer(self.offered)
                try:
                    await app(scope, receive, send)
                finally:
                    lib.runtime_cache.offer(None)

            transport = httpx.ASGITransport(app=as_runtime)
            async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test", timeout=60) as client:
                yield client

    async def cron(self, job: str = "drain", **environ: str) -> dict[str, Any]:
        """What one call of a cron did, with the connections that it took."""
        async with self.instance(**environ) as client:
            before = self.way.connections
            answer = await client.get(f"/api/cron/{job}", headers=BEARER)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return {**found, "connections": self.way.connections - before}

    async def asks(self, **environ: str) -> bool:
        """Whether the drain cron goes to the database."""
        found = await self.cron(**environ)
        assert ("restsUntil" in found) == (found["connections"] == 0)
        return bool(found["connections"])

    def wait(self, seconds: float) -> None:
        """Let time pass: for the cache, the queue, and what has happened."""
        self.cache.age(seconds)
        self.world.sql("UPDATE due SET due_at = due_at - make_interval(secs => %s)", seconds)
        self.world.sql("UPDATE due SET leased_until = leased_until - make_interval(secs => %s)", seconds)
        self.world.sql("UPDATE pulses SET beat_at = beat_at - make_interval(secs => %s)", seconds)
        self.world.sql("UPDATE events SET received_at = received_at - make_interval(secs => %s)", seconds)


@pytest.fixture
def installed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation that nothing has happened in for long, and that waits for its cache on a busy machine."""
    monkeypatch.setattr("lib.runtime_cache.PATIENCE", 60.0)
    cache, parts = CacheSim(), urlsplit(world.environ["DATABASE_URL"])
    with serve(cache) as url, gateway(parts.hostname or "127.0.0.1", parts.port or 5432) as way:
        user = parts.netloc.rpartition("@")[0]
        world.environ["DATABASE_URL"] = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{way.port}"))
        yield Installation(world, cache, url, way)


async def test_a_quiet_installation_lets_its_database_sleep(installed: Installation) -> None:
    """One look, and then none for a quarter of an hour: not a single connection is made."""
    assert await installed.asks()
    for _ in range(14):
        installed.wait(60)
        assert not await installed.asks()
    installed.wait(60)
    assert await installed.asks()
    assert not await installed.asks()


async def test_a_date_is_met_when_it_comes(installed: Installation) -> None:
    """A retry or the end of a grace period, however soon, is run by the first cron after its time."""
    customer = installed.world.customer()
    installed.world.buy(customer)
    installed.world.sql(
        "INSERT INTO due (kind, key, due_at) VALUES ('customer', %s, now() + interval '5 minutes')", customer
    )
    assert await installed.asks()
    installed.wait(290)
    assert not await installed.asks()
    installed.wait(11)
    assert (await installed.cron())["passes"] == 1
    assert installed.world.panel.world()["websites"] == 1


async def test_a_webhook_is_met_though_its_drain_died(installed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own drain dies as soon as it begins; it has told the cron, which comes within the minute."""
    world = installed.world
    assert await installed.asks()
    installed.wait(60)

    async def die(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    customer = world.customer()
    world.buy(customer)
    async with installed.instance() as client:
        with monkeypatch.context() as patched:
            patched.setattr("lib.subscription_manager.manager.SubscriptionManager._may_drain", die)
            with pytest.raises(asyncio.CancelledError):
                await world.deliver(client, world.stripe.events[-1])
    assert [row["key"] for row in world.due()] == [customer]
    installed.wait(60)
    assert (await installed.cron())["passes"] >= 1
    assert world.panel.world()["websites"] == 1


async def test_what_nobody_told_is_met_within_a_quarter(installed: Installation) -> None:
    """A row that came by plain SQL, from a script or from another region is run when the rest ends, and not later."""
    assert await installed.asks()
    customer = installed.world.customer()
    installed.world.buy(customer)
    installed.world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    installed.wait(60)
    assert not await installed.asks()
    installed.wait(QUARTER - 60)
    assert (await installed.cron())["passes"] == 1


@pytest.mark.parametrize("route", ["sync", "retry", "everybody", "plans", "checkout"])
async def test_whatever_a_person_does_is_told(installed: Installation, route: str) -> None:
    """After an admin's act or a purchase that begins, the next cron looks for itself."""
    world = installed.world
    customer = world.customer()
    world.buy(customer)
    await world.drain()
    assert await installed.asks()
    installed.wait(QUARTER)
    assert await installed.asks()
    installed.wait(60)
    assert not await installed.asks()
    pages = {"CHECKOUT_SUCCESS_URL": "https://www.example.com/ok", "CHECKOUT_CANCEL_URL": "https://www.example.com/no"}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "sync": ("/api/admin/sync", {"customerId": customer}),
        "everybody": ("/api/admin/sync", {"all": True}),
        "retry": ("/api/admin/work", {"action": "retry", "customerId": customer}),
        "plans": (
            "/api/admin/plans",
            {"billingProvider": "stripe", "billingPlanId": "price_new", "enhancePlanId": None, "kind": "ignore"},
        ),
        "checkout": (
            "/api/checkout",
            {"priceId": "price_basic_monthly", "email": "new@example.com", "domain": "a.example"},
        ),
    }
    path, body = asked[route]
    if route == "plans":
        world.stripe.create_price("price_new")
    async with installed.instance(**pages) as client:
        answer = await client.post(path, json=body, headers=ADMIN)
    assert answer.status_code in (200, 202), answer.text
    installed.wait(60)
    assert await installed.asks(**pages)


def test_every_function_that_writes_says_so() -> None:
    """Whoever takes more than GET tells the cron; the webhook by its drain, and three make nothing due."""
    silent = {"api/webhook.py", "api/portal.py", "api/admin/customers.py", "api/admin/dashboard.py"}
    writing = {path for path in function_files() if set(load_function(ROOT, path).verbs) - {"GET"}}
    assert {str(path) for path in writing if ".stir" not in (ROOT / path).read_text()} == silent


async def test_a_sweep_is_told_too(installed: Installation) -> None:
    """It has looked itself: what it made due is run by the next cron, and with nothing due the database sleeps on."""
    world = installed.world
    assert await installed.asks()
    customer = world.customer()
    world.buy(customer)
    await installed.cron("sweep")
    installed.wait(60)
    assert (await installed.cron())["passes"] >= 1
    assert world.panel.world()["websites"] == 1


async def test_nobody_rests_while_a_pass_or_a_sweep_is_under_way(installed: Installation) -> None:
    """What they leave behind nobody knows: the cron looks each minute until they ended, or their lease has."""
    world = installed.world
    world.sql(
        "INSERT INTO due (kind, key, due_at, lease_id, leased_until)"
        " VALUES ('customer', 'cus_w', now() + interval '1 hour', gen_random_uuid(), now() + interval '70 seconds')"
    )
    assert await installed.asks()
    installed.wait(60)
    assert await installed.asks()
    installed.wait(60)
    assert await installed.asks()
    assert not await installed.asks()
    world.sql("DELETE FROM due")
    world.sql("INSERT INTO sweeps DEFAULT VALUES")
    world.sql("INSERT INTO leases VALUES ('sweep', gen_random_uuid(), now() + interval '1 hour')")
    installed.wait(QUARTER)
    for _ in range(3):
        installed.wait(60)
        assert await installed.asks()


async def test_soon_after_something_happened_looks_are_close(installed: Installation) -> None:
    """A rest is at most three times as long as the installation has been idle."""
    world = installed.world
    world.sql("UPDATE pulses SET beat_at = now() - interval '65 seconds' WHERE name = 'passes'")
    assert await installed.asks()
    rest = installed.cache.rest()
    assert rest is not None
    assert 190 < rest["until"] - rest["seen"] < 200


@pytest.mark.parametrize("trouble", ["none", "down", "empty", "garbled", "stale", "another", "odd"])
async def test_without_a_rest_that_can_be_trusted_the_database_is_asked(installed: Installation, trouble: str) -> None:
    """No cache, one that fails or forgot, and a rest of something else: the cron works as it does without."""
    assert await installed.asks()
    assert not await installed.asks()
    cache, rest = installed.cache, installed.cache.rest()
    assert rest is not None
    match trouble:
        case "none":
            installed.offered = None
        case "down" | "garbled" | "stale":
            setattr(cache, trouble, True)
        case "empty":
            cache.values.clear()
        case "another":
            rest["of"] = "0" * 16
        case "odd":
            rest["until"] = "soon"
    assert await installed.asks()


async def test_another_mode_or_database_has_a_rest_of_its_own(installed: Installation) -> None:
    """What was seen while passes were paused says nothing for a deployment that runs them."""
    installed.world.sql("INSERT INTO due (kind, key) VALUES ('customer', 'cus_waits')")
    assert await installed.asks(PROVISIONING_MODE="paused")
    assert not await installed.asks(PROVISIONING_MODE="paused")
    assert await installed.asks()


async def test_an_operator_may_do_without(installed: Installation) -> None:
    """QUIET_MINUTES=0: the database is asked each minute, and the cache never; a lower number means sooner."""
    for _ in range(3):
        assert await installed.asks(QUIET_MINUTES="0")
    assert installed.cache.calls == []
    assert await installed.asks(QUIET_MINUTES="5")
    installed.wait(240)
    assert not await installed.asks(QUIET_MINUTES="5")
    installed.wait(60)
    assert await installed.asks(QUIET_MINUTES="5")


async def test_nothing_in_the_cache_is_secret(installed: Installation) -> None:
    """Neither the names nor the values show the database's address or its password."""
    await installed.asks()
    told = repr(installed.cache.values)
    parts = urlsplit(installed.world.environ["DATABASE_URL"])
    for secret in filter(None, (parts.hostname, parts.password, str(parts.port), parts.path.strip("/"))):
        assert secret not in told


async def test_probes_wake_no_database_that_rests(installed: Installation) -> None:
    """A monitor without a key is told what the first of them found well; one with a key, and the next rest, look."""

    async def probe(headers: dict[str, str] | None = None, **environ: str) -> tuple[int, dict[str, Any], int]:
        async with installed.instance(**environ) as client:
            before = installed.way.connections
            answer = await client.get("/api/health", headers=headers)
            return answer.status_code, answer.json(), installed.way.connections - before

    assert (await probe())[2] > 0
    assert await installed.asks()
    first = await probe()
    assert (first[0], first[1]["status"], first[2] > 0) == (200, "ok", True)
    installed.wait(60)
    assert await probe() == (*first[:2], 0)
    assert (await probe(ADMIN))[2] > 0
    assert (await probe(APP_VERSION="next"))[2] > 0
    installed.wait(QUARTER)
    assert (await probe())[2] > 0


async def test_what_is_not_well_is_looked_at_by_every_probe(installed: Installation) -> None:
    """Nothing but a whole answer that all is well is kept for a rest."""
    installed.world.panel.down = True
    assert await installed.asks()
    for _ in range(2):
        async with installed.instance() as client:
            before = installed.way.connections
            answer = await client.get("/api/health")
        assert (answer.json()["checks"]["enhance"], answer.json()["status"]) == ("failing", "degraded")
        assert installed.way.connections > before


async def test_an_acknowledgement_waits_for_no_cache(installed: Installation) -> None:
    """The event is in the database before the cache is first called, and 200 is told whatever becomes of it."""
    world = installed.world
    installed.cache.down = True
    world.customer()
    async with installed.instance() as client:
        answer = await world.deliver(client, world.stripe.events[-1])
    assert answer.status_code == 200
    assert world.sql("SELECT count(*) AS n FROM events") == [{"n": 1}]


async def test_a_burst_is_told_once(installed: Installation) -> None:
    """A hundred events in one instance cost the cache one call."""
    world = installed.world
    async with installed.instance() as client:
        customers = [world.customer(email=f"a{n}@example.com") for n in range(20)]
        for customer in customers:
            world.buy(customer)
        await asyncio.gather(*(world.deliver(client, event) for event in world.stripe.events[-60:]))
    assert installed.cache.calls.count("POST") == 1


async def test_an_act_is_met_though_its_process_died(installed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that a person asked for dies in its middle: the cron goes on with it once its lease is over."""
    world = installed.world
    customer = world.customer()
    world.buy(customer)
    assert await installed.asks()

    async def die(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr("lib.runtime_cache.RuntimeCache.write", die)  # the dead say nothing more
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("lib.subscription_manager.runner.Runner.run", die)
        async with installed.instance() as client:
            with pytest.raises(asyncio.CancelledError):
                await client.post("/api/admin/sync", json={"customerId": customer}, headers=ADMIN)
    monkeypatch.undo()
    (row,) = world.due()
    assert row["lease_id"] is not None
    installed.wait(60)
    assert (await installed.cron())["passes"] >= 1
    assert world.panel.world()["websites"] == 1


async def test_a_warm_instance_outlives_a_suspend(installed: Installation) -> None:
    """Neon cuts every connection off when it falls asleep: the same process finds it awake again at its next look."""
    world = installed.world
    async with installed.instance() as client:
        for _ in range(2):
            answer = await client.get("/api/cron/drain", headers=BEARER)
            assert (answer.status_code, "restsUntil" in answer.json()) == (200, False)
            world.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            installed.wait(QUARTER)


async def test_the_connect_is_tried_again_while_the_database_wakes(installed: Installation) -> None:
    """A database that cuts the first connections off because it is falling asleep costs patience and no event."""
    world = installed.world
    world.customer()
    installed.way.refuses = 2
    async with installed.instance() as client:
        answer = await world.deliver(client, world.stripe.events[-1])
    assert answer.status_code == 200
    assert installed.way.refuses == 0
