"""Orders as a list, newest first: each filter is a range of one index, however many orders there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from lib.database import orders, tallies
from lib.database.connection import Database, Reading
from lib.database.keys import whose
from lib.model import CustomerKey
from lib.model.money import EscrowState, Order, OrderState
from lib.model.provider import Provider

NOT_LIVE = "state = 'paid' AND served_at IS NULL AND mode = 'subscription'"
OPEN_OFFLINE = "provider <> 'stripe' AND state IN ('pending', 'paying')"
OVERDUE = f"{OPEN_OFFLINE} AND due_at < now()"
LATE = "paid_late AND provider <> 'stripe'"
MEANS_HOSTING = (
    "NOT EXISTS (SELECT FROM plan_mappings m WHERE m.billing_provider = orders.provider"
    " AND m.billing_plan_id = orders.billing_plan_id AND m.kind = 'ignore')"
)


class OrderFilter(Struct, frozen=True):
    """Which orders; what is `None` or false is not asked for."""

    state: OrderState | None = None
    provider: Provider | None = None
    customer: CustomerKey | None = None
    email: str | None = None
    """As a whole, in any case."""
    reference: str | None = None
    """In the spelling of `policy.references.normalise`."""
    since: datetime | None = None
    until: datetime | None = None
    """When they began: from `since` up to and without `until`."""
    disputed: bool = False
    not_live: bool = False
    """Paid, and no hosting of it has ever run."""
    overpaid: bool = False
    """Something of what came is to be returned."""
    open_offline: bool = False
    """Offline, and not all of the money has come."""
    overdue: bool = False
    """Of these: past the date."""
    paid_late: bool = False
    """Paid when it had expired or failed already."""
    escrow: EscrowState | None = None

    @property
    def condition(self) -> str:
        """What a row must be."""
        parts: tuple[tuple[object, str], ...] = (
            (self.state, "state = %(state)s"),
            (self.provider, "provider = %(of)s"),
            (self.customer, "provider = %(provider)s AND customer_id = %(customer)s"),
            (self.email, "lower(email) = lower(%(email)s)"),
            (self.reference, "reference = %(reference)s"),
            (self.since, "created_at >= %(since)s"),
            (self.until, "created_at < %(until)s"),
            (self.disputed, "disputed"),
            (self.not_live, f"{NOT_LIVE} AND {MEANS_HOSTING}"),
            (self.overpaid, "overpaid > 0"),
            (self.open_offline, OPEN_OFFLINE),
            (self.overdue, OVERDUE),
            (self.paid_late, "paid_late"),
            (self.escrow, "escrow = %(escrow)s"),
        )
        return " AND ".join(condition for asked, condition in parts if asked) or "true"

    @property
    def parameters(self) -> dict[str, Any]:
        """What the condition is filled with."""
        return {
            "state": self.state,
            "of": self.provider,
            "email": self.email,
            "reference": self.reference,
            "since": self.since,
            "until": self.until,
            "escrow": self.escrow,
            **(whose(self.customer) if self.customer is not None else {}),
        }


class Reconciled(Struct, frozen=True):
    """What was expected for an offline order, against what came."""

    order: Order
    external_ids: list[str]
    """The lines of the bank, or the courier's own ids."""
    last_came_at: datetime | None

    @property
    def expected(self) -> int:
        """What is expected for it: nothing any more once it is over without its money."""
        over = self.order.state in (OrderState.EXPIRED, OrderState.FAILED)
        return 0 if over else self.order.amount or 0

    @property
    def kept(self) -> int:
        """What came and has stayed."""
        return self.order.collected - self.order.returned - self.order.refunded

    @property
    def difference(self) -> int:
        """What is to be returned; below zero: what is missing. Zero in every state in which nobody has to act."""
        return self.kept - (self.expected - self.order.refunded)


async def listing(
    db: Database, found: OrderFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[Order], tuple[Any, ...] | None]:
    """A page of orders, and the key of its last row when there are more.

    Args:
        after: the key of the last row of the page before, as this returned it.
    """
    behind = " AND (created_at, order_id) < (%(after0)s::timestamptz, %(after1)s::uuid)" if after else ""
    rows = await orders.select(
        db,
        f"WHERE {found.condition}{behind} ORDER BY created_at DESC, order_id DESC LIMIT %(limit)s",
        {**found.parameters, "limit": limit + 1, **{f"after{n}": value for n, value in enumerate(after or ())}},
    )
    page = rows[:limit]
    return page, (page[-1].created_at.isoformat(), page[-1].id) if len(rows) > limit else None


async def emails(db: Database, page: Sequence[Order]) -> dict[str, str]:
    """The customer's e-mail of each order that has none itself, by the order's id."""
    asked = [one for one in page if one.terms.email is None and one.terms.customer_id is not None]
    if not asked:
        return {}
    rows = await db.rows(
        """
        SELECT f.id, c.email FROM unnest(%(ids)s::text[], %(providers)s::text[], %(customers)s::text[])
            AS f (id, provider, customer_id)
        JOIN customers c USING (provider, customer_id) WHERE c.email IS NOT NULL
        """,
        {
            "ids": [one.id for one in asked],
            "providers": [one.provider.value for one in asked],
            "customers": [one.terms.customer_id for one in asked],
        },
    )
    return {row["id"]: row["email"] for row in rows}


async def reconciled(
    db: Database, found: OrderFilter, after: Sequence[Any] | None, limit: int
) -> tuple[list[Reconciled], tuple[Any, ...] | None]:
    """A page of offline orders with the money that came for each."""
    page, key = await listing(db, found, after, limit)
    rows = await db.rows(
        """
        SELECT order_id::text AS id, array_remove(array_agg(external_id ORDER BY collected_at), NULL) AS external_ids,
            max(collected_at) AS last
        FROM collections WHERE order_id = ANY(%(ids)s::uuid[]) GROUP BY order_id
        """,
        {"ids": [order.id for order in page]},
    )
    came = {row["id"]: (row["external_ids"], row["last"]) for row in rows}
    return [Reconciled(order, *came.get(order.id, ([], None))) for order in page], key


async def money_back(db: Database, payment_ids: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The refunds and the disputes of these payments, oldest first."""
    refunds = await db.rows(
        """
        SELECT refund_id, payment_id::text AS payment_id, amount, currency, status, charge_refunded AS whole,
            requested_by, note, failure, created_at
        FROM refunds WHERE payment_id = ANY(%(ids)s::uuid[]) ORDER BY created_at, refund_id
        """,
        {"ids": list(payment_ids)},
    )
    disputes = await db.rows(
        """
        SELECT dispute_id, payment_id::text AS payment_id, amount, currency, status, reason, due_by, has_evidence,
            withdrawn, fee, created_at, closed_at
        FROM disputes WHERE payment_id = ANY(%(ids)s::uuid[]) ORDER BY created_at, dispute_id
        """,
        {"ids": list(payment_ids)},
    )
    return refunds, disputes


async def dispute(db: Database, dispute_id: str) -> dict[str, Any] | None:
    """A dispute as Stripe last told it; `None`: nobody has told us of it."""
    return await db.row(
        """
        SELECT dispute_id, customer_id, subscription_id, charge_id, status, reason, amount, currency, created_at, due_by
        FROM disputes WHERE provider = 'stripe' AND dispute_id = %(id)s
        """,
        {"id": dispute_id},
    )


_NUMBERS = f"""
    WITH {tallies.TOLD}, {tallies.UNSERVED}
    SELECT {tallies.total("orders", "pending")} AS pending, {tallies.total("orders", "paying")} AS paying,
        (SELECT coalesce(sum(n), 0)::bigint FROM unserved) AS not_live,
        {tallies.total("looks", "disputed")} AS disputed,
        {tallies.total("disputes", "open")} AS open_disputes,
        (SELECT coalesce(sum(n), 0)::bigint FROM told WHERE name = 'orders' AND labels[1] IN ('pending', 'paying')
            AND labels[2] <> 'stripe') AS open_offline,
        (SELECT count(*) FROM orders WHERE {OVERDUE}) AS overdue,
        (SELECT count(*) FROM orders WHERE {OVERDUE} AND state = 'paying') AS overdue_in_part,
        {tallies.total("looks", "paid_late")} AS paid_late,
        {tallies.by_label("missing")} AS missing,
        {tallies.total("looks", "overpaid")} AS orders_to_return,
        {tallies.by_label("to_return")} AS to_return
"""


def reading_numbers() -> Reading[dict[str, Any]]:
    """How the money side stands: what is kept (see `tallies`), and what is past its date."""
    return Reading(_NUMBERS, {}, lambda rows: dict(rows[0]))
