"""`POST /api/admin/sync`: the pass of one customer, now, and what it did; a dry run touches nothing."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.tools import dump
from tests.world import ADMIN_KEY, CRON_SECRET, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
ONE_OF_EACH = {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


async def sync(world: World, body: Any, headers: dict[str, str] | None = None, **environ: str) -> httpx.Response:
    """One request to a fresh process; returns when the work after the answer has ended, too."""
    async with world.functions(**environ) as client:
        return await client.post("/api/admin/sync", json=body, headers=BEARER if headers is None else headers)


@pytest.mark.parametrize("field", ["subscriptionId", "customerId"])
async def test_it_runs_the_pass_and_tells_what_it_did(world: World, field: str) -> None:
    """Either id provisions the customer at once; the answer lists the actions in order and the state reached."""
    customer = world.customer()
    subscription = world.buy(customer)
    answer = await sync(world, {field: {"subscriptionId": subscription, "customerId": customer}[field]})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["customerId"], body["dryRun"], body["outcome"]["state"]) == (customer, False, "settled")
    kinds = [action["kind"] for action in body["actions"]]
    assert kinds[:5] == ["create_org", "create_login", "add_owner", "create_subscription", "create_website"]
    (service,) = body["services"]
    assert (service["subscriptionId"], service["state"], service["holds"]) == (subscription, "live", [])
    assert world.panel.world() == ONE_OF_EACH
    assert world.due() == []


async def test_the_ledger_knows_who_asked(world: World) -> None:
    """Each change carries the name behind the key that asked for it."""
    customer = world.customer()
    world.buy(customer)
    await sync(
        world, {"customerId": customer}, {"Authorization": "Bearer key_bob_fake"}, ADMIN_API_KEY="bob:key_bob_fake"
    )
    assert {row["actor"] for row in world.sql("SELECT actor FROM actions WHERE state = 'applied'")} == {"bob"}


async def test_a_second_sync_finds_nothing_to_do(world: World) -> None:
    """An unchanged customer is at rest: no action, no write anywhere."""
    customer = world.customer()
    world.buy(customer)
    await sync(world, {"customerId": customer})
    before = dump(world.connection)
    world.panel.forget_calls()
    answer = (await sync(world, {"customerId": customer})).json()
    assert (answer["actions"], answer["outcome"]["state"]) == ([], "settled")
    assert dump(world.connection) == before
    assert {call.method for call in world.panel.calls} <= {"GET"}


@pytest.mark.parametrize("provisioned", [False, True])
async def test_a_dry_run_changes_nothing_at_all(world: World, provisioned: bool) -> None:
    """It answers what it would do; afterwards every row of every table is as before and both sides were only read."""
    customer = world.customer()
    subscription = world.buy(customer)
    if provisioned:
        await sync(world, {"customerId": customer})
        world.stripe.mark_unpaid(subscription)
    before, panel = dump(world.connection), world.panel.world()
    suspended = [s.suspended_by for s in world.panel.subscriptions.values()]
    world.panel.forget_calls()
    world.stripe.calls.clear()
    answer = await sync(world, {"subscriptionId": subscription, "dryRun": True})
    assert (answer.status_code, answer.json()["dryRun"]) == (200, True)
    kinds = [action["kind"] for action in answer.json()["actions"]]
    assert kinds == ["suspend"] if provisioned else kinds[0] == "create_org"
    assert dump(world.connection) == before
    assert world.panel.world() == panel
    assert [s.suspended_by for s in world.panel.subscriptions.values()] == suspended
    assert {call.method for call in world.panel.calls} | {call.method for call in world.stripe.calls} == {"GET"}


async def test_a_dry_run_needs_no_turn(world: World) -> None:
    """While another process works on the customer a dry run still answers, and leaves the lease alone."""
    customer = world.customer()
    world.buy(customer)
    columns = "kind, key, lease_id, leased_until"
    world.sql(
        f"INSERT INTO due ({columns}) VALUES ('customer', %s, gen_random_uuid(), now() + interval '1 hour')",  # noqa: S608
        customer,
    )
    before = dump(world.connection)
    assert (await sync(world, {"customerId": customer, "dryRun": True})).status_code == 200
    assert dump(world.connection) == before


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("subscriptionId", "sub_unknown", "unknown_subscription"), ("customerId", "cus_unknown", "unknown_customer")],
)
async def test_what_stripe_does_not_know_is_404(world: World, field: str, value: str, code: str, dry_run: bool) -> None:
    """A problem document names the field; nobody becomes due and the panel is not asked."""
    before = dump(world.connection)
    answer = await sync(world, {field: value, "dryRun": dry_run})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert (dump(world.connection), world.panel.calls) == (before, [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"dryRun": True},
        {"subscriptionId": None},
        {"subscriptionId": "sub_1", "customerId": "cus_1"},
        {"subscriptionId": "sub_1", "all": True},
        {"customerId": "cus_1", "all": True},
        {"all": True, "dryRun": True},
        {"all": "true"},
        {"all": 1},
        {"subscriptionId": 7},
        {"subscriptionId": ""},
        {"subscriptionId": ["sub_1"]},
        {"subscriptionId": "sub_\u0000"},
        {"subscriptionId": "s" * 256},
        {"customerId": "../subscriptions"},
        {"customerId": "?limit=1"},
        {"customerId": "cus_1/sources"},
        {"customerId": "."},
        {"customerId": "cus 1"},
        {"customerId": "cus_é"},
        {"subscriptionId": "sub_1?expand[]=customer"},
        {"subscriptionId": "%2e%2e"},
    ],
    ids=repr,
)
async def test_a_request_that_is_not_one_of_three_is_refused(world: World, body: dict[str, Any]) -> None:
    """Exactly one of the three fields, of its kind and form; anything else is 422 and asks nobody anything."""
    before = dump(world.connection)
    answer = await sync(world, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert (dump(world.connection), world.panel.calls, world.stripe.calls) == (before, [], [])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {CRON_SECRET}"}])
async def test_only_admins_may(world: World, headers: dict[str, str]) -> None:
    """Without an admin's key it is 401 before the body is looked at; the cron's secret is none."""
    async with world.functions() as client:
        for content in (b'{"all": true}', b"{", b""):
            answer = await client.post("/api/admin/sync", content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert world.due() == []


async def test_broken_json_is_400(world: World) -> None:
    """An admin's broken body is told so."""
    async with world.functions() as client:
        answer = await client.post("/api/admin/sync", content=b"{", headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


async def test_all_is_accepted_and_reaches_everybody(world: World) -> None:
    """202 at once; afterwards two customers whose events were all lost are provisioned."""
    for number in range(2):
        customer = world.customer(f"Ada {number}", f"ada{number}@example.com")
        world.buy(customer, domain=f"shop{number}.example")
    answer = await sync(world, {"all": True})
    assert answer.status_code == 202
    async with world.functions() as client:
        await client.get("/api/cron/drain", headers={"Authorization": f"Bearer {CRON_SECRET}"})
    assert world.panel.world() == dict.fromkeys(ONE_OF_EACH, 2)


async def test_all_is_written_down_before_it_is_accepted(world: World) -> None:
    """With Stripe away it is 202 all the same: the sweep and everybody's pass stand in the database, and come later."""
    customer = world.customer()
    subscription = world.buy(customer)
    await sync(world, {"customerId": customer})
    world.stripe.mark_unpaid(subscription)
    world.stripe.down = True
    answer = await sync(world, {"all": True})
    assert answer.status_code == 202
    assert answer.json() == {"started": "sweep", "sweep": 1, "follows": False, "customers": 1}
    assert world.sql("SELECT id, finished_at FROM sweeps") == [{"id": 1, "finished_at": None}]
    assert [row["key"] for row in world.due()] == [customer]
    world.stripe.down = False
    world.hurry()
    async with world.functions() as client:
        await client.get("/api/cron/drain", headers={"Authorization": f"Bearer {CRON_SECRET}"})
    assert world.service(subscription)["holds"] == ["unpaid"]
    assert world.sql("SELECT 1 FROM sweeps WHERE finished_at IS NULL") == []


async def test_all_is_not_accepted_without_a_database(world: World) -> None:
    """What can't be written down is not promised."""
    answer = await sync(world, {"all": True}, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert answer.status_code == 503


async def test_all_gives_everybody_a_pass_whatever_the_sweep_can_see(world: World) -> None:
    """Hosting without a website that was suspended by hand shows in no list: its customer gets a pass all the same."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    await sync(world, {"customerId": customer})
    async with world.bridge() as manager:
        await manager.sweep(deadline=float("inf"))
        await manager.drain(deadline=float("inf"))
    world.panel.suspend_by_hand(world.only_subscription().id)
    async with world.bridge() as manager:
        assert (await manager.sweep(deadline=float("inf"))).counts["marked"] == 0
    await sync(world, {"all": True})
    assert world.service(subscription)["panel_suspended"] is True


async def test_all_while_a_sweep_is_under_way_is_followed_by_another(world: World) -> None:
    """A sweep that has passed the customers already is ended, and a whole one follows; asking twice adds no third."""
    world.sql("INSERT INTO sweeps (phase) VALUES ('websites')")
    world.sql("INSERT INTO leases VALUES ('sweep', gen_random_uuid(), now() + interval '1 hour')")
    for _ in range(2):
        answer = await sync(world, {"all": True})
        assert answer.json() == {"started": "sweep", "sweep": 1, "follows": True, "customers": 0}
    world.buy(world.customer())
    world.sql("DELETE FROM leases")
    async with world.functions() as client:
        for _ in range(3):
            await client.get("/api/cron/drain", headers={"Authorization": f"Bearer {CRON_SECRET}"})
    ended = world.sql("SELECT counts -> 'subscriptions' AS n FROM sweeps WHERE finished_at IS NOT NULL ORDER BY id")
    assert ended == [{"n": None}, {"n": 1}]
    asked = world.sql("SELECT asked_by FROM sweeps ORDER BY id")
    assert asked == [{"asked_by": None}, {"asked_by": "admin"}]
    assert world.sql("SELECT 1 FROM sweeps WHERE finished_at IS NULL") == []
    assert world.panel.world() == ONE_OF_EACH


async def test_all_runs_the_sweep_that_follows_at_once(world: World) -> None:
    """With nobody else at it, the rest of an interrupted sweep and the whole one are done by the same request."""
    world.sql("INSERT INTO sweeps (phase) VALUES ('websites')")
    world.buy(world.customer())
    await sync(world, {"all": True})
    assert world.sql("SELECT count(*) AS n FROM sweeps WHERE finished_at IS NOT NULL") == [{"n": 2}]
    assert world.panel.world() == ONE_OF_EACH


async def test_a_sweep_that_has_passed_nobody_yet_is_enough(world: World) -> None:
    """One that only began counts as the one that was asked for."""
    world.sql("INSERT INTO sweeps DEFAULT VALUES")
    answer = await sync(world, {"all": True})
    assert (answer.json()["sweep"], answer.json()["follows"]) == (1, False)
    assert world.sql("SELECT asked_by FROM sweeps") == [{"asked_by": "admin"}]


async def test_all_leaves_room_for_who_buys_meanwhile(world: World) -> None:
    """Thousands do not all become due at once: a purchase runs before most of them, and health does not take it for
    stuck work; whoever was due sooner stays so.
    """
    world.sql("INSERT INTO customers (customer_id) SELECT 'cus_' || n FROM generate_series(1, 2000) AS n")
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_7', now() - interval '1 second')")
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at) VALUES"
        " ('customer', 'cus_8', NULL, 'no_email', now())"
    )
    async with world.bridge(PROVISIONING_MODE="paused") as manager:
        assert (await manager.begin_everything("anna"))["customers"] == 2000
    (row,) = world.sql(
        "SELECT count(*) AS n, count(*) FILTER (WHERE due_at <= now()) AS now,"
        " max(due_at) < now() + interval '1 hour' AS soon FROM due"
    )
    assert (row["n"], row["soon"]) == (2000, True)
    assert 1000 < row["now"] < 1500
    assert world.sql("SELECT 1 FROM due WHERE key = 'cus_8' AND due_at IS NULL") == []


@pytest.mark.parametrize(("side", "status"), [("stripe", 503), ("panel", 200)])
async def test_another_side_that_is_away_is_told(world: World, side: str, status: int) -> None:
    """Stripe away: nobody knows whom to sync, 503. The panel away: the pass says so, and comes again by itself."""
    customer = world.customer()
    subscription = world.buy(customer)
    getattr(world, side).down = True
    answer = await sync(world, {"subscriptionId": subscription})
    assert answer.status_code == status
    if side == "panel":
        outcome = answer.json()["outcome"]
        assert outcome["state"] == "again"
        assert datetime.fromisoformat(outcome["at"]) == world.due()[0]["due_at"]
        assert [due["key"] for due in world.due()] == [customer]


async def test_a_key_that_stripe_refuses_is_502(world: World) -> None:
    """A wrong Stripe key is ours to fix and never looks like an unknown subscription."""
    answer = await sync(world, {"subscriptionId": "sub_1"}, STRIPE_SECRET_KEY="sk_test_fake_wrong")
    assert (answer.status_code, answer.json()["code"]) == (502, "stripe_key")
    assert "sk_test_fake_wrong" not in answer.text
