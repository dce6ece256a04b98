"""Payments: attempts to pay an order, and their numbers, which are frozen when the money settles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import asdict, fields

from lib.database import orders
from lib.database.connection import Connection, Database
from lib.model.money import Breakdown, Payment, PaymentState, Source, Step, StepKind, StepState
from lib.model.provider import Provider
from lib.structs import replace

_IDS = ("payment_id", "order_id", "provider", "attempt", "created_at")
"""Written once."""

_NUMBERS = tuple(field.name for field in fields(Breakdown) if field.name != "currency")

_LATER = (
    "state", "amount", "currency", "payment_intent_id", "charge_id", "invoice_id", "failure_code", "failure_message",
    "paid_at", "settled_at", "part", *_NUMBERS,
)  # fmt: skip

_COLUMNS = (*_IDS, *_LATER)
_READ = f"SELECT {', '.join(_COLUMNS)} FROM payments"
_VALUES = ", ".join(f"%({column})s" for column in _COLUMNS)
_INSERT = f"INSERT INTO payments ({', '.join(_COLUMNS)}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING RETURNING 1"
_UPDATE = (
    f"UPDATE payments SET {', '.join(f'{column} = %({column})s' for column in _LATER)}, updated_at = now()"
    " WHERE payment_id = %(payment_id)s"
)


async def begin(connection: Connection, payment: Payment, cause: str) -> Payment | None:
    """Write a new attempt to pay, with the next number of its order; `None` when its PaymentIntent is known already.

    The order's row is locked first, so that two attempts never get the same number.
    """
    order = await orders.locked(connection, payment.order_id)
    if order is None:
        return None
    numbered = replace(payment, attempt=order.attempt + 1)
    cursor = await connection.execute(_INSERT, _row(numbered))
    if await cursor.fetchone() is None:
        return None
    await orders.save(connection, replace(order, attempt=numbered.attempt))
    await _log(connection, numbered, StepKind.PAYMENT, StepState.STARTED, cause)
    return numbered


async def find_by_intent(db: Database, payment_intent_id: str) -> Payment | None:
    """The attempt that is a PaymentIntent; `None`: it may pay an order all the same, made elsewhere."""
    return _one(await db.rows(f"{_READ} WHERE payment_intent_id = %(id)s", {"id": payment_intent_id}))


async def find_by_charge(db: Database, charge_id: str) -> Payment | None:
    """The attempt whose money a charge is: what a dispute or a refund names."""
    return _one(await db.rows(f"{_READ} WHERE charge_id = %(id)s LIMIT 1", {"id": charge_id}))


async def locked_by_charge(connection: Connection, charge_id: str | None) -> Payment | None:
    """The payment of a charge, with its order's row locked, as everybody locks it who writes of that order's money."""
    cursor = await connection.execute(f"{_READ} WHERE charge_id = %(id)s LIMIT 1", {"id": charge_id})
    payment = _one(await cursor.fetchall())
    if payment is not None:
        await orders.locked(connection, payment.order_id)
    return payment


async def of_order(db: Database, order_id: str) -> list[Payment]:
    """All attempts and renewals of an order, oldest first."""
    found = await db.rows(f"{_READ} WHERE order_id = %(id)s ORDER BY attempt", {"id": order_id})
    return [_payment(row) for row in found]


async def of_invoice(db: Database, invoice_id: str) -> list[Payment]:
    """What was tried to be paid of an invoice, oldest first."""
    found = await db.rows(f"{_READ} WHERE invoice_id = %(id)s ORDER BY attempt", {"id": invoice_id})
    return [_payment(row) for row in found]


async def standing(connection: Connection, order_id: str) -> list[Payment]:
    """`of_order` within the caller's transaction, who holds the order's row."""
    cursor = await connection.execute(f"{_READ} WHERE order_id = %(id)s ORDER BY attempt", {"id": order_id})
    return [_payment(row) for row in await cursor.fetchall()]


async def that_may_be_too_much(connection: Connection, payment: Payment) -> list[str]:
    """PaymentIntents of an order that is paid once, other than its first: whether one of them came too much is asked
    again when money of another one came, went back or returned.
    """
    known = await standing(connection, payment.order_id) if payment.invoice_id is None else []
    others = [one for one in known if one.attempt > 1 and one.id != payment.id]
    own = [payment] if payment.attempt > 1 else []
    return [one.payment_intent_id for one in (*own, *others) if one.payment_intent_id]


async def locked_by(
    connection: Connection,
    *,
    intent_id: str | None = None,
    charge_id: str | None = None,
    invoice_id: str | None = None,
) -> Payment | None:
    """The payment that is this PaymentIntent; else this charge; else what was paid of this invoice otherwise. Locked.

    What was written down of a charge's bill before the charge was read has no numbers yet, and is that charge's.
    """
    cursor = await connection.execute(
        f"""
        {_READ} WHERE (payment_intent_id = %(intent)s)
            OR (%(intent)s::text IS NULL AND payment_intent_id IS NULL AND invoice_id = %(invoice)s
                AND (charge_id IS NOT DISTINCT FROM %(charge)s::text OR (charge_id IS NULL AND settled_at IS NULL)))
        ORDER BY charge_id IS NULL FOR UPDATE
        """,
        {"intent": intent_id, "charge": charge_id, "invoice": invoice_id},
    )
    return _one(await cursor.fetchall())


async def locked(connection: Connection, payment_id: str) -> Payment | None:
    """The payment, which nobody else changes until this transaction ends."""
    cursor = await connection.execute(f"{_READ} WHERE payment_id = %(id)s FOR UPDATE", {"id": payment_id})
    return _one(await cursor.fetchall())


async def save(connection: Connection, before: Payment, after: Payment, cause: str) -> None:
    """Write a payment as it is now, with a line in its order's log where its state is another one."""
    await connection.execute(_UPDATE, _row(after))
    if before.state is not after.state:
        await _log(connection, after, StepKind.PAYMENT, _STEP[after.state], cause, error=after.failure_code)


async def completed(connection: Connection, invoice_id: str) -> None:
    """Note that a bill of which parts had come is paid."""
    await connection.execute(
        "UPDATE payments SET part = false, updated_at = now() WHERE invoice_id = %s AND part", (invoice_id,)
    )


async def seen(connection: Connection, payment: Payment) -> None:
    """Note that Stripe was asked about a payment just now and had nothing new to say: no sweep asks again at once."""
    await connection.execute("UPDATE payments SET updated_at = now() WHERE payment_id = %s", (payment.id,))


async def settle(connection: Connection, payment: Payment, breakdown: Breakdown, cause: str, now: datetime) -> bool:
    """Freeze the numbers of a payment; False when they were frozen before, and are left as they are."""
    known = await locked(connection, payment.id)
    if known is None or known.settled_at is not None:
        return False
    await connection.execute(_UPDATE, _row(replace(known, breakdown=breakdown, settled_at=now)))
    await _log(connection, known, StepKind.BREAKDOWN, StepState.SUCCEEDED, cause)
    return True


_STEP = {
    PaymentState.PENDING: StepState.STARTED,
    PaymentState.ACTION_REQUIRED: StepState.PENDING,
    PaymentState.PROCESSING: StepState.PENDING,
    PaymentState.SUCCEEDED: StepState.SUCCEEDED,
    PaymentState.FAILED: StepState.FAILED,
    PaymentState.CANCELED: StepState.FAILED,
}


async def _log(
    connection: Connection, payment: Payment, kind: StepKind, state: StepState, cause: str, error: str | None = None
) -> None:
    subject = payment.payment_intent_id or payment.id
    detail = {"payment": payment.id, "amount": payment.amount, "currency": payment.currency}
    step = Step(kind, state, cause, attempt=payment.attempt, subject=subject, detail=detail, error=error)
    await orders.log(connection, payment.order_id, step)


def _row(payment: Payment) -> dict[str, Any]:
    numbers = asdict(payment.breakdown) if payment.breakdown else dict.fromkeys(_NUMBERS)
    flat = {column: getattr(payment, column, None) for column in (*_IDS, *_LATER)}
    return (
        flat
        | numbers
        | {
            "payment_id": payment.id,
            "currency": payment.currency,
            "sources": json.dumps(numbers["sources"] or {}),
        }
    )


def _one(rows: Sequence[dict[str, Any]]) -> Payment | None:
    return _payment(rows[0]) if rows else None


def _payment(row: dict[str, Any]) -> Payment:
    numbers = {name: row[name] for name in _NUMBERS}
    numbers["sources"] = {name: Source(source) for name, source in row["sources"].items()}
    settled = row["settled_at"] is not None
    return Payment(
        id=str(row["payment_id"]),
        order_id=str(row["order_id"]),
        provider=Provider(row["provider"]),
        state=PaymentState(row["state"]),
        breakdown=Breakdown(currency=row["currency"], **numbers) if settled else None,
        **{name: row[name] for name in _PLAIN},
    )


_PLAIN = (
    "attempt", "amount", "currency", "created_at", "payment_intent_id", "charge_id", "invoice_id", "failure_code",
    "failure_message", "paid_at", "settled_at", "part",
)  # fmt: skip


async def paid_since(db: Database, order_ids: Sequence[str], since: datetime) -> set[str]:
    """Which of these orders have a payment that succeeded since a time."""
    rows = await db.rows(
        "SELECT DISTINCT order_id::text AS id FROM payments"
        " WHERE order_id = ANY(%(ids)s::uuid[]) AND state = 'succeeded' AND paid_at >= %(since)s",
        {"ids": list(order_ids), "since": since},
    )
    return {row["id"] for row in rows}
