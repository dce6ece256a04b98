"""The verb of `POST /api/checkout`: a wish to buy becomes an order, and the order a page at Stripe. Never two of them.

Two clicks, two tabs and two parallel requests are one purchase (`policy.purchases`); the table's unique index is the
guard. What is to be known before the money, price and domain, is asked before anything is written.
"""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn
from uuid import uuid4

from lib.checkout import goods, limits, making
from lib.checkout.bodies import Buy
from lib.checkout.goods import Goods
from lib.checkout.paid_elsewhere import not_collected
from lib.checkout.shop import Caller, Shop
from lib.checkout.views import Begun
from lib.database import fees, orders
from lib.database.connection import Connection
from lib.errors import Declined
from lib.log import get_logger
from lib.model.money import FrozenRequest, Order, OrderState, Origin
from lib.model.provider import Provider
from lib.policy import fees as fee_policy
from lib.policy.purchases import JUST_BOUGHT, Begin, JustBought, KeyTaken, Share, buyer_of, decide, fingerprint
from lib.policy.session_request import SESSION_LIFE, Lines, Page, session_request
from lib.structs import replace

log = get_logger()

ROUNDS = 6
"""How often it is decided anew because somebody else was faster."""


async def begin(shop: Shop, wish: Buy, caller: Caller) -> Begun:
    """The page at Stripe for this wish: a new one, or the one that this buyer has open for the same.

    Raises:
        Declined: what is wanted is wrong or can't be had; it was bought a moment ago (`just_bought`); the key stands
            for another purchase (`key_reused`); that is too much (`too_many_requests`); checkout is off.
        Retryable: Stripe, the panel or the database is away; the same request may be sent again.
    """
    page = shop.page
    await limits.may_ask(shop, caller)
    wanted, key = await goods.goods_of(shop, wish, caller), shop.own_key(caller)
    for _ in range(ROUNDS):
        now = await shop.db.now()
        known = await orders.known_of(
            shop.db,
            buyer_of(wanted.terms),
            key=key,
            livemode=shop.settings.livemode,
            since=now - JUST_BOUGHT,
        )
        elsewhere = await limits.elsewhere(shop, caller, [order.id for order in known])
        match decide(wanted.terms, known, now, again=wish.again, key=key, elsewhere=elsewhere):
            case KeyTaken(order):
                detail = "this Idempotency-Key stands for another purchase: send a new one"
                raise Declined("key_reused", detail, about={"orderId": order.id})
            case JustBought(order, may_repeat):
                _just_bought(order, may_repeat=may_repeat, named=order.id not in elsewhere)
            case Share(order):
                await limits.shares(shop, order, elsewhere)
                if order.state is OrderState.PENDING and order.session_id is None and not wish.again:
                    await not_collected(shop, order, order.created_at - JUST_BOUGHT)  # who began it may have died here
                return await _session(shop, order, named=order.id not in elsewhere)
            case Begin(expire, alone):
                await goods.must_be_free(shop, wanted.terms, caller)
                for old in expire:
                    await _give_up(shop, old)
                written = await _written(shop, wanted, page, caller, alone=alone)
                if written is not None:
                    log.info("order_begun", order=written.id, price=written.terms.billing_plan_id)
                    if not wish.again:
                        await not_collected(shop, written, written.created_at - JUST_BOUGHT)
                    return await _session(shop, written)
    raise Declined("busy", "several purchases of this buyer begin at one time: try again in a moment")


async def _session(shop: Shop, order: Order, *, named: bool = True) -> Begun:
    """Where the buyer of an order pays.

    Args:
        named: whether the caller may learn its id where it is over.
    """
    if order.state is OrderState.PENDING:
        order = await making.made(shop, order.id)
    if order.state is OrderState.PENDING and order.session_id and order.session_url:
        return Begun(order_id=order.id, session_id=order.session_id, url=order.session_url)
    if order.state in (OrderState.PAYING, OrderState.PAID):
        _just_bought(order, may_repeat=False, named=named)
    if order.session_id is not None:  # given up while it was being made: nobody is to pay it
        await making.ended(shop, order.session_id)
    detail = f"this purchase is {order.state.value}: begin anew, with a new Idempotency-Key if you send one"
    raise Declined("order_over", detail, about={"orderId": order.id} if named else {})


async def _give_up(shop: Shop, old: Order) -> None:
    complete = await making.give_up(shop, old)
    if complete is not None:
        await making.look_again(shop, old.id)
        _just_bought(old, may_repeat=False)


async def _written(shop: Shop, wanted: Goods, page: Page, caller: Caller, *, alone: bool) -> Order | None:
    """The order, written with all that is frozen; `None`: another one stands in its place.

    Args:
        alone: nobody ever shares it.
    """
    now = await shop.db.now()
    order = await _frozen(shop, wanted, page, caller, now)
    if alone:
        order = replace(order, buyer=None)

    async def work(connection: Connection) -> bool:
        if not await orders.begin(connection, order, _cause(caller)):
            return False
        await limits.begins(connection, shop, caller, order)
        await making.looked_at_later(connection, order)
        return True

    return order if await shop.db.transact(work) else None


async def _frozen(shop: Shop, wanted: Goods, page: Page, caller: Caller, now: datetime) -> Order:
    """An order with its fees and the very request to Stripe, none of which changes any more."""
    terms, amount, order_id = wanted.terms, wanted.amount, str(uuid4())
    currency, plan = wanted.price.currency, terms.billing_plan_id
    rules = await fees.rules(shop.db, currency, provider=Provider.STRIPE, billing_plan_id=plan, at=now)
    lines = fee_policy.fees(
        rules, amount or 0, currency, provider=Provider.STRIPE, billing_plan_id=plan, started_at=now
    )
    if amount is not None:
        amount += sum(line.amount for line in fee_policy.of_buyer(lines))
    on_page = Lines(currency, wanted.price.metered, wanted.price.tax_behavior, lines)
    expires_at = now + SESSION_LIFE
    order = Order(
        id=order_id,
        provider=Provider.STRIPE,
        origin=Origin.CHECKOUT,
        terms=terms,
        created_at=now,
        livemode=shop.settings.livemode,
        buyer=buyer_of(terms),
        fingerprint=fingerprint(terms),
        idempotency_key=shop.own_key(caller),
        request=FrozenRequest(session_request(order_id, terms, page, expires_at, on_page)),
        expires_at=expires_at.replace(microsecond=0),
        currency=currency,
        amount=amount,
        fees=lines,
    )
    if terms.seller_id is None or amount is None:
        return order
    return replace(order, seller_net=fee_policy.seller_net(amount, lines))


def _cause(caller: Caller) -> str:
    return f"admin:{caller.actor}" if caller.actor else making.CAUSE


def _just_bought(order: Order, *, may_repeat: bool, named: bool = True) -> NoReturn:
    detail = (
        'this was bought a moment ago: send "again": true if it is meant to be bought once more'
        if may_repeat
        else "this has been paid, or its payment is under way: look at the order before buying it once more"
    )
    about: dict[str, str | bool] = {"orderId": order.id} if named else {}
    raise Declined("just_bought", detail, about={**about, "mayRepeat": may_repeat})
