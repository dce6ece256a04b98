"""`/api/admin/customers`: find people by what one knows of them, see one with everything, and log in as them."""

from __future__ import annotations

from typing import Any, Literal

from lib.bridge import current
from lib.database.lists.customers import CustomerFilter
from lib.model import CustomerKey
from lib.operators import bodies, customers
from lib.operators.views.customers import CustomerSummary, CustomerView, LoginLink
from lib.web import Ask, Verb, admin, endpoint
from lib.web.page import Listing, Page, csv_answer, every, pack_cursor, unpack_cursor, wants_csv
from lib.web.response import Response
from lib.web.typed import CustomerId, Text

COLUMNS = ("customerId", "email", "name", "orgId", "services", "holds", "domains", "reason", "dueAt", "createdAt")


class Query(Listing):
    """Texts match from their beginning, in any case. With `id`: one customer, and a page of their timeline."""

    email: Text | None = None
    name: Text | None = None
    domain: Text | None = None
    identifier: CustomerId | None = None
    reason: Text | None = None
    hold: Literal["unpaid", "paused", "ended", "dispute", "refund", "admin"] | None = None
    state: Literal["pending", "live", "suspended", "terminated"] | None = None
    id: CustomerId | None = None
    planned: bool = False
    live: bool = False


async def show(ask: Ask[Query]) -> Any:
    """A page of customers, the whole list as CSV, or one customer."""
    bridge, given = current(), ask.given
    if given.id is not None:
        return await customers.show(
            bridge, given.id, cursor=given.cursor, limit=given.limit, planned=given.planned, live=given.live
        )
    found = CustomerFilter(
        email=given.email,
        name=given.name,
        domain=given.domain,
        id=CustomerKey.read(given.identifier).id if given.identifier else None,
        reason=given.reason,
        hold=given.hold,
        state=given.state,
    )
    if wants_csv(ask.request):
        return _csv(found)
    of = f"customers.{found.order}"
    after = unpack_cursor(of, given.cursor, *found.key_types)
    rows, key = await customers.search(bridge, found, after, given.limit)
    page: Page[CustomerSummary] = Page(
        data=[CustomerSummary.of_row(row) for row in rows], next_cursor=pack_cursor(of, key) if key else None
    )
    return page


def _csv(found: CustomerFilter) -> Response:
    bridge = current()

    async def rows() -> Any:
        async for row in every(lambda after: customers.search(bridge, found, after, 1000)):
            services = [f"{state}:{count}" for state, count in sorted(row.states.items())]
            yield (
                row.key, row.email, row.name, row.org_id, services, row.holds, row.domains,
                row.parked_reason, row.due_at, row.created_at,
            )  # fmt: skip

    return csv_answer("customers", COLUMNS, rows())


async def act(ask: Ask[bodies.LoginAs]) -> LoginLink:
    """`{"action": "login", "customerId"}`: a link into the panel as their owner; the ledger says who asked."""
    return await customers.login(current(), ask.actor, ask.given.customer_id, ask.given.reason)


app = endpoint(
    guard=admin,
    GET=Verb(show, query=Query, answers={200: Page[CustomerSummary] | CustomerView}, csv=True),
    POST=Verb(act, body=bodies.LoginAs, answers={200: LoginLink}),
)
