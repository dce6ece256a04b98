"""Whether a purchase at Stripe is about the debt that offline money has just come for. Pure.

One debt is paid once, so what the same person has open at Stripe for it is ended first. A page is all that is ended: a
bill that is open there, of a debit that failed or of a period that nobody paid, outlives the page, the order and even
the subscription, and what its end would mean is a person's to say. Whether there is one only Stripe can tell.

Two mistakes are possible: not to see the same debt makes somebody pay twice, and to see it where it is not ends a
stranger's page. So both must fit:

- *The same person*: any word that both sides have of them says so, since each was typed at another counter. The shop's
  own `clientReference`, the e-mail, and which customers share one account in the panel by an operator's word. Words
  that differ say nothing: somebody has two addresses, and a `clientReference` may stand for a cart.
- *The same thing*: the domain, where both name one, because it can be had once, whatever plan goes with it. Where one
  of them names none, what they buy: the same plan, or nobody can tell.

A domain alone is no person. It can be sold once, so somebody else's money for it is a question for an operator, but no
reason to end their page: a typed domain, or one that an operator mistyped, proves nothing about who has it open.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from msgspec import Struct

from lib.model.money import Order, OrderState, Terms
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.purchases import address_of


class Person(Struct, frozen=True):
    """Every word that we have of whoever owes."""

    references: frozenset[str]
    addresses: frozenset[str]
    """E-mails, in the spelling of `purchases.address_of`."""
    customers: frozenset[str] = frozenset()
    """Customers at Stripe who share their account in the panel."""

    def is_buyer_of(self, terms: Terms) -> bool:
        """Whether any word of a purchase is one of theirs."""
        return (
            terms.client_reference in self.references
            or address_of(terms.email) in self.addresses
            or terms.customer_id in self.customers
        )


class Ware(Struct, frozen=True):
    """What a plan means here, by its mapping."""

    kind: str
    panel_plan: str | None


class Same(Enum):
    """What a purchase at Stripe has to do with the debt."""

    NO = auto()
    DOMAIN = auto()
    """Somebody else's, for the same domain: theirs to pay, and not to be ended."""
    DEBT = auto()


class Stands(Enum):
    """What of a purchase at Stripe can still take money, or has taken it, by our own record of it."""

    OVER = auto()
    """Nothing."""
    PAGE = auto()
    """Its page may be open: it can be ended."""
    MONEY = auto()
    """It is being paid, or was since the debt began."""
    BILL = auto()
    """Nothing by itself, but Stripe may have a bill of it open, or a payment under way."""


def person(order: Order, addresses: frozenset[str] = frozenset(), customers: frozenset[str] = frozenset()) -> Person:
    """Who owes an offline order.

    Args:
        addresses: e-mails of the customers with whom they share an account.
        customers: those at Stripe.
    """
    own = order.terms.client_reference
    emails = {address_of(order.terms.email), *map(address_of, addresses)} - {None}
    return Person(frozenset({own} if own else ()), frozenset(e for e in emails if e), customers)


def compare(
    debt: Order, whose: Person, other: Order, *, ware: Ware | None = None, others_ware: Ware | None = None
) -> Same:
    """What a purchase at Stripe has to do with an offline order.

    Args:
        whose: who owes it.
        other: open at Stripe, or paid there.
        ware: what its plan means; `None`: nobody can tell.
    """
    if other.livemode is not debt.livemode:
        return Same.NO
    mine, theirs = _spelt(debt.terms.domain), _spelt(other.terms.domain)
    if not whose.is_buyer_of(other.terms):
        return Same.DOMAIN if mine is not None and mine == theirs else Same.NO
    if mine is not None and theirs is not None:
        return Same.DEBT if mine == theirs else Same.NO
    return Same.DEBT if _may_be_the_same(ware, others_ware) else Same.NO


def stands(debt: Order, other: Order, now: datetime, *, came: bool = False) -> Stands:
    """What of a purchase at Stripe concerns an offline order. What was paid before that one began is another purchase.

    A subscription has bills whatever became of its order: those that follow, and the first one where a debit failed.
    One of them that was paid meanwhile is the same debt where both are for one domain: what runs for another domain
    goes on being paid.

    Args:
        came: any payment of it has come since the debt began, that of a renewal too.
    """
    if other.state is OrderState.PAYING:
        return Stands.MONEY
    if other.state is OrderState.PAID and other.paid_at is not None and other.paid_at >= debt.created_at:
        return Stands.MONEY
    mine = _spelt(debt.terms.domain)
    if came and mine is not None and mine == _spelt(other.terms.domain) and other.state is not OrderState.REFUNDED:
        return Stands.MONEY
    asked_for = other.session_id is not None or other.request is not None
    if other.state is OrderState.PENDING and asked_for:
        return Stands.PAGE
    if other.subscription_id is not None:
        return Stands.BILL
    if other.session_id is None:
        return Stands.OVER
    if other.state is OrderState.FAILED:
        return Stands.BILL
    over = other.state is not OrderState.EXPIRED or other.expires_at is None or other.expires_at <= now
    return Stands.OVER if over else Stands.PAGE  # made just when it was given up, and nobody lived to end it


def _may_be_the_same(ware: Ware | None, other: Ware | None) -> bool:
    if ware is None or other is None:
        return True
    if ware.kind != other.kind:
        return False
    mine, theirs = (ware.panel_plan or "").casefold(), (other.panel_plan or "").casefold()
    return mine == theirs or mine.isdigit() is not theirs.isdigit()  # an id and a name can be one plan


def _spelt(domain: str | None) -> str | None:
    try:
        return normalise_domain(domain) if domain else None
    except InvalidDomain:
        return domain
