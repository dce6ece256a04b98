"""Whom a name means: an e-mail address, a domain, a customer's or a subscription's id of the simulated Stripe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from scripts.demo_world import DemoError

if TYPE_CHECKING:
    from scripts.sim.stripe_sim import Obj, StripeSim

LISTED = 15
"""The newest subscriptions that are named to whoever has named nobody."""

ENDED = ("canceled", "incomplete_expired")


def subscriptions(stripe: StripeSim) -> list[Obj]:
    """All of them, newest first."""
    with stripe.lock:
        return list(stripe.subscriptions.newest_first())


def find(stripe: StripeSim, who: str | None, fits: Callable[[Obj], bool], missing: str) -> Obj:
    """The newest subscription of `who` (anybody, when nobody is named) that fits.

    DemoError says who there is, or that there is no `missing`: "open invoice".
    """
    known = subscriptions(stripe)
    meant = [sub for sub in known if who is None or who.strip().lower() in _names(stripe, sub)]
    if not meant:
        listed = "; ".join(f"{email_of(stripe, sub)} ({sub['id']}, {domain_of(stripe, sub)})" for sub in known[:LISTED])
        if len(known) > LISTED:
            listed += f"; and {len(known) - LISTED} more"
        raise DemoError(
            f"Nobody is called {who!r}. There are: {listed}" if known else "Nobody has bought anything yet."
        )
    for sub in meant:
        if fits(sub):
            return sub
    what, _, hint = missing.partition("; ")
    whose = f" of {email_of(stripe, meant[0])}" if who is not None else ""
    raise DemoError(f"There is no {what}{whose}{'; ' + hint if hint else ''}.")


def name_of(stripe: StripeSim, sub: Obj) -> str:
    """How to speak of the customer."""
    customer = stripe.customers.get(sub["customer"]) or {}
    return str(customer.get("name") or customer.get("email") or sub["customer"])


def email_of(stripe: StripeSim, sub: Obj) -> str:
    """The customer's address, else their id."""
    customer = stripe.customers.get(sub["customer"]) or {}
    return str(customer.get("email") or sub["customer"])


def domain_of(stripe: StripeSim, sub: Obj) -> str | None:
    """The domain that was bought with it: of its metadata, else as it was typed at the Checkout."""
    if sub["metadata"].get("domain"):
        return str(sub["metadata"]["domain"])
    with stripe.lock:
        for session in stripe.sessions.newest_first({"subscription": sub["id"]}):
            for asked in session["custom_fields"]:
                if asked["key"] == "domain":
                    return str(asked[asked["type"]]["value"])
    return None


def invoices_of(stripe: StripeSim, sub: Obj) -> list[Obj]:
    """Its invoices, newest first."""
    with stripe.lock:
        return list(stripe.invoices.newest_first({"parent.subscription_details.subscription": sub["id"]}))


def disputes_of(stripe: StripeSim, charges: Sequence[str]) -> list[Obj]:
    """The disputes about some charges, oldest first."""
    with stripe.lock:
        return [one for one in stripe.disputes.oldest_first() if one["charge"] in charges]


def charges_of(stripe: StripeSim, sub: Obj) -> list[Obj]:
    """What was charged for it with success, newest first."""
    found = []
    with stripe.lock:
        for invoice in invoices_of(stripe, sub):
            for link in stripe.invoice_payments.newest_first({"invoice": invoice["id"]}):
                charge = stripe.charges.get(stripe.payment_intents[link["payment"]["payment_intent"]]["latest_charge"])
                if charge is not None and charge["status"] == "succeeded":
                    found.append(charge)
    return found


def _names(stripe: StripeSim, sub: Obj) -> set[str]:
    customer = stripe.customers.get(sub["customer"]) or {}
    email = str(customer.get("email") or "").lower()
    names = {email, email.partition("@")[0], str(customer.get("name") or "").lower(), sub["id"].lower()}
    return (names | {sub["customer"].lower(), (domain_of(stripe, sub) or "").lower()}) - {""}
