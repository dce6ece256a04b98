"""What an admin sends is understood, or refused with the field that is wrong; nothing happens then."""

import json
from typing import Any

import pytest

from tests.admin.hand import ADMIN, SYNC, WORK, act, assert_problem, own, provisioned, writes
from tests.world import World

SUB = object()
"""Stands for the subscription of this test's customer."""

CUS = object()

MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({}, "action"),
    ({"action": None, "customerId": CUS}, "action"),
    ({"action": 5, "customerId": CUS}, "action"),
    ({"action": "", "customerId": CUS}, "action"),
    ({"action": "frobnicate", "customerId": CUS}, "action"),
    ({"action": "frobnicate"}, "action"),
    ({"action": "Retry", "customerId": CUS}, "action"),
    ({"action": "retry"}, "customerId"),
    ({"action": "retry", "customerId": 7}, "customerId"),
    ({"action": "retry", "customerId": ""}, "customerId"),
    ({"action": "retry", "customerId": "   "}, "customerId"),
    ({"action": "retry", "customerId": "x" * 256}, "customerId"),
    ({"action": "retry", "customerId": "cus_\x00"}, "customerId"),
    ({"action": "retry", "customerId": "cus_\ud800"}, "customerId"),
    ({"action": "retry", "customerId": [CUS]}, "customerId"),
    ({"action": "retry", "subscriptionId": {"id": SUB}}, "subscriptionId"),
    ({"action": "retry", "subscriptionId": True}, "subscriptionId"),
    ({"action": "retry", "subscriptionId": "sub_\n"}, "subscriptionId"),
    ({"action": "hold", "subscriptionId": SUB, "reason": 7}, "reason"),
    ({"action": "hold", "subscriptionId": SUB, "reason": ""}, "reason"),
    ({"action": "hold", "subscriptionId": SUB, "reason": "x" * 501}, "reason"),
    ({"action": "lift", "subscriptionId": SUB, "hold": "paused"}, "hold"),
    ({"action": "lift", "subscriptionId": SUB, "hold": "nonsense"}, "hold"),
    ({"action": "lift", "subscriptionId": SUB, "hold": ["admin"]}, "hold"),
    ({"action": "grace", "subscriptionId": SUB}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "tomorrow"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": ""}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": 1893456000}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": True}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "2030-02-30"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "0001-01-01T00:00:00+23:59"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "9999-12-31T23:59:59-23:59"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "9999-12-31T23:59:59Z"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "2099-05-01"}, "until"),
    ({"action": "releaseBrake", "customerId": CUS}, "customerId"),
    ({"action": "releaseBrake", "subscriptionId": SUB}, "subscriptionId"),
    ({"action": "hardDelete", "subscriptionId": SUB}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": "yes"}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": True}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": CUS}, "confirm"),
]


@pytest.mark.parametrize(("body", "field"), MALFORMED, ids=lambda part: json.dumps(part, default=lambda _: "ID")[:70])
async def test_a_malformed_field_is_named_and_nothing_happens(world: World, body: dict[str, Any], field: str) -> None:
    """What is wrong is answered with 422 and the field's name, and no memory changes."""
    customer, subscription = await provisioned(world)
    before = world.dump()

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [filled(part) for part in value]
        return subscription if value is SUB else customer if value is CUS else value

    world.panel.forget_calls()
    async with world.functions() as client:
        content = json.dumps(filled(body)).encode()
        assert_problem(await client.post(WORK, content=content, headers=ADMIN), 422, field=field)
    assert world.dump() == before
    assert writes(world) == []


@pytest.mark.parametrize("body", [b"[]", b'"retry"', b"null", b"{", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object(world: World, body: bytes) -> None:
    """Only a JSON object is a request."""
    async with world.functions() as client:
        assert_problem(await client.post(WORK, content=body, headers=ADMIN), 400, "invalid_json")


HOSTILE = [
    "cus_unknown",
    "sub_unknown",
    "'; DROP TABLE services; --",
    '" OR 1=1 --',
    "%s %(id)s {}",
    "../prices/price_basic_monthly",
    "..",
    "a/../../prices/price_basic_monthly",
    "cus_1?limit=1",
    "cus_1#fragment",
    "%2e%2e%2fprices%2fprice_basic_monthly",
    "Zoë 🚀 נכון",
    "x" * 255,
    "$(reboot)",
    "<script>alert(1)</script>",
    "\\",
    "*",
]

ACTIONS = ("retry", "release", "hold", "lift", "grace", "recreate", "hardDelete")


@pytest.mark.parametrize("identifier", HOSTILE)
async def test_an_unknown_id_is_refused_whatever_it_looks_like(world: World, identifier: str) -> None:
    """Nobody is found, Stripe is asked under its own paths only, and nothing is written anywhere."""
    await provisioned(world)
    before = world.dump()
    world.stripe.calls.clear()
    named = identifier.replace("_", "").isalnum() and identifier.isascii()
    async with world.functions() as client:
        for kind in ("customer", "subscription"):
            named_by = {f"{kind}Id": identifier}
            more = {"until": None, "confirm": identifier, **named_by}
            for path, sent in [(SYNC, named_by), *((WORK, own(action, more)) for action in ACTIONS)]:
                answer = await client.post(path, json=sent, headers=ADMIN)
                if named:
                    assert_problem(answer, 404, f"unknown_{kind}", f"{kind}Id")
                else:
                    assert_problem(answer, 422, "invalid_field", f"{kind}Id")
    asked = {call.path.rpartition("/") for call in world.stripe.calls}
    assert {(start, end) for start, _, end in asked} <= {
        (start, identifier) for start in ("/v1/customers", "/v1/subscriptions")
    }
    assert world.dump() == before
    assert world.due() == []


async def test_a_subscription_of_somebody_else_is_unknown(world: World) -> None:
    """With both ids given they must belong together."""
    _, subscription = await provisioned(world)
    other = world.customer("Ben", "ben@example.com")
    async with world.functions() as client:
        answer = await act(client, "hold", customerId=other, subscriptionId=subscription)
        assert_problem(answer, 404, "unknown_subscription", "subscriptionId")
    assert world.service(subscription)["holds"] == []


@pytest.mark.parametrize("action", ["hold", "lift", "release", "grace"])
async def test_a_subscription_that_was_never_reconciled_is_said_to_be_unknown(world: World, action: str) -> None:
    """There is nothing yet to hold or release; the customer stays due and is provisioned as usual."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        answer = await act(client, action, subscriptionId=subscription, until=None)
        assert_problem(answer, 404, "unknown_subscription")
    await world.come_to_rest()
    assert world.service(subscription)["state"] == "live"
