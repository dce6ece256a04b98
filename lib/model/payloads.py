"""The bodies of outgoing events. `docs/events.md` and the JSON Schemas are made from these types.

Ids, numbers, dates and words; of personal data only the domain of a service. Whoever needs a name or an address asks
Stripe or the admin routes for it by the id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, dataclass_transform

import msgspec
from msgspec import Meta, Struct

from lib.model.outgoing import OutgoingType

if TYPE_CHECKING:
    from lib.model.money import Order, Payment
    from lib.model.service import Service


def _about(text: str) -> Meta:
    return Meta(description=text)


Minor = Annotated[int, _about("in Stripe's minor units of the currency beside it")]
Currency = Annotated[str, _about("three small letters")]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Payload(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a type of events carries in `data`. Names are camelCase outside."""


class ServiceBefore(Payload):
    """What a service was before it was changed."""

    plan: str | None
    domain: str | None
    website_id: str | None


class ServiceData(Payload):
    """One hosting subscription that follows a Stripe subscription."""

    subscription_id: Annotated[str, _about("at Stripe, or the order of an offline payment")]
    slot: Annotated[int, _about("the number of the service within the subscription, from 1")]
    state: Annotated[str, _about("live, suspended or terminated")]
    price_id: str
    plan: Annotated[str | None, _about("the panel's plan, as the mapping names it")]
    domain: str | None
    holds: Annotated[list[str], _about("why it is suspended: unpaid, paused, ended, dispute, refund, admin")]
    organisation_id: Annotated[str | None, _about("the customer's organisation in the panel")]
    panel_subscription_id: int | None
    website_id: str | None
    adopted: Annotated[bool, _about("it existed before the bridge, and was linked")]
    before: Annotated[ServiceBefore | None, _about("only of service.changed")] = None

    @classmethod
    def of(cls, service: Service, organisation_id: str | None, before: Service | None = None) -> ServiceData:
        """A service as it is now."""
        was = ServiceBefore(plan=before.plan, domain=before.domain, website_id=before.website_id) if before else None
        return cls(
            subscription_id=service.key.subscription_id,
            slot=service.key.slot,
            state=service.state.value,
            price_id=service.price_id,
            plan=service.plan,
            domain=service.domain,
            holds=sorted(hold.value for hold in service.holds),
            organisation_id=organisation_id,
            panel_subscription_id=service.panel_subscription_id,
            website_id=service.website_id,
            adopted=service.adopted,
            before=was,
        )


class ParkedProblem(Payload):
    """One thing that only a person can solve."""

    reason: Annotated[str, _about("a word of docs/reasons.md")]
    detail: str
    subject: str | None
    remedy: str


class ParkedData(Payload):
    """A customer who waits for a person."""

    problems: list[ParkedProblem]


class OrderData(Payload):
    """One purchase."""

    order_id: str
    provider: Annotated[str, _about("stripe, bank_transfer or cash_on_delivery")]
    state: str
    billing_plan_id: str | None
    quantity: int
    mode: Annotated[str, _about("subscription or payment")]
    total: Annotated[int | None, _about("what was asked for in the end, with tax and discount")]
    currency: Currency | None
    subscription_id: str | None
    client_reference: Annotated[str | None, _about("the shop's own word for its buyer or cart")]
    seller_id: str | None
    paid_at: datetime | None

    @classmethod
    def of(cls, order: Order) -> OrderData:
        """An order as it is now."""
        return cls(
            order_id=order.id,
            provider=order.provider.value,
            state=order.state.value,
            billing_plan_id=order.terms.billing_plan_id,
            quantity=order.terms.quantity,
            mode=order.terms.mode.value,
            total=order.total if order.total is not None else order.amount,
            currency=order.currency,
            subscription_id=order.subscription_id,
            client_reference=order.terms.client_reference,
            seller_id=order.terms.seller_id,
            paid_at=order.paid_at,
        )


class PaymentData(Payload):
    """One attempt to pay, or one renewal."""

    payment_id: str
    order_id: str
    provider: str
    state: str
    attempt: Annotated[int, _about("from 1, within its order")]
    amount: Minor
    currency: Currency
    payment_intent_id: str | None
    charge_id: str | None
    invoice_id: str | None
    failure_code: str | None
    hosted_invoice_url: Annotated[str | None, _about("where the buyer confirms it or changes the card")]
    paid_at: datetime | None

    @classmethod
    def of(cls, payment: Payment, hosted_invoice_url: str | None = None) -> PaymentData:
        """A payment as it is now."""
        return cls(
            payment_id=payment.id,
            order_id=payment.order_id,
            provider=payment.provider.value,
            state=payment.state.value,
            attempt=payment.attempt,
            amount=payment.amount,
            currency=payment.currency,
            payment_intent_id=payment.payment_intent_id,
            charge_id=payment.charge_id,
            invoice_id=payment.invoice_id,
            failure_code=payment.failure_code,
            hosted_invoice_url=hosted_invoice_url,
            paid_at=payment.paid_at,
        )


class RefundData(Payload):
    """Money that went back."""

    refund_id: str
    order_id: str | None
    payment_id: str | None
    charge_id: str | None
    amount: Minor
    currency: Currency
    full: Annotated[bool, _about("all of the payment has gone back by now")]


class DisputeData(Payload):
    """A dispute, or an inquiry, about a payment."""

    dispute_id: str
    order_id: str | None
    payment_id: str | None
    charge_id: str | None
    subscription_id: str | None
    status: Annotated[str, _about("Stripe's own word: needs_response, won, lost, warning_closed ...")]
    reason: str | None
    amount: Minor
    currency: Currency
    due_by: Annotated[datetime | None, _about("until when evidence is taken")]


class EscrowData(Payload):
    """The money of an order that was sold for somebody else."""

    order_id: str
    seller_id: str
    seller_net: Annotated[int, _about("minor units: the price less the fees, frozen when the order began")]
    seller_due: Annotated[
        int, _about("minor units: what of that may be paid out, less what never came and what went back")
    ]
    came: Annotated[int, _about("minor units: what these payments brought of what was asked; no surplus")]
    went_back: Annotated[int, _about("minor units: what of that went back by refunds and lost disputes")]
    currency: Currency
    payment_ids: Annotated[list[str], _about("of a subscription those of its first bill: renewals are not held")]


class EndpointTestData(Payload):
    """A test."""

    message: str


class Cause(Payload):
    """What led to it."""

    actor: Annotated[str, _about("bridge, or the name of the admin's key")]
    rule: Annotated[str | None, _about("a word of docs/reasons.md, where one applies")]
    pass_id: Annotated[str | None, _about("the pass of the timeline in which it happened")]


class Head(Payload):
    """What is known of an outgoing event before it is written."""

    type: Annotated[str, _about("one of the types below")]
    id: Annotated[str, _about("the same at every endpoint and in every repetition; also the header webhook-id")]
    livemode: bool
    customer_id: Annotated[
        str | None, _about("at Stripe; with its provider and a colon before it where that is another one")
    ]
    cause: Cause


class Envelope(Head):
    """The body of every outgoing event."""

    sequence: Annotated[int, _about("from 1, without a gap, for each endpoint and customer")]
    timestamp: Annotated[datetime, _about("when it happened")]
    data: Annotated[Any, _about("as its type says; null where it would be too large")]


PAYLOADS: Mapping[OutgoingType, type[Payload]] = {
    OutgoingType.ORDER_PAID: OrderData,
    OutgoingType.PAYMENT_SUCCEEDED: PaymentData,
    OutgoingType.PAYMENT_FAILED: PaymentData,
    OutgoingType.REFUND_SUCCEEDED: RefundData,
    OutgoingType.DISPUTE_OPENED: DisputeData,
    OutgoingType.DISPUTE_CLOSED: DisputeData,
    OutgoingType.SERVICE_PROVISIONED: ServiceData,
    OutgoingType.SERVICE_SUSPENDED: ServiceData,
    OutgoingType.SERVICE_RESUMED: ServiceData,
    OutgoingType.SERVICE_CHANGED: ServiceData,
    OutgoingType.SERVICE_TERMINATED: ServiceData,
    OutgoingType.ESCROW_RELEASABLE: EscrowData,
    OutgoingType.CUSTOMER_PARKED: ParkedData,
    OutgoingType.ENDPOINT_TEST: EndpointTestData,
}
"""What each type carries in `data`."""


def encode(value: object) -> str:
    """As compact JSON."""
    return msgspec.json.encode(value).decode()
