"""Refunds that an operator asks for: a row first, whose id is the idempotency key; then Stripe; then its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lib.database.connection import Connection, Database
from lib.database.money_back import ENDED
from lib.model import Refund
from lib.model.money import Payment, RefundRequest, RefundState
from lib.model.provider import Provider

_OPEN = "request_id, order_id, payment_id, amount, currency, created_at, requested_by, note"


async def of_payment(connection: Connection, payment_id: str) -> list[tuple[RefundState, int]]:
    """(state, amount) of every refund of a payment. The caller holds the payment's row, so that there are no others."""
    cursor = await connection.execute(
        "SELECT status, amount FROM refunds WHERE payment_id = %(id)s ORDER BY created_at", {"id": payment_id}
    )
    return [(RefundState(row["status"]), row["amount"]) for row in await cursor.fetchall()]


async def ask(connection: Connection, request: RefundRequest, payment: Payment, *, customer_id: str | None) -> bool:
    """Write down that a refund is about to be asked for; False while another one of this payment is.

    Whether so much is left is `policy.payments.why_not_refunded`'s, under the lock of the payment's row.
    """
    cursor = await connection.execute(
        """
        INSERT INTO refunds (provider, refund_id, request_id, payment_id, order_id, customer_id, charge_id, invoice_id,
            status, amount, currency, charge_refunded, waived, requested_by, note, created_at)
        VALUES (%(provider)s, %(id)s::text, %(id)s::text::uuid, %(payment)s, %(order)s, %(customer)s, %(charge)s,
            %(invoice)s, 'requested', %(amount)s, %(currency)s, false, true, %(by)s, %(note)s, %(at)s)
        ON CONFLICT DO NOTHING RETURNING 1
        """,
        {
            "provider": payment.provider,
            "id": request.id,
            "payment": request.payment_id,
            "order": request.order_id,
            "customer": customer_id,
            "charge": payment.charge_id,
            "invoice": payment.invoice_id,
            "amount": request.amount,
            "currency": request.currency,
            "by": request.requested_by,
            "note": request.note,
            "at": request.requested_at,
        },
    )
    return await cursor.fetchone() is not None


async def asked_before(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """What became of a request so far, whether it was answered or not; `None`: there is none of this id."""
    cursor = await connection.execute(
        "SELECT request_id::text, refund_id, status, amount, currency, order_id::text, payment_id::text FROM refunds"
        " WHERE request_id = %(id)s::text::uuid",
        {"id": request_id},
    )
    return await cursor.fetchone()


async def open_request(connection: Connection, request_id: str) -> RefundRequest | None:
    """A request that waits for its answer; `None`: there is none of this id, or it has been answered."""
    cursor = await connection.execute(
        f"SELECT {_OPEN} FROM refunds WHERE request_id::text = %(id)s AND status = 'requested' FOR UPDATE",
        {"id": request_id},
    )
    row = await cursor.fetchone()
    return _request(row) if row else None


async def unanswered(db: Database, *, before: datetime) -> list[RefundRequest]:
    """Requests from before this time that wait for an answer: asked once more, with the same key."""
    found = await db.rows(
        f"SELECT {_OPEN} FROM refunds WHERE status = 'requested' AND created_at < %(before)s ORDER BY created_at",
        {"before": before},
    )
    return [_request(row) for row in found]


async def answered(connection: Connection, request_id: str, refund: Refund, *, provider: Provider) -> None:
    """Write Stripe's answer over the request: from now on the row has Stripe's id, and counts like any other refund.

    Stripe's own event may have been faster and have made a row of that id; the two become one.
    """
    names = {"provider": provider, "request": request_id, "id": refund.refund_id, "status": refund.status}
    cursor = await connection.execute(
        """
        WITH asked AS (
            DELETE FROM refunds WHERE request_id = %(request)s AND status = 'requested'
                AND EXISTS (SELECT FROM refunds WHERE provider = %(provider)s AND refund_id = %(id)s)
            RETURNING *
        )
        UPDATE refunds learnt SET request_id = asked.request_id, payment_id = asked.payment_id,
            order_id = asked.order_id, requested_by = asked.requested_by, note = asked.note, updated_at = now()
        FROM asked WHERE learnt.provider = %(provider)s AND learnt.refund_id = %(id)s
        RETURNING 1
        """,
        names,
    )
    if await cursor.fetchone() is None:
        await connection.execute(
            "UPDATE refunds SET refund_id = %(id)s, status = %(status)s, waived = false, updated_at = now(),"
            " ended_at = CASE WHEN %(status)s = ANY(%(ended)s) THEN clock_timestamp() END"
            " WHERE request_id = %(request)s AND status = 'requested'",
            {**names, "ended": list(ENDED["refund"])},
        )


async def refused(connection: Connection, request_id: str, failure: str) -> None:
    """Write down that Stripe did not refund, and why; the payment is free for another request."""
    await connection.execute(
        "UPDATE refunds SET status = 'failed', failure = %(failure)s, updated_at = now(), ended_at = clock_timestamp()"
        " WHERE request_id = %(request)s AND status = 'requested'",
        {"request": request_id, "failure": failure},
    )


def _request(row: dict[str, Any]) -> RefundRequest:
    return RefundRequest(
        id=str(row["request_id"]),
        order_id=str(row["order_id"]),
        payment_id=str(row["payment_id"]),
        amount=row["amount"],
        currency=row["currency"],
        requested_at=row["created_at"],
        requested_by=row["requested_by"],
        note=row["note"],
    )
