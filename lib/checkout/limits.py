"""How much one address or mailbox may ask for: counted over all processes, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from lib.checkout.shop import Caller, Shop
from lib.database import checkout_limits, orders
from lib.database.checkout_limits import LONGEST_WINDOW
from lib.database.connection import Connection
from lib.errors import Declined
from lib.model.money import Order
from lib.policy.counted import mailbox
from lib.policy.purchases import is_by_address

WINDOW = timedelta(minutes=10)

ASKS_FOR_EACH_PURCHASE = 10
"""How often somebody may ask, for each purchase that they may begin."""

READS = 12
"""How often Stripe is read for one purchase whose buyer is looking at it."""

READ_EVERY = timedelta(seconds=4)


async def may_ask(shop: Shop, caller: Caller) -> None:
    """Count a request.

    Raises:
        Declined: `too_many_requests`. Who brings a key is never counted.
    """
    if caller.actor:
        return
    subject, most = shop.digest(f"ask:{caller.network}"), shop.settings.checkout_limit * ASKS_FOR_EACH_PURCHASE
    if await checkout_limits.count(shop.db, subject, await shop.db.now(), window=WINDOW) > most:
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


async def shares(shop: Shop, caller: Caller, order: Order) -> None:
    """Remember that an open page is given to somebody who asks from elsewhere, by nothing but the buyer's e-mail.

    An address can be typed by anybody, so that the session's id is no credential any more: it opens no billing portal,
    and leads to no address.
    """
    if not order.shared and order.id in await elsewhere(shop, caller, [order]):
        await orders.give_away(shop.db, order.id)


async def elsewhere(shop: Shop, caller: Caller, known: Iterable[Order]) -> frozenset[str]:
    """Orders of a buyer that are joined to this caller by nothing but an e-mail, and were begun in another network."""
    if caller.actor:
        return frozenset()
    mine = {_from(shop, caller, order.id): order.id for order in known if is_by_address(order.buyer)}
    begun_here = await checkout_limits.known(shop.db, list(mine)) if mine else set()
    return frozenset(order_id for subject, order_id in mine.items() if subject not in begun_here)


def _from(shop: Shop, caller: Caller, order_id: str) -> str:
    return shop.digest(f"from:{order_id}:{caller.network}")


async def may_read(shop: Shop, caller: Caller, session_id: str) -> bool:
    """Whether Stripe may be read once more for whoever looks at this purchase."""
    now = await shop.db.now()
    if await checkout_limits.count(shop.db, shop.digest(f"lately:{session_id}"), now, window=READ_EVERY) > 1:
        return False
    ever = await checkout_limits.count(shop.db, shop.digest(f"read:{session_id}"), now, window=timedelta(days=1))
    mine = await checkout_limits.count(shop.db, shop.digest(f"read:{caller.network}"), now, window=WINDOW)
    return ever <= READS and mine <= shop.settings.checkout_limit * ASKS_FOR_EACH_PURCHASE


def _too_many(most: int) -> Declined:
    minutes = int(WINDOW.total_seconds() // 60)
    return Declined("too_many_requests", f"that is more than {most} within {minutes} minutes: try again later")
