"""What an operator sees of outgoing events, and does about them."""

from typing import Any

import httpx
import pytest

from tests.messages.receiver import Receiver, outlet, receiving
from tests.world import ADMIN_KEY, World

EVENTS = "/api/admin/events"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def get(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    """The answer to a GET."""
    answer = await client.get(EVENTS, params={"direction": "out", **query}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(client: httpx.AsyncClient, status: int = 202, **body: Any) -> dict[str, Any]:
    """The answer to a POST."""
    answer = await client.post(EVENTS, json=body, headers=ADMIN)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def confirmed(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """An act on all that match: shown first, then done exactly so."""
    shown = await post(client, 200, dryRun=True, **body)
    done = await post(client, expected=shown["matches"], asOf=shown["asOf"], **body)
    assert done["events"] == shown["matches"]
    return done


async def bought(world: World, **environ: str) -> str:
    """A customer who was provisioned, and of whom two events are told."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, **environ)
    await world.drain(**environ)
    return customer


async def test_deliveries_and_endpoints_are_listed(world: World) -> None:
    """Newest first, by page, by filter, as CSV; one event with its body and every try."""
    with receiving(Receiver()) as one, receiving(Receiver(status=500)) as two:
        environ = outlet(one, two)
        customer = await bought(world, **environ)
        async with world.functions(**environ) as client:
            page = await get(client)
            told = {(row["type"], row["state"], row["customerId"]) for row in page["data"]}
            assert told == {
                (type_, state, customer)
                for type_ in ("service.changed", "service.provisioned")
                for state in ("waiting", "delivered")
            }
            assert [row["sequence"] for row in page["data"]] == [2, 2, 1, 1]
            assert [one["state"] for one in page["endpoints"]] == ["ok", "failing"]
            assert [one["waiting"] for one in page["endpoints"]] == [0, 2]
            walked, cursor = [], None
            while True:
                part = await get(client, limit=1, **({"cursor": cursor} if cursor else {}))
                walked += part["data"]
                cursor = part["nextCursor"]
                if cursor is None:
                    break
            assert walked == page["data"]
            ok = page["endpoints"][0]["id"]
            assert len((await get(client, endpoint=ok, state="delivered", type="service.*"))["data"]) == 2
            assert (await get(client, endpoint=ok, state="waiting"))["data"] == []
            shown = await get(client, id=page["data"][0]["eventId"])
            assert shown["body"]["customerId"] == customer
            assert {row["state"]: {one["status"] for one in row["tries"]} for row in shown["deliveries"]} == {
                "delivered": {200},
                "waiting": {500} if shown["type"] == "service.provisioned" else set(),
            }
            csv = await client.get(EVENTS, params={"direction": "out"}, headers={**ADMIN, "Accept": "text/csv"})
            assert len(csv.text.strip().splitlines()) == 5
            refused = await client.get(EVENTS, params={"state": "waiting"}, headers=ADMIN)
            assert refused.json()["errors"][0]["field"] == "state"
            board = (await client.get("/api/admin/dashboard", headers=ADMIN)).json()
            assert board["outgoing"]["waiting"] == 2
            assert "endpoint_failing" in {alert["code"] for alert in board["alerts"]}


async def test_a_test_is_sent_at_once(world: World) -> None:
    """Also to an endpoint that is disabled; it shows what came of it, and holds up nothing."""
    with receiving(found := Receiver(status=410)) as url:
        environ = outlet(url)
        await bought(world, **environ)
        async with world.functions(**environ) as client:
            (endpoint,) = (await get(client))["endpoints"]
            assert endpoint["disabledReason"] == "gone"
            told = await post(client, 200, action="test", endpoint=endpoint["id"])
            assert (told["delivered"], told["status"]) == (False, 410)
            found.status = 204
            told = await post(client, 200, action="test", endpoint=url)
            assert (told["delivered"], told["status"], told["error"]) == (True, 204, None)
            assert [event["type"] for event in found.taken] == ["endpoint.test"]
            assert (await get(client))["endpoints"][0]["state"] == "disabled"
            assert len((await get(client, state="waiting"))["data"]) == 2


async def test_enabled_it_gets_everything(world: World) -> None:
    """What queued while it was disabled goes out in order, with the numbers that it had."""
    with receiving(found := Receiver(status=410)) as url:
        environ = outlet(url)
        customer = await bought(world, **environ)
        found.status = 200
        async with world.functions(**environ) as client:
            assert await post(client, action="enable", endpoint=url) == {
                "action": "enable",
                "endpoint": (await get(client))["endpoints"][0]["id"],
                "events": 2,
            }
    assert [event["sequence"] for event in found.of(customer)] == [1, 2]


async def test_what_was_delivered_is_sent_again_with_the_same_bytes(world: World) -> None:
    """One by its id, or all since a time, as often as an operator likes."""
    with receiving(found := Receiver()) as url:
        environ = outlet(url)
        await bought(world, **environ)
        before = [call.body for call in found.calls]
        async with world.functions(**environ) as client:
            one = (await get(client))["data"][-1]["eventId"]
            assert (await post(client, action="resend", endpoint=url, eventIds=[one]))["events"] == 1
            await confirmed(client, action="resend", endpoint=url, filter={"from": "-1h", "type": "service.*"})
    assert [call.body for call in found.calls] == [*before, before[0], *before]


async def test_a_new_endpoint_gets_what_was_told_before_it_was_there(world: World) -> None:
    """The same events under the same ids, numbered for it from 1, of the types that it wants."""
    with receiving(old := Receiver()) as one, receiving(new := Receiver()) as two:
        customer = await bought(world, **outlet(one))
        environ = outlet(one, two, OUTBOX_TYPES=",service.provisioned")
        async with world.functions(**environ) as client:
            await confirmed(client, action="resend", endpoint=two, filter={"from": "-1h"})
    assert new.types(customer) == ["service.provisioned"]
    assert new.of(customer)[0] == old.of(customer)[0]
    assert old.types(customer) == ["service.provisioned", "service.changed"]


async def test_as_many_others_by_then_are_not_skipped(world: World) -> None:
    """One was delivered and another came to wait since they were shown: nothing is skipped, and they are shown anew."""
    with receiving(Receiver(status=500)) as url:
        environ = outlet(url)
        await bought(world, **environ)
        body: dict[str, Any] = {"action": "skip", "endpoint": url, "filter": {"from": "-1h"}}
        async with world.functions(**environ) as client:
            first, second = [row["eventId"] for row in (await get(client, state="waiting"))["data"]]
            world.sql("UPDATE outbox SET state = 'delivered', ended_at = now() WHERE event_id = %s", second)
            shown = await post(client, 200, dryRun=True, **body)
            assert shown["sample"] == [first]
            world.sql("UPDATE outbox SET state = 'delivered', ended_at = now() WHERE event_id = %s", first)
            world.sql("UPDATE outbox SET state = 'waiting', ended_at = NULL WHERE event_id = %s", second)
            refused = await post(client, 409, expected=1, asOf=shown["asOf"], **body)
            assert (refused["code"], refused["preview"]["sample"]) == ("changed_meanwhile", [second])
            assert (await get(client, state="skipped"))["data"] == []
            await post(client, expected=1, asOf=refused["preview"]["asOf"], **body)
            assert [row["eventId"] for row in (await get(client, state="skipped"))["data"]] == [second]


async def test_a_skipped_event_holds_up_nothing(world: World) -> None:
    """The one that the receiver can't take is left out, and what follows it arrives."""
    with receiving(found := Receiver()) as url:
        environ = outlet(url)
        found.answers = lambda event: 500 if event["type"] == "service.provisioned" else 200
        customer = await bought(world, **environ)
        async with world.functions(**environ) as client:
            (bad,) = (await get(client, type="service.provisioned"))["data"]
            await post(client, action="skip", endpoint=url, eventIds=[bad["eventId"]])
            world.sql("UPDATE outbox_endpoints SET next_try_at = now()")
            world.hurry()
            await world.drain(**environ)
            assert found.types(customer) == ["service.changed"]
            assert (await get(client, state="skipped"))["data"][0]["eventId"] == bad["eventId"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "test", "endpoint": "ep_unknown"}, 404, "not_found"),
        ({"action": "test"}, 422, "invalid_field"),
        ({"action": "skip", "endpoint": "URL", "eventIds": ["evt_unknown"]}, 404, "not_found"),
        ({"action": "resend", "endpoint": "URL", "eventIds": ["evt_unknown"]}, 404, "not_found"),
        ({"action": "resend", "endpoint": "URL"}, 422, "invalid_field"),
        ({"action": "resend", "endpoint": "URL", "filter": {"from": "-1h"}}, 422, "invalid_field"),
        (
            {"action": "skip", "endpoint": "URL", "filter": {}, "expected": 7, "asOf": "2026-01-01T00:00:00Z"},
            409,
            "changed_meanwhile",
        ),
        ({"action": "resent", "endpoint": "URL"}, 422, "invalid_field"),
    ],
)
async def test_what_can_not_be_done_is_refused(world: World, body: dict[str, Any], status: int, code: str) -> None:
    """With a code and a remedy, and nothing is changed."""
    with receiving(Receiver(status=500)) as url:
        environ = outlet(url)
        await bought(world, **environ)
        sent = {name: url if value == "URL" else value for name, value in body.items()}
        before = world.sql("SELECT * FROM outbox ORDER BY id")
        async with world.functions(**environ) as client:
            answer = await post(client, status, **sent)
        assert answer["code"] == code
        assert world.sql("SELECT * FROM outbox ORDER BY id") == before
