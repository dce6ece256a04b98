"""Where orders are not kept, nothing of them is asked or written; and what is kept of a person can be erased."""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest

from lib.database import Database, erasure
from lib.database.connection import Write
from lib.database.prompt import PromptDatabase
from lib.model import CustomerKey
from tests.money.shop import ONCE, Shop, one_paid_order
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop."""
    return Shop(world)


async def test_without_orders_nothing_of_them_is_asked_or_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A purchase is stored in one statement, and its hosting is made: no statement and no call is about money."""
    statements: list[str] = []
    rows, texts, exchange = Database.rows, PromptDatabase.texts, Database.exchange

    async def seen(self: Database, statement: str, *parameters: Any, **more: Any) -> Any:
        statements.append(statement)
        return await rows(self, statement, *parameters, **more)

    async def seen_short(self: PromptDatabase, statement: str, *parameters: Any, **more: Any) -> Any:
        statements.append(statement)
        return await texts(self, statement, *parameters, **more)

    async def seen_together(self: Database, writes: Sequence[Write]) -> Any:
        statements.extend(write.statement for write in writes)
        return await exchange(self, writes)

    monkeypatch.setattr(Database, "rows", seen)
    monkeypatch.setattr(PromptDatabase, "texts", seen_short)
    monkeypatch.setattr(Database, "exchange", seen_together)
    shop.stripe.complete_checkout(shop.link(), "ada@example.com")
    bodies = [json.dumps(event).encode() for event in shop.stripe.undelivered()]
    async with shop.world.bridge() as bridge:
        await bridge.accept(bodies)
        assert len(statements) == 1
        await bridge.drain(deadline=time.monotonic() + 120)
    assert len(statements) > 10
    assert shop.world.sql("SELECT state FROM services") == [{"state": "live"}]
    about = [one for one in statements if re.search(r"\b(FROM|INTO|JOIN|UPDATE) (orders|payments|order_steps)\b", one)]
    assert about == []
    asked = {call.path.split("/")[2] for call in shop.stripe.calls if call.method == "GET"}
    assert asked <= {"subscriptions", "checkout", "invoices", "customers", "prices"}
    assert shop.stripe.count("GET", "/v1/checkout/sessions/.*") == 0
    assert not any(shop.books().values())


async def test_orders_can_be_switched_on_and_off_by_themselves(shop: Shop) -> None:
    """`off` counts although there are outgoing events."""
    async with shop.world.bridge(ORDERS="off") as bridge:
        assert not bridge.settings.keeps_orders
    async with shop.world.bridge(ORDERS="on") as bridge:
        assert bridge.settings.keeps_orders
    async with shop.world.bridge() as bridge:
        assert not bridge.settings.keeps_orders


async def erase(shop: Shop) -> None:
    """An operator erases the one customer."""
    (row,) = shop.world.sql("SELECT customer_id FROM customers")
    async with shop.world.bridge(ORDERS="on") as bridge:
        assert await erasure.erase(bridge.db, CustomerKey.stripe(row["customer_id"]), livemode=False, actor="anna")


PERSONAL = ("email", "name", "buyer", "domain", "client_reference", "request", "session_url", "hosted_invoice_url")


async def test_erasing_a_customer_erases_their_orders(shop: Shop) -> None:
    """Ids, money and dates stay, and the books still add up."""
    order_id, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com", "Ada")
    await shop.hear()
    assert shop.order()["name"] == "Ada"
    await erase(shop)
    row = one_paid_order(shop, order_id)
    assert {name: row[name] for name in PERSONAL} == dict.fromkeys(PERSONAL)


async def test_what_is_learnt_of_somebody_who_was_erased_holds_nothing_of_them(shop: Shop) -> None:
    """Their purchase is heard of only afterwards."""
    _, session = await shop.begin()
    shop.stripe.complete_checkout(session, "ada@example.com", "Ada")
    await shop.hear()
    await erase(shop)
    late = shop.stripe.create_checkout(
        mode="payment",
        line_items=[{"price": ONCE, "quantity": 1}],
        success_url="https://shop.example/thanks",
        customer=shop.stripe.get(session)["customer"],
    )
    shop.stripe.complete_checkout(late["id"], name="Ada")
    await shop.hear()
    (row,) = shop.world.sql("SELECT * FROM orders WHERE origin = 'learnt'")
    assert row["state"] == "paid"
    assert {name: row[name] for name in PERSONAL} == dict.fromkeys(PERSONAL)
