"""What was asked of a buyer and what came, read out of Stripe's JSON: of a session, an invoice or a PaymentIntent.

A field that is not there is never taken for zero: a number that the sums need and Stripe did not send is named, and
nothing is decided without it. Shapes: https://docs.stripe.com/api, version 2026-10-28.endive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from lib.model.money import BalanceTransaction, Bill, Source
from lib.policy.currencies import InvalidAmount, currency_of
from lib.structs import replace

Json = Mapping[str, Any]


class Incomplete(Exception):
    """Stripe's answer lacks a field that the numbers need, or has something else there."""

    def __init__(self, thing: str, name: str) -> None:
        self.thing, self.field = thing, name
        super().__init__(f"{thing} has no usable {name}")


def of_session(session: Json) -> Bill:
    """The bill of a completed Checkout session.

    Raises:
        Incomplete: a field is missing.
    """
    thing = "the session"
    details = _inner(session, "total_details", thing)
    total = _amount(session, "amount_total", thing)
    bill = Bill(
        currency=_currency(session, thing),
        subtotal=_amount(session, "amount_subtotal", thing),
        total=total,
        discount=_amount(details, "amount_discount", thing),
        tax=_amount(details, "amount_tax", thing),
        shipping=_optional(details, "amount_shipping", thing) or 0,
        paid=0 if session.get("payment_status") == "no_payment_required" else total,
        presentment=presentment_of(session),
    )
    return _from(bill, Source.SESSION)


def of_invoice(invoice: Json, payment: Json | None = None) -> Bill:
    """The bill of a final invoice.

    Args:
        payment: the invoice payment, where one of several is meant; without it, all that was paid.

    Raises:
        Incomplete: a field is missing.
    """
    thing = "the invoice"
    discount = _total(invoice.get("total_discount_amounts"))
    taxes = invoice.get("total_taxes")
    tax = _total(taxes)
    included = _total([line for line in taxes or () if line.get("tax_behavior") == "inclusive"]) or 0
    on_top = (tax or 0) - included
    shipping = invoice.get("shipping_cost")
    paid, source = _amount(invoice, "amount_paid", thing), Source.INVOICE
    if payment is not None:
        paid, source = _amount(payment, "amount_paid", "the invoice payment"), Source.INVOICE_PAYMENT
    subtotal, total = _amount(invoice, "subtotal", thing), _amount(invoice, "total", thing)
    carriage = _amount(shipping, "amount_subtotal", "the shipping") if isinstance(shipping, Mapping) else 0
    bill = Bill(
        currency=_currency(invoice, thing),
        # Item discounts may be taken off the subtotal already: then they are put back, to be shown as what they are.
        subtotal=subtotal + (discount or 0) if subtotal + on_top + carriage == total else subtotal,
        total=total,
        discount=discount,
        tax=tax,
        tax_included=None if tax is None else included,
        shipping=carriage,
        paid=paid,
        presentment=presentment_of(payment or {}),
    )
    return _from(bill, Source.INVOICE, paid=source)


def of_intent(intent: Json) -> Bill:
    """The bill of a PaymentIntent that was made elsewhere: what is not told stays unknown.

    Raises:
        Incomplete: a field is missing.
    """
    thing = "the PaymentIntent"
    received = _amount(intent, "amount_received", thing)
    details = intent.get("amount_details")
    told: Json = details if isinstance(details, Mapping) else {}
    discount = _optional(told, "discount_amount", thing)
    tax = _optional(_optional_inner(told, "tax"), "total_tax_amount", thing)
    shipping = _optional(_optional_inner(told, "shipping"), "amount", thing)
    bill = Bill(
        currency=_currency(intent, thing),
        subtotal=received + (discount or 0) - (tax or 0) - (shipping or 0),
        total=received,
        discount=discount,
        tax=tax,
        tax_included=None if tax is None else 0,
        shipping=shipping,
        paid=received,
        presentment=presentment_of(intent),
    )
    return _from(bill, Source.PAYMENT_INTENT, subtotal=Source.COMPUTED)


def of_collections(asked: int, came: int, currency: str) -> Bill:
    """The bill of an offline order: what was asked for, and what came of it.

    What is too much is to be returned: it is no part of the payment, whether it comes with the price or after it.
    """
    bill = Bill(currency=currency, subtotal=asked, total=asked, paid=min(asked, came))
    return _from(bill, Source.COMPUTED, paid=Source.COLLECTION)


def balance_transaction(thing: object) -> BalanceTransaction | None:
    """A charge's balance transaction, expanded; `None` while there is none yet, or only its id is known.

    Raises:
        Incomplete: a field is missing.
    """
    if not isinstance(thing, Mapping):
        return None
    name = "the balance transaction"
    rate = thing.get("exchange_rate")
    try:
        exchange_rate = None if rate is None else Decimal(str(rate))
    except InvalidOperation:
        raise Incomplete(name, "exchange_rate") from None
    return BalanceTransaction(
        id=str(thing.get("id")),
        amount=_amount(thing, "amount", name),
        fee=_amount(thing, "fee", name),
        net=_amount(thing, "net", name),
        currency=_currency(thing, name),
        exchange_rate=exchange_rate,
    )


def presentment_of(thing: Json) -> tuple[int, str] | None:
    """What the buyer saw in their own currency, where that was another one."""
    details = thing.get("presentment_details")
    if not isinstance(details, Mapping):
        return None
    currency = details.get("presentment_currency")
    if not isinstance(currency, str):
        raise Incomplete("presentment_details", "presentment_currency")
    return _amount(details, "presentment_amount", "presentment_details"), currency_of(currency)


def _from(bill: Bill, source: Source, **others: Source) -> Bill:
    """The bill with where each of its numbers stands."""
    names = ("subtotal", "discount", "tax", "tax_included", "shipping", "total", "paid", "presentment")
    told = {name: source for name in names if getattr(bill, name) is not None}
    return replace(bill, sources={**told, **others})


def _amount(thing: Json, name: str, whose: str) -> int:
    value = thing.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Incomplete(whose, name)
    return value


def _total(lines: Sequence[Json] | None) -> int | None:
    """The sum of the lines' amounts; `None` where Stripe sent no list of them."""
    return None if lines is None else sum(_amount(line, "amount", "a line") for line in lines)


def _optional(thing: Json, name: str, whose: str) -> int | None:
    return None if thing.get(name) is None else _amount(thing, name, whose)


def _inner(thing: Json, name: str, whose: str) -> Json:
    value = thing.get(name)
    if not isinstance(value, Mapping):
        raise Incomplete(whose, name)
    return value


def _optional_inner(thing: Json, name: str) -> Json:
    value = thing.get(name)
    return value if isinstance(value, Mapping) else {}


def _currency(thing: Json, whose: str) -> str:
    value = thing.get("currency")
    try:
        return currency_of(value) if isinstance(value, str) else _missing(whose)
    except InvalidAmount:
        return _missing(whose)


def _missing(whose: str) -> str:
    raise Incomplete(whose, "currency")
