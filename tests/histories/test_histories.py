"""Thousands of random histories: each comes to rest, and no sentence of the oracle disagrees with the panel."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.histories.panel import NeverAsked
from tests.histories.product import Restless
from tests.histories.sentences import complaints
from tests.histories.story import SETTINGS, STEPS, Setting, Step, World

HISTORIES = int(os.environ.get("PYTEST_HISTORIES", "2400"))
"""How many; `PYTEST_HISTORIES=50000 pytest tests/histories --timeout=0` looks longer."""

PARTS = 4
"""They are always the same ones, in parts for as many processes."""


class Differs(AssertionError):
    """The panel is not as a sentence says."""


def check(world: World) -> None:
    """Compare the panel with every sentence."""
    said = list(complaints(world))
    if said:
        raise Differs("\n".join(said))


def play(setting: Setting, steps: list[Step], lie: Callable[[dict[str, Any]], object] | None = None) -> World:
    """A whole history, judged after each step that the product has heard of and at its end."""
    world = World(setting, lie)
    try:
        for step in steps:
            world.play(step)
            if world.knows_all:
                check(world)
        world.rest()
        check(world)
    except (Differs, NeverAsked, Restless, AssertionError) as error:
        raise type(error)(f"{error}\n\n{world.tell()}") from None
    return world


@pytest.mark.parametrize("part", range(PARTS))
def test_every_history_ends_as_the_sentences_say(part: int) -> None:
    """Whatever is bought, failed, given back, disputed, paused, changed or missed: the panel is what was paid for."""

    @seed(part)
    @settings(
        max_examples=max(1, HISTORIES // PARTS),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(setting=SETTINGS, steps=STEPS)
    def histories(setting: Setting, steps: list[Step]) -> None:
        play(setting, steps)

    histories()
