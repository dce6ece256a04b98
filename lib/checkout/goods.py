"""What is sold: the price at Stripe, what it means here, and whether the domain is free. All of it before the money."""

from __future__ import annotations

import time
from datetime import timedelta
from weakref import WeakKeyDictionary

from msgspec import Struct

from lib.checkout import limits
from lib.checkout.bodies import Buy
from lib.checkout.shop import Caller, Shop
from lib.database import selling
from lib.database.plans import MappingRow
from lib.errors import Declined, Fault, NotFound, Refused
from lib.log import get_logger
from lib.model.money import OrderMode, Terms
from lib.policy import currencies
from lib.policy.domains import InvalidDomain, normalise_domain
from lib.policy.purchases import buyer_of
from lib.stripe_client import Price, StripeClient
from lib.web.typed import declined

log = get_logger()

PRICE_KNOWN_FOR = 60.0
"""Seconds that a price is not asked for again: reads at Stripe are counted. One that was switched off meanwhile is
refused by Stripe itself."""

PROVISIONED_WITHIN = timedelta(days=1)
"""Within this time after the payment a domain that was sold is in our records as a service."""

_prices: WeakKeyDictionary[StripeClient, dict[str, tuple[float, Price]]] = WeakKeyDictionary()


class Goods(Struct, frozen=True):
    """Something that can be bought, as somebody wants it."""

    price: Price
    terms: Terms

    @property
    def amount(self) -> int | None:
        """What it costs, as far as is known before tax and discount."""
        return None if self.price.amount is None or self.price.metered else self.price.amount * self.terms.quantity


async def goods_of(shop: Shop, wish: Buy, caller: Caller) -> Goods:
    """What is wanted, checked.

    Raises:
        Declined: 422 with every fault; 401 for `customerId` without a key.
    """
    if wish.customer_id is not None and not caller.actor:
        raise Declined("unauthorized", "customerId takes a key of ADMIN_API_KEY as Authorization: Bearer ...")
    faults: list[Fault] = []
    domain = _domain(wish, faults)
    price = await _price(shop, wish, faults)
    if price is not None:
        faults += _unsellable(shop, price, wish)
    if faults or price is None:
        raise declined(faults)
    terms = Terms(
        billing_plan_id=price.id,
        quantity=wish.quantity,
        domain=domain,
        email=wish.email,
        client_reference=wish.client_reference,
        seller_id=wish.seller_id,
        customer_id=wish.customer_id,
        mode=OrderMode.SUBSCRIPTION if price.interval else OrderMode.PAYMENT,
    )
    return Goods(price, terms)


async def must_be_free(shop: Shop, terms: Terms, caller: Caller) -> None:
    """Make sure that the domain can be had: by our records, by what is being sold, and by the panel.

    Raises:
        Declined: `domain_in_use`. That of an ended service of the same customer is free to them.
        Retryable: the panel can't be asked, so that nobody knows.
    """
    domain = terms.domain
    if domain is None:
        return
    holders = await selling.holders_of(shop.db, domain)
    theirs = [h for h in holders if h.ended and terms.customer_id is not None and h.customer_id == terms.customer_id]
    taken = len(theirs) < len(holders) or await _sold_to_another(shop, domain, terms, caller)
    if not taken and not any(holder.made for holder in theirs):
        taken = not await _free_in_the_panel(shop, domain)
    if taken:
        raise Declined(
            "domain_in_use",
            f"{domain} is in use here already: choose another, or ask for help if it is yours",
            field="domain",
        )


async def _sold_to_another(shop: Shop, domain: str, terms: Terms, caller: Caller) -> bool:
    """Whether it is being bought by somebody who is not seen to be this buyer: their word can be typed by anybody."""
    since = await shop.db.now() - PROVISIONED_WITHIN
    found = await selling.sold(shop.db, domain, since=since, livemode=shop.settings.livemode)
    buyer = buyer_of(terms)
    if any(other is None or other != buyer for other in found.values()):
        return True
    return bool(await limits.elsewhere(shop, caller, found))


async def _free_in_the_panel(shop: Shop, domain: str) -> bool:
    try:
        return await shop.enhance.domain_is_free(domain)
    except Refused as error:
        log.warning("domain_refused", error=str(error))  # it names our organisation in the panel
        detail = f"the panel takes no website with the domain {domain}: choose another"
        raise declined([Fault("domain", "invalid", detail)]) from error


def _domain(wish: Buy, faults: list[Fault]) -> str | None:
    if wish.domain is None:
        return None
    try:
        return normalise_domain(wish.domain)
    except InvalidDomain as problem:
        faults.append(Fault("domain", "invalid", str(problem)))
        return None


async def _price(shop: Shop, wish: Buy, faults: list[Fault]) -> Price | None:
    field = "priceId" if wish.price_id is not None else "plan"
    price_id = wish.price_id
    if price_id is None:
        prices = await selling.prices_of(shop.db, wish.plan or "")
        if len(prices) != 1:
            detail = f"{len(prices)} prices buy {wish.plan}: send priceId" if prices else f"no price buys {wish.plan}"
            faults.append(Fault(field, "invalid", detail))
            return None
        (price_id,) = prices
    known = await selling.price(shop.db, price_id)
    if known is None or known.kind == "addon":
        faults.append(Fault(field, "invalid", _not_for_sale(price_id, known)))
        return None
    try:
        return await _read(shop, price_id)
    except NotFound:
        faults.append(Fault(field, "invalid", f"Stripe knows no price {price_id}"))
        return None


def _not_for_sale(price_id: str, known: MappingRow | None) -> str:
    if known is None:
        return f"{price_id} is not for sale here: no plan is mapped to it"
    return f"{price_id} is an add-on, which is bought beside a plan"


def _unsellable(shop: Shop, price: Price, wish: Buy) -> list[Fault]:
    field = "priceId" if wish.price_id is not None else "plan"
    faults = []
    if not price.active:
        faults.append(Fault(field, "invalid", f"{price.id} is not sold any more"))
    try:
        currencies.currency_of(price.currency)
    except currencies.InvalidAmount:
        faults.append(Fault(field, "invalid", f"{price.id} has no currency that can be charged"))
    most = shop.settings.quantity_max
    if wish.quantity > most:
        faults.append(Fault("quantity", "invalid", f"quantity must be a whole number from 1 to {most}"))
    if price.metered and wish.quantity != 1:
        faults.append(Fault("quantity", "invalid", "this price is billed by what was used, and takes no quantity"))
    return faults


async def _read(shop: Shop, price_id: str) -> Price:
    known = _prices.setdefault(shop.stripe, {})
    kept = known.get(price_id)
    if kept is not None and time.monotonic() < kept[0] + PRICE_KNOWN_FOR:
        return kept[1]
    found = await shop.stripe.price(price_id)
    known[price_id] = (time.monotonic(), found)
    return found
