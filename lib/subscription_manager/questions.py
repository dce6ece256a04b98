"""What a decision asks for besides the list of subscriptions: read only where the policy says that it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lib.errors import Incomplete
from lib.model import Payer, Question, Wanted

if TYPE_CHECKING:
    from lib.stripe_client import StripeClient


async def answer(stripe: StripeClient, payer: Payer, subscription_id: str, question: Question) -> Payer:
    """The payer with one more thing known of one subscription.

    Raises:
        Retryable, Refused: it can't be read.
    """
    subscription = next(s for s in payer.subscriptions if s.id == subscription_id)
    latest = subscription.latest_invoice
    match question:
        case Question.INVOICES:
            invoices = await stripe.invoices(subscription_id)
            if latest is not None and latest.id not in {invoice.id for invoice in invoices}:
                raise Incomplete(f"Stripe's list of the invoices of {subscription_id} lacks its latest, {latest.id}")
            known = replace(subscription, invoices=invoices)
        case Question.FIRST_PAYMENT:
            owed = [i for i in subscription.known_invoices if i.status == "open" and i.asks]
            first = min(owed, key=lambda i: i.created, default=latest)
            status = await stripe.payment_of(first.id) if first is not None else "none"
            known = replace(subscription, first_payment=status)
    return replace(payer, subscriptions=tuple(known if s.id == known.id else s for s in payer.subscriptions))


async def informed(stripe: StripeClient, payer: Payer, decide: Callable[[Payer], Wanted]) -> Payer:
    """The payer with everything that `decide` asks for.

    Raises:
        Retryable, Refused: it can't be read.
    """
    for subscription_id, question in decide(payer).questions:
        payer = await answer(stripe, payer, subscription_id, question)
    return payer
