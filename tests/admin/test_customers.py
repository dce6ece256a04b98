"""`GET /api/admin/customers`: found by what one knows, paged without a gap, and one with all that is known."""

import csv
import io
from typing import Any

import httpx
import pytest

from tests.world import ADMIN_KEY, World

CUSTOMERS = "/api/admin/customers"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def found(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids of a list, all pages of it."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        answer = await client.get(CUSTOMERS, params={**query, **({"cursor": cursor} if cursor else {})}, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        ids += [row["customerId"] for row in answer.json()["data"]]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return ids


def fill(world: World, count: int) -> None:
    """Customers with a service each, in every state; the newest last."""
    world.sql(
        "INSERT INTO customers (customer_id, email, name, org_id, created_at)"
        " SELECT 'cus_' || lpad(n::text, 4, '0'),"
        " CASE n %% 3 WHEN 0 THEN 'Ada_' ELSE 'bob%%' END || n || '@Example.com',"
        " 'Name ' || n, gen_random_uuid(), now() - make_interval(hours => 5000 - n)"
        " FROM generate_series(1, %s) AS n",
        count,
    )
    world.sql(
        "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id,"
        " domain, holds)"
        " SELECT 'cus_' || lpad(n::text, 4, '0'), 'sub_' || n, 1, 'si_' || n, 'price_basic_monthly',"
        " (ARRAY['live', 'suspended', 'terminated'])[1 + n %% 3], n, 'shop' || n || '.example',"
        " CASE n %% 3 WHEN 1 THEN ARRAY['unpaid', 'admin'] ELSE '{}' END"
        " FROM generate_series(1, %s) AS n",
        count,
    )


async def test_nobody_is_found_twice_or_left_out(world: World) -> None:
    """Page after page the list holds everybody once, newest first, whatever the page's length."""
    fill(world, 25)
    expected = [f"cus_{n:04}" for n in range(25, 0, -1)]
    async with world.functions() as client:
        assert await found(client) == expected
        assert await found(client, limit=1) == expected
        assert await found(client, limit=7) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"email": "ada_3@example.com"}, ["cus_0003"]),
        ({"email": "ADA_3@EXAMPLE.COM"}, ["cus_0003"]),
        ({"email": "ada_"}, ["cus_0012", "cus_0003", "cus_0006", "cus_0009"]),
        ({"email": "bob%1"}, ["cus_0010", "cus_0011", "cus_0001"]),
        ({"email": "ada%"}, []),
        ({"email": "adax"}, []),
        ({"email": "a\\"}, []),
        ({"name": "name 7"}, ["cus_0007"]),
        ({"domain": "SHOP5."}, ["cus_0005"]),
        ({"identifier": "sub_4"}, ["cus_0004"]),
        ({"identifier": "cus_0004"}, ["cus_0004"]),
        ({"hold": "unpaid"}, ["cus_0001", "cus_0004", "cus_0007", "cus_0010"]),
        ({"hold": "paused"}, []),
        ({"state": "live"}, ["cus_0003", "cus_0006", "cus_0009", "cus_0012"]),
        ({"state": "suspended", "hold": "admin", "email": "bob%4"}, ["cus_0004"]),
        ({"state": "live", "hold": "admin"}, []),
        ({"reason": "no_email"}, ["cus_0002"]),
        ({"reason": "no_email", "domain": "shop2"}, ["cus_0002"]),
    ],
    ids=str,
)
async def test_people_are_found_by_what_one_knows(world: World, query: dict[str, str], expected: list[str]) -> None:
    """Beginnings match in any case, nothing typed is a pattern, and several filters all hold."""
    fill(world, 12)
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at, problems)"
        " VALUES ('customer', 'cus_0002', NULL, 'no_email', now(), '[{\"reason\": \"no_email\"}]')"
    )
    async with world.functions() as client:
        assert await found(client, **query) == expected
        assert await found(client, **query, limit=1) == expected


async def test_one_customer_with_all_that_is_known(world: World) -> None:
    """Services, queue and the timeline from the event to what was verified, newest first, without a gap over pages."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions() as client:
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
            world.stripe.mark_delivered(event)
        whole = (await client.get(CUSTOMERS, params={"id": customer, "limit": 200}, headers=ADMIN)).json()
        pieces: list[Any] = []
        cursor = None
        while cursor is not None or not pieces:
            query: dict[str, Any] = {"id": customer, "limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await client.get(CUSTOMERS, params=query, headers=ADMIN)).json()["timeline"]
            pieces += page["data"]
            cursor = page["nextCursor"]
    assert whole["email"] == "ada@example.com"
    assert [service["state"] for service in whole["services"]] == ["live"]
    assert whole["queue"] is None
    assert whole["explanation"] is None
    entries = whole["timeline"]["data"]
    assert pieces == entries
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)
    assert {entry["source"] for entry in entries} == {"event", "action"}
    made = next(entry for entry in entries if entry["kind"] == "create_subscription")
    assert made["state"] == "verified"
    assert [step["state"] for step in made["steps"]] == ["intent", "applied", "verified"]
    assert made["rule"] == "active"
    assert made["facts"]["status"] == "active"


async def test_asked_live_both_sides_are_told(world: World) -> None:
    """With `live=true` the answer says what Stripe and the panel have, what should be and what comes next."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    async with world.functions() as client:
        answer = await client.get(CUSTOMERS, params={"id": customer, "live": "true"}, headers=ADMIN)
    explanation = answer.json()["explanation"]
    assert explanation["truth"]["subscriptions"][0]["status"] == "active"
    assert explanation["actual"]["subscriptions"][0]["state"] == "on"
    assert explanation["next"]["actions"] == []


async def test_asked_live_somebody_whom_stripe_does_not_know_is_told_as_such(world: World) -> None:
    """An id that only stands in the queue: both sides were read, neither is away, and there is nothing to do."""
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_nobody', now())")
    async with world.functions() as client:
        answer = await client.get(CUSTOMERS, params={"id": "cus_nobody", "live": "true"}, headers=ADMIN)
    explanation = answer.json()["explanation"]
    assert explanation["away"] == {"stripe": None, "panel": None}
    assert (explanation["truth"], explanation["actual"]["subscriptions"]) == (None, [])
    assert explanation["next"]["actions"] == []


async def test_what_shadow_mode_planned_is_not_mixed_in(world: World) -> None:
    """The timeline tells what happened; what would have happened only where it is asked for."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, PROVISIONING_MODE="shadow")
    async with world.functions() as client:
        plain = (await client.get(CUSTOMERS, params={"id": customer}, headers=ADMIN)).json()
        planned = (await client.get(CUSTOMERS, params={"id": customer, "planned": "true"}, headers=ADMIN)).json()
    assert [entry for entry in plain["timeline"]["data"] if entry["source"] == "action"] == []
    assert {entry["state"] for entry in planned["timeline"]["data"] if entry["source"] == "action"} == {"planned"}


async def test_nobody_by_that_id(world: World) -> None:
    """Somebody of whom nothing is remembered is 404, named."""
    async with world.functions() as client:
        answer = await client.get(CUSTOMERS, params={"id": "cus_nobody"}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (404, "unknown_customer", "id")


async def test_the_whole_filter_as_csv(world: World) -> None:
    """Accept: text/csv gives every row of the filter, and no cell that a spreadsheet would compute."""
    fill(world, 60)
    world.sql("UPDATE customers SET name = '=HYPERLINK(\"x\")' WHERE customer_id = 'cus_0003'")
    async with world.functions() as client:
        answer = await client.get(CUSTOMERS, params={"state": "live"}, headers={**ADMIN, "Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["customerId"] for row in rows] == [f"cus_{n:04}" for n in range(3, 61, 3)]
    assert rows[0]["name"] == '\'=HYPERLINK("x")'
    assert rows[0]["services"] == "live:1"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"emial": "a"}, "emial"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"hold": "nonsense"}, "hold"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"id": "a b"}, "id"),
        ({"live": "yes"}, "live"),
    ],
)
async def test_a_query_that_makes_no_sense_is_named(world: World, query: dict[str, str], field: str) -> None:
    """A misspelt filter would show everybody; it is refused instead, and its name told."""
    async with world.functions() as client:
        answer = await client.get(CUSTOMERS, params=query, headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_who_waits_before_anything_was_made_is_found_by_name(world: World) -> None:
    """Paid for a price that means nothing yet: they are in the list and in the work list, by e-mail and name."""
    world.sql("DELETE FROM plan_mappings")
    customer = world.customer("Grace Hopper", "grace@example.com")
    world.buy(customer, domain="grace.example")
    async with world.functions() as client:
        await world.sync(customer)
        assert await found(client, email="grace@") == [customer]
        assert await found(client, name="Grace") == [customer]
        (row,) = (await client.get("/api/admin/work", params={"state": "parked"}, headers=ADMIN)).json()["data"]
    assert (row["reason"], row["email"]) == ("unmapped_price", "grace@example.com")
    assert world.sql("SELECT customer_id FROM services") == []
