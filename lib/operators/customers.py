"""Customers for operators: found by what one knows of them, and one with everything that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.database import customer_memory
from lib.database.lists import orders, queue
from lib.database.lists.customers import CustomerFilter, CustomerRow, customers
from lib.database.lists.timeline import timeline
from lib.errors import Declined
from lib.model import CustomerKey
from lib.operators.views.customers import CustomerView, Queued, Timeline, TimelineEntry
from lib.operators.views.orders import OrderView
from lib.web.page import pack_cursor, unpack_cursor

if TYPE_CHECKING:
    from lib.bridge import Bridge

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
    after = unpack_cursor(TIMELINE, cursor, str, str, str)
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
    entries = [TimelineEntry.of_happened(one) for one in happened]
    page = Timeline(data=entries, next_cursor=pack_cursor(TIMELINE, key) if key else None)
    standing = Queued.of_row(queued) if queued else None
    views = [OrderView.of_order(order) for order in bought]
    return CustomerView.of_memory(memory, queue=standing, timeline=page, orders=views, explanation=explanation)
