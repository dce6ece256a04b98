"""The verb of `GET /api/checkout`: how a purchase stands, by our records, and by Stripe's while its event is awaited.

The id of a session is all that a buyer has. It leads to that one purchase, and to nothing of who bought it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from lib.checkout import limits, making
from lib.checkout.shop import Caller, Shop
from lib.checkout.views import Progress, Status, StepView, Urls
from lib.database import orders, selling
from lib.database.selling import Made
from lib.errors import Declined, NotFound, Retryable
from lib.log import get_logger
from lib.model.money import Order, OrderState
from lib.model.stripe_money import SeenSession
from lib.policy import learnt

log = get_logger()

_OPEN = (OrderState.PENDING, OrderState.PAYING)


class Shown(Struct, frozen=True):
    """What a buyer is told, and what is to be done about it once they are."""

    status: Status
    nudges: tuple[tuple[str, str], ...] = ()
    """Made due just now, because Stripe says something that our records do not: its event may be lost."""


async def show(shop: Shop, session_id: str, caller: Caller) -> Shown:
    """How the purchase of a session stands.

    Raises:
        Declined: `unknown_session`: there is none here, or it is somebody else's shop.
    """
    _ = shop.page  # who does not sell here tells nothing
    if session_id.startswith("cs_live_") is not shop.settings.livemode:
        raise _unknown()
    order = await orders.find_by_session(shop.db, session_id)
    session = await _read(shop, session_id, caller, order)
    if order is None and session is not None:
        order = await _begun_here(shop, session)
    if order is None:
        raise _unknown()
    nudges: tuple[tuple[str, str], ...] = ()
    if session is not None and _is_news(order, session):
        nudges = (await making.look_again(shop, order.id),)
    subscription = order.subscription_id or (session.subscription_id if session else None)
    made = await selling.made_for(shop.db, subscription) if subscription else []
    state = progress(order.state, session, made)
    told = Status(order_id=order.id, state=state, steps=steps(state, made), urls=_urls(shop, order, state, made))
    return Shown(told, nudges)


def progress(state: OrderState, session: SeenSession | None, made: Sequence[Made]) -> Progress:
    """What a buyer is told. Never more than is certain: what is not paid is not called so.

    Args:
        session: what Stripe says, where our own records wait for its event.
        made: what was bought, as far as it is there.
    """
    if state in _OPEN and session is not None:
        if session.paid:
            state = OrderState.PAID
        elif session.status == "complete":
            state = OrderState.PAYING
        elif session.status == "expired" and state is OrderState.PENDING:
            state = OrderState.EXPIRED
    match state:
        case OrderState.PAID if made and all(_ready(service) for service in made):
            return "ready"
        case OrderState.PAID if any(service.state == "pending" or _waits(service) for service in made):
            return "provisioning"
    told: dict[OrderState, Progress] = {
        OrderState.PENDING: "pending",
        OrderState.PAYING: "paying",
        OrderState.PAID: "paid",
        OrderState.REFUNDED: "refunded",
        OrderState.FAILED: "failed",
        OrderState.EXPIRED: "expired",
    }
    return told[state]


def steps(state: Progress, made: Sequence[Made]) -> list[StepView]:
    """What is made for a buyer, in its order; nothing before it is paid."""
    if state not in ("provisioning", "ready") or not made:
        return []
    found = [
        StepView(name="account", done=all(service.account and service.login for service in made)),
        StepView(name="hosting", done=all(service.state != "pending" for service in made)),
    ]
    if any(service.domain for service in made):
        found.append(StepView(name="website", done=not any(_waits(service) for service in made)))
    return found


def _ready(service: Made) -> bool:
    return service.state == "live" and not _waits(service)


def _waits(service: Made) -> bool:
    """Whether its website is still to come."""
    return service.domain is not None and not service.website


def _urls(shop: Shop, order: Order, state: Progress, made: Sequence[Made]) -> Urls:
    """Where the buyer goes from here; whoever may have got the session's id by a typed e-mail is led nowhere."""
    again = shop.page.cancel_url if state in ("failed", "expired") else None
    if order.shared:
        return Urls(again=again)
    site = next((service.domain for service in made if service.domain and service.website), None)
    pay = order.session_url if state == "pending" else order.hosted_invoice_url if state == "failed" else None
    return Urls(
        pay=pay,
        site=f"https://{site}" if state == "ready" and site else None,
        panel=shop.settings.enhance_api_url.removesuffix("/api") if state == "ready" else None,
        again=again,
    )


async def _read(shop: Shop, session_id: str, caller: Caller, order: Order | None) -> SeenSession | None:
    """What Stripe says of a session, if it is to be asked and may be once more; `None`: nothing new."""
    if order is None:
        may = await limits.may_look(shop, caller)
    else:
        may = order.state in _OPEN and await limits.may_read(shop, caller, order)
    if not may:
        return None
    try:
        return await shop.stripe.session(session_id)
    except NotFound:
        return None
    except Retryable as error:  # our own records are answer enough
        log.warning("session_not_read", error=str(error))
        return None


async def _begun_here(shop: Shop, session: SeenSession) -> Order | None:
    """The order of a session whose answer was lost on its way to us; `None`: somebody else began it."""
    order = await orders.find(shop.db, session.order_id) if session.order_id else None
    if order is None or order.session_id is not None or not learnt.is_session_of(order, session):
        return None
    return await making.remember(shop, order.id, session)


def _is_news(order: Order, session: SeenSession) -> bool:
    return session.status != "open" and (order.state is OrderState.PENDING or session.paid)


def _unknown() -> Declined:
    return Declined("unknown_session", "no purchase was begun here with this session")
