"""Somebody orders by the form of your website: the route makes the order and Stripe's page, and tells how it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scripts.demo_world import DemoError
from scripts.demo_world.say import money
from scripts.demo_world.stage import PATIENCE, PRICE, Stage
from scripts.sim.stripe_sim import Obj


def order(
    stage: Stage, options: Mapping[str, Any], became: Callable[[Stage, Obj, int], Iterator[str]]
) -> Iterator[str]:
    """From the form to the website, and what is left to try; `became` tells what the events led to."""
    number = len(stage.stripe.customers) + 1
    name = options.get("name") or f"Buyer {number} Example"
    email = options.get("email") or f"buyer{number}@example.com"
    domain = options.get("domain") or f"form{number}.example"
    asked = {"priceId": PRICE, "email": email, "domain": domain}
    first, again = _post(stage, asked), _post(stage, asked)
    yield f"{name} fills in the form of your website, and clicks twice: {email}, {domain}"
    same = "one page at Stripe" if again["sessionId"] == first["sessionId"] else "two pages at Stripe, which is wrong"
    yield f"   one order {first['orderId']}, {same}: {first['sessionId']}"
    yield f"   before the money: {_state(stage, first['sessionId'])}"
    before = len(stage.stripe.events)
    session = stage.stripe.complete_checkout(first["sessionId"], name=name)
    yield f"They pay {money(session['amount_total'], session['currency'])} there:"
    yield from became(stage, stage.stripe.get(session["subscription"]), before)
    yield f"   the buyer's page: {_state(stage, first['sessionId'])}"
    key = f"-H 'Authorization: {stage.bearer('ADMIN_API_KEY')['Authorization']}'"
    yield f"   Page     {stage.base}/api/checkout?session_id={first['sessionId']}"
    yield f"   Look     curl '{stage.base}/api/admin/orders?id={first['orderId']}' {key}"


def _state(stage: Stage, session_id: str) -> str:
    import httpx

    answer = httpx.get(f"{stage.base}/api/checkout", params={"session_id": session_id}, timeout=PATIENCE)
    return str(answer.json().get("state"))


def _post(stage: Stage, body: Mapping[str, Any]) -> dict[str, Any]:
    import httpx

    answer = httpx.post(f"{stage.base}/api/checkout", json=body, timeout=PATIENCE)
    if answer.status_code != httpx.codes.OK:
        raise DemoError(f"the order was not taken: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
