"""What Stripe says of one payment: a PaymentIntent, a charge without one, or what a bill got in another way. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from lib.model import Problem
from lib.model.money import Bill, Breakdown, PaymentState, Source
from lib.model.reason import Reason
from lib.model.stripe_money import Json, SeenCharge, SeenIntent, SeenInvoice, SeenSession, SeenShare
from lib.policy import bills
from lib.policy.breakdown import NotYet, SumsDiffer, break_down
from lib.policy.currencies import currency_of
from lib.policy.payments import state_of
from lib.structs import replace


class Said(Struct, frozen=True):
    """One payment, as one pass has read it."""

    intent: SeenIntent | None = None
    charge: SeenCharge | None = None
    """Without a PaymentIntent."""
    invoice: SeenInvoice | None = None
    share: SeenShare | None = None
    """What of the invoice it pays; `None`: whatever no payment at Stripe paid."""

    @property
    def state(self) -> PaymentState | None:
        if self.intent is None:
            return PaymentState.SUCCEEDED
        return state_of(self.intent.status, tried=self.intent.tried)

    @property
    def part(self) -> bool:
        """Whether it came, and its bill asks for more."""
        return self.state is PaymentState.SUCCEEDED and self.invoice is not None and self.invoice.status != "paid"

    @property
    def amount(self) -> int:
        thing = self.intent or self.charge
        if thing is not None:
            return thing.amount
        return rest_of(self.invoice) if self.invoice else 0

    @property
    def currency(self) -> str:
        thing = self.intent or self.charge or self.invoice
        assert thing is not None
        return currency_of(thing.currency)

    @property
    def charge_id(self) -> str | None:
        return self.charge.id if self.charge else self.intent.charge_id if self.intent else None

    @property
    def created(self) -> datetime | None:
        thing = self.intent or self.charge or self.invoice
        return thing.created if thing else None

    @property
    def subject(self) -> str:
        """The object at Stripe that a person looks at."""
        thing = self.intent or self.charge or self.invoice
        return thing.id if thing else ""

    def paid_at(self, now: datetime) -> datetime:
        if self.charge is not None:
            return self.charge.created
        if self.intent is not None and self.intent.charged_at is not None:
            return self.intent.charged_at
        return (self.invoice.paid_at if self.invoice else None) or now


def is_paid_otherwise(invoice: SeenInvoice) -> bool:
    """Whether something of a bill was paid by no payment of Stripe's: outside of it, or by credit.

    All of it that its payments do not account for; of a bill that asked for something and has none, all.
    """
    if invoice.status != "paid" or invoice.total <= 0:
        return False
    through = [share for share in invoice.shares if _is_through_stripe(share)]
    if any(share.amount_paid is None for share in through):
        return False  # not read: no rest can be told yet
    return not through or rest_of(invoice) > 0


def rest_of(invoice: SeenInvoice) -> int:
    """What of a bill was paid by no payment of Stripe's."""
    return invoice.amount_paid - sum(share.amount_paid or 0 for share in invoice.shares if _is_through_stripe(share))


def _is_through_stripe(share: SeenShare) -> bool:
    return share.status == "paid" and (share.intent_id is not None or share.charge_id is not None)


def numbers_of(said: Said, session: SeenSession | None) -> Breakdown | NotYet | Problem:
    """The numbers of a payment that succeeded.

    Args:
        session: of its order, where that sells something once.
    """
    if said.share is not None and said.share.amount_paid is None:
        return NotYet("invoice_payment")  # the money is there, and the invoice has not heard of it yet
    through = said.intent or said.charge
    try:
        transaction = bills.balance_transaction(through.transaction) if through else None
        return break_down(_bill(said, session), transaction, charged=through is not None)
    except (SumsDiffer, bills.Incomplete) as problem:
        return Problem(Reason.PAYMENT_NUMBERS_DIFFER, str(problem), said.subject)


def _bill(said: Said, session: SeenSession | None) -> Bill:
    if said.invoice is not None:
        bill = bills.of_invoice(said.invoice.json, said.share.json if said.share else None)
        if said.share is None and bill.paid != rest_of(said.invoice):
            bill = replace(bill, paid=rest_of(said.invoice), sources={**bill.sources, "paid": Source.COMPUTED})
        return replace(bill, presentment=bill.presentment or _presented(said))
    assert said.intent is not None
    if session is not None and session.json is not None and session.intent_id == said.intent.id:
        return bills.of_session(session.json)
    return bills.of_intent(said.intent.json)


def _presented(said: Said) -> tuple[int, str] | None:
    thing: Json | None = said.intent.json if said.intent else said.charge.json if said.charge else None
    return bills.presentment_of(thing) if thing is not None else None
