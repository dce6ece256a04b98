"""Stripe's JSON as model objects, without input or output: what a field means, and which may not be missing.

Facts about shapes: https://docs.stripe.com/api/subscriptions/object, version 2026-10-28.endive. Every reader raises
`Incomplete` when a field that a decision reads is missing, or of another kind.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.errors import Incomplete
from lib.model import Dispute, Invoice, Item, Line, Refund, Subscription
from lib.reading import Answer
from lib.stripe_client.transport import Json, page_of

INVOICE_STATUSES = frozenset({"draft", "open", "paid", "void", "uncollectible"})

DISPUTE_STATUSES = frozenset(
    {
        "warning_needs_response", "warning_under_review", "warning_closed", "needs_response", "under_review",
        "appeal_needs_response", "appeal_under_review", "prevented", "won", "lost",
    }
)  # fmt: skip
"""Closed sets for us: on a word that is not among them nothing is decided, and what was known before stands."""


class Price(Struct, frozen=True):
    """A price as operators look at it; nothing is decided on it."""

    id: str
    name: str | None
    active: bool
    amount: int | None
    """Minor units; `None` where it is no fixed amount."""
    currency: str
    interval: str | None
    interval_count: int | None
    metered: bool = False
    """Billed by what was used, so that nobody buys a number of it."""
    tax_behavior: str | None = None
    """`inclusive` or `exclusive`; `None`: as the account's tax settings say."""


def said_of(thing: Json) -> Answer:
    return Answer(thing, f"Stripe's subscription {thing.get('id')}")


def read_person(thing: Json, customer_id: str) -> tuple[str | None, str | None, bool]:
    """(name, e-mail, deleted) of a customer."""
    customer = Answer(thing, f"Stripe's customer {customer_id}")
    if customer.text("id") != customer_id:
        raise Incomplete(f"{customer.what} is another one: {thing.get('id')!r}")
    if customer.plain("deleted") is True:  # a stub without anything else
        return None, None, True
    return customer.text_or_none("name"), customer.text_or_none("email"), False


def read_subscription(thing: Json, lines: list[dict[str, Any]]) -> Subscription:
    """A subscription from Stripe's JSON, with its latest invoice expanded.

    Raises:
        Incomplete: a field that a decision reads is missing, or of another kind.
    """
    said = said_of(thing)
    ends = said.flag("cancel_at_period_end")
    status = said.text("status")
    return Subscription(
        id=said.text("id"),
        status=status,
        items=tuple(read_item(line) for line in lines),
        created=said.time("created"),
        latest_invoice=read_invoice(invoice) if (invoice := said.object_or_none("latest_invoice")) else None,
        ended_at=said.time("ended_at") if status == "canceled" else said.time_or_none("ended_at"),
        trial_end=said.time("trial_end") if status == "trialing" else said.time_or_none("trial_end"),
        cancel_at=said.time_or_none("cancel_at") or (_period_end(lines) if ends else None),
        collection_paused=said.object_or_none("pause_collection") is not None,
        domain=read_domain(said),
    )


def read_item(line: Json) -> Item:
    item = Answer(line, f"Stripe's subscription item {line.get('id')}")
    if item.maybe("quantity"):
        quantity = item.number("quantity")
    elif item.inner("price").inner("recurring").text("usage_type") == "metered":
        quantity = 1  # metered prices have none
    else:
        raise item.lacks("quantity")
    return Item(id=item.text("id"), price_id=item.reference("price"), quantity=quantity)


def read_domain(said: Answer) -> str | None:
    """`metadata.domain`; `None` when there is none."""
    metadata = said.inner("metadata")
    return metadata.text_or_none("domain") if "domain" in metadata else None


def read_price(thing: Json) -> Price:
    said = Answer(thing, "price")
    product, recurring = thing.get("product"), thing.get("recurring")
    name = thing.get("nickname") or (product.get("name") if isinstance(product, dict) else None)
    return Price(
        id=said.text("id"),
        name=str(name) if name else None,
        active=thing.get("active") is True,
        amount=thing["unit_amount"] if isinstance(thing.get("unit_amount"), int) else None,
        currency=str(thing.get("currency") or ""),
        interval=str(recurring["interval"]) if isinstance(recurring, dict) and recurring.get("interval") else None,
        interval_count=recurring.get("interval_count") if isinstance(recurring, dict) else None,
        metered=isinstance(recurring, dict) and recurring.get("usage_type") == "metered",
        tax_behavior=behavior if (behavior := thing.get("tax_behavior")) in ("inclusive", "exclusive") else None,
    )


def read_refund(thing: Json) -> Refund:
    refund = Answer(thing, f"Stripe's refund {thing.get('id')}")
    return Refund(
        refund_id=refund.text("id"),
        customer_id=None,
        subscription_id=None,
        invoice_id=None,
        charge_id=refund.reference_or_none("charge"),
        status=refund.text("status"),
        amount=refund.number("amount"),
        currency=refund.text("currency"),
        charge_refunded=False,
        created_at=refund.time("created"),
        request_id=_told_in_metadata(refund, "request_id"),
        failure=refund.text("failure_reason") if refund.maybe("failure_reason") else None,
    )


def read_dispute(dispute: Answer, charge: Answer, subscription_id: str | None) -> Dispute:
    """A dispute, with the customer of its charge. What is only shown to people need not be there."""
    evidence = dispute.inner("evidence_details") if dispute.maybe("evidence_details") else None
    method = dispute.inner("payment_method_details") if dispute.maybe("payment_method_details") else None
    kind = method.text("type") if method and method.maybe("type") else None
    card = method.inner(kind) if method and kind and method.maybe(kind) else None
    moved = dispute.rows("balance_transactions") if dispute.maybe("balance_transactions") else []
    movements = [Answer(row, f"a balance transaction of {dispute.what}") for row in moved]
    return Dispute(
        dispute_id=dispute.text("id"),
        customer_id=charge.reference_or_none("customer"),
        subscription_id=subscription_id,
        charge_id=charge.text("id"),
        status=dispute.one_of("status", DISPUTE_STATUSES),
        reason=dispute.text_or_none("reason"),
        amount=dispute.number("amount"),
        currency=dispute.text("currency"),
        created_at=dispute.time("created"),
        payment_intent_id=charge.reference_or_none("payment_intent"),
        due_by=evidence.time("due_by") if evidence and evidence.maybe("due_by") else None,
        has_evidence=evidence.flag("has_evidence") if evidence and evidence.maybe("has_evidence") else None,
        submissions=evidence.count("submission_count") if evidence and evidence.maybe("submission_count") else None,
        network_reason=card.text("network_reason_code") if card and card.maybe("network_reason_code") else None,
        case_type=card.text("case_type") if card and card.maybe("case_type") else None,
        withdrawn=max(0, -sum(one.number("amount") for one in movements)) if movements else None,
        fee=sum(one.number("fee") for one in movements) if movements else None,
    )


def _told_in_metadata(said: Answer, name: str) -> str | None:
    metadata = said.inner("metadata") if said.maybe("metadata") else None
    return metadata.text(name) if metadata and metadata.maybe(name) else None


def read_invoice(invoice: Answer, lines: list[dict[str, Any]] | None = None) -> Invoice:
    """An invoice; without `lines` those that it shows itself, if these are all and can be read.

    Of most customers nobody needs to know what the lines are for; who does asks for the invoices by themselves.
    """
    status, transitions = invoice.one_of("status", INVOICE_STATUSES), invoice.inner("status_transitions")
    due = _fell_due(invoice)
    return Invoice(
        id=invoice.text("id"),
        status=status,
        created=invoice.time("created"),
        billing_reason=invoice.text_or_none("billing_reason"),
        amount_due=invoice.number("amount_due"),
        total=invoice.number("total"),
        due=due,
        paid_at=transitions.time_or_none("paid_at") or due if status == "paid" else None,
        put_away_at=transitions.time(PUT_AWAY[status]) if transitions.maybe(PUT_AWAY.get(status, "")) else None,
        amount_paid=invoice.number("amount_paid"),
        currency=invoice.text("currency"),
        lines=_shown_lines(invoice) if lines is None else tuple(_line(line) for line in lines),
    )


PUT_AWAY = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}
"""Which of the transitions ended what was owed without money."""


def _shown_lines(invoice: Answer) -> tuple[Line, ...] | None:
    try:
        lines, more = page_of(invoice.plain("lines"), f"lines of {invoice.what}")
        return None if more else tuple(_line(line) for line in lines)
    except Incomplete:
        return None


def _line(thing: Json) -> Line:
    line = Answer(thing, f"Stripe's invoice line {thing.get('id')}")
    parent, pricing = line.object_or_none("parent"), line.object_or_none("pricing")
    details = parent.inner(parent.text("type")) if parent is not None else None
    bills = pricing.inner("price_details") if pricing is not None and pricing.maybe("price_details") else None
    period = line.inner("period")
    return Line(
        price_id=bills.reference("price") if bills is not None else None,
        amount=line.number("amount"),
        proration=details.flag("proration") if details is not None and details.maybe("proration") else False,
        start=period.time("start"),
        end=period.time("end"),
        item_id=details.reference("subscription_item") if details and details.maybe("subscription_item") else None,
        quantity=line.number("quantity") if line.said("quantity") else None,
    )


def _fell_due(invoice: Answer) -> datetime:
    """When an invoice began to be owed: its due date where there is one, else when it was finalized or made."""
    made, finalized = invoice.time("created"), invoice.inner("status_transitions").time_or_none("finalized_at")
    return invoice.time_or_none("due_date") or finalized or made


def _period_end(lines: list[dict[str, Any]]) -> datetime | None:
    """When the running period ends; the first of them, where items have several."""
    return min(
        (Answer(i, f"Stripe's subscription item {i['id']}").time("current_period_end") for i in lines), default=None
    )
