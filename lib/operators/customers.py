"""Customers for operators: found by what one knows of them, and one with everything that is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lib.database import customer_memory, ledger
from lib.database.lists import orders, queue
from lib.database.lists.customers import CustomerFilter, CustomerRow, customers
from lib.database.lists.timeline import timeline
from lib.errors import Declined
from lib.log import get_logger
from lib.model import CustomerKey
from lib.model.reason import Rule
from lib.operators import undo
from lib.operators.views.customers import CustomerView, LoginLink, Queued, Timeline, TimelineEntry
from lib.operators.views.orders import OrderView
from lib.web.page import pack_cursor, unpack_cursor

if TYPE_CHECKING:
    from lib.bridge import Bridge

log = get_logger()

TIMELINE = "timeline"

ORDERS = 20
"""The newest orders that one customer shows; the list of orders has them all."""


async def search(
    bridge: Bridge, found: CustomerFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[CustomerRow], tuple[Any, ...] | None]:
    """A page of customers, and the key behind which the next one begins."""
    return await customers(bridge.db, found, after, limit)


async def show(
    bridge: Bridge, customer_id: str, *, cursor: str | None, limit: int, planned: bool, live: bool
) -> CustomerView:
    """One customer with services, queue and a page of their timeline.

    Args:
        cursor: where the page of the timeline begins.
        planned: also what shadow mode only wrote down.
        live: ask Stripe and the panel as well, and tell what a pass would do.

    Raises:
        Declined: nothing is remembered of them, and nothing is in the queue.
    """
    after = unpack_cursor(TIMELINE, cursor, datetime, str, str)
    whom = CustomerKey.read(customer_id)
    memory, _ = await customer_memory.load(bridge.db, whom)
    queued = await queue.row_of(bridge.db, whom)
    happened, key = await timeline(bridge.db, whom, after, limit, planned=planned)
    bought, _ = await orders.listing(bridge.db, orders.OrderFilter(customer=whom), None, ORDERS)
    ever = memory.known or queued or happened or bought or (await timeline(bridge.db, whom, None, 1, planned=True))[0]
    if not ever:
        raise Declined("unknown_customer", f"nothing is remembered of {customer_id}", field="id")
    explanation = None
    if live:
        from lib.operators.explain import explain

        explanation = (await explain(bridge, customer_id, facts=0)).as_json()
        explanation.pop("timeline")
    entries = [TimelineEntry.of_happened(one, undo.of_happened(one, memory)) for one in happened]
    page = Timeline(data=entries, next_cursor=pack_cursor(TIMELINE, key) if key else None)
    standing = Queued.of_row(queued) if queued else None
    views = [OrderView.of_order(order) for order in bought]
    return CustomerView.of_memory(memory, queue=standing, timeline=page, orders=views, explanation=explanation)


async def login(bridge: Bridge, actor: str, customer_id: str, reason: str | None) -> LoginLink:
    """A link into the panel as the customer's owner. The ledger says who asked, before they are let in; never the link.

    Raises:
        Declined: nothing of them is in the panel. Refused, Retryable: the panel gives none just now.
    """
    whom = CustomerKey.read(customer_id)
    memory, _ = await customer_memory.load(bridge.db, whom)
    if memory.org_id is None or memory.member_id is None:
        raise Declined("unknown_customer", f"{customer_id} has no login in the panel", field="customerId")
    entry = ledger.Entry(
        str(uuid4()), "noted", "login_as", customer_id, rule=Rule.BY_HAND, facts={"reason": reason}, actor=actor
    )
    await ledger.record(bridge.db, [entry])
    log.warning("login_as", actor=actor, customer=customer_id)
    return LoginLink(url=await bridge.enhance.sign_on(memory.org_id, memory.member_id))
