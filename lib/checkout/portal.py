"""The verb of `POST /api/portal`: a link to Stripe's billing portal, for a buyer who has just paid, or for an admin.

The id of a session stands in an address, and is a weak credential: it opens the portal for an hour, and no longer.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from lib.checkout import limits
from lib.checkout.bodies import Portal
from lib.checkout.shop import Caller, Shop
from lib.checkout.views import PortalLink
from lib.database import orders
from lib.errors import Declined, NotFound
from lib.model.money import OrderState

GOOD_FOR = timedelta(hours=1)
"""How long after its checkout a session opens the portal."""


async def link(shop: Shop, wish: Portal, caller: Caller) -> PortalLink:
    """A link to the portal, to be followed at once.

    Raises:
        Declined: the portal is off; the session is not one that was completed here within the last hour.
    """
    back = shop.portal_return_url
    if wish.customer_id is not None and not caller.actor:
        raise Declined("unauthorized", "customerId takes a key of ADMIN_API_KEY as Authorization: Bearer ...")
    await limits.may_ask(shop, caller)
    customer_id = wish.customer_id or await _buyer(shop, wish.session_id or "")
    try:
        url = await shop.stripe.create_portal(customer_id, back, str(uuid4()))
    except NotFound:
        raise Declined("unknown_customer", f"Stripe knows no customer {customer_id}", field="customerId") from None
    return PortalLink(url=url)


async def _buyer(shop: Shop, session_id: str) -> str:
    """Who bought by this session, if that was begun here and completed within the hour."""
    order = await orders.find_by_session(shop.db, session_id)
    if order is None or order.livemode is not shop.settings.livemode:
        raise _not_good()
    if order.shared or order.state not in (OrderState.PENDING, OrderState.PAYING, OrderState.PAID):
        raise _not_good()
    now = await shop.db.now()
    # A bank debit is paid days after its buyer was here.
    known = [at for at in (await orders.left_open_at(shop.db, order.id), order.paid_at) if at is not None]
    if known and now >= min(known) + GOOD_FOR:
        raise _not_good()
    try:
        session = await shop.stripe.session(session_id)
    except NotFound:
        raise _not_good() from None
    # When it was completed only our own record says; while that waits for the event, when it was made is what counts.
    fresh = known or now < session.created + GOOD_FOR
    ours = session.reference == session.order_id == order.id
    if session.status != "complete" or not ours or session.customer_id is None or not fresh:
        raise _not_good()
    return session.customer_id


def _not_good() -> Declined:
    return Declined(
        "unknown_session",
        "this opens no portal: it takes the session of a checkout that was completed here within the last hour",
        field="sessionId",
    )
