"""`/api/admin/orders`: every order with its numbers, refunds, and offline money by hand, by a bank or by a courier."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec

from lib.bridge import current
from lib.checkout.till import Till
from lib.database.lists.orders import OrderFilter
from lib.errors import Fault
from lib.model import CustomerKey
from lib.model.money import EscrowState, OrderState
from lib.model.provider import Provider
from lib.operators import bodies, orders
from lib.operators.dispute_pack import dispute_pack
from lib.operators.views.orders import DisputePack, DisputeView, OrderActed, OrderDetails, OrderView, ReconciledView
from lib.policy import references
from lib.structs import replace
from lib.web import Answer, Ask, Verb, admin, endpoint, work_deadline
from lib.web.guard import beyond
from lib.web.page import Listing, Page, csv_answer, every, moment, pack_cursor, unpack_cursor, wants_csv
from lib.web.request import Request
from lib.web.response import Response
from lib.web.typed import CustomerId, Id, Text, Uuid, declined

COLUMNS = (
    "createdAt", "id", "provider", "origin", "state", "customerId", "email", "billingPlanId", "quantity", "domain",
    "currency", "amount", "total", "collected", "missing", "overpaid", "refunded", "disputed", "reference", "dueAt",
    "periodStart", "periodEnd", "paidAt", "servedAt", "subscriptionId", "sellerId", "sellerNet", "returned", "paidLate",
    "escrow", "releasableAt", "sellerDue", "released", "toClaimBack",
)  # fmt: skip
RECONCILED = (
    "reference", "orderId", "customerId", "provider", "state", "dueAt", "currency", "amount", "expected", "collected",
    "returned", "refunded", "kept", "difference", "lastCameAt", "externalIds",
)  # fmt: skip

NOT_LIVE = ("invoiceId", "paymentIntentId", "reason", "detail", "remedy")
"""Of orders that were paid and have never run: what paid them, why, and what to do."""
DISPUTES = (
    "dueBy", "id", "status", "reason", "currency", "amount", "createdAt", "closedAt", "customerId", "email",
    "subscriptionId", "orderId", "paymentId", "chargeId", "paymentIntentId", "hasEvidence", "waived", "remedy",
)  # fmt: skip

LONGEST_KEY = 255

_OF_ORDERS = {
    "state": "state", "provider": "provider", "email": "email", "reference": "reference", "disputed": "disputed",
    "notLive": "not_live", "overpaid": "overpaid", "openOffline": "open_offline", "overdue": "overdue",
    "paidLate": "paid_late", "escrow": "escrow", "from": "from_", "to": "to",
}  # fmt: skip
"""Filters that ask about orders alone, and their fields."""


class Query(Listing):
    """Which orders; with `id`: one with everything. `view=reconciliation`: expected against collected.

    `view=disputes`: the open ones by when they are due, of a `customer` or all; with `over=true` those that are over.
    `dispute=dp_...`: what there is to say about a dispute; with `format=text` as plain text, to paste at Stripe.
    """

    id: Uuid | None = None
    view: Literal["orders", "reconciliation", "disputes"] = "orders"
    over: bool = False
    state: OrderState | None = None
    provider: Provider | None = None
    customer: CustomerId | None = None
    email: Text | None = None
    reference: Text | None = None
    disputed: bool = False
    not_live: bool = False
    overpaid: bool = False
    open_offline: bool = False
    overdue: bool = False
    paid_late: bool = False
    escrow: EscrowState | None = None
    from_: Text | None = msgspec.field(default=None, name="from")
    to: Text | None = None
    dispute: Id | None = None
    format: Literal["json", "text"] = "json"

    def faults(self) -> Any:
        if self.view == "reconciliation" and self.provider in (None, Provider.STRIPE):
            detail = "provider must be bank_transfer or cash_on_delivery: each is reconciled by itself"
            yield Fault("provider", "missing" if self.provider is None else "invalid", detail)
        if self.over and self.view != "disputes":
            yield Fault("over", "invalid", "over goes with view=disputes")
        if self.view == "disputes":
            given = [name for name, field in _OF_ORDERS.items() if getattr(self, field)]
            yield from (Fault(name, "invalid", f"{name} is no filter of disputes") for name in given)


async def listing(ask: Ask[Query]) -> Any:
    """A page of orders, newest first; the whole list as CSV; one order; reconciliation; disputes; a dispute's pack."""
    bridge, given = current(), ask.given
    if given.id is not None:
        return await orders.show(bridge, given.id)
    if given.dispute is not None:
        pack = await dispute_pack(bridge, given.dispute)
        return pack if given.format == "json" else Response(pack.text, media_type="text/plain")
    if given.view == "disputes":
        return await _disputes(ask)
    found = _filter(given, await bridge.db.now())
    if ask.scope.collects is not None:
        found = _of_theirs(ask, found, ask.scope.collects)
    if wants_csv(ask.request):
        return _csv(found, given.view)
    after = unpack_cursor("orders", given.cursor, datetime, UUID)
    if given.view == "reconciliation":
        lines, key = await orders.reconciliation(bridge, found, after, given.limit)
        return Page[ReconciledView](data=lines, next_cursor=pack_cursor("orders", key) if key else None)
    rows, key = await orders.listing(bridge, found, after, given.limit)
    return Page[OrderView](data=rows, next_cursor=pack_cursor("orders", key) if key else None)


async def _disputes(ask: Ask[Query]) -> Any:
    """A page of the disputes that are open, or over; all of them as CSV."""
    bridge, given = current(), ask.given
    customer = CustomerKey.read(given.customer) if given.customer is not None else None
    read = partial(orders.disputes, bridge, over=given.over, customer=customer)
    if wants_csv(ask.request):
        rows = every(lambda after: read(after=after, limit=1000))
        return csv_answer("disputes", DISPUTES, _plain(rows, DISPUTES))
    of = "disputes over" if given.over else "disputes"
    views, key = await read(after=unpack_cursor(of, given.cursor, datetime, str), limit=given.limit)
    return Page[DisputeView](data=views, next_cursor=pack_cursor(of, key) if key else None)


def _filter(given: Query, now: datetime) -> OrderFilter:
    return OrderFilter(
        state=given.state,
        provider=given.provider,
        customer=CustomerKey.read(given.customer) if given.customer is not None else None,
        email=given.email,
        reference=references.normalise(given.reference) if given.reference is not None else None,
        since=moment("from", given.from_, now),
        until=moment("to", given.to, now),
        disputed=given.disputed,
        not_live=given.not_live,
        overpaid=given.overpaid,
        open_offline=given.open_offline,
        overdue=given.overdue,
        paid_late=given.paid_late,
        escrow=given.escrow,
    )


def _of_theirs(ask: Ask[Query], found: OrderFilter, providers: frozenset[Provider]) -> OrderFilter:
    """What a key that only collects sees of what it asked for: open orders, of the ways to pay that it is for.

    Raises:
        Declined: 403; it names another way to pay.
    """
    if found.provider is not None and found.provider not in providers:
        raise beyond(ask.actor, ask.scope)
    only = next(iter(providers)) if len(providers) == 1 else found.provider
    return replace(found, open_offline=True, provider=only)


def _csv(found: OrderFilter, view: str) -> Response:
    bridge = current()
    read: Any = orders.reconciliation if view == "reconciliation" else orders.listing
    columns = RECONCILED if view == "reconciliation" else (*COLUMNS, *(NOT_LIVE if found.not_live else ()))
    return csv_answer(view, columns, _plain(every(lambda after: read(bridge, found, after, 1000)), columns))


async def _plain(rows: AsyncIterator[Any], columns: Sequence[str]) -> AsyncIterator[Sequence[Any]]:
    """Each row's columns; why an order is not live stands among its own."""
    async for one in rows:
        plain = msgspec.to_builtins(one, builtin_types=(datetime,))
        plain = {**(plain.get("notLive") or {}), **plain}
        yield tuple(plain.get(column) for column in columns)


async def act(ask: Ask[bodies.OrderAct]) -> Answer:
    """Refund an order; or what a person, a bank or a courier says of an offline one, once for each key."""
    bridge, given = current(), ask.given
    await bridge.stir()
    till = Till(bridge.settings, bridge.db, ask.actor, _key(ask.request), ask.scope.collects)
    match given:
        case bodies.CreateOrder():
            acted = await orders.create(bridge, till, given)
        case bodies.CollectMoney():
            at = moment("collectedAt", given.collected_at, await bridge.db.now())
            acted = await orders.collect(bridge, till, given, at)
        case bodies.CancelOrder():
            acted = await orders.cancel(bridge, till, given)
        case bodies.ChangeOrder():
            acted = await orders.change(bridge, till, given)
        case bodies.ReturnMoney():
            acted = await orders.returned(bridge, till, given)
        case bodies.RefundOrder():
            acted = await orders.refund(bridge, till, given)
        case bodies.ReleaseEscrow():
            acted = await orders.release_escrow(bridge, till, given)
    return Answer(acted, background=partial(bridge.drain_quietly, deadline=work_deadline()))


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        detail = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable characters"
        raise declined([Fault("Idempotency-Key", "invalid", detail)])
    return key


def _open_ones(given: Query) -> bool:
    """Whether nothing is asked for but which offline orders are open, or whether the one with a reference is."""
    narrow = given.open_offline or given.reference is not None
    return narrow and given.view == "orders" and given.id is None and given.dispute is None


def _money_that_came(given: bodies.OrderAct) -> bool:
    """Whether it is told that money came, and nothing is decided by it that only an operator may decide."""
    return isinstance(given, bodies.CollectMoney) and not given.anyway


app = endpoint(
    guard=admin,
    GET=Verb(
        listing,
        query=Query,
        answers={200: Page[OrderView] | Page[ReconciledView] | Page[DisputeView] | OrderDetails | DisputePack},
        csv=True,
        plain=True,
        collects=_open_ones,
    ),
    POST=Verb(act, body=bodies.OrderAct, answers={200: OrderActed}, collects=_money_that_came),
)
