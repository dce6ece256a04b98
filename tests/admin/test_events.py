"""`/api/admin/events`: what came in, what came of it, and playing it again."""

from typing import Any

import httpx
import pytest

from tests.world import ADMIN_KEY, World

EVENTS = "/api/admin/events"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Every row of a list."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await client.get(EVENTS, params={**query, **({"cursor": cursor} if cursor else {})}, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["data"]
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return rows


async def bought(world: World, client: httpx.AsyncClient, **more: Any) -> str:
    """A customer who has bought, with every event delivered."""
    customer = world.customer(**more)
    world.buy(customer, domain=f"{more.get('name', 'shop').lower()}.example")
    for event in list(world.stripe.undelivered()):
        await world.deliver(client, event)
        world.stripe.mark_delivered(event)
    return customer


async def test_every_event_with_what_came_of_it(world: World) -> None:
    """Newest first, without a gap over pages, and done once the pass it led to has come to rest."""
    async with world.functions() as client:
        customer = await bought(world, client)
        whole = await listed(client)
        assert await listed(client, limit=1) == whole
        one = (await client.get(EVENTS, params={"id": whole[0]["eventId"]}, headers=ADMIN)).json()
    assert [row["receivedAt"] for row in whole] == sorted((row["receivedAt"] for row in whole), reverse=True)
    created = next(row for row in whole if row["type"] == "customer.subscription.created")
    assert created["work"] == [
        {
            "kind": "customer", "key": customer, "state": "done", "dueAt": None, "error": None, "waitsFor": None,
            "reason": None,
        }
    ]  # fmt: skip
    assert whole[0]["body"] is None
    assert one["body"]["id"] == one["eventId"] == whole[0]["eventId"]


async def test_an_event_whose_work_fails_says_why(world: World) -> None:
    """An event that has not led to anything yet shows the error, or the reason for which its customer is parked."""
    world.sql("DELETE FROM plan_mappings")
    async with world.functions() as client:
        customer = await bought(world, client)
        (work,) = (await listed(client, type="customer.subscription.created"))[0]["work"]
    assert (work["key"], work["state"], work["reason"]) == (customer, "parked", "unmapped_price")


async def test_the_filters(world: World) -> None:
    """By type or the beginning of one, customer, outcome, source and time, also so long ago."""
    async with world.functions() as client:
        ada = await bought(world, client)
        await bought(world, client, name="Ben", email="ben@example.com")
        whole = await listed(client)
        of_ada = await listed(client, customer=ada)
        assert {row["customerId"] for row in of_ada} == {ada}
        assert len(of_ada) < len(whole)
        invoices = await listed(client, type="invoice.*")
        assert invoices
        assert all(row["type"].startswith("invoice.") for row in invoices)
        assert [row["type"] for row in await listed(client, type="invoice.paid")] == ["invoice.paid"] * 2
        assert await listed(client, type="invoice") == []
        assert await listed(client, outcome="unreadable") == []
        assert await listed(client, source="sweep") == []
        assert await listed(client, **{"from": "-1h"}) == whole
        assert await listed(client, to="-1h") == []
        assert await listed(client, object=of_ada[0]["objectId"])


async def test_replay_makes_due_again_and_runs(world: World) -> None:
    """What the events speak of gets its pass again, although nothing new came in."""
    world.sql("DELETE FROM plan_mappings")
    async with world.functions() as client:
        await bought(world, client)
        world.sql("DELETE FROM due")
        world.map_price("price_basic_monthly", "basic-hosting-plan")
        world.sql("DELETE FROM due")
        (event,) = await listed(client, type="customer.subscription.created")
        answer = await client.post(EVENTS, json={"action": "replay", "eventIds": [event["eventId"]]}, headers=ADMIN)
    assert answer.status_code == 200
    assert answer.json() == {"events": 1, "subjects": 1, "id": None}
    assert world.panel.world()["websites"] == 1


async def test_replay_of_many_does_what_it_showed_or_nothing(world: World) -> None:
    """The preview tells how many; with that number it is done, with another one nothing is."""
    async with world.functions() as client:
        await bought(world, client)
        await bought(world, client, name="Ben", email="ben@example.com")
        body: dict[str, Any] = {"action": "replay", "filter": {"type": "invoice.*"}}
        shown = (await client.post(EVENTS, json={**body, "dryRun": True}, headers=ADMIN)).json()
        assert shown["matches"] == len(await listed(client, type="invoice.*")) == len(shown["sample"])
        blind = await client.post(EVENTS, json=body, headers=ADMIN)
        assert (blind.status_code, blind.json()["code"]) == (422, "confirmation_needed")
        wrong = {**body, "expected": shown["matches"] + 1, "asOf": shown["asOf"]}
        refused = await client.post(EVENTS, json=wrong, headers=ADMIN)
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        assert world.due() == []
        # What comes in after the preview does not change what it was about.
        await bought(world, client, name="Cay", email="cay@example.com")
        right = {**body, "expected": shown["matches"], "asOf": shown["asOf"]}
        done = await client.post(EVENTS, json=right, headers=ADMIN)
    assert done.status_code == 202
    assert (done.json()["events"], done.json()["subjects"]) == (shown["matches"], 2)


async def test_as_many_other_events_by_then_are_not_played_again(world: World) -> None:
    """One was erased and another came to match, with a time before the preview: nothing is done, and they are shown."""
    async with world.functions() as client:
        await bought(world, client)
        body: dict[str, Any] = {"action": "replay", "filter": {"type": "invoice.*", "from": "-2h", "to": "-0m"}}
        shown = (await client.post(EVENTS, json={**body, "dryRun": True}, headers=ADMIN)).json()
        gone = shown["sample"][0]
        world.sql("UPDATE events SET type = 'plan.created' WHERE event_id = %s", gone)
        world.sql(
            "UPDATE events SET type = 'invoice.late' WHERE event_id ="
            " (SELECT event_id FROM events WHERE type LIKE 'customer.%%' ORDER BY received_at LIMIT 1)"
        )
        sent = {**body, "expected": shown["matches"], "asOf": shown["asOf"]}
        refused = await client.post(EVENTS, json=sent, headers=ADMIN)
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        anew = refused.json()["preview"]
        assert (anew["matches"], gone in anew["sample"]) == (shown["matches"], False)
        assert world.sql("SELECT id FROM batches") == []
        done = await client.post(EVENTS, json={**sent, "asOf": anew["asOf"]}, headers=ADMIN)
    assert (done.status_code, done.json()["events"]) == (202, shown["matches"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "replay"}, None),
        ({"action": "replay", "eventIds": []}, "eventIds"),
        ({"action": "replay", "eventIds": ["evt_1"], "from": "-1h"}, None),
        ({"action": "replay", "eventIds": ["evt_1"], "since": "-1h"}, "since"),
        ({"action": "explode", "eventIds": ["evt_1"]}, "action"),
        ({"action": "replay", "filter": {"typ": "x"}}, "filter.typ"),
        ({"action": "replay", "from": "yesterday"}, "from"),
    ],
    ids=str,
)
async def test_a_replay_that_makes_no_sense_is_refused(world: World, body: Any, field: str | None) -> None:
    """Nothing is made due by a request that may have meant something else."""
    async with world.functions() as client:
        answer = await client.post(EVENTS, json=body, headers=ADMIN)
    assert (answer.status_code, answer.json().get("field")) == (422, field)
    assert world.due() == []


async def test_an_unknown_event_replays_nothing(world: World) -> None:
    """One unknown id among several: none of them is played, and it is named."""
    async with world.functions() as client:
        await bought(world, client)
        (event,) = await listed(client, type="invoice.paid")
        body = {"action": "replay", "eventIds": [event["eventId"], "evt_unknown"]}
        answer = await client.post(EVENTS, json=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (404, "eventIds")
    assert world.due() == []
