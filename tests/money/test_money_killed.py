"""Killed in the middle of any pass of money, and taken up again: each thing is there once, and as without the death.

Each death has a history of its own, that begins with a copy of the same database. It comes before
a fixed part of all statements, commits and calls, more often of those that change anything; `PYTEST_DEATHS=all pytest
tests/money/test_money_killed.py --timeout=0` tries each of them.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lib.bridge import Bridge
from lib.errors import BridgeError
from scripts._postgres import Postgres
from tests.killed import Killed
from tests.money.deaths import Mortal, effects
from tests.money.happenings import HAPPENINGS, HEARD, MONTHLY, Happening, is_so
from tests.money.shop import ON, OURS, Shop
from tests.world import World

ALL = os.environ.get("PYTEST_DEATHS") == "all"

CHANGES, STEPS = (1, 1) if ALL else (4, 20)
"""Before each so manieth step that changes anything, and before each so manieth of all steps, somebody dies."""

ENOUGH = 1000
"""More steps than any history has."""


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop that sells what no hosting is made for."""
    world.stripe.create_price(MONTHLY)
    world.map_price(MONTHLY, None, kind="ignore")
    return Shop(world)


class Histories:
    """Something happens; the process that works on it dies, each time elsewhere, and a fresh one takes over."""

    def __init__(self, shop: Shop, happening: Happening, postgres: Postgres, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.happening = happening
        self.untouched: dict[str, Any] = {}
        """All that is written when an operator has not acted yet."""
        self._key = ""
        self._postgres = postgres
        self._patch = patch
        self._url = shop.world.environ["DATABASE_URL"]

    async def begin(self) -> None:
        """Let it happen, and be heard of."""
        shop, world = self.shop, self.shop.world
        self._key = await self.happening.begin(shop)
        async with world.bridge(**ON, **HEARD) as bridge:
            await bridge.accept([json.dumps(event).encode() for event in shop.stripe.undelivered()])
        for event in shop.stripe.undelivered():
            shop.stripe.mark_delivered(event)
        world.sql("DELETE FROM due WHERE kind = 'customer'")  # their own passes have tests like these of their own
        if self.happening.act is not None:
            self.untouched = effects(shop, self._key)

    async def play(self, dies_before: int) -> tuple[Mortal, dict[str, Any]]:
        """The one that died or lived, and what is written in the end."""
        if self.happening.act is not None and self._key:
            await self.begin()  # what an operator does changes things at Stripe
        shop, world = self.shop, self.shop.world
        with self._copy():
            async with world.bridge(**ON, **HEARD) as bridge:
                mortal = Mortal(bridge, dies_before)
                await self._work(bridge, mortal)
            await shop.rest(**HEARD)
            (row,) = world.sql("SELECT order_id FROM orders WHERE %s IN (order_id::text, session_id)", self._key)
            order_id = str(row["order_id"])
            found = effects(shop, order_id)
            if not (mortal.dead and found == self.untouched):
                self._is_so(order_id, mortal)
        return mortal, found

    def _is_so(self, order_id: str, mortal: Mortal) -> None:
        try:
            is_so(self.shop, order_id, self.happening)
        except AssertionError as error:
            raise AssertionError(f"killed after {mortal.done[-3:]}: {error}") from error

    @contextmanager
    def _copy(self) -> Iterator[None]:
        """Play in a copy of the database as it was when this began."""
        world, name = self.shop.world, f"{self._name}_killed"
        world.connection.close()
        try:
            world.open(self._postgres.create_database(name, self._name))
            yield
        finally:
            world.connection.close()
            self._postgres.drop_database(name)
            world.open(self._url)

    @property
    def _name(self) -> str:
        return self._url.rpartition("/")[2].partition("?")[0]

    async def _work(self, bridge: Bridge, mortal: Mortal) -> None:
        with self._patch.context() as patch:
            mortal.begin(patch)
            try:
                if self.happening.act is not None:
                    await self.happening.act(bridge, self._key)
                else:
                    await bridge.drain(deadline=math.inf, lanes=OURS)
            except Killed:
                assert mortal.dead
            except BridgeError as error:
                raise AssertionError(mortal.done[-3:]) from error


@pytest.mark.parametrize("name", HAPPENINGS)
async def test_wherever_it_dies_it_ends_as_without_a_death(
    shop: Shop, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Fresh processes come to the same end, with nothing done, written or told twice, and no step missing."""
    histories = Histories(shop, HAPPENINGS[name], postgres, monkeypatch)
    await histories.begin()
    lived, wanted = await histories.play(ENOUGH)
    assert not lived.dead
    assert len(lived.done) >= 5
    for number in tried(lived, list(HAPPENINGS).index(name), few=HAPPENINGS[name].act is not None):
        mortal, found = await histories.play(number)
        if mortal.dead:  # else passes side by side were done in another order, and with fewer steps
            assert found in (wanted, histories.untouched), mortal.done[-3:]


def tried(lived: Mortal, turn: int, *, few: bool) -> list[int]:
    """The steps before which somebody dies: all of them, or a fixed part, another one at each happening."""
    changes, steps = (1, 1) if few else (CHANGES, STEPS)
    return sorted({*lived.changed[turn % changes :: changes], *range(1 + turn % steps, len(lived.done) + 1, steps)})
