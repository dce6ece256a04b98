"""Orders and their log: one column list, one writer, and every move with its line in the log in one transaction.

What changes something takes the connection of `Database.transaction`: the caller adds what else belongs to the fact (an
outgoing event, a customer who becomes due) to the same transaction, before it is committed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import asdict

from lib.database.connection import Connection, Database
from lib.database.keys import whose
from lib.model import CustomerKey
from lib.model.money import (
    EscrowState,
    FeeKind,
    FeeLine,
    FrozenRequest,
    Order,
    OrderFact,
    OrderMode,
    OrderState,
    Origin,
    Step,
    StepKind,
    StepState,
    Terms,
)
from lib.model.provider import Provider
from lib.policy import orders as policy

_BEGIN = ("order_id", "provider", "livemode", "origin", "created_at", "idempotency_key", "fees", "seller_net")
"""Written once, when the order begins."""

_LATER = (
    "mode", "state", "billing_plan_id", "quantity", "domain", "buyer", "email", "name", "client_reference",
    "customer_id", "seller_id", "fingerprint", "request", "key_number", "sent_at", "session_id", "session_url",
    "subscription_id", "hosted_invoice_url", "expires_at", "currency", "amount", "total", "attempt", "refunded",
    "disputed", "returned", "escrow", "releasable_at", "quiet_since", "seller_due", "released", "reference", "due_at",
    "period_days", "period_start", "period_end", "line_id", "renews", "paid_at", "paid_late", "ended_at", "cancelled",
)  # fmt: skip

_COLUMNS = (*_BEGIN, *_LATER)
_READ = f"SELECT {', '.join(_COLUMNS)}, collected, served_at, shared FROM orders"
_VALUES = ", ".join(f"%({column})s" for column in _COLUMNS)

_INSERT = f"INSERT INTO orders ({', '.join(_COLUMNS)}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING RETURNING 1"
_UPDATE = (
    f"UPDATE orders SET {', '.join(f'{column} = %({column})s' for column in _LATER)}, updated_at = now()"
    " WHERE order_id = %(order_id)s"
)


async def begin(connection: Connection, order: Order, cause: str) -> bool:
    """Write a new order with the first line of its log; False when another stands in its place.

    That may be an open one of the same buyer for the same thing, one with the same key, session or reference, or one
    that renews the same order already. The caller reads which, and joins it.
    """
    cursor = await connection.execute(_INSERT, _row(order))
    if await cursor.fetchone() is None:
        return False
    step = Step(StepKind.ORDER, StepState.STARTED, cause, fact=OrderFact.STARTED)
    await log(connection, order.id, step, after=order.state)
    return True


async def select(db: Database, rest: str, parameters: Mapping[str, Any]) -> list[Order]:
    """Orders by the rest of a statement: its conditions, order and limit."""
    return [_order(row) for row in await db.rows(f"{_READ} {rest}", parameters)]


async def find(db: Database, order_id: str) -> Order | None:
    """The order with this id; a foreign session may carry any text there, which is nobody's."""
    if not _is_id(order_id):
        return None
    return _one(await db.rows(f"{_READ} WHERE order_id = %(id)s", {"id": order_id}))


async def find_by_session(db: Database, session_id: str) -> Order | None:
    """The order of a Checkout session."""
    return _one(await db.rows(f"{_READ} WHERE session_id = %(id)s", {"id": session_id}))


async def find_by_subscription(db: Database, subscription_id: str) -> Order | None:
    """The order that began a subscription, whose renewals are payments of it."""
    found = await db.rows(
        f"{_READ} WHERE subscription_id = %(id)s ORDER BY created_at, order_id LIMIT 1", {"id": subscription_id}
    )
    return _one(found)


async def find_by_reference(db: Database, reference: str) -> Order | None:
    """The offline order with this payment reference, in the one spelling of `policy.references.normalise`."""
    return _one(await db.rows(f"{_READ} WHERE reference = %(reference)s", {"reference": reference}))


async def known_of(db: Database, buyer: str | None, *, key: str | None, livemode: bool, since: datetime) -> list[Order]:
    """What `policy.purchases.decide` looks at: the order with this key, and the buyer's open or lately paid ones."""
    found = await db.rows(
        f"""
        {_READ} WHERE (idempotency_key = %(key)s) OR (buyer = %(buyer)s AND livemode = %(livemode)s
            AND (state IN ('pending', 'paying') OR paid_at >= %(since)s))
        ORDER BY created_at, order_id
        """,
        {"buyer": buyer, "key": key, "livemode": livemode, "since": since},
    )
    return [_order(row) for row in found]


async def some_unanswered(db: Database) -> bool:
    """Whether Stripe was asked for a session that may still be paid, and its answer is not written down."""
    row = await db.row(
        "SELECT 1 FROM orders WHERE state = 'pending' AND provider = 'stripe' AND session_id IS NULL"
        " AND sent_at IS NOT NULL LIMIT 1",
        {},
    )
    return row is not None


async def of_customer(db: Database, customer: CustomerKey) -> list[Order]:
    """All orders of a customer, oldest first."""
    found = await db.rows(
        f"{_READ} WHERE provider = %(provider)s AND customer_id = %(customer)s ORDER BY created_at, order_id",
        whose(customer),
    )
    return [_order(row) for row in found]


async def give_away(db: Database, order_id: str) -> None:
    """Note for good that the page of an order was given to somebody from elsewhere."""
    await db.rows("UPDATE orders SET shared = true WHERE order_id = %(id)s", {"id": order_id})


async def line_locked(connection: Connection, line_id: str) -> list[Order]:
    """A line of offline orders, oldest first, which nobody else changes or adds to until this transaction ends."""
    # The first one alone before all: who waits for it finds what was added meanwhile, which no row lock would show.
    await connection.execute("SELECT FROM orders WHERE order_id = %(id)s FOR UPDATE", {"id": line_id})
    cursor = await connection.execute(
        f"{_READ} WHERE line_id = %(id)s ORDER BY created_at, order_id FOR UPDATE", {"id": line_id}
    )
    return [_order(row) for row in await cursor.fetchall()]


async def lines_after(db: Database, after: str | None, limit: int) -> list[str]:
    """A page of the lines of offline orders, by their ids."""
    rows = await db.rows(
        "SELECT order_id::text AS id FROM orders WHERE line_id = order_id"
        " AND order_id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')"
        " ORDER BY order_id LIMIT %(limit)s",
        {"after": after, "limit": limit},
    )
    return [row["id"] for row in rows]


async def in_lines(db: Database, line_ids: Sequence[str]) -> list[Order]:
    """All orders of these lines, oldest first."""
    found = await db.rows(
        f"{_READ} WHERE line_id = ANY(%(ids)s::uuid[]) ORDER BY created_at, order_id", {"ids": list(line_ids)}
    )
    return [_order(row) for row in found]


async def find_by_key(db: Database, key: str) -> Order | None:
    """The order that a caller's idempotency key stands for."""
    return _one(await db.rows(f"{_READ} WHERE idempotency_key = %(key)s", {"key": key}))


async def at_stripe_by(
    db: Database,
    *,
    livemode: bool,
    since: datetime,
    domain: str | None,
    references: Sequence[str],
    addresses: Sequence[str],
    customers: Sequence[str],
) -> list[Order]:
    """What may take money at Stripe, or has since a time, of anybody with one of these words or for this domain.

    What was paid before that time, has failed, expired or been refunded is among it as long as Stripe may have a bill
    or a page of it open: that of a subscription always may.
    """
    found = await db.rows(
        f"""
        {_READ} WHERE provider = 'stripe' AND livemode = %(livemode)s
            AND (state IN ('pending', 'paying') OR (state = 'paid' AND paid_at >= %(since)s)
                OR subscription_id IS NOT NULL
                OR (session_id IS NOT NULL AND (state = 'failed' OR (state = 'expired' AND expires_at > now()))))
            AND (domain = %(domain)s OR client_reference = ANY(%(references)s)
                OR (provider = 'stripe' AND customer_id = ANY(%(customers)s))
                OR lower(btrim(email)) = ANY(%(addresses)s) OR buyer = ANY(%(buyers)s))
        ORDER BY created_at, order_id
        """,
        {
            "livemode": livemode,
            "since": since,
            "domain": domain,
            "references": list(references),
            "customers": list(customers),
            "addresses": list(addresses),
            "buyers": [f"mail:{address}" for address in addresses],
        },
    )
    return [_order(row) for row in found]


async def collected_since(
    db: Database,
    *,
    livemode: bool,
    since: datetime,
    domain: str | None,
    reference: str | None,
    address: str | None,
    customers: Sequence[str],
) -> list[Order]:
    """Offline orders for which money came since a time, of anybody with one of these words or for this domain."""
    found = await db.rows(
        f"""
        {_READ} WHERE provider <> 'stripe' AND livemode = %(livemode)s AND state IN ('paying', 'paid')
            AND (domain = %(domain)s OR client_reference = %(reference)s OR lower(btrim(email)) = %(address)s
                OR (provider IN ('bank_transfer', 'cash_on_delivery') AND customer_id = ANY(%(customers)s)))
            AND EXISTS (SELECT FROM collections c WHERE c.order_id = orders.order_id AND c.recorded_at >= %(since)s)
        ORDER BY created_at, order_id
        """,
        {
            "livemode": livemode,
            "since": since,
            "domain": domain,
            "reference": reference,
            "address": address,
            "customers": list(customers),
        },
    )
    return [_order(row) for row in found]


async def customer_of_line(db: Database, line_id: str) -> CustomerKey | None:
    """Whose line of offline orders it is."""
    row = await db.row(
        "SELECT provider, customer_id FROM orders WHERE order_id = %(id)s AND customer_id IS NOT NULL", {"id": line_id}
    )
    return CustomerKey(Provider(row["provider"]), row["customer_id"]) if row else None


async def line_of(db: Database, line_id: str) -> list[Order]:
    """An offline order and all that renew it, oldest first."""
    found = await db.rows(f"{_READ} WHERE line_id = %(id)s ORDER BY created_at, order_id", {"id": line_id})
    return [_order(row) for row in found]


async def locked(connection: Connection, order_id: str) -> Order | None:
    """The order, which nobody else changes until this transaction ends."""
    cursor = await connection.execute(f"{_READ} WHERE order_id = %(id)s FOR UPDATE", {"id": order_id})
    return _one(await cursor.fetchall())


async def save(connection: Connection, order: Order) -> None:
    """Write an order as it is now. Its state is moved by `apply` alone; the table refuses what is frozen."""
    await connection.execute(_UPDATE, _row(order))


async def apply(
    connection: Connection, order_id: str, fact: OrderFact, cause: str, now: datetime, *, attempt: int | None = None
) -> tuple[policy.Move, Order] | None:
    """Let a fact move an order, and write down why; what became of it, and the order as it is now.

    `None`: there is no such order. A fact that changes nothing leaves no line in the log; one that the table refuses
    leaves one line, however often it comes.
    """
    order = await locked(connection, order_id)
    if order is None:
        return None
    decided = policy.move(order.state, fact, attempt=attempt, newest=order.attempt)
    match decided:
        case policy.Moved():
            moved = policy.after(order, fact, decided, now)
            await save(connection, moved)
            detail = {"late": True} if decided.late else {}
            step = Step(StepKind.ORDER, StepState.SUCCEEDED, cause, fact=fact, attempt=attempt, detail=detail)
            await log(connection, order_id, step, before=order.state, after=moved.state)
            return decided, moved
        case policy.NotAllowed():
            step = Step(StepKind.ORDER, StepState.FAILED, cause, fact=fact, attempt=attempt, error=decided.detail)
            if not await _refused_before(connection, order_id, fact):
                await log(connection, order_id, step, before=order.state)
    return decided, order


async def log(
    connection: Connection,
    order_id: str,
    step: Step,
    *,
    before: OrderState | None = None,
    after: OrderState | None = None,
) -> None:
    """Add a line to an order's log."""
    await connection.execute(
        """
        INSERT INTO order_steps
            (order_id, kind, state, from_state, to_state, fact, attempt, subject, cause, detail, error)
        VALUES (%(order)s, %(kind)s, %(state)s, %(before)s, %(after)s, %(fact)s, %(attempt)s, %(subject)s, %(cause)s,
            %(detail)s::jsonb, %(error)s)
        """,
        {
            "order": order_id,
            "kind": step.kind,
            "state": step.state,
            "before": before,
            "after": after,
            "fact": step.fact,
            "attempt": step.attempt,
            "subject": step.subject,
            "cause": step.cause,
            "detail": json.dumps(step.detail, default=str),
            "error": step.error,
        },
    )


async def steps_of(db: Database, order_id: str) -> list[dict[str, Any]]:
    """The log of an order, oldest first."""
    found = await db.rows("SELECT * FROM order_steps WHERE order_id = %(id)s ORDER BY id", {"id": order_id})
    return list(found)


async def left_open_at(db: Database, order_id: str) -> datetime | None:
    """When an order was first seen to be more than an open page: its buyer was through with it by then."""
    row = await db.row(
        "SELECT min(at) AS at FROM order_steps WHERE order_id = %(id)s AND kind = 'order' AND from_state = 'pending'"
        " AND to_state <> 'pending'",
        {"id": order_id},
    )
    at: datetime | None = row["at"] if row else None
    return at


async def personal(
    connection: Connection, customer: CustomerKey | None, addresses: Sequence[str]
) -> list[dict[str, Any]]:
    """What is personal in a customer's orders, and in those of nobody that have one of these addresses (lower case)."""
    who = whose(customer) if customer is not None else {"provider": None, "customer": None}
    cursor = await connection.execute(
        """
        SELECT order_id, customer_id, email, name, domain FROM orders
        WHERE provider = %(provider)s AND customer_id = %(customer)s
            OR customer_id IS NULL AND lower(email) = ANY(%(addresses)s)
        ORDER BY created_at, order_id
        """,
        {**who, "addresses": list(addresses)},
    )
    return await cursor.fetchall()


async def erase(connection: Connection, order_ids: Sequence[str], words: Collection[str]) -> int:
    """Take the personal data out of these orders; how many had any. Ids, money and dates stay.

    Args:
        words: a caller's own key goes too where it is made from one of these.
    """
    await connection.execute("SET LOCAL bridge.erasing = 'on'")
    cursor = await connection.execute(
        """
        UPDATE orders SET buyer = NULL, email = NULL, name = NULL, domain = NULL, client_reference = NULL,
            request = NULL, fingerprint = NULL, session_url = NULL, hosted_invoice_url = NULL, updated_at = now(),
            idempotency_key = CASE WHEN EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w (word)
                WHERE strpos(lower(idempotency_key), lower(w.word)) > 0) THEN NULL ELSE idempotency_key END
        WHERE order_id = ANY(%(orders)s::uuid[]) AND num_nonnulls(buyer, email, name, domain, client_reference,
            request, fingerprint, session_url, hosted_invoice_url) > 0
        """,
        {"orders": list(order_ids), "words": sorted(words)},
    )
    await connection.execute("SET LOCAL bridge.erasing = 'off'")
    return cursor.rowcount


async def keep_erased(connection: Connection, order: Order) -> None:
    """Keep nothing personal of an order whose customer was erased: it may be heard of only afterwards."""
    customer_id = order.terms.customer_id
    cursor = await connection.execute(
        "SELECT FROM customers WHERE provider = %(provider)s AND customer_id = %(customer)s AND erased_at IS NOT NULL",
        {"provider": order.provider, "customer": customer_id},
    )
    if customer_id is not None and await cursor.fetchone() is not None:
        typed = {order.name, order.terms.email, order.terms.domain} - {None, ""}
        await erase(connection, [order.id], [str(word) for word in typed])


async def _refused_before(connection: Connection, order_id: str, fact: OrderFact) -> bool:
    cursor = await connection.execute(
        "SELECT kind = 'order' AND state = 'failed' AND fact = %(fact)s AS same FROM order_steps"
        " WHERE order_id = %(order)s ORDER BY id DESC LIMIT 1",
        {"order": order_id, "fact": fact},
    )
    row = await cursor.fetchone()
    return bool(row and row["same"])


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _row(order: Order) -> dict[str, Any]:
    terms, request = order.terms, order.request
    flat = {column: getattr(order, column, None) for column in _COLUMNS}
    return flat | {
        "order_id": order.id,
        "mode": terms.mode,
        "billing_plan_id": terms.billing_plan_id,
        "quantity": terms.quantity,
        "domain": terms.domain,
        "email": terms.email,
        "client_reference": terms.client_reference,
        "customer_id": terms.customer_id,
        "seller_id": terms.seller_id,
        "request": json.dumps(request.parameters, ensure_ascii=False) if request else None,
        "key_number": request.key_number if request else 1,
        "sent_at": request.sent_at if request else None,
        "fees": json.dumps([asdict(line) for line in order.fees], default=str),
    }


def _one(rows: Sequence[dict[str, Any]]) -> Order | None:
    return _order(rows[0]) if rows else None


_PLAIN = (
    "created_at", "livemode", "buyer", "fingerprint", "idempotency_key", "name", "session_id", "session_url",
    "subscription_id", "hosted_invoice_url", "expires_at", "currency", "amount", "total", "attempt", "refunded",
    "disputed", "collected", "returned", "seller_net", "releasable_at", "quiet_since", "seller_due", "released",
    "reference", "due_at", "period_days", "period_start", "period_end", "paid_at", "paid_late", "ended_at", "cancelled",
    "served_at", "shared",
)  # fmt: skip
"""Columns that are fields of the same name and need no reading."""


def _order(row: dict[str, Any]) -> Order:
    request = row["request"]
    return Order(
        id=str(row["order_id"]),
        provider=Provider(row["provider"]),
        origin=Origin(row["origin"]),
        terms=Terms(
            billing_plan_id=row["billing_plan_id"],
            quantity=row["quantity"],
            domain=row["domain"],
            email=row["email"],
            client_reference=row["client_reference"],
            seller_id=row["seller_id"],
            customer_id=row["customer_id"],
            mode=OrderMode(row["mode"]),
        ),
        state=OrderState(row["state"]),
        request=FrozenRequest(request, row["key_number"], row["sent_at"]) if request is not None else None,
        fees=tuple(_fee(line) for line in row["fees"]),
        escrow=EscrowState(row["escrow"]) if row["escrow"] else None,
        line_id=str(row["line_id"]) if row["line_id"] else None,
        renews=str(row["renews"]) if row["renews"] else None,
        **{name: row[name] for name in _PLAIN},
    )


def _fee(line: dict[str, Any]) -> FeeLine:
    return FeeLine(**{**line, "kind": FeeKind(line["kind"]), "percent": Decimal(line["percent"])})
