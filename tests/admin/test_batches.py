"""Acts on all that match: shown first, done exactly so, and told how far they have come."""

from typing import Any

import httpx
import pytest

from tests.world import ADMIN_KEY, World

WORK = "/api/admin/work"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def send(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    """One retry of many."""
    return await client.post(WORK, json={"action": "retry", **body}, headers=ADMIN)


async def parked(world: World, count: int) -> list[str]:
    """Customers who wait for a mapping, which by now is there, and nobody has told the queue."""
    world.stripe.create_price("price_new")
    customers = []
    for number in range(count):
        customer = world.customer(f"Name {number}", f"c{number}@example.com")
        world.buy(customer, price="price_new", domain=f"c{number}.example")
        await world.sync(customer)
        customers.append(customer)
    world.sql("ALTER TABLE plan_mappings DISABLE TRIGGER USER")
    world.map_price("price_new", "basic-hosting-plan")
    world.sql("ALTER TABLE plan_mappings ENABLE TRIGGER USER")
    return customers


async def test_all_that_match_run_again_and_the_progress_is_told(world: World) -> None:
    """The preview counts; with that number all of them run, and the act tells how many are still to come."""
    customers = await parked(world, 3)
    about = {"state": "parked", "reason": "unmapped_price"}
    async with world.functions() as client:
        shown = (await send(client, filter=about, dryRun=True)).json()
        assert (shown["matches"], sorted(shown["sample"])) == (3, sorted(customers))
        assert world.panel.world()["subscriptions"] == 0
        begun = await send(client, filter=about, expected=3, asOf=shown["asOf"])
        assert (begun.status_code, begun.json()["matches"]) == (202, 3)
        progress = (await client.get(WORK, params={"batch": begun.json()["id"]}, headers=ADMIN)).json()
    assert (progress["actor"], progress["subjects"], progress["left"]) == ("admin", 3, 0)
    assert world.panel.world()["subscriptions"] == 3
    assert world.due() == []


async def test_another_number_by_then_does_nothing(world: World) -> None:
    """Somebody more was parked since the preview: nothing runs, and the caller is told to look again."""
    await parked(world, 2)
    async with world.functions() as client:
        shown = (await send(client, filter={"reason": "unmapped_price"}, dryRun=True)).json()
        refused = await send(client, filter={"reason": "unmapped_price"}, expected=1, asOf=shown["asOf"])
    assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
    assert world.panel.world()["subscriptions"] == 0


async def test_as_many_others_by_then_are_left_alone(world: World) -> None:
    """One has left and another come: nothing runs, the refusal shows who matches now, and exactly that can be done."""
    gone, stays = await parked(world, 2)
    about = {"state": "parked", "reason": "unmapped_price"}
    async with world.functions() as client:
        shown = (await send(client, filter=about, dryRun=True)).json()
        world.sql("DELETE FROM due WHERE key = %s", gone)
        world.sql(
            "INSERT INTO due (kind, key, lane, parked_reason, parked_at, problems)"
            " SELECT 'customer', 'cus_new', lane, parked_reason, parked_at, problems FROM due WHERE key = %s",
            stays,
        )
        refused = await send(client, filter=about, expected=2, asOf=shown["asOf"])
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        assert world.panel.world()["subscriptions"] == 0
        assert world.sql("SELECT id FROM batches") == []
        anew = refused.json()["preview"]
        assert (anew["matches"], sorted(anew["sample"])) == (2, sorted(["cus_new", stays]))
        begun = await send(client, filter=about, expected=2, asOf=anew["asOf"])
        assert begun.status_code == 202
    assert world.panel.world()["subscriptions"] == 1


async def test_a_preview_is_of_one_act(world: World) -> None:
    """What was shown for another filter, or at no time at all, is no preview of this."""
    await parked(world, 2)
    async with world.functions() as client:
        shown = (await send(client, filter={"state": "parked"}, dryRun=True)).json()
        for about, as_of in (({"reason": "unmapped_price"}, shown["asOf"]), ({"state": "parked"}, "2026-01-01")):
            refused = await send(client, filter=about, expected=2, asOf=as_of)
            assert (refused.status_code, refused.json()["code"]) == (409, "not_shown")
        refused = await send(client, filter={"state": "parked"}, expected=2, asOf="yesterday")
        assert (refused.status_code, refused.json()["field"]) == (422, "asOf")
    assert world.sql("SELECT id FROM batches") == []


async def test_what_has_not_run_yet_is_left(world: World) -> None:
    """While passes are paused the act is under way, and its rows count as left."""
    await parked(world, 2)
    async with world.functions(PROVISIONING_MODE="paused") as client:
        shown = (await send(client, filter={"reason": "unmapped_price"}, dryRun=True)).json()
        begun = (await send(client, filter={"reason": "unmapped_price"}, expected=2, asOf=shown["asOf"])).json()
        progress = (await client.get(WORK, params={"batch": begun["id"]}, headers=ADMIN)).json()
    assert (progress["subjects"], progress["left"]) == (2, 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "customerId"),
        ({"filter": {}, "customerId": "cus_1"}, "customerId"),
        ({"filter": {}}, "expected"),
        ({"filter": {}, "expected": 1}, "expected"),
        ({"customerId": "cus_1", "dryRun": True}, "filter"),
        ({"filter": {"stat": "parked"}, "dryRun": True}, "filter.stat"),
        ({"filter": {"state": "nonsense"}, "dryRun": True}, "filter.state"),
    ],
    ids=str,
)
async def test_what_could_mean_everybody_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    """A retry of many needs a filter that is understood, and the number that was shown."""
    async with world.functions() as client:
        answer = await send(client, **body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_the_dashboard_names_events_that_have_led_to_nothing_yet(world: World) -> None:
    """Whose pass fails or is parked: the events since it last came to rest are told, and gone once it runs."""
    world.sql("DELETE FROM plan_mappings")
    customer = world.customer()
    async with world.functions() as client:
        world.buy(customer)
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
            world.stripe.mark_delivered(event)
        before = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()["events"]
        assert before["notDone"] > 0
        assert {event["customerId"] for event in before["newestNotDone"]} == {customer}
        assert {work["reason"] for event in before["newestNotDone"] for work in event["work"]} == {"unmapped_price"}
        world.map_price("price_basic_monthly", "basic-hosting-plan")
        await world.drain()
        after = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()["events"]
    assert (after["notDone"], after["newestNotDone"]) == (0, [])
