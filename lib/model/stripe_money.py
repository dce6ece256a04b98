"""What Stripe says of a purchase: its Checkout session, the PaymentIntent that pays it, the invoice that asks for it.

`json` is the whole object as it was answered: the numbers of a breakdown are read out of it (`policy.bills`), with the
name of what each of them came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

Json = Mapping[str, Any]


class SeenSession(Struct, frozen=True):
    """A Checkout session as it stands."""

    id: str
    status: str
    """`open`, `complete` or `expired`."""
    payment_status: str
    """`paid`, `unpaid` or `no_payment_required`."""
    mode: str
    """`subscription`, `payment`, or `setup`, which buys nothing."""
    livemode: bool
    created: datetime
    expires_at: datetime
    currency: str | None
    subtotal: int | None
    total: int | None
    reference: str | None
    """`client_reference_id`. Whoever opens a Payment Link may write anything there."""
    order_id: str | None
    """`metadata.order_id`, which no buyer can write."""
    payment_link: str | None
    url: str | None
    customer_id: str | None
    subscription_id: str | None
    intent_id: str | None
    invoice_id: str | None
    email: str | None
    name: str | None
    domain: str | None
    """As typed into the custom field `domain`, else `metadata.domain`."""
    lines: tuple[tuple[str, int], ...] = ()
    """(price, quantity) of what is bought; empty where they were not asked for."""
    json: Json | None = None

    @property
    def paid(self) -> bool:
        """Whether the buyer is through with it, and nothing is left to pay."""
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


class SeenIntent(Struct, frozen=True):
    """A PaymentIntent as it stands, with the charge that it brought last."""

    id: str
    status: str
    """Stripe's word; one that is new to us changes nothing."""
    tried: bool
    """Whether a method was declined, and not just never given."""
    amount: int
    currency: str
    livemode: bool
    created: datetime
    customer_id: str | None
    order_id: str | None
    """`metadata.order_id`: to be checked against our own record."""
    charge_id: str | None
    charged_at: datetime | None
    refunded: bool
    """Whether all of that charge went back."""
    failure_code: str | None
    failure_message: str | None
    transaction: Json | None
    """The charge's balance transaction; `None` while there is none yet."""
    json: Json


class SeenCharge(Struct, frozen=True):
    """A charge that paid a bill without a PaymentIntent, as in old invoices."""

    id: str
    amount: int
    currency: str
    livemode: bool
    created: datetime
    transaction: Json | None
    """Its balance transaction; `None` while there is none yet."""
    json: Json


class SeenShare(Struct, frozen=True):
    """One payment of an invoice."""

    intent_id: str | None
    """`None`: it was paid in another way than by a PaymentIntent."""
    charge_id: str | None
    """The charge of such a one, if it was one."""
    kind: str
    """Stripe's word: `payment_intent`, `charge`, ..."""
    status: str
    amount_paid: int | None
    json: Json


class SeenInvoice(Struct, frozen=True):
    """An invoice as it stands, with what was paid on it."""

    id: str
    status: str
    billing_reason: str | None
    currency: str
    subtotal: int
    total: int
    amount_paid: int
    created: datetime
    paid_at: datetime | None
    livemode: bool
    customer_id: str | None
    subscription_id: str | None
    order_id: str | None
    """`order_id` of the subscription's metadata: to be checked against our own record."""
    domain: str | None
    """`domain` of the same."""
    hosted_url: str | None
    """Where the buyer pays it, confirms the payment or changes the card."""
    prices: tuple[tuple[str, int], ...]
    """(price, quantity) of its lines, as far as they are shown."""
    shares: tuple[SeenShare, ...]
    json: Json
