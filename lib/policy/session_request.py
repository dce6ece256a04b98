"""What Stripe is asked for when an order's Checkout session is made: the whole request, written down before it is sent.

https://docs.stripe.com/api/checkout/sessions/create, version 2026-10-28.endive. What Stripe refuses together is never
asked for together: `customer` and `customer_email`, `customer_creation` in the mode `subscription`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from lib.model.money import FeeLine, OrderMode, Terms
from lib.policy.fees import BUYERS, of_buyer

SESSION_LIFE = timedelta(hours=23, minutes=30)
"""How long a session can be paid. Stripe takes 30 minutes to 24 hours from when it is made: with this, the same request
can be sent again as long as its key is remembered (`purchases.KEY_LIFE`)."""

SESSION_ID = "{CHECKOUT_SESSION_ID}"
"""Filled in by Stripe."""


class Page(Struct, frozen=True):
    """What an operator chooses about Stripe's page."""

    success_url: str
    cancel_url: str
    locale: str = "auto"
    promotion_codes: bool = False
    automatic_tax: bool = False
    tax_ids: bool = False
    terms: bool = False


class Lines(Struct, frozen=True):
    """What stands on Stripe's page beside the price itself, and how that is billed."""

    currency: str
    metered: bool = False
    tax_behavior: str | None = None
    """The price's own; `None`: the account's tax settings say it."""
    fees: tuple[FeeLine, ...] = ()
    """The operator's, frozen with the order. Those that the buyer pays become lines."""


def session_request(order_id: str, terms: Terms, page: Page, expires_at: datetime, lines: Lines) -> dict[str, Any]:
    """The parameters of the session of an order."""
    line: dict[str, Any] = {"price": terms.billing_plan_id}
    if not lines.metered:
        line["quantity"] = terms.quantity
    metadata = {"order_id": order_id}
    if terms.domain:
        metadata["domain"] = terms.domain
    asked: dict[str, Any] = {
        "mode": terms.mode.value,
        "line_items": [line, *(_fee_line(fee, lines) for fee in of_buyer(lines.fees))],
        "client_reference_id": order_id,
        "success_url": _with_session_id(page.success_url),
        "cancel_url": page.cancel_url,
        "expires_at": int(expires_at.timestamp()),
        "locale": page.locale,
        "metadata": metadata,
    }
    # Stripe copies none of these into each other.
    data = "subscription_data" if terms.mode is OrderMode.SUBSCRIPTION else "payment_intent_data"
    asked[data] = {"metadata": metadata}
    if terms.customer_id:
        asked["customer"] = terms.customer_id
    elif terms.email:
        asked["customer_email"] = terms.email
    if terms.mode is OrderMode.PAYMENT and not terms.customer_id:
        asked["customer_creation"] = "always"
    return asked | _choices(page, customer=terms.customer_id is not None)


def _fee_line(fee: FeeLine, lines: Lines) -> dict[str, Any]:
    """A fee as a line that is paid once: in the mode `subscription` it stands on the first invoice only.

    It is taxed as the price beside it is: where that says whether tax is included, the fee says the same; where it says
    nothing, both follow the account's tax settings. What kind of goods a fee is, the account's default tax code says.
    """
    data: dict[str, Any] = {
        "currency": lines.currency,
        "unit_amount": fee.amount,
        "product_data": {"name": BUYERS[fee.kind]},
    }
    if lines.tax_behavior is not None:
        data["tax_behavior"] = lines.tax_behavior
    return {"price_data": data, "quantity": 1}


def _choices(page: Page, *, customer: bool) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if page.promotion_codes:
        chosen["allow_promotion_codes"] = True
    if page.automatic_tax:
        chosen["automatic_tax"] = {"enabled": True}
    if page.tax_ids:
        chosen["tax_id_collection"] = {"enabled": True}
    if page.terms:
        chosen["consent_collection"] = {"terms_of_service": "required"}
    if customer and (page.automatic_tax or page.tax_ids):  # what a known customer types there has to be kept
        chosen["customer_update"] = {"address": "auto", **({"name": "auto"} if page.tax_ids else {})}
    return chosen


def _with_session_id(url: str) -> str:
    """The success page, told which session the buyer comes from."""
    if SESSION_ID in url:
        return url
    address, mark, fragment = url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}session_id={SESSION_ID}{mark}{fragment}"
