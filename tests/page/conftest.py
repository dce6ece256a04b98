"""One stack and one browser for the tests of a file, and a tab of its own for each.

What a test leaves behind is there for those after it, so which these are must not depend on what else this process ran.
The browser is Playwright's blocking one: it keeps the thread's event loop, so nothing here may be async, and it ends
before the next stack is set up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from scripts import _browser
from scripts.demo_world.place import Place
from scripts.demo_world.stage import PLAN, PRICE, set_up
from tests.page.desk import PATIENCE, Desk, World
from tests.tools import unavailable

if TYPE_CHECKING:
    from playwright.sync_api import Browser

POLICIES = {"BRAKE_MAX": "6"}
"""Settings that let a handful of customers do what takes hundreds otherwise."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything behind the page, as the demo runs it, with the first price mapped."""
    before = dict(os.environ)
    place = Place(tmp_path_factory.mktemp("page"))
    with ExitStack() as stack:
        stack.callback(_restore, before)
        stack.enter_context(place.claim("page"))
        world = World(set_up(stack, place, POLICIES))
        world.map(PRICE, PLAN)
        yield world


@pytest.fixture(scope="module")
def browser(world: World) -> Iterator[Browser]:
    """The system's Chromium."""
    path = _browser.find()
    if path is None:
        unavailable("Chromium", "chromium")
    with _browser.run(path) as browser:
        yield browser


@pytest.fixture
def desk(browser: Browser, world: World) -> Iterator[Desk]:
    """A tab that was never here before; whatever the browser complains of fails the test."""
    world.count_anew()
    expect.set_options(timeout=PATIENCE * 1000)
    with browser.new_context(base_url=world.stage.base, viewport={"width": 1280, "height": 800}) as context:
        desk = Desk(context.new_page(), world)
        yield desk
        assert desk.trouble() == []


def _restore(environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
