"""Killed before anything that a pass of money changes, and taken up again: each thing is there once, and adds up."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from lib.bridge import Bridge
from lib.database import due
from lib.errors import BridgeError
from lib.kinds import nudge
from lib.ledger.refunding import Refunding, refund
from tests.killed import Killed, writes
from tests.money.shop import ON, ONCE, OURS, Shop, adds_up
from tests.money.test_money_told import OUT, told
from tests.world import World

MONTHLY = "price_ignored_monthly"
"""Hosting is made by other passes, which have tests like these of their own."""


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop that sells what no hosting is made for."""
    world.stripe.create_price(MONTHLY)
    world.map_price(MONTHLY, None, kind="ignore")
    return Shop(world)


def mortal(bridge: Bridge, patch: pytest.MonkeyPatch, dies_before: int) -> list[str]:
    """Make a process die just before the n-th thing that changes anything, and stay dead; what it did before.

    That is a statement that writes by itself, the commit of several, or a call that asks for more than to be read:
    between two of these a death leaves the same behind, wherever it is.
    """
    effects: list[str] = []
    rows, transaction, get, post = bridge.db.rows, bridge.db.transaction, bridge.stripe.get, bridge.stripe.post
    dead: list[str] = []

    def step(effect: str) -> None:
        if dead or len(effects) + 1 >= dies_before:
            dead.append(effect)
            raise Killed(effect)
        effects.append(effect)

    def alive(effect: str) -> None:
        if dead:
            raise Killed(effect)

    async def mortal_rows(statement: str, parameters: Any = None, **more: Any) -> Any:
        (step if writes(statement) else alive)(" ".join(statement.split())[:70])
        return await rows(statement, parameters, **more)

    @asynccontextmanager
    async def mortal_transaction() -> AsyncIterator[Any]:
        async with transaction() as connection:
            alive("a transaction")
            yield connection
            step("commit")

    async def mortal_get(path: str, **parameters: Any) -> Any:
        alive(f"GET {path}")
        return await get(path, **parameters)

    async def mortal_post(path: str, key: str, parameters: Any) -> Any:
        step(f"POST {path}")
        return await post(path, key, parameters)

    patch.setattr(bridge.db, "rows", mortal_rows)
    patch.setattr(bridge.db, "transaction", mortal_transaction)
    patch.setattr(bridge.stripe, "get", mortal_get)
    patch.setattr(bridge.stripe, "post", mortal_post)
    return effects


@dataclass(frozen=True)
class Scenario:
    """Something that happens to money, and what must be true of it in the end."""

    begin: Callable[[Shop], Awaitable[tuple[str, list[tuple[str, str]]]]]
    """The order, and the rows that the events make due."""
    check: Callable[[Shop, str], None]
    act: Callable[[Bridge, str], Awaitable[object]] | None = None
    """What an operator does, instead of the passes that are due."""


async def buy(shop: Shop, price: str) -> tuple[str, list[tuple[str, str]]]:
    """A purchase of ours is paid."""
    order_id, session = await shop.begin(price)
    shop.stripe.complete_checkout(session, "ada@example.com")
    thing = shop.stripe.get(session)
    return order_id, [("order", session), ("payment", thing["invoice"] or thing["payment_intent"])]


async def buy_once(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """Once."""
    return await buy(shop, ONCE)


async def buy_monthly(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """By subscription."""
    return await buy(shop, MONTHLY)


async def follow_a_link(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """A Payment Link is paid: the order is learnt."""
    session = shop.link(MONTHLY)
    shop.stripe.complete_checkout(session, "ada@example.com")
    return session, [("order", session), ("payment", shop.stripe.get(session)["invoice"])]


async def bought(shop: Shop) -> tuple[str, str]:
    """An order that is paid and known: (order, charge)."""
    order_id, rows = await buy(shop, ONCE)
    async with shop.world.bridge(**ON, **OUT) as bridge:
        await due.mark(bridge.db, [nudge(*row) for row in rows])
    await shop.rest(**OUT)
    (payment,) = shop.payments(order_id)
    return order_id, payment["charge_id"]


async def refund_there(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """Somebody refunds a part in Stripe's dashboard."""
    order_id, charge = await bought(shop)
    made = shop.stripe.refund(charge, 2000)
    return order_id, [("refund", made["id"])]


async def dispute_there(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """A bank asks for the money back, and does not get it."""
    order_id, charge = await bought(shop)
    made = shop.stripe.dispute(charge)
    shop.stripe.close_dispute(made["id"], "won")
    return order_id, [("dispute", made["id"])]


async def nothing_yet(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """A paid order of which an operator refunds a part."""
    order_id, _ = await bought(shop)
    return order_id, []


async def give_back(bridge: Bridge, order_id: str) -> object:
    """The operator does."""
    at = Refunding(bridge.settings, bridge.db, bridge.stripe, actor="anna")
    return await refund(at, order_id, 2000, "asked by mail")


def is_paid(shop: Shop, key: str) -> None:
    """One paid order, one payment that adds up, each told once."""
    rows = shop.world.sql("SELECT * FROM orders WHERE %s IN (order_id::text, session_id)", key)
    assert [row["state"] for row in rows] == ["paid"]
    order_id = str(rows[0]["order_id"])
    (payment,) = shop.payments(order_id)
    adds_up(payment)
    said = sorted(kind for kind, data in told(shop) if data["orderId"] == order_id)
    assert said == ["order.paid", "payment.succeeded"]
    steps = shop.world.sql("SELECT kind, state, fact FROM order_steps WHERE order_id = %s", order_id)
    assert len(steps) == len({tuple(step.values()) for step in steps})


def is_refunded_in_part(shop: Shop, order_id: str) -> None:
    """20.00 went back, once, and everybody knows it."""
    assert shop.order(order_id)["refunded"] == 2000
    (payment,) = shop.payments(order_id)
    (row,) = [row for row in shop.books()["refunds"] if row["order_id"] == payment["order_id"]]
    assert (row["status"], row["payment_id"]) == ("succeeded", payment["payment_id"])
    assert [refund["amount"] for refund in shop.stripe.refunds.newest_first({"charge": row["charge_id"]})] == [2000]
    said = [kind for kind, data in told(shop) if data["orderId"] == order_id and kind.startswith("refund")]
    assert said == ["refund.succeeded"]


def is_refunded_or_never_asked(shop: Shop, order_id: str) -> None:
    """Died before the row was written: then nothing happened at all."""
    if any(str(row["order_id"]) == order_id for row in shop.books()["refunds"]):
        is_refunded_in_part(shop, order_id)
    else:
        assert shop.order(order_id)["refunded"] == 0


def is_won(shop: Shop, order_id: str) -> None:
    """The dispute is kept, closed, and nothing of it is left with the order."""
    row = shop.order(order_id)
    (dispute,) = [one for one in shop.books()["disputes"] if one["order_id"] == row["order_id"]]
    assert (row["disputed"], dispute["status"]) == (False, "won")
    said = [kind for kind, data in told(shop) if data["orderId"] == order_id and kind.startswith("dispute")]
    assert said == ["dispute.opened", "dispute.closed"]


SCENARIOS = {
    "pay once": Scenario(buy_once, is_paid),
    "subscribe": Scenario(buy_monthly, is_paid),
    "learn": Scenario(follow_a_link, is_paid),
    "refund there": Scenario(refund_there, is_refunded_in_part),
    "dispute": Scenario(dispute_there, is_won),
    "refund here": Scenario(nothing_yet, is_refunded_or_never_asked, give_back),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_killed_before_anything_that_it_changes(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Wherever the process dies, fresh ones come to the same end, with nothing done, written or told twice."""
    scenario, killed = SCENARIOS[name], 0
    for number in range(1, 300):
        key, rows = await scenario.begin(shop)
        async with shop.world.bridge(**ON, **OUT) as bridge:
            if rows:
                await due.mark(bridge.db, [nudge(*row) for row in rows])
            with monkeypatch.context() as patch:
                effects = mortal(bridge, patch, dies_before=number)
                try:
                    if scenario.act is not None:
                        await scenario.act(bridge, key)
                    else:
                        await bridge.drain(deadline=math.inf, lanes=OURS)
                except Killed:
                    killed += 1
                except BridgeError as error:
                    raise AssertionError(effects) from error
        await shop.rest(**OUT)
        try:
            scenario.check(shop, key)
            assert shop.due() == []
        except AssertionError as error:
            raise AssertionError(f"killed after {effects[-3:]}: {error}") from error
        if killed < number:
            break
    assert killed >= 3
