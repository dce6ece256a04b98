"""What tests of an admin's decisions share."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.world import ADMIN_KEY, World

DAY = 86400

WORK, DASHBOARD, SYNC = "/api/admin/work", "/api/admin/dashboard", "/api/admin/sync"

ANNA = {"Authorization": "Bearer key1"}

BOB = {"Authorization": "Bearer key2"}

TWO_KEYS = {"ADMIN_API_KEY": "anna:key1,bob:key2"}

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def act(client: httpx.AsyncClient, action: str, **body: Any) -> httpx.Response:
    """One action as the one admin."""
    return await client.post(WORK, json=own(action, body), headers=ADMIN)


def own(action: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body of an action, without what only another one takes."""
    others = {"until": "grace", "confirm": "hardDelete"}
    return {"action": action, **{name: value for name, value in body.items() if others.get(name, action) == action}}


async def done(client: httpx.AsyncClient, action: str, **body: Any) -> dict[str, Any]:
    """One action that must succeed; its answer."""
    answer = await act(client, action, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["action"] == action
    return found


def assert_problem(answer: httpx.Response, status: int, code: str | None = None, field: str | None = None) -> None:
    """It is an RFC 9457 problem document of this status, code and field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"]
    if code is not None:
        assert document["code"] == code
    if field is not None:
        assert document["field"] == field


async def provisioned(world: World, **more: Any) -> tuple[str, str]:
    """A customer whose service is live: (customer, subscription)."""
    customer = world.customer()
    subscription = world.buy(customer, **more)
    await world.sync(customer)
    return customer, subscription


def suspended(world: World, subscription: str) -> bool:
    """Whether the panel has this service suspended."""
    return world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].suspended_by is not None


def writes(world: World) -> list[str]:
    """Every call that changed, or was to change, something in the panel."""
    harmless = ("/domains/check", "/calculate-resource-usage")
    return [f"{c.method} {c.path}" for c in world.panel.calls if c.method != "GET" and not c.path.endswith(harmless)]


def by_hand(world: World, kind: str) -> list[dict[str, Any]]:
    """The ledger's rows of one kind."""
    return world.sql("SELECT * FROM actions WHERE kind = %s ORDER BY id", kind)


def _ahead(**delta: float) -> datetime:
    return (datetime.now(UTC) + timedelta(**delta)).replace(microsecond=0)


async def ended(world: World, **more: Any) -> tuple[str, str]:
    """A customer whose subscription has ended: suspended, and kept."""
    customer, subscription = await provisioned(world, **more)
    world.stripe.cancel(subscription)
    await world.sync(customer)
    assert world.service(subscription)["holds"] == ["ended"]
    world.panel.forget_calls()
    return customer, subscription


def wipes(world: World) -> list[str]:
    """Every call that asked for data to be gone for good."""
    return [call.path for call in world.panel.calls if "force" in call.query]


def fields_of(value: Any) -> list[tuple[str, Any]]:
    """Every (field, value) in a JSON document, at any depth."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for field, part in value.items():
            found += [(field, part), *fields_of(part)]
    if isinstance(value, list):
        for part in value:
            found += fields_of(part)
    return found
