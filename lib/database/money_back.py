"""Disputes and refunds as Stripe last said, by the subscription whose money they concern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from lib.database import due
from lib.database.connection import Connection, Database
from lib.database.keys import STRIPE
from lib.model import Dispute, Refund
from lib.model.money import Payment
from lib.policy.disputes import OVER

Kind = Literal["dispute", "refund"]

ENDED: Mapping[Kind, Sequence[str]] = {
    "dispute": OVER,
    "refund": ("succeeded", "failed", "canceled"),
}
"""Statuses that Stripe does not change any more."""


_NUDGED = f"""
    INSERT INTO due (kind, key) SELECT 'customer', %(customer_id)s::text
    WHERE %(customer_id)s::text IS NOT NULL AND NOT EXISTS (SELECT FROM before WHERE {{same}})
    {due.NUDGE}
"""
"""Their customer is due together with what is written of them, and only when that is news: what stays undecided for
months is asked about by every sweep."""


def _same(*columns: str, if_known: Sequence[str]) -> str:
    """That these columns are as before; those of `if_known` stay where nothing is said of them."""
    equal = [f"{column} = %({column})s" for column in columns]
    return " AND ".join([*equal, *(f"{c} IS NOT DISTINCT FROM coalesce(%({c})s::text, {c})" for c in if_known)])


class Before(Struct, frozen=True):
    """A dispute as it was remembered."""

    status: str
    same_money: bool
    """Whether it is about as much as before, and as much is missing from the balance."""


async def remember_dispute(connection: Connection, dispute: Dispute, payment: Payment | None = None) -> Before | None:
    """Write the dispute, and make its customer due if that is news; what was remembered, `None` for a new one."""
    same = _same("status", if_known=("customer_id", "subscription_id"))
    cursor = await connection.execute(
        f"""
        WITH before AS (
            SELECT status, customer_id, subscription_id, amount, withdrawn FROM disputes
            WHERE provider = %(provider)s AND dispute_id = %(dispute_id)s
        ), nudged AS ({_NUDGED.format(same=same)}), written AS (
            INSERT INTO disputes (provider, dispute_id, customer_id, subscription_id, charge_id, status, reason, amount,
                currency, created_at, payment_intent_id, due_by, has_evidence, submissions, network_reason, case_type,
                withdrawn, fee, payment_id, order_id, closed_at)
            VALUES (%(provider)s, %(dispute_id)s, %(customer_id)s, %(subscription_id)s, %(charge_id)s, %(status)s,
                %(reason)s, %(amount)s, %(currency)s, %(created_at)s, %(payment_intent_id)s, %(due_by)s,
                %(has_evidence)s, %(submissions)s, %(network_reason)s, %(case_type)s, %(withdrawn)s, %(fee)s,
                %(payment_id)s::uuid, %(order_id)s::uuid,
                CASE WHEN %(status)s = ANY(%(ended)s) THEN clock_timestamp() END)
            ON CONFLICT (provider, dispute_id) DO UPDATE SET
                payment_intent_id = excluded.payment_intent_id, due_by = excluded.due_by,
                has_evidence = excluded.has_evidence, submissions = excluded.submissions,
                network_reason = excluded.network_reason, case_type = excluded.case_type,
                withdrawn = excluded.withdrawn, fee = excluded.fee,
                payment_id = coalesce(disputes.payment_id, excluded.payment_id),
                order_id = coalesce(disputes.order_id, excluded.order_id),
                closed_at = CASE WHEN excluded.status = disputes.status THEN disputes.closed_at
                    ELSE excluded.closed_at END,
                status = excluded.status, reason = excluded.reason, amount = excluded.amount, updated_at = now(),
                customer_id = coalesce(excluded.customer_id, disputes.customer_id),
                subscription_id = coalesce(excluded.subscription_id, disputes.subscription_id)
        )
        SELECT status, amount = %(amount)s AND withdrawn IS NOT DISTINCT FROM %(withdrawn)s::bigint AS same_money
        FROM before
        """,
        {"provider": STRIPE, "ended": list(ENDED["dispute"]), **asdict(dispute), **_about(payment)},
    )
    row = await cursor.fetchone()
    return Before(**row) if row else None


async def remember_refunds(
    connection: Connection, refunds: Sequence[Refund], payment: Payment | None = None
) -> list[Refund]:
    """Write every refund of one charge, and make its customer due if one is news; those of another status than before.

    All of them follow the charge's own word on whether it is refunded in full.
    """
    cursor = await connection.execute(
        "SELECT refund_id, status FROM refunds WHERE provider = %(provider)s AND refund_id = ANY(%(ids)s)",
        {"provider": STRIPE, "ids": [refund.refund_id for refund in refunds]},
    )
    before = {row["refund_id"]: row["status"] for row in await cursor.fetchall()}
    same = _same("status", "amount", "charge_refunded", if_known=("customer_id", "subscription_id", "invoice_id"))
    for refund in refunds:
        await connection.execute(
            f"""
            WITH before AS (
                SELECT status, amount, charge_refunded, customer_id, subscription_id, invoice_id FROM refunds
                WHERE provider = %(provider)s AND refund_id = %(refund_id)s
            ), nudged AS ({_NUDGED.format(same=same)})
            INSERT INTO refunds (provider, refund_id, customer_id, subscription_id, invoice_id, charge_id, status,
                amount, currency, charge_refunded, created_at, failure, payment_id, order_id, invoice_paid, ended_at)
            VALUES (%(provider)s, %(refund_id)s, %(customer_id)s, %(subscription_id)s, %(invoice_id)s, %(charge_id)s,
                %(status)s, %(amount)s, %(currency)s, %(charge_refunded)s, %(created_at)s, %(failure)s,
                %(payment_id)s::uuid, %(order_id)s::uuid, %(invoice_paid)s,
                CASE WHEN %(status)s = ANY(%(ended)s) THEN clock_timestamp() END)
            ON CONFLICT (provider, refund_id) DO UPDATE SET
                failure = coalesce(excluded.failure, refunds.failure),
                payment_id = coalesce(refunds.payment_id, excluded.payment_id),
                order_id = coalesce(refunds.order_id, excluded.order_id), status = excluded.status,
                ended_at = CASE WHEN excluded.status = refunds.status THEN refunds.ended_at
                    ELSE excluded.ended_at END,
                amount = excluded.amount, charge_refunded = excluded.charge_refunded,
                customer_id = coalesce(excluded.customer_id, refunds.customer_id),
                subscription_id = coalesce(excluded.subscription_id, refunds.subscription_id),
                invoice_id = coalesce(excluded.invoice_id, refunds.invoice_id),
                invoice_paid = coalesce(excluded.invoice_paid, refunds.invoice_paid), updated_at = now()
            """,
            {"provider": STRIPE, "ended": list(ENDED["refund"]), **asdict(refund), **_about(payment)},
        )
    return [refund for refund in refunds if before.get(refund.refund_id) != refund.status]


def _about(payment: Payment | None) -> dict[str, str | None]:
    return {"payment_id": payment.id if payment else None, "order_id": payment.order_id if payment else None}


async def belong(connection: Connection, payment: Payment) -> None:
    """Note which payment the refunds and disputes of its charge are about: they may have been heard of first."""
    for table in ("refunds", "disputes"):
        await connection.execute(
            f"UPDATE {table} SET payment_id = %(payment)s, order_id = %(order)s"
            " WHERE provider = %(provider)s AND charge_id = %(charge)s AND payment_id IS NULL",
            {
                "payment": payment.id,
                "order": payment.order_id,
                "provider": payment.provider,
                "charge": payment.charge_id,
            },
        )


async def changed(db: Database, kind: Kind, statuses: dict[str, str]) -> list[str]:
    """Which of these disputes or refunds (id -> status) we remember otherwise, or not at all; of other shards none."""
    rows = await db.rows(
        f"""
        SELECT f.id FROM unnest(%(ids)s::text[], %(statuses)s::text[]) AS f (id, status)
        LEFT JOIN {kind}s m ON m.provider = %(provider)s AND m.{kind}_id = f.id
        WHERE m.status IS DISTINCT FROM f.status
            AND NOT EXISTS (SELECT FROM elsewhere e WHERE e.kind = %(kind)s AND e.object_id = f.id)
        """,
        {"provider": STRIPE, "kind": kind, "ids": list(statuses), "statuses": list(statuses.values())},
    )
    return [row["id"] for row in rows]


async def undecided(db: Database, kind: Kind, before: datetime) -> list[str]:
    """The disputes or refunds that began before this time and had not come to their end when we last asked."""
    rows = await db.rows(
        f"SELECT {kind}_id AS id FROM {kind}s WHERE provider = %(provider)s AND created_at < %(before)s"
        " AND NOT waived AND status <> ALL(%(ended)s)",
        {"provider": STRIPE, "before": before, "ended": list(ENDED[kind])},
    )
    return [row["id"] for row in rows]
