"""One order, one session: how it is made, found again and ended, wherever a call or a process dies.

The order stands in the database with its whole request before Stripe is asked, and when the key was first used stands
there before it is. Whoever comes later, in whichever process, sends the same bytes under the same key and gets the same
session; and where Stripe repeats a failure under a key, the session is looked for before another key is used.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from lib.checkout.shop import Desk
from lib.database import due, orders
from lib.database.connection import Connection
from lib.errors import Declined, Incomplete, NotFound, OutcomeUnknown, Refused, Unavailable
from lib.kinds import nudge
from lib.log import get_logger
from lib.model import Priority
from lib.model.money import FrozenRequest, Order, OrderFact, OrderState, Step, StepKind, StepState
from lib.model.stripe_money import SeenSession
from lib.policy import learnt
from lib.policy.purchases import LookFirst, Send, how_to_ask
from lib.structs import replace

log = get_logger()

CAUSE = "checkout"

UNDER_WAY = timedelta(seconds=8)
"""For how long somebody who asks for the session of an order leaves it to whoever began to."""

LOOK_EVERY = (0.05, 0.5)
"""Seconds between two looks, growing."""

SKEW = timedelta(minutes=5)
"""How far Stripe's clock may be from the database's."""

_TYPED = {"customer_email": "email", "line_items[0][quantity]": "quantity"}
"""What a buyer typed, by Stripe's name of it in our request."""

ROUNDS = 3
"""How often a stored failure is answered by another key, in one go."""


async def made(desk: Desk, order_id: str) -> Order:
    """The order with its open session; or as it is by now, when there is none to be had any more.

    Raises:
        Declined: `checkout_refused`, with Stripe's words, and the field where they are about one; the order has failed.
        Retryable: it could not be made just now, and the same request may be sent again.
    """
    stored_error = False
    for _ in range(ROUNDS):
        order, first = await _ready(desk, order_id)
        if order.session_id is not None or order.state is not OrderState.PENDING:
            return order
        if not first and not stored_error:
            order = await _others(desk, order)
            if order.session_id is not None or order.state is not OrderState.PENDING:
                return order
        now = await desk.db.now()
        how = how_to_ask(order, now, stored_error=stored_error)
        if isinstance(how, LookFirst):
            session = await look(desk, order)
            if session is None:
                await _next_key(desk, order, how)
                stored_error = False
                continue
            return await remember(desk, order.id, session)
        try:
            return await _ask(desk, order, how)
        except OutcomeUnknown as error:
            if not error.answered:
                raise
            stored_error = True
    raise Unavailable("Stripe fails again and again: try again in a moment")


async def _ready(desk: Desk, order_id: str) -> tuple[Order, bool]:
    """The order, with when its key is first used written down; and whether it is we who use it first."""
    now = await desk.db.now()

    async def work(connection: Connection) -> tuple[Order, bool]:
        order = await orders.locked(connection, order_id)
        if order is None or order.request is None:
            raise Declined("order_over", "this purchase is over: begin anew")
        if order.session_id is not None or order.state is not OrderState.PENDING or order.request.sent_at is not None:
            return order, False
        request = replace(order.request, sent_at=now)
        order = replace(order, request=request)
        await orders.save(connection, order)
        step = Step(StepKind.SESSION, StepState.STARTED, CAUSE, detail={"key": request.key_number})
        await orders.log(connection, order.id, step)
        return order, True

    return await desk.db.transact(work)


async def _others(desk: Desk, order: Order) -> Order:
    """Wait for whoever asked first, as long as an answer may still come to them."""
    sent = order.request.sent_at if order.request else None
    now = await desk.db.now()
    left = (sent + UNDER_WAY - now).total_seconds() if sent else 0.0
    end, nap = time.monotonic() + left, LOOK_EVERY[0]
    while time.monotonic() < end:
        await asyncio.sleep(nap)
        nap = min(nap * 1.5, LOOK_EVERY[1])
        found = await orders.find(desk.db, order.id)
        if found is not None and (found.session_id is not None or found.state is not OrderState.PENDING):
            return found
    return order


async def _ask(desk: Desk, order: Order, how: Send) -> Order:
    assert order.request is not None
    try:
        session = await desk.stripe.create_session(order.request.parameters, how.key)
    except Refused as error:
        await _refused(desk, order.id, str(error))
        log.error("checkout_refused", order=order.id, error=str(error))
        raise Declined("checkout_refused", str(error), field=_TYPED.get(error.param or "")) from error
    return await remember(desk, order.id, session)


async def look(desk: Desk, order: Order) -> SeenSession | None:
    """The session of an order whose answer was lost; `None`: there is certainly none under the present key."""
    return await desk.stripe.session_of(order.id, order.created_at - SKEW, await desk.db.now() + SKEW)


async def _next_key(desk: Desk, order: Order, how: LookFirst) -> None:
    """Use another key from now on, unless somebody else has begun to."""
    assert order.request is not None
    before = order.request.key_number

    async def work(connection: Connection) -> None:
        current = await orders.locked(connection, order.id)
        if current is None or current.request is None or current.session_id is not None:
            return
        if current.state is not OrderState.PENDING or current.request.key_number != before:
            return
        renewed = FrozenRequest(current.request.parameters, how.key_number)
        await orders.save(connection, replace(current, request=renewed))
        step = Step(StepKind.SESSION, StepState.FAILED, CAUSE, detail={"key": before}, error="no answer to keep")
        await orders.log(connection, order.id, step)

    await desk.db.transact(work)


async def _refused(desk: Desk, order_id: str, why: str) -> None:
    now = await desk.db.now()

    async def work(connection: Connection) -> None:
        moved = await orders.apply(connection, order_id, OrderFact.REFUSED, CAUSE, now)
        if moved is not None:
            await orders.log(connection, order_id, Step(StepKind.SESSION, StepState.FAILED, CAUSE, error=why))

    await desk.db.transact(work)


async def remember(desk: Desk, order_id: str, session: SeenSession) -> Order:
    """Write down the session of an order; the order as it is then.

    An order that was given up meanwhile keeps the session's id, so that it is seen to be ended.

    Raises:
        Incomplete: it is not the session that we asked for.
    """

    async def work(connection: Connection) -> Order:
        order = await orders.locked(connection, order_id)
        if order is None:
            raise Declined("order_over", "this purchase is over: begin anew")
        if order.session_id is not None:
            return order
        if not learnt.is_session_of(order, session):
            raise Incomplete(f"Stripe's Checkout session {session.id} is not that of order {order_id}")
        known = replace(order, session_id=session.id, session_url=session.url, expires_at=session.expires_at)
        await orders.save(connection, known)
        await orders.log(connection, order_id, Step(StepKind.SESSION, StepState.SUCCEEDED, CAUSE, subject=session.id))
        return known

    return await desk.db.transact(work)


async def ended(desk: Desk, session_id: str) -> SeenSession | None:
    """End a session if it is open; it as it is then: expired, or complete because the buyer was faster.

    `None`: Stripe does not know it. It is of another account, or was deleted with its test data: nobody can pay it.
    """
    try:
        return await desk.stripe.expire_session(session_id)
    except Refused:  # it is not open: which way it ended is asked, not guessed
        try:
            found = await desk.stripe.session(session_id)
        except NotFound as error:
            log.warning("object_unknown", kind="session", error=str(error))
            return None
        if found.status == "open":
            raise Unavailable(f"Stripe neither ends nor keeps the Checkout session {session_id}") from None
        return found


async def give_up(desk: Desk, order: Order, cause: str = CAUSE) -> SeenSession | None:
    """End an open order because its buyer wants something else, or pays otherwise: nobody can pay it any more then.

    Returns:
        Its session when that turned out to be complete: the buyer has bought it, and the order's own pass says so.

    Raises:
        Retryable: it is not certain that nobody can pay it.
    """
    session_id = order.session_id
    if session_id is None:
        if await _given_up_unsent(desk, order.id, cause):
            return None
        session = await _lost(desk, order.id)
        if session is None:
            await _cancelled(desk, order.id, cause)
            return None
        session_id = session.id
    left = await ended(desk, session_id)
    if left is not None and left.status == "complete":
        return left
    await _cancelled(desk, order.id, cause, session_id)
    return None


async def _given_up_unsent(desk: Desk, order_id: str, cause: str) -> bool:
    """Cancel an order for which Stripe was never asked; whoever was about to finds it over. False: it may have been."""
    now = await desk.db.now()

    async def work(connection: Connection) -> bool:
        order = await orders.locked(connection, order_id)
        if order is None or order.state is not OrderState.PENDING:
            return True
        if order.session_id is not None or (order.request is not None and order.request.sent_at is not None):
            return False
        await orders.apply(connection, order_id, OrderFact.CANCELLED, cause, now)
        return True

    return await desk.db.transact(work)


async def _lost(desk: Desk, order_id: str) -> SeenSession | None:
    """The session of an order that somebody asked for, whose answer nobody has written down; `None`: there is none.

    Under a key that still holds, asking once more is the only way to be certain that nobody makes it afterwards.
    """
    order = await orders.find(desk.db, order_id)
    if order is None or order.request is None:
        return None
    if order.session_id is not None:
        return await desk.stripe.session(order.session_id)
    how = how_to_ask(order, await desk.db.now())
    if isinstance(how, LookFirst):
        session = await look(desk, order)
    else:
        try:
            session = await desk.stripe.create_session(order.request.parameters, how.key)
        except Refused:
            return None
        except OutcomeUnknown as error:
            if not error.answered:
                raise
            session = await look(desk, order)
    if session is not None:
        await remember(desk, order_id, session)
    return session


async def _cancelled(desk: Desk, order_id: str, cause: str, session_id: str | None = None) -> None:
    now = await desk.db.now()

    async def work(connection: Connection) -> None:
        moved = await orders.apply(connection, order_id, OrderFact.CANCELLED, cause, now)
        if moved is not None and session_id is not None:
            step = Step(StepKind.SESSION, StepState.SUCCEEDED, cause, subject=session_id, detail={"expired": True})
            await orders.log(connection, order_id, step)

    await desk.db.transact(work)


async def look_again(desk: Desk, order_id: str) -> tuple[str, str]:
    """Let the order's own pass look at it now: Stripe says something that the order does not."""
    await due.mark(desk.db, [nudge("order", order_id)])
    return "order", order_id


async def looked_at_later(connection: Connection, order: Order) -> None:
    """Let the order's own pass look at it once nobody can pay it any more, whatever became of its buyer."""
    if order.expires_at is not None:
        at = order.expires_at + SKEW
        await due.nudge(connection, [nudge("order", order.id)], at=at, priority=Priority.ROUTINE)
