"""Killed before any writing statement of an act on an order, and said again: as if nobody had died, and done once."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lib.bridge import Bridge
from lib.checkout import collecting, escrow, offline, offline_refund
from lib.checkout.collecting import Money
from lib.checkout.offline import Change
from lib.checkout.till import Done, Till
from lib.ledger.refunding import Refunded, Refunding, refund
from tests.killed import Killed, lives, writes
from tests.money.deaths import Mortal
from tests.money.happenings import bought, is_refunded_in_part
from tests.money.shop import ON, Shop
from tests.money.test_money_told import OUT
from tests.money.till import sale, sell
from tests.world import World

Act = Callable[[Till, str, Bridge], Awaitable[Done]]


def take(amount: int, line: str | None = None) -> Act:
    """Money comes."""
    return lambda till, order_id, bridge: collecting.collect(
        till, order_id, Money(amount, "eur", f"{line} of {order_id}" if line else None), bridge.stripe
    )


async def free(till: Till, order_id: str, bridge: Bridge) -> Done:
    """It is paid, and the quiet days are over."""
    done = await take(1900)(till, order_id, bridge)
    statement = "UPDATE orders SET escrow = 'releasable', releasable_at = now() WHERE order_id = %(id)s"
    await bridge.db.rows(statement, {"id": order_id})
    return done


ACTS: dict[str, tuple[Act | None, Act]] = {
    "collect": (None, take(1900)),
    "collect of a line": (take(900, "first"), take(1200, "second")),
    "cancel": (None, lambda till, order_id, _: offline.cancel(till, order_id)),
    "cancel of a part": (take(900), lambda till, order_id, _: offline.cancel(till, order_id)),
    "cancel of a paid one": (take(1900), lambda till, order_id, _: offline.cancel(till, order_id)),
    "change": (None, lambda till, order_id, _: offline.change(till, order_id, Change(name="Ada B."))),
    "return": (take(2900), lambda till, order_id, _: offline.returned(till, order_id, 400)),
    "refund": (take(1900), lambda till, order_id, _: offline_refund.refund(till, order_id, 400, "asked by mail")),
    "refund of all": (take(1900), lambda till, order_id, _: offline_refund.refund(till, order_id, None, None)),
    "release": (free, lambda till, order_id, _: escrow.release(till, order_id)),
}
"""What goes before, and the act."""


def effects(world: World, order_id: str) -> dict[str, Any]:
    """All that is written of an order, without its times and ids."""
    names = "state, collected, returned, refunded, overpaid, cancelled, name, total, escrow, paid_at IS NULL AS unpaid"
    (row,) = world.sql(f"SELECT {names}, customer_id FROM orders WHERE order_id = %s", order_id)  # noqa: S608
    whom = f"bank_transfer:{row.pop('customer_id')}"
    found: dict[str, Any] = {"order": row}
    for table, columns in (
        ("collections", "amount, actor"),
        ("payments", "state, paid"),
        ("refunds", "amount, note"),
        ("order_steps", "kind, state, fact, from_state, to_state, cause"),
    ):
        found[table] = world.sql(f"SELECT {columns} FROM {table} WHERE order_id = %s ORDER BY {columns}", order_id)  # noqa: S608
    found["told"] = world.sql("SELECT type FROM outbox WHERE customer = %s ORDER BY sequence", whom)
    found["due"] = world.sql("SELECT kind FROM due WHERE key IN (%s, %s) ORDER BY kind", order_id, whom)
    return found


@pytest.mark.parametrize("name", ACTS)
async def test_an_act_that_is_killed_is_done_once_when_it_is_said_again(world: World, name: str) -> None:
    """Each time all of it or nothing is there; said again with its key it is as if nobody had died."""
    before, act = ACTS[name]
    sell(world)

    async def begin(number: int) -> str:
        async with world.bridge(**OUT) as bridge:
            till = Till(bridge.settings, bridge.db, "anna")
            selling = sale(domain=f"shop{number}.example", customer_id=f"K-{number}", seller_id="shop_1")
            made = (await offline.create(till, selling)).order.id
            if before is not None:
                await before(till, made, bridge)
            return made

    async def do(order_id: str) -> Done:
        async with world.bridge(**OUT) as bridge:
            return await act(Till(bridge.settings, bridge.db, "anna", f"key of {order_id}"), order_id, bridge)

    control = await begin(0)
    untouched = effects(world, control)
    assert not (await do(control)).repeated
    wanted, number = effects(world, control), 0
    for number in range(1, 40):
        made = await begin(number)
        lived = await lives(number - 1, lambda made=made: do(made), writes)  # type: ignore[misc]
        assert effects(world, made) == (wanted if lived else untouched)
        assert (await do(made)).repeated is lived
        assert (await do(made)).repeated
        assert effects(world, made) == wanted
        if lived:
            break
    assert 3 < number < 39
    await world.drain(**OUT)
    assert [row for row in world.due() if row["last_error"] or row["parked_reason"]] == []


async def test_an_order_that_is_killed_while_it_is_written_is_there_once(world: World) -> None:
    """Its customer, too, who shares another one's organisation: said again it is the same order of the same one."""
    sell(world)
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)

    async def do(number: int) -> Done:
        async with world.bridge() as bridge:
            selling = sale(domain=f"shop{number}.example", link_to=customer)
            return await offline.create(Till(bridge.settings, bridge.db, "anna", f"k{number}"), selling)

    number = 0
    for number in range(1, 40):
        lived = await lives(number - 1, lambda number=number: do(number), writes)  # type: ignore[misc]
        world.hurry()
        done = [await do(number) for _ in range(2)]
        assert [one.repeated for one in done] == [lived, True]
        assert done[0].order.id == done[1].order.id
        assert len(world.sql("SELECT 1 FROM orders")) == number
        assert len(world.sql("SELECT 1 FROM customers WHERE linked_to IS NOT NULL")) == number
        steps = world.sql("SELECT 1 FROM order_steps WHERE order_id = %s", done[0].order.id)
        assert len(steps) == 1
        if lived:
            break
    assert 3 < number < 39


async def test_a_refund_at_stripe_that_is_killed_is_made_once_when_it_is_said_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each statement and call that it makes: said again with its key, one refund is there in the end."""
    shop = Shop(world)

    async def do(bridge: Bridge, order_id: str) -> Refunded:
        act = Till(bridge.settings, bridge.db, "anna", f"key of {order_id}").act("refund", order_id, amount=2000)
        at = Refunding(bridge.settings, bridge.db, bridge.stripe, actor="anna", act=act)
        return await refund(at, order_id, 2000, "asked by mail")

    async def dies(number: int) -> tuple[str, Mortal]:
        order_id, _ = await bought(shop)
        async with world.bridge(**ON, **OUT) as bridge:
            with monkeypatch.context() as patch:
                mortal = Mortal(bridge, number)
                mortal.begin(patch)
                with contextlib.suppress(Killed):
                    await do(bridge, order_id)
        return order_id, mortal

    order_id, lived = await dies(1000)
    await shop.rest(**OUT)
    is_refunded_in_part(shop, order_id)
    changes = [lived.done[number - 1] for number in lived.changed]
    assert changes == ["commit", "POST /v1/refunds", "commit"]  # its row, the money, what Stripe has answered
    for number in range(1, len(lived.done) + 1):
        order_id, _ = await dies(number)
        async with world.bridge(**ON, **OUT) as bridge:
            assert (await do(bridge, order_id)).amount == 2000
        await shop.rest(**OUT)
        is_refunded_in_part(shop, order_id)
