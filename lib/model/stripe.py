"""Truth: what Stripe says."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Line(Struct, frozen=True):
    """One line of an invoice: what it asks for, and for which time."""

    price_id: str | None
    """`None` for what has no price, such as an amount that somebody typed."""
    amount: int
    """Minor units; negative for what is given back, as a change to another price does for the old one."""
    proration: bool
    """A part of a period, because something changed within it."""
    start: datetime
    end: datetime
    item_id: str | None = None
    """The subscription's item that it bills; `None` where it is about none, or does not say."""
    quantity: int | None = None
    """How many; `None` where it does not say."""


class Invoice(Struct, frozen=True):
    """An invoice of a subscription, as far as decisions need it."""

    id: str
    status: str
    """draft, open, paid, void or uncollectible."""
    created: datetime
    billing_reason: str | None = None
    amount_due: int = 0
    """What is left to pay after credit of the customer."""
    total: int = 0
    due: datetime | None = None
    """Since when it is owed: its due date, else when it was finalized."""
    paid_at: datetime | None = None
    put_away_at: datetime | None = None
    """When it was voided or written off."""
    amount_paid: int = 0
    currency: str = ""
    lines: tuple[Line, ...] | None = None
    """`None`: not told, or not all of them."""

    @property
    def owed_since(self) -> datetime:
        """When it began to be owed."""
        return self.due or self.created

    @property
    def asks(self) -> bool:
        """Whether it asks for money at all; one that does not is paid without any coming."""
        return self.total > 0 or self.amount_due > 0


class Item(Struct, frozen=True):
    """One line of a subscription: a price, so many times."""

    id: str
    price_id: str
    quantity: int


class Subscription(Struct, frozen=True):
    """A Stripe subscription as it is now."""

    id: str
    status: str
    """Stripe's word; an unknown one changes nothing and parks the customer."""
    items: tuple[Item, ...]
    created: datetime
    latest_invoice: Invoice | None = None
    """Whatever is newest, a draft too."""
    invoices: tuple[Invoice, ...] | None = None
    """All of its invoices, newest first. `None`: not read; that costs a call, so it is done only where it matters."""
    first_payment: str | None = None
    """How the payment of its first invoice stands, in Stripe's words. `None`: not read; `incomplete` needs it."""
    ended_at: datetime | None = None
    trial_end: datetime | None = None
    cancel_at: datetime | None = None
    """When it is scheduled to end, whichever of Stripe's two ways said so."""
    changes_at: datetime | None = None
    """When the clock alone changes its status, and no other field says so: the end of a time that is paid offline."""
    collection_paused: bool = False
    domain: str | None = None
    """`metadata.domain` as typed; `None` when there is none."""
    disputes: tuple[str, ...] = ()
    """Statuses of the disputes about its payments."""
    refunded: frozenset[str] = frozenset()
    """Invoices of its customer whose money went back in full."""

    @property
    def known_invoices(self) -> tuple[Invoice, ...]:
        """All of them where they were read, else the latest one."""
        if self.invoices is not None:
            return self.invoices
        return (self.latest_invoice,) if self.latest_invoice is not None else ()


class Payer(Struct, frozen=True):
    """A customer at Stripe with every subscription in any status: the truth that one pass works from."""

    id: str
    email: str | None
    name: str | None
    subscriptions: tuple[Subscription, ...]
    deleted: bool = False
    as_of: datetime | None = None
    """Stripe's own clock when it said so: what Stripe dates is compared with this, not with ours."""


class Dispute(Struct, frozen=True):
    """One dispute, or an inquiry, which takes no money; amounts in minor units of its currency."""

    dispute_id: str
    customer_id: str | None
    subscription_id: str | None
    charge_id: str | None
    status: str
    reason: str | None
    amount: int
    currency: str
    created_at: datetime
    payment_intent_id: str | None = None
    due_by: datetime | None = None
    """Until when evidence is taken."""
    has_evidence: bool | None = None
    submissions: int | None = None
    """How often evidence was sent."""
    network_reason: str | None = None
    """The card network's own code."""
    case_type: str | None = None
    """Stripe's word: `inquiry`, `chargeback`, ..."""
    withdrawn: int | None = None
    """What is missing from the balance because of it: nothing again once it is won."""
    fee: int | None = None
    """The provider's."""


class Refund(Struct, frozen=True):
    """One refund, and whether its charge is refunded in full by now."""

    refund_id: str
    customer_id: str | None
    subscription_id: str | None
    invoice_id: str | None
    charge_id: str | None
    status: str
    amount: int
    currency: str
    charge_refunded: bool
    created_at: datetime
    request_id: str | None = None
    """Our own request that its metadata name: to be checked against our record."""
    failure: str | None = None
    """Why it failed, in Stripe's word."""
    invoice_paid: int | None = None
    """What was paid of the invoice by all its payments, of which the charge may be one; `None`: not read."""
