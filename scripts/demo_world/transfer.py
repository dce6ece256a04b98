"""Somebody pays by bank transfer, in two parts; the money is told of by the admin's route, as a bank's import would."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.demo_world import DemoError
from scripts.demo_world.say import money
from scripts.demo_world.stage import PATIENCE, PLAN, Stage
from scripts.demo_world.watch import follow

OFFLINE_PLAN, ASKED, FIRST = "basic-by-transfer", 1900, 900
"""What is sold, for how much, and what comes of it at first; in cents of euros."""


def transfer(stage: Stage, options: Mapping[str, Any]) -> Iterator[str]:
    """From the order to the website, and what is left to try."""
    number = _count(stage) + 1
    name = options.get("name") or f"Payer {number} Example"
    email = options.get("email") or f"payer{number}@example.com"
    domain = options.get("domain") or f"transfer{number}.example"
    _sell(stage)
    asked = {"billingPlanId": OFFLINE_PLAN, "amount": ASKED, "currency": "eur", "email": email, "name": name}
    made = _post(stage, {"action": "create", "provider": "bank_transfer", **asked, "domain": domain})
    yield f"{name} orders {PLAN} with the domain {domain}, to be paid by bank transfer: {money(ASKED, 'eur')}"
    yield f"   reference {made['reference']}, customer {made['customerId']}"
    half = _collect(stage, made, FIRST)
    yield f"{money(FIRST, 'eur')} come: the order is {half['state']}, {money(half['missing'], 'eur')} are missing."
    yield "   nothing is made before all of it is there"
    began = time.monotonic()
    paid = _collect(stage, made, half["missing"])
    yield f"The rest comes: {paid['state']}, and paid until {paid['periodEnd'][:10]}."
    yield from follow(stage, began, ("create_website",))
    key = f"-H 'Authorization: {stage.bearer('ADMIN_API_KEY')['Authorization']}'"
    yield f"   Look     curl '{stage.base}/api/admin/orders?id={made['id']}' {key}"


def _collect(stage: Stage, order: Mapping[str, Any], amount: int) -> dict[str, Any]:
    return _post(stage, {"action": "collect", "orderId": order["id"], "amount": amount, "currency": "eur"})


def _sell(stage: Stage) -> None:
    """The mapping, as an operator types it."""
    stage.database.execute(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('bank_transfer', %s, %s) ON CONFLICT DO NOTHING",
        (OFFLINE_PLAN, PLAN),
    )


def _count(stage: Stage) -> int:
    row = stage.database.execute("SELECT count(*) FROM orders WHERE provider = 'bank_transfer'").fetchone()
    return int(row[0]) if row else 0


def _post(stage: Stage, body: Mapping[str, Any]) -> dict[str, Any]:
    import httpx

    headers = stage.bearer("ADMIN_API_KEY")
    answer = httpx.post(f"{stage.base}/api/admin/orders", json=body, headers=headers, timeout=PATIENCE)
    if answer.status_code != httpx.codes.OK:
        raise DemoError(f"the order was not taken: {answer.text}")
    found: dict[str, Any] = answer.json()["order"]
    return found
