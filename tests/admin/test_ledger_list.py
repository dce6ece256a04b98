"""`/api/admin/events?direction=ledger`: what was done to whom, by whom and why; as a list, and as it grows."""

from typing import Any

import httpx
import pytest

from tests.world import ADMIN_KEY, World

EVENTS = "/api/admin/events"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def ask(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    """The ledger, as asked."""
    return await client.get(EVENTS, params={"direction": "ledger", **query}, headers=ADMIN)


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Every line of the list, over its pages."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await ask(client, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        rows += answer.json()["data"]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return rows


async def test_every_line_newest_first(world: World) -> None:
    """Without a gap or a repetition over pages, each with who, whom, what, why and how far it came."""
    customer = world.customer()
    sub = world.buy(customer)
    await world.sync(customer)
    async with world.functions() as client:
        whole = await listed(client)
        assert await listed(client, limit=3) == whole
    written = world.sql("SELECT id, at FROM actions ORDER BY at DESC, id DESC")
    assert [line["id"] for line in whole] == [row["id"] for row in written]
    (site,) = [line for line in whole if (line["kind"], line["state"]) == ("create_website", "applied")]
    assert (site["actor"], site["customerId"], site["service"]) == ("bridge", customer, sub)
    assert site["rule"]
    intent = next(line for line in whole if (line["kind"], line["state"]) == ("create_website", "intent"))
    assert intent["actionId"] == site["actionId"]


async def test_each_filter(world: World) -> None:
    """By customer, kind, actor, state and time; also of somebody who pays offline; as CSV the whole of it."""
    ada, ben = world.customer(), world.customer(name="Ben", email="ben@example.com")
    world.buy(ada)
    world.buy(ben, domain="ben.example")
    await world.sync(ada)
    await world.sync(ben)
    world.sql(
        "INSERT INTO actions (action_id, provider, customer_id, kind, state, actor, at) VALUES"
        " (gen_random_uuid(), 'bank_transfer', 'K-1', 'hold', 'noted', 'anna', now() - interval '3 hours'),"
        " (gen_random_uuid(), 'stripe', 'cus_x', 'suspend', 'failed', 'bridge', now() - interval '3 hours')"
    )
    async with world.functions() as client:
        whole = await listed(client)
        assert {line["customerId"] for line in await listed(client, customer=ada)} == {ada}
        assert {line["kind"] for line in await listed(client, kind="create_website")} == {"create_website"}
        (by_anna,) = await listed(client, actor="anna")
        assert (by_anna["customerId"], by_anna["service"]) == ("bank_transfer:K-1", None)
        assert await listed(client, customer="bank_transfer:K-1") == [by_anna]
        assert [line["customerId"] for line in await listed(client, state="failed")] == ["cus_x"]
        verified = await listed(client, state="verified", actor="bridge")
        assert {line["state"] for line in verified} == {"verified"}
        assert len(await listed(client, **{"from": "-1h"})) == len(whole) - 2
        assert {line["customerId"] for line in await listed(client, to="-1h")} == {"bank_transfer:K-1", "cus_x"}
        assert await listed(client, **{"from": "-1h", "to": "-30m"}) == []
        table = await client.get(EVENTS, params={"direction": "ledger"}, headers={**ADMIN, "Accept": "text/csv"})
    lines = table.text.splitlines()
    assert lines[0] == "at,id,actionId,actor,customerId,service,kind,state,rule,error"
    assert len(lines) == len(whole) + 1


async def test_following_it_sees_every_line(world: World) -> None:
    """Whoever asks on with `nextCursor` meets each line, also one that a slow transaction adds before newer ones."""
    insert = (
        "INSERT INTO actions (id, action_id, customer_id, kind, state, at) OVERRIDING SYSTEM VALUE"
        " VALUES (%s, gen_random_uuid(), 'cus_x', 'hold', 'noted', now() - make_interval(secs => %s))"
    )
    for number in (10, 11, 13):
        world.sql(insert, number, 3600 if number == 10 else 1)
    seen: list[int] = []
    async with world.functions() as client:
        first = (await ask(client, after=0)).json()
        seen += [line["id"] for line in first["data"]]
        world.sql(insert, 12, 1)
        second = (await ask(client, after=first["nextCursor"])).json()
        seen += [line["id"] for line in second["data"]]
        assert (await ask(client, after=13)).json() == {"data": [], "nextCursor": "13"}
    assert first["nextCursor"] == "10"
    assert [line["id"] for line in second["data"]] == [11, 12, 13]
    assert set(seen) == {10, 11, 12, 13}


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_burst_is_gone_through_page_by_page(world: World, limit: int) -> None:
    """However many lines come at once, each page leads on."""
    world.sql(
        "INSERT INTO actions (action_id, customer_id, kind, state)"
        " SELECT gen_random_uuid(), 'cus_x', 'hold', 'noted' FROM generate_series(1, 9)"
    )
    after, seen = "0", set()
    async with world.functions() as client:
        for _ in range(20):
            answer = (await ask(client, after=after, limit=limit)).json()
            seen |= {line["id"] for line in answer["data"]}
            after = answer["nextCursor"]
    assert len(seen) == 9


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"direction": "ledger", "type": "invoice.paid"}, "type", "type goes with direction=in or out"),
        ({"direction": "ledger", "state": "delivered"}, "state", "state must be one of intent, unknown, applied"),
        ({"direction": "out", "state": "noted"}, "state", "state must be one of waiting, delivered, skipped"),
        ({"direction": "out", "kind": "hold"}, "kind", "kind goes with direction=ledger"),
        ({"after": "1"}, "after", "after goes with direction=ledger"),
        ({"state": "waiting"}, "state", "state goes with direction=out or ledger"),
        ({"direction": "ledger", "after": "-1"}, "after", "after must be the id of a line of the ledger, or 0"),
        ({"direction": "ledger", "after": str(2**63)}, "after", "after must be the id of a line of the ledger, or 0"),
        ({"direction": "ledger", "after": "1", "cursor": "x"}, "cursor", "cursor leads to older lines"),
    ],
)
async def test_what_can_not_be_asked(world: World, query: dict[str, str], field: str, said: str) -> None:
    """A filter of another direction is refused, and says with which it goes."""
    async with world.functions() as client:
        answer = await client.get(EVENTS, params=query, headers=ADMIN)
    assert answer.status_code == 422
    (fault,) = [fault for fault in answer.json()["errors"] if fault["field"] == field]
    assert fault["detail"].startswith(said)
