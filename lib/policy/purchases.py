"""Whether somebody who wants to buy gets a new order, shares the one they have begun, or is asked first.

Two clicks, two tabs and two parallel requests are one purchase. The table's unique index is the guard; this says the
same before it is asked, and what to do where the two are not quite the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import astuple

from lib.model.money import Order, OrderState, Terms
from lib.model.provider import Provider
from lib.structs import replace

JUST_BOUGHT = timedelta(minutes=10)
"""How long the same purchase once more is taken for a mistake."""

KEY_LIFE = timedelta(hours=23)
"""Stripe keeps an idempotency key for at least 24 hours; after that the same request would be done once more."""


def buyer_of(terms: Terms) -> str | None:
    """Who is buying: the shop's own word for them before an address that anybody can type; `None` shares nothing."""
    if terms.client_reference:
        return f"ref:{terms.client_reference}"
    address = address_of(terms.email)
    return f"mail:{address}" if address else None


def fingerprint(terms: Terms) -> str:
    """A digest of everything that makes two purchases different."""
    facts = astuple(replace(terms, email=address_of(terms.email)))
    return hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()


def address_of(email: str | None) -> str | None:
    """An e-mail in one spelling; `None`: there is none."""
    return (email or "").strip().casefold() or None


class Begin(Struct, frozen=True):
    """A new order."""

    expire: tuple[Order, ...] = ()
    """Orders of the same buyer with other parameters: their sessions are expired first, and seen to be."""
    alone: bool = False
    """It shares with nobody: who wants it says the word of a buyer, and is not seen to be that one."""


class Share(Struct, frozen=True):
    """The same order: its open session, or its state by now."""

    order: Order


class JustBought(Struct, frozen=True):
    """It was bought a moment ago, or is being paid: the buyer is asked whether they mean it."""

    order: Order
    may_repeat: bool
    """Whether asking again with `again` helps; not while the money of the first is under way."""


class KeyTaken(Struct, frozen=True):
    """The caller's idempotency key stands for another purchase."""

    order: Order


Purchase = Begin | Share | JustBought | KeyTaken


def decide(
    terms: Terms,
    known: Sequence[Order],
    now: datetime,
    *,
    again: bool = False,
    key: str | None = None,
    elsewhere: frozenset[str] = frozenset(),
) -> Purchase:
    """What becomes of a wish to buy.

    Anybody can type an e-mail, and guess a reference. Who is not where a page was begun ends none by that: a stranger
    would take it away under its buyer's hands. The two pages then stand side by side until each is ended by its own
    buyer or its date. And they share one only where it shows nothing that they have not typed: who wants the very same
    or, since the unique index allows only one of it, the same thing for the same e-mail.

    Args:
        known: the orders of this buyer that are open or were paid within `JUST_BOUGHT`, and the one with this key.
        again: the buyer was asked, and means it.
        key: the caller's idempotency key; it joins its own repetitions even where nobody knows who is buying.
        elsewhere: ids of those of `known` that were begun in another network.
    """
    same = fingerprint(terms)
    if key is not None:
        joined = next((order for order in known if order.idempotency_key == key), None)
        if joined is not None:
            return Share(joined) if joined.fingerprint == same else KeyTaken(joined)
    buyer = buyer_of(terms)
    if buyer is None:
        return Begin()
    theirs = [order for order in known if order.buyer == buyer and order.provider is Provider.STRIPE]
    for order in theirs:
        if order.state is OrderState.PAYING and _guarded(order, terms):
            return JustBought(order, may_repeat=False)
    pending = [order for order in theirs if order.state is OrderState.PENDING]
    live = [order for order in pending if not _is_over(order, now)]
    fresh = [order for order in live if order.fingerprint == same]
    beside = [order for order in live if order.id in elsewhere]
    guarded = [order for order in beside if _guarded(order, terms)]
    fresh += [order for order in guarded if _shows_nothing_new(order, terms)]
    if fresh:
        return Share(fresh[0])
    bought = [order for order in theirs if order.fingerprint == same and _just_paid(order, now)]
    if bought and not again:
        return JustBought(bought[0], may_repeat=True)
    return Begin(expire=tuple(order for order in pending if order not in beside), alone=bool(guarded))


def _shows_nothing_new(order: Order, terms: Terms) -> bool:
    """Whether the page of an order shows only what these terms say: Stripe fills in the e-mail that its buyer typed."""
    return order.terms.customer_id is None and address_of(order.terms.email) in (None, address_of(terms.email))


def _guarded(order: Order, terms: Terms) -> bool:
    """Whether the unique index takes both for the same purchase."""
    mine = (order.terms.billing_plan_id, order.terms.quantity, order.terms.domain)
    return mine == (terms.billing_plan_id, terms.quantity, terms.domain)


def _is_over(order: Order, now: datetime) -> bool:
    return order.expires_at is not None and order.expires_at <= now


def _just_paid(order: Order, now: datetime) -> bool:
    return order.state is OrderState.PAID and order.paid_at is not None and now < order.paid_at + JUST_BOUGHT


# --- one session for one order ----------------------------------------------------------------------------------------


class Send(Struct, frozen=True):
    """Ask Stripe to make the session, with this key and the frozen request."""

    key: str


class LookFirst(Struct, frozen=True):
    """The present key may not be used again: look for the session by `client_reference_id`, then use this key."""

    key: str
    key_number: int


def session_key(order_id: str, key_number: int) -> str:
    """The idempotency key of an order's session request: its id, and from the second key on a number with it."""
    return order_id if key_number == 1 else f"{order_id}.{key_number}"


def how_to_ask(order: Order, now: datetime, *, stored_error: bool = False) -> Send | LookFirst:
    """How to make the session of an order that has none, also after an answer was lost.

    Args:
        stored_error: Stripe answered with a server error, which it repeats under the same key for a day.
    """
    request = order.request
    number = request.key_number if request else 1
    asked = request.sent_at if request else None
    if asked is not None and (stored_error or now >= asked + KEY_LIFE):
        return LookFirst(session_key(order.id, number + 1), number + 1)
    return Send(session_key(order.id, number))
