"""Who pays for what: asked at Stripe, or read from our own orders where the money never passes through a provider.

The one place where a pass, or whoever looks ahead, tells the two apart. Everything behind it is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from lib.database import Database, orders
from lib.errors import Incomplete, NotFound
from lib.log import get_logger
from lib.model import Invoice, Memory, Payer, Question, Wanted
from lib.model.reason import Reason
from lib.policy import with_money_back
from lib.policy.offline_lines import as_payer
from lib.structs import replace

if TYPE_CHECKING:
    from lib.stripe_client import StripeClient

log = get_logger()


class Truth(Protocol):
    """What is known of who pays, beyond our memory of it."""

    async def payer(self, memory: Memory) -> Payer | None:
        """The customer with everything that they have bought; `None` for somebody whom nobody knows.

        Raises:
            Refused, Retryable: it can't be read.
        """

    async def answer(self, payer: Payer, subscription_id: str, question: Question, /) -> Payer:
        """The payer with one more thing known of one subscription.

        Raises:
            Refused, Retryable: it can't be read.
        """

    async def typed_domain(self, subscription_id: str, /) -> str | None:
        """The domain that was typed when it was bought, where the subscription itself does not name it."""


def truth_of(memory: Memory, db: Database, stripe: StripeClient) -> Truth:
    """Where to ask about this customer."""
    return OfflineTruth(db) if memory.provider.offline else StripeTruth(stripe)


class StripeTruth:
    """Stripe's own answers, with what we know of disputes and refunds."""

    def __init__(self, stripe: StripeClient) -> None:
        self._stripe = stripe

    async def payer(self, memory: Memory) -> Payer | None:
        """The customer with all subscriptions in any status."""
        customer_id, known = memory.customer_id, memory.has_something
        try:
            payer = await self._stripe.payer(customer_id, memory.heard_of, known=known)
        except NotFound as error:
            if known:
                said = f"Stripe does not know customer {customer_id}, whom we remember; nothing was changed: {error}"
                raise NotFound(Reason.UNKNOWN_CUSTOMER, said) from error
            log.info("customer_unknown", error=str(error))
            return None
        return with_money_back(payer, memory)

    async def answer(self, payer: Payer, subscription_id: str, question: Question) -> Payer:
        """The payer with what Stripe says of invoices or of the first payment: read only where it matters."""
        subscription = next(s for s in payer.subscriptions if s.id == subscription_id)
        latest = subscription.latest_invoice
        match question:
            case Question.INVOICES:
                invoices = await self._invoices(subscription_id, latest)
                known = replace(subscription, invoices=invoices)
            case Question.FIRST_PAYMENT:
                owed = [i for i in subscription.known_invoices if i.status == "open" and i.asks]
                first = min(owed, key=lambda i: i.created, default=latest)
                status = await self._stripe.payment_of(first.id) if first is not None else "none"
                known = replace(subscription, first_payment=status)
        return replace(payer, subscriptions=tuple(known if s.id == known.id else s for s in payer.subscriptions))

    async def _invoices(self, subscription_id: str, latest: Invoice | None) -> tuple[Invoice, ...]:
        invoices = await self._stripe.invoices(subscription_id)
        if latest is not None and latest.id not in {invoice.id for invoice in invoices}:
            raise Incomplete(f"Stripe's list of the invoices of {subscription_id} lacks its latest, {latest.id}")
        return invoices

    async def typed_domain(self, subscription_id: str) -> str | None:
        """What the buyer typed at Checkout."""
        return await self._stripe.checkout_domain(subscription_id)


class OfflineTruth:
    """Our own orders: nobody else can be asked, and they say everything at once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def payer(self, memory: Memory) -> Payer | None:
        """The customer with a subscription for each line of their orders."""
        found = await orders.of_customer(self._db, memory.key)
        if not found and not memory.has_something:
            return None
        return with_money_back(as_payer(memory.key, found, await self._db.now()), memory)

    async def answer(self, payer: Payer, _subscription_id: str, _question: Question, /) -> Payer:
        """Nothing is left to ask."""
        return payer

    async def typed_domain(self, _subscription_id: str, /) -> str | None:
        """An order names its domain, or has none."""
        return None


async def informed(truth: Truth, payer: Payer, decide: Callable[[Payer], Wanted]) -> Payer:
    """The payer with everything that `decide` asks for.

    Raises:
        Retryable, Refused: it can't be read.
    """
    for subscription_id, question in decide(payer).questions:
        payer = await truth.answer(payer, subscription_id, question)
    return payer
