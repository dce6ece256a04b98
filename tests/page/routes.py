"""Requests of the page that a test holds back or answers itself."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Route

from tests.page.desk import PATIENCE, Desk


def held_back(desk: Desk, path: str, method: str) -> list[Route]:
    """Requests that wait until they are let go, in their order."""
    asked: list[Route] = []
    desk.page.route(path, lambda route: asked.append(route) if route.request.method == method else route.continue_())
    return asked


def held_up(desk: Desk, routes: list[Route], number: int = 1) -> list[Route]:
    """So many requests that are held back, once all of them are there; taken from the list."""
    end = time.monotonic() + PATIENCE
    while len(routes) < number:
        assert time.monotonic() < end, f"{len(routes)} of {number} were asked for"
        desk.page.wait_for_timeout(10)
    found = routes[:]
    routes.clear()
    return found


def asked_for(route: Route) -> dict[str, str]:
    """The query of a request."""
    return {name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()}


def answered(desk: Desk, path: str, by: Callable[[Route, dict[str, str]], Any]) -> None:
    """Have these requests answered by a function: with what it returns, or later by itself where that is None."""

    def answer(route: Route) -> None:
        found = by(route, asked_for(route))
        if found is not None:
            route.fulfill(json=found)

    desk.page.route(path, answer)
