"""Purchases that somebody else began, and which of Stripe's objects belong to an order of ours. Pure.

An id that stands in metadata, or that came with a Payment Link, is only a claim: it is believed where our own record
says the same.
"""

from __future__ import annotations

import uuid

from lib.model.money import Order, OrderMode, OrderState, Origin, Terms
from lib.model.provider import Provider
from lib.model.stripe_money import SeenIntent, SeenInvoice, SeenSession
from lib.policy.currencies import currency_of
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.structs import replace

_NAMES = uuid.UUID("6f2f6c0e-9d3c-5b5e-8a51-2f6a3f0f5a77")
"""Arbitrary, but ours: the same purchase, learnt twice at one time, has one id."""


def learnt_id(subscription_id: str | None, session_id: str | None) -> str:
    """The id of the order of a purchase that was not begun by us: one for each subscription, else for each session."""
    return str(uuid.uuid5(_NAMES, f"stripe:{subscription_id or session_id}"))


def from_session(session: SeenSession) -> Order | None:
    """The order of a complete session that somebody else began; `None` where nothing was bought by it."""
    if session.status != "complete" or session.mode == "setup" or session.currency is None:
        return None
    price, quantity = session.lines[0] if len(session.lines) == 1 else (None, 1)
    terms = Terms(
        billing_plan_id=price,
        quantity=max(quantity, 1),
        domain=_domain(session.domain),
        email=session.email,
        client_reference=session.reference,
        customer_id=session.customer_id,
        mode=OrderMode(session.mode),
    )
    return Order(
        learnt_id(session.subscription_id, session.id),
        Provider.STRIPE,
        Origin.LEARNT,
        terms,
        created_at=session.created,
        livemode=session.livemode,
        name=session.name,
        session_id=session.id,
        subscription_id=session.subscription_id,
        currency=currency_of(session.currency),
        amount=session.subtotal,
        total=session.total,
        expires_at=session.expires_at,
    )


def from_invoice(invoice: SeenInvoice) -> Order | None:
    """The order of a subscription that no session began; `None` where its invoice asks for nothing."""
    if invoice.subscription_id is None or invoice.status == "draft" or invoice.total <= 0:
        return None
    price, quantity = invoice.prices[0] if len(invoice.prices) == 1 else (None, 1)
    terms = Terms(
        billing_plan_id=price,
        quantity=max(quantity, 1),
        domain=_domain(invoice.domain),
        customer_id=invoice.customer_id,
        mode=OrderMode.SUBSCRIPTION,
    )
    return Order(
        learnt_id(invoice.subscription_id, None),
        Provider.STRIPE,
        Origin.LEARNT,
        terms,
        created_at=invoice.created,
        livemode=invoice.livemode,
        subscription_id=invoice.subscription_id,
        currency=currency_of(invoice.currency),
        amount=max(invoice.subtotal, 0),
        total=invoice.total,
    )


def _domain(typed: str | None) -> str | None:
    """What was typed, in our spelling; what is no domain is left to the customer's own pass to complain of."""
    try:
        return normalise_domain(typed) if typed else None
    except InvalidDomain:
        return None


def is_session_of(order: Order, session: SeenSession) -> bool:
    """Whether a session that names an order of ours is the one that we asked for.

    Its metadata are written by us alone. `client_reference_id` can be typed into the address of a Payment Link.
    """
    return (
        order.provider is Provider.STRIPE
        and order.session_id in (None, session.id)
        and order.request is not None
        and session.order_id == session.reference == order.id
        and session.payment_link is None
        and session.mode == order.terms.mode
        and session.livemode == order.livemode
        and session.currency in (None, order.currency)
    )


def why_not_paid_by(order: Order, intent: SeenIntent) -> str | None:
    """Why a PaymentIntent that names an order in its metadata is not taken for its payment; `None`: it is.

    It was made elsewhere, by whoever has a key of the account: what it says must fit what the order says. That the
    order is paid already does not keep it out: the money came, and is kept where it is looked for.
    """
    if order.provider is not Provider.STRIPE or order.livemode != intent.livemode:
        return "the order is not paid through this account"
    if order.terms.mode is not OrderMode.PAYMENT:
        return "the order is a subscription, which its own invoices pay"
    if order.state is OrderState.REFUNDED:
        return "the order is refunded already"
    if order.currency != intent.currency:
        return "the currency is another one"
    if order.terms.customer_id is not None and order.terms.customer_id != intent.customer_id:
        return "the customer is another one"
    asked = order.total if order.total is not None else order.amount
    if asked is None or intent.amount < asked:
        return "it asks for less than the order does"
    return None


def linked(order: Order, session: SeenSession) -> Order:
    """The order with what its session has told. What is known already stays, and what was frozen anyhow."""
    known = order.terms
    terms = replace(
        known, customer_id=known.customer_id or session.customer_id, email=known.email or session.email
    )  # typed on Stripe's page, and by nobody before
    same = session.currency == order.currency
    return replace(
        order,
        terms=terms,
        session_id=session.id,
        session_url=session.url,
        subscription_id=order.subscription_id or session.subscription_id,
        total=session.total if session.status == "complete" and same else order.total,
        name=order.name or session.name,
        expires_at=session.expires_at,
    )
