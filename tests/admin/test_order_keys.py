"""`POST /api/admin/orders` with an `Idempotency-Key`: each act happens once, and a key stands for one act alone."""

import asyncio
from typing import Any

import pytest

from tests.admin.test_orders import CREATE, HEADERS, ROUTE, post
from tests.money.shop import ON, ONCE, Shop
from tests.money.till import sell
from tests.world import World

ALL_OF_IT = {"action": "collect", "amount": 1900, "currency": "eur"}
ACTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "collect": ([], {"amount": 900, "currency": "eur"}, {"amount": 901}),
    "collect of another line": ([], {"amount": 900, "currency": "eur", "externalId": "b1"}, {"externalId": "b2"}),
    "cancel": ([], {}, {}),
    "cancel of a part": ([{"action": "collect", "amount": 900, "currency": "eur"}], {}, {}),
    "cancel of a paid one": ([ALL_OF_IT], {}, {}),
    "change": ([], {"name": "Ada B. Example"}, {"name": "Ada C. Example"}),
    "change of the domain": ([], {"domain": "garden.example"}, {"domain": "kitchen.example"}),
    "return": ([{"action": "collect", "amount": 2900, "currency": "eur"}], {"amount": 400}, {"amount": 300}),
    "refund": ([ALL_OF_IT], {"amount": 400}, {"amount": 300}),
    "refund for a reason": ([ALL_OF_IT], {"amount": 400}, {"reason": "x"}),
    "refund of all": ([ALL_OF_IT], {"amount": 400}, {"amount": None}),
}
"""What goes before, the act, and what makes it another one; an act of another order is another one always."""


def books(world: World) -> dict[str, Any]:
    """Everything that an act could have done twice."""
    tables = ("collections", "refunds", "payments", "order_steps", "outbox")
    counts = {table: world.sql(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables}  # noqa: S608
    names = "order_id, state, collected, returned, refunded, cancelled, name, domain"
    return {**counts, "orders": world.sql(f"SELECT {names} FROM orders ORDER BY created_at")}  # noqa: S608


@pytest.mark.parametrize("name", ACTS)
async def test_an_act_happens_once_under_its_key(world: World, name: str) -> None:
    """Said again, alone or five times at once, it answers with what was done; with other words it is a conflict."""
    before, act, other = ACTS[name]
    sell(world)
    async with world.functions(PROVISIONING_MODE="paused") as client:
        made, second = [
            (await post(client, {**CREATE, "domain": f"{part}.example", "customerId": part}))["order"]["id"]
            for part in ("one", "two")
        ]
        for body in before:
            await post(client, {**body, "orderId": made})
        body = {"action": name.partition(" ")[0], "orderId": made, **act}
        first = await asyncio.gather(*(post(client, body, key="k") for _ in range(5)))
        assert sorted(answer["repeated"] for answer in first) == [False, True, True, True, True]
        done = books(world)
        assert (await post(client, body, key="k"))["repeated"]
        for words in [{"orderId": second}, *([other] if other else [])]:
            refused = await client.post(ROUTE, json={**body, **words}, headers={**HEADERS, "Idempotency-Key": "k"})
            assert (refused.status_code, refused.json()["code"]) == (409, "key_reused"), refused.text
        assert books(world) == done


async def test_an_order_is_written_once_under_its_key(world: World) -> None:
    """The order is the same one, also by its customer; with other words the key is a conflict."""
    sell(world)
    async with world.functions(PROVISIONING_MODE="paused") as client:
        answers = await asyncio.gather(*(post(client, CREATE, key="k") for _ in range(5)))
        assert len({(answer["order"]["id"], answer["order"]["customerId"]) for answer in answers}) == 1
        assert sorted(answer["repeated"] for answer in answers) == [False, True, True, True, True]
        for words in ({"amount": 2000}, {"dueDays": 3}, {"name": None}):
            headers = {**HEADERS, "Idempotency-Key": "k"}
            refused = await client.post(ROUTE, json={**CREATE, **words}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (409, "key_reused")
    assert len(world.sql("SELECT 1 FROM orders")) == 1


async def test_a_line_of_the_bank_counts_once_whatever_the_key(world: World) -> None:
    """The same line under a new key is the same money; a new line under an old key is refused, and never swallowed."""
    sell(world)
    line = {"action": "collect", "amount": 500, "currency": "eur"}
    async with world.functions(PROVISIONING_MODE="paused") as client:
        line["orderId"] = (await post(client, CREATE))["order"]["id"]
        assert not (await post(client, {**line, "externalId": "b1"}, key="k1"))["repeated"]
        assert (await post(client, {**line, "externalId": "b1"}, key="k2"))["repeated"]
        assert (await post(client, {**line, "externalId": "b1"}))["repeated"]
        assert not (await post(client, {**line, "externalId": "b2"}, key="k3"))["repeated"]
        refused = await client.post(
            ROUTE, json={**line, "externalId": "b2"}, headers={**HEADERS, "Idempotency-Key": "k1"}
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "key_reused")
        assert not (await post(client, line))["repeated"], "without a key and without a line it is new money"
    assert [row["collected"] for row in world.sql("SELECT collected FROM orders")] == [1500]


async def test_two_people_may_use_one_word(world: World) -> None:
    """A key is its caller's own: the same word of somebody else is another key."""
    sell(world)
    async with world.functions(ADMIN_API_KEY="anna:admin_fake_key,bob:bob_fake_key") as client:
        made = (await post(client, CREATE))["order"]["id"]
        part = {"action": "collect", "orderId": made, "amount": 100, "currency": "eur"}
        assert not (await post(client, part, key="k"))["repeated"]
        assert not (await post(client, part, key="k", Authorization="Bearer bob_fake_key"))["repeated"]


async def test_a_refund_at_stripe_is_asked_for_once_under_its_key(world: World) -> None:
    """The repetition shows the refund that was made; another amount, payment or reason is a conflict."""
    shop = Shop(world)
    made, session = await shop.begin(ONCE)
    world.stripe.complete_checkout(session, "ada@example.com")
    async with world.functions(**ON) as client:
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
        await world.drain(**ON)
        body = {"action": "refund", "orderId": made, "amount": 1000, "reason": "asked by mail"}
        assert not (await post(client, body, key="k"))["repeated"]
        again = await post(client, body, key="k")
        assert (again["repeated"], again["refund"]["amount"]) == (True, 1000)
        other = "00000000-0000-4000-8000-000000000000"
        for words in ({"amount": 900}, {"amount": None}, {"reason": "another one"}, {"paymentId": other}):
            refused = await client.post(ROUTE, json={**body, **words}, headers={**HEADERS, "Idempotency-Key": "k"})
            assert (refused.status_code, refused.json()["code"]) == (409, "key_reused"), refused.text
    assert [row["amount"] for row in world.sql("SELECT amount FROM refunds")] == [1000]
