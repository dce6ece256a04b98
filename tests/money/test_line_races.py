"""What two do to one line of offline orders at one time: nothing of either is lost."""

import asyncio
from typing import Any

import pytest

from lib.checkout import offline, offline_line
from lib.checkout.offline import Change
from lib.database import due, orders
from lib.kinds import nudge
from tests.database.test_locks import waits_for_a_lock
from tests.money.till import came, counter, order, past, sell, states
from tests.world import World


async def changes(world: World, order_id: str) -> None:
    """Somebody at the counter corrects what was typed wrong."""
    async with counter(world) as (_, till):
        await offline.change(till, order_id, Change("right.example", "ada@right.example", "Ada Right"))


def typed(world: World) -> list[tuple[str, str, str]]:
    """What each order of the line says of its buyer."""
    return [(row["domain"], row["email"], row["name"]) for row in world.sql("SELECT * FROM orders")]


async def line_of_one(world: World) -> str:
    """A paid order whose next period is to be asked for."""
    sell(world)
    made = await order(world, domain="wrong.example")
    await came(world, made, 1900)
    await world.drain()
    past(world, 20)
    world.sql("DELETE FROM due")
    async with world.bridge() as bridge:
        await due.mark(bridge.db, [nudge("offline", made.id)])
    return made.id


async def test_a_change_just_before_the_next_period_is_asked_for_is_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It landed after the line was read and before it was locked."""
    line = await line_of_one(world)
    fees = offline.with_fees

    async def slow(*given: Any) -> Any:
        found = await fees(*given)
        await changes(world, line)
        return found

    monkeypatch.setattr(offline_line, "with_fees", slow)
    await world.drain()
    assert states(world) == [("admin", "paid"), ("renewal", "pending")]
    assert typed(world) == [("right.example", "ada@right.example", "Ada Right")] * 2


async def test_a_change_while_the_next_period_is_written_is_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for the line, and finds the order that was not there when it began to."""
    line = await line_of_one(world)
    begin, tasks = orders.begin, list[asyncio.Task[None]]()

    async def slow(*given: Any) -> Any:
        begun = await begin(*given)
        monkeypatch.undo()
        tasks.append(asyncio.create_task(changes(world, line)))
        await waits_for_a_lock(world.connection)
        return begun

    monkeypatch.setattr(orders, "begin", slow)
    await world.drain()
    await asyncio.gather(*tasks)
    assert states(world) == [("admin", "paid"), ("renewal", "pending")]
    assert typed(world) == [("right.example", "ada@right.example", "Ada Right")] * 2
