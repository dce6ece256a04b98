"""`GET /api/health`: says whether money can become hosting, and nothing more to strangers."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import datetime

import httpx
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.database import connection, latest_version
from lib.database.schema import migrations
from lib.errors import Denied
from lib.operators import health
from scripts._postgres import Postgres, free_port
from scripts.sim.server import serve
from tests.tools import dump
from tests.world import ADMIN_KEY, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
FINE = {"database": "ok", "stripe": "ok", "enhance": "ok"}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look anew at each question, and give up on a dead database after a second."""
    monkeypatch.setattr(health, "FRESH", 0.0)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)


async def ask(world: World, headers: dict[str, str] | None = None, **environ: str) -> httpx.Response:
    """One question to a fresh process."""
    async with world.functions(**environ) as client:
        return await client.get("/api/health", headers=headers)


async def test_strangers_see_three_fields(world: World) -> None:
    """The public answer holds exactly status, version and checks, and may not be cached elsewhere."""
    answer = await ask(world, APP_VERSION="1.2.3")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == {"status": "ok", "version": "1.2.3", "checks": FINE}


async def test_those_with_a_key_see_more(world: World) -> None:
    """With the bearer key there are latencies, the age of the oldest due row, parked customers and the migration."""
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_1', now() - interval '100 seconds')")
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at)"
        " VALUES ('customer', 'cus_2', NULL, 'unmapped_price', now())"
    )
    body = (await ask(world, BEARER)).json()
    assert set(body["latenciesMs"]) == set(FINE)
    assert 100 <= body["oldestDueSeconds"] < 200
    assert (body["due"], body["parked"], body["migration"]) == (1, 1, latest_version())
    assert (body["migrationWanted"], body["errors"], body["mode"]) == (latest_version(), {}, "live")


@pytest.mark.parametrize("token", ["wrong", "", "é", ADMIN_KEY + "x", ADMIN_KEY[:-1], "********"])
async def test_a_wrong_key_is_refused(world: World, token: str) -> None:
    """Who brings a key that is wrong gets 401 and not the public answer; an empty one is no key."""
    async with world.functions() as client:
        answer = await client.get("/api/health", headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert answer.status_code == (401 if token else 200)
    if token:
        assert "checks" not in answer.json()


async def test_without_the_database_it_is_503(world: World) -> None:
    """A database that is away is a failure, told to strangers without a word about where it would be."""
    address = f"postgresql://app:hunter2fake@127.0.0.1:{free_port()}/app"
    answer = await ask(world, DATABASE_URL=address)
    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert answer.json()["checks"] == {**FINE, "database": "failing"}
    detailed = await ask(world, BEARER, DATABASE_URL=address)
    assert detailed.status_code == 503
    assert detailed.json()["errors"]["database"]
    assert "hunter2fake" not in answer.text + detailed.text


async def test_an_outdated_schema_is_503(world: World) -> None:
    """Code that waits for its migrations is not healthy; the answer says which it has and wants."""
    world.sql("DELETE FROM schema_migrations WHERE version = %s", latest_version())
    answer = await ask(world, BEARER)
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "outdated")
    assert (answer.json()["migration"], answer.json()["migrationWanted"]) == (latest_version() - 1, latest_version())
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    answer = await ask(world, BEARER)
    assert (answer.status_code, answer.json()["checks"]["database"], answer.json()["migration"]) == (503, "outdated", 0)


async def test_a_database_that_can_not_keep_all_text_is_503(world: World, postgres: Postgres) -> None:
    """Also when its migrations were applied somehow; who has the key reads the remedy."""
    name = f"ascii_health_{os.getpid()}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        admin.execute(f"CREATE DATABASE {name} {options}".encode())
    address = postgres.dsn(name)
    with psycopg.connect(address, autocommit=True, client_encoding="UTF8") as connection:
        for migration in migrations():
            connection.execute(migration.sql.encode())
    answer = await ask(world, BEARER, DATABASE_URL=address)
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "failing")
    assert "ENCODING 'UTF8'" in answer.json()["errors"]["database"]
    postgres.drop_database(name)


async def test_another_shards_database_is_503(world: World) -> None:
    """Nothing runs on it, so it is told, with what is to be set, before anybody is missed."""
    await world.drain(SHARD="1/2")
    answer = await ask(world, BEARER)
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "failing")
    assert "set SHARD=1/2" in answer.json()["errors"]["database"]


async def test_a_newer_schema_is_fine(world: World) -> None:
    """After a rollback the code is older than the schema, and goes on working."""
    world.sql("INSERT INTO schema_migrations (version, name) VALUES (9999, 'of_tomorrow')")
    assert (await ask(world)).status_code == 200


@pytest.mark.parametrize(("side", "name"), [("stripe", "stripe"), ("panel", "enhance")])
async def test_another_side_that_is_away_is_degraded(world: World, side: str, name: str) -> None:
    """Stripe or the panel being away is no reason to restart anything: 200, degraded, and the check says who."""
    getattr(world, side).down = True
    answer = await ask(world, BEARER)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"] == {**FINE, name: "failing"}
    assert set(answer.json()["errors"]) == {name}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"STRIPE_SECRET_KEY": "sk_test_fake_wrong_key"}, "stripe"),
        ({"ENHANCE_API_TOKEN": "token_fake_wrong"}, "enhance"),
        ({"ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000999"}, "enhance"),
    ],
)
async def test_a_wrong_key_of_ours_is_seen(world: World, environ: dict[str, str], name: str) -> None:
    """A key or organisation that the other side refuses fails its check, and is not shown."""
    answer = await ask(world, BEARER, **environ)
    assert answer.json()["checks"] == {**FINE, name: "failing"}
    assert not any(value in answer.text for value in environ.values() if "fake" in value)


@pytest.mark.parametrize("body", ["null", "[]", "{}", '"x"', '{"id": null}', "<html>", "", "1"])
async def test_a_panel_that_answers_nonsense_is_degraded(world: World, body: str) -> None:
    """A 200 that makes no sense (a proxy, a wrong host) fails the panel's check and nothing else."""

    async def answer(request: Request) -> Response:
        return Response(body, media_type="application/json")

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        found = await ask(world, ENHANCE_API_URL=url)
    assert (found.status_code, found.json()["checks"]) == (200, {**FINE, "enhance": "failing"})


@pytest.mark.parametrize(
    ("waiting", "mode", "status", "word"),
    [(299, "live", 200, "ok"), (301, "live", 503, "failing"), (301, "paused", 200, "ok")],
)
async def test_work_that_waits_too_long_is_stuck(world: World, waiting: int, mode: str, status: int, word: str) -> None:
    """Due work older than HEALTH_MAX_LAG is 503, unless passes are switched off on purpose."""
    world.sql(
        "INSERT INTO due (kind, key, due_at) VALUES ('customer', 'c', now() - make_interval(secs => %s))", waiting
    )
    answer = await ask(world, PROVISIONING_MODE=mode, HEALTH_MAX_LAG="300")
    assert (answer.status_code, answer.json()["status"]) == (status, word)


@pytest.mark.parametrize(
    "row",
    [
        "'customer', 'c', now() + interval '1 hour', NULL, NULL, NULL, NULL",
        "'customer', 'c', NULL, NULL, NULL, 'unmapped_price', now() - interval '1 day'",
        "'customer', 'c', now() - interval '1 day', gen_random_uuid(), now() + interval '9 seconds', NULL, NULL",
    ],
    ids=["later", "parked", "leased"],
)
async def test_waiting_on_purpose_is_not_stuck(world: World, row: str) -> None:
    """What is due later, parked for a person, or being worked on just now is no reason for alarm."""
    columns = "kind, key, due_at, lease_id, leased_until, parked_reason, parked_at"
    world.sql(f"INSERT INTO due ({columns}) VALUES ({row})")  # noqa: S608
    assert (await ask(world)).json()["status"] == "ok"


async def test_a_lease_that_ran_out_is_stuck(world: World) -> None:
    """A row whose worker died counts again from the time it was due."""
    columns = "kind, key, due_at, lease_id, leased_until"
    row = "'customer', 'c', now() - interval '1 day', gen_random_uuid(), now() - interval '1 second'"
    world.sql(f"INSERT INTO due ({columns}) VALUES ({row})")  # noqa: S608
    assert (await ask(world)).status_code == 503


async def test_many_probes_cost_one_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are shared for a few seconds: a crowd of probes asks Stripe and the panel once."""
    monkeypatch.setattr(health, "FRESH", 60.0)
    async with world.functions() as client:
        for _ in range(5):
            assert (await client.get("/api/health")).status_code == 200
        detailed = (await client.get("/api/health", headers=BEARER)).json()
    assert detailed["checks"] == FINE
    assert (world.stripe.count(), len(world.panel.calls)) == (1, 1)


async def test_looking_changes_nothing(world: World) -> None:
    """A look makes only reads at both sides, and writes down nothing but how they were found."""
    before = dump(world.connection)
    await ask(world, BEARER)
    assert dump(world.connection) == before
    assert {call.method for call in world.stripe.calls} | {call.method for call in world.panel.calls} == {"GET"}


# --- the last real call is told ---------------------------------------------------------------------------------------


async def test_while_passes_run_a_probe_costs_the_other_sides_nothing(world: World) -> None:
    """A process that made no call itself tells how the passes of another one found both sides."""
    world.buy(customer := world.customer())
    await world.sync(customer)
    calls = world.stripe.count(), len(world.panel.calls)
    (beat,) = world.sql("SELECT beat_at FROM pulses WHERE name = 'stripe'")
    body = (await ask(world, BEARER)).json()
    assert datetime.fromisoformat(body["lastCallAt"]["stripe"]) == beat["beat_at"]
    assert set(body["lastCallAt"]) == {"stripe", "enhance"}
    assert body["lastPassAt"] is not None
    assert (body["checks"], world.stripe.count(), len(world.panel.calls)) == (FINE, *calls)
    assert set(body["latenciesMs"]) == set(FINE)


async def test_a_side_that_failed_a_pass_is_told_without_a_question(world: World) -> None:
    """What the last real call met is what health says, until a later one meets something else."""
    world.buy(customer := world.customer())
    world.panel.down = True
    await world.sync(customer)
    calls = len(world.panel.calls)
    assert (await ask(world)).json()["checks"] == {**FINE, "enhance": "failing"}
    assert len(world.panel.calls) == calls
    world.panel.down = False
    world.hurry()
    await world.come_to_rest()
    calls = len(world.panel.calls)
    assert (await ask(world)).json()["checks"] == FINE
    assert len(world.panel.calls) == calls


async def test_a_refusal_of_one_thing_says_nothing_of_the_side(world: World) -> None:
    """An unknown object or a missing permission for one call is no sign that Stripe is away."""
    await ask(world)
    world.stripe.forbid("/v1/customers/.*")
    async with world.bridge() as bridge:
        with pytest.raises(Denied):
            await bridge.stripe.knows("cus_1")
        world.stripe.clear_faults()
        assert not await bridge.stripe.knows("cus_1")
        await bridge.pulse_reporter.report()
    assert (await ask(world)).json()["checks"] == FINE


async def test_an_old_call_is_asked_anew_by_one_instance(world: World) -> None:
    """After five minutes without a call one of several instances asks, once, and all tell what it found."""
    await ask(world)
    world.sql("UPDATE pulses SET beat_at = now() - interval '4 minutes'")
    world.stripe.down = True
    assert (await ask(world)).json()["checks"] == FINE
    world.sql("UPDATE pulses SET beat_at = now() - interval '6 minutes'")
    before = len(world.panel.calls)
    async with AsyncExitStack() as instances:
        bridges = [await instances.enter_async_context(world.bridge()) for _ in range(5)]
        reports = await asyncio.gather(*(health.check(bridge) for bridge in bridges))
    assert [report.checks for report in reports] == [{**FINE, "stripe": "failing"}] * 5
    assert len(world.panel.calls) - before == 1


async def test_who_asks_and_dies_is_replaced(world: World) -> None:
    """A turn that nobody brings to an end is taken by the next one."""
    await ask(world)
    world.sql("UPDATE pulses SET beat_at = now() - interval '6 minutes', asked_until = now() + interval '1 second'")
    assert (await ask(world)).json()["checks"] == FINE
    assert [row["fresh"] for row in world.sql("SELECT beat_at > now() - interval '1 minute' AS fresh FROM pulses"
                                              " WHERE name IN ('stripe', 'enhance')")] == [True, True]  # fmt: skip


@pytest.mark.parametrize(("last_pass", "status"), [("10 seconds", 200), ("20 minutes", 503), (None, 503)])
async def test_a_backlog_of_routine_is_stuck_only_when_nothing_moves(
    world: World, last_pass: str | None, status: int
) -> None:
    """Thousands whom a sweep found may take their time while passes run; once none ends any more it is an alarm."""
    world.sql(
        "INSERT INTO due (kind, key, due_at, priority)"
        " SELECT 'customer', 'cus_' || n, now() - interval '1 hour', 1 FROM generate_series(1, 50) n"
    )
    world.sql("UPDATE pulses SET beat_at = now() - %s::interval WHERE name = 'passes'", last_pass)
    answer = await ask(world, BEARER)
    assert answer.status_code == status
    assert answer.json()["oldestDueSeconds"] == 0
    assert 3600 <= answer.json()["oldestRoutineSeconds"] < 3700
