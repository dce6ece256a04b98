"""How much one address or mailbox may ask for: counted over all processes, in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from lib.checkout.shop import Caller, Shop
from lib.database import checkout_limits, orders
from lib.database.checkout_limits import LONGEST_WINDOW
from lib.database.connection import Connection
from lib.errors import Declined
from lib.model.money import Order
from lib.policy.counted import mailbox

WINDOW = timedelta(minutes=10)

ASKS_FOR_EACH_PURCHASE = 10
"""How often somebody may ask, for each purchase that they may begin."""

READS = 12
"""How often Stripe is read for one purchase whose buyer is looking at it."""

READ_EVERY = timedelta(seconds=4)

LOOKS = 60
"""How often Stripe is asked within `WINDOW` for sessions that nobody here knows, whoever looks."""


async def may_ask(shop: Shop, caller: Caller) -> None:
    """Count a request.

    Raises:
        Declined: `too_many_requests`. Who brings a key is never counted.
    """
    if caller.actor:
        return
    subject, most = shop.digest(f"ask:{caller.network}"), shop.settings.checkout_limit * ASKS_FOR_EACH_PURCHASE
    if not await checkout_limits.count(shop.db, subject, await shop.db.now(), window=WINDOW, most=most):
        raise _too_many(most)


async def begins(connection: Connection, shop: Shop, caller: Caller, order: Order) -> None:
    """Count a purchase for the address and the mailbox that begin it, in the transaction that writes it.

    So that only those count that are new, however often they are asked for.

    Raises:
        Declined: `too_many_requests`.
    """
    if caller.actor:
        return
    now, email = order.created_at, order.terms.email
    await checkout_limits.count_with(connection, _from(shop, caller, order.id), now, window=LONGEST_WINDOW)
    most = shop.settings.checkout_limit
    subjects = [f"begin:{caller.network}", *([mailbox(email)] if email else [])]
    for subject in sorted(shop.digest(subject) for subject in subjects):  # in one order, so that nobody waits in a ring
        if await checkout_limits.count_with(connection, subject, now, window=WINDOW) > most:
            raise _too_many(most)


async def shares(shop: Shop, order: Order, elsewhere: Collection[str]) -> None:
    """Remember that an open page is given to somebody who asks from elsewhere.

    An address can be typed by anybody, and a reference be guessed, so that the session's id is no credential any more:
    it opens no billing portal, and leads to no address.
    """
    if order.id in elsewhere and not order.shared:
        await orders.give_away(shop.db, order.id)


async def elsewhere(shop: Shop, caller: Caller, order_ids: Iterable[str]) -> frozenset[str]:
    """Which of these orders were begun in another network than this caller's, who may be anybody."""
    if caller.actor:
        return frozenset()
    mine = {_from(shop, caller, order_id): order_id for order_id in order_ids}
    begun_here = await checkout_limits.known(shop.db, list(mine)) if mine else set()
    return frozenset(order_id for subject, order_id in mine.items() if subject not in begun_here)


def _from(shop: Shop, caller: Caller, order_id: str) -> str:
    return shop.digest(f"from:{order_id}:{caller.network}")


async def may_read(shop: Shop, caller: Caller, order: Order) -> bool:
    """Whether Stripe may be read once more for whoever looks at this purchase."""
    now, session_id = await shop.db.now(), order.session_id
    lately, ever = shop.digest(f"lately:{session_id}"), shop.digest(f"read:{session_id}")
    return (
        await checkout_limits.count(shop.db, lately, now, window=READ_EVERY, most=1)
        and await _reads(shop, caller, now)
        and await checkout_limits.count(shop.db, ever, now, window=timedelta(days=1), most=READS)
    )


async def may_look(shop: Shop, caller: Caller) -> bool:
    """Whether Stripe may be asked for a session that nobody here knows.

    Anybody can make up an id. So Stripe is asked only while the answer to a request of ours is missing, and for all
    strangers together no more than `LOOKS` times; nothing is kept of an id.
    """
    if not await orders.some_unanswered(shop.db):
        return False
    now = await shop.db.now()
    everybody = shop.digest("look")
    return await _reads(shop, caller, now) and await checkout_limits.count(
        shop.db, everybody, now, window=WINDOW, most=LOOKS
    )


async def _reads(shop: Shop, caller: Caller, now: datetime) -> bool:
    subject, most = shop.digest(f"read:{caller.network}"), shop.settings.checkout_limit * ASKS_FOR_EACH_PURCHASE
    return await checkout_limits.count(shop.db, subject, now, window=WINDOW, most=most)


def _too_many(most: int) -> Declined:
    minutes = int(WINDOW.total_seconds() // 60)
    return Declined("too_many_requests", f"that is more than {most} within {minutes} minutes: try again later")
