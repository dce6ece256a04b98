"""Stripe: that the key works, in which mode, and what it may read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from scripts.doctor_checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.stripe_client import StripeClient


STRIPE_PERMISSIONS = {
    "Subscriptions": "/v1/subscriptions",
    "Customers": "/v1/customers",
    "Invoices": "/v1/invoices",
    "Checkout Sessions": "/v1/checkout/sessions",
    "Charges and Refunds": "/v1/charges",
    "Disputes": "/v1/disputes",
    "Events": "/v1/events",
    "Prices": "/v1/prices",
}
"""What the key must be allowed to read, as Stripe's dashboard calls it, and the list call that proves it."""

FOR_ORDERS = {
    "PaymentIntents": "/v1/payment_intents",
    "Balance Transaction Sources": "/v1/balance_transactions",
}
"""And these, where orders and payments are kept."""


async def check_stripe(settings: Settings, stripe: StripeClient) -> AsyncIterator[Finding]:
    """The key and each of its permissions, by one small list call for each."""
    from lib.errors import BridgeError, Denied, Refused

    async def allowed(path: str) -> BridgeError | None:
        try:
            await stripe.get(path, limit=1)
        except BridgeError as error:
            return error
        return None

    needed = {**STRIPE_PERMISSIONS, **(FOR_ORDERS if settings.keeps_orders else {})}
    answers = dict(zip(needed, await asyncio.gather(*map(allowed, needed.values())), strict=True))
    for error in answers.values():
        if isinstance(error, Denied) and error.status == 401:
            yield fail(
                f"STRIPE_SECRET_KEY is not accepted: {error}",
                "Stripe: Developers > API keys. Was it rolled or deleted?",
            )
            return
        if error is not None and not isinstance(error, Denied | Refused):
            yield fail(f"Stripe can't be reached: {error}", "Try again; then see https://status.stripe.com.")
            return
    mode = "live mode, real money" if settings.livemode else "test mode, no real money"
    yield ok(f"the key works: {mode}")
    lacking = [name for name, error in answers.items() if error is not None]
    for name in lacking:
        permission = re.search(r"rak_\w+", str(answers[name]))
        yield fail(
            f"the key may not read {name}{f' ({permission[0]})' if permission else ''}",
            f"Stripe: Developers > API keys > edit the restricted key: {name}: Read.",
        )
    if not lacking:
        yield ok(f"the key may read all it must: {', '.join(needed)}")
    if settings.livemode and settings.stripe_secret_key.reveal().startswith("sk_"):
        yield warn(
            "this is a full secret key: whoever gets it can move your money",
            "Make a restricted one with read permissions only (docs/deploy.md, step 2).",
        )
