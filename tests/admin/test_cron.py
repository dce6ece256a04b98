"""The cron routes: guarded, repeatable, and the ones that bring a database up to date."""

import asyncio

import httpx
import pytest

from lib.database import latest_version
from tests.tools import dump
from tests.world import ADMIN_KEY, CRON_SECRET, World

BEARER = {"Authorization": f"Bearer {CRON_SECRET}"}
ONE_OF_EACH = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


async def run(world: World, job: str, headers: dict[str, str] | None = None, **environ: str) -> httpx.Response:
    """One request to a fresh process."""
    async with world.functions(**environ) as client:
        return await client.get(f"/api/cron/{job}", headers=BEARER if headers is None else headers)


def make_due(world: World) -> str:
    """A customer who bought something and waits in the queue."""
    customer = world.customer()
    world.buy(customer)
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    return customer


@pytest.mark.parametrize("job", ["drain", "sweep", "nonsense"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {ADMIN_KEY}"},
        {"Authorization": f"Basic {CRON_SECRET}"},
        {"Authorization": CRON_SECRET},
        {"Authorization": f"Bearer {CRON_SECRET}x"},
        {"Authorization": "Bearer None"},
        {"x-vercel-cron-signature": "1", "user-agent": "vercel-cron/1.0"},
    ],
    ids=repr,
)
async def test_without_the_secret_nothing_runs(world: World, job: str, headers: dict[str, str]) -> None:
    """A missing or wrong secret is 401, whatever else the request claims to be, and nothing has moved."""
    make_due(world)
    before = dump(world.connection)
    answer = await run(world, job, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert (dump(world.connection), world.panel.calls, world.stripe.calls) == (before, [], [])


async def test_without_a_secret_set_nobody_gets_in(world: World) -> None:
    """A deployment that lacks CRON_SECRET answers 503 to everybody, an empty bearer included."""
    for headers in ({}, {"Authorization": "Bearer "}, BEARER):
        answer = await run(world, "drain", headers, CRON_SECRET="")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_methods_are_refused(world: World, method: str) -> None:
    """Vercel asks with GET, and nobody else needs another."""
    async with world.functions() as client:
        answer = await client.request(method, "/api/cron/drain", headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("job", ["nonsense", "Drain", "drain.", "[job]", "dr%61in%00", "é"])
async def test_an_unknown_job_is_404(world: World, job: str) -> None:
    """Only the two jobs have a name; no other text runs anything."""
    answer = await run(world, job)
    assert answer.status_code == 404
    assert world.panel.calls == []


async def test_a_drain_runs_what_is_due(world: World) -> None:
    """Everything due is worked off; the answer counts the passes and how they ended; a second drain finds nothing."""
    make_due(world)
    answer = await run(world, "drain")
    assert answer.status_code == 200
    assert (answer.json()["passes"], answer.json()["outcomes"]) == (1, {"settled": 1})
    assert world.panel.world() == ONE_OF_EACH
    assert world.due() == []
    assert (await run(world, "drain")).json()["passes"] == 0


async def test_drains_that_overlap_do_the_work_once(world: World) -> None:
    """Vercel may double a cron: five at once make one of each."""
    make_due(world)
    async with world.functions() as client:
        answers = await asyncio.gather(*(client.get("/api/cron/drain", headers=BEARER) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert sum(answer.json()["passes"] for answer in answers) == 1
    assert world.panel.world() == ONE_OF_EACH


async def test_a_paused_deployment_runs_no_pass(world: World) -> None:
    """PROVISIONING_MODE=paused leaves the queue and the panel as they are."""
    make_due(world)
    before = dump(world.connection)
    answer = await run(world, "drain", PROVISIONING_MODE="paused")
    assert (answer.status_code, answer.json()["passes"]) == (200, 0)
    assert (dump(world.connection), world.panel.calls) == (before, [])


async def test_what_is_parked_or_later_or_leased_waits(world: World) -> None:
    """A drain takes only what is due and free."""
    columns = "kind, key, due_at, parked_reason, parked_at, lease_id, leased_until"
    for row in (
        "'customer', 'cus_later', now() + interval '1 hour', NULL, NULL, NULL, NULL",
        "'customer', 'cus_parked', NULL, 'unmapped_price', now(), NULL, NULL",
        "'customer', 'cus_leased', now(), NULL, NULL, gen_random_uuid(), now() + interval '1 hour'",
    ):
        world.sql(f"INSERT INTO due ({columns}) VALUES ({row})")  # noqa: S608
    before = world.due()
    assert (await run(world, "drain")).json()["passes"] == 0
    assert world.due() == before


async def test_a_sweep_finds_whose_events_were_lost(world: World) -> None:
    """No event ever arrived; a sweep and a drain later the customer has what was paid for."""
    customer = world.customer()
    world.buy(customer)
    assert (await run(world, "sweep")).status_code == 200
    assert (await run(world, "drain")).status_code == 200
    assert world.panel.world() == ONE_OF_EACH


@pytest.mark.parametrize("job", ["drain", "sweep"])
async def test_a_failing_side_is_no_crash(world: World, job: str) -> None:
    """With Stripe away a cron answers 200 or 503 and never 500, and whoever was due still is."""
    customer = make_due(world)
    world.stripe.down = True
    answer = await run(world, job)
    assert answer.status_code in (200, 503)
    assert [due["key"] for due in world.due()] == [customer]


async def test_a_drain_is_done_whatever_becomes_of_the_sweep(world: World) -> None:
    """A sweep under way that Stripe or the panel refuses leaves the drain's answer 200, with what was refused in it."""
    world.stripe.forbid("^/v1/disputes")
    world.panel.down = True
    assert (await run(world, "sweep")).json()["stopped"].startswith("orgs: ")
    make_due(world)
    world.panel.down = False
    world.panel.fail_next("GET", "/customers$", 500, times=1000)
    answer = await run(world, "drain")
    assert (answer.status_code, answer.json()["passes"]) == (200, 1)
    assert answer.json()["sweep"]["stopped"].startswith("orgs: ")
    assert set(answer.json()["sweep"]["errors"]) == {"disputes", "orgs"}


async def test_drains_bring_an_empty_database_up_to_date(world: World) -> None:
    """Several processes that start at once on an empty database migrate it once, and all go on."""
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    answers = await asyncio.gather(*(_own_process(world) for _ in range(4)))
    assert answers == [0, 0, 0, 0]
    versions = [row["version"] for row in world.sql("SELECT version FROM schema_migrations ORDER BY 1")]
    assert versions == list(range(1, latest_version() + 1))


async def _own_process(world: World) -> int:
    """A drain with a manager of its own, as in another process; how many passes it ran."""
    async with world.bridge() as manager:
        return (await manager.drain(deadline=float("inf"), migrates=True)).passes
