"""What has happened to the money of an order since it came: its refunds and its disputes, by its charges."""

from __future__ import annotations

from lib.database.connection import Connection
from lib.database.money_back import ENDED
from lib.policy.escrow import Trouble


async def trouble_of(connection: Connection, order_id: str) -> Trouble:
    """Refunds and disputes of an order's payments; the caller holds the order's row.

    Only what is in the order's own currency is added up, which is all of it unless somebody refunds by hand.
    """
    cursor = await connection.execute(
        """
        WITH theirs AS (
            SELECT p.payment_id, p.charge_id, o.currency FROM orders o JOIN payments p USING (order_id)
            WHERE o.order_id = %(order)s
        ), back AS (
            SELECT r.status, r.amount, r.created_at FROM theirs t
            JOIN refunds r ON r.payment_id = t.payment_id OR (r.provider = 'stripe' AND r.charge_id = t.charge_id)
            WHERE r.currency = t.currency
        ), quarrels AS (
            SELECT d.status, d.closed_at FROM theirs t
            JOIN disputes d ON d.payment_id = t.payment_id OR (d.provider = 'stripe' AND d.charge_id = t.charge_id)
        )
        SELECT
            (SELECT coalesce(sum(amount), 0)::bigint FROM back WHERE status = 'succeeded') AS refunded,
            EXISTS (SELECT FROM back WHERE status <> ALL(%(refund_ended)s)) AS refund_under_way,
            EXISTS (SELECT FROM quarrels WHERE status <> ALL(%(dispute_ended)s)) AS dispute_open,
            EXISTS (SELECT FROM quarrels WHERE status = 'lost') AS dispute_lost,
            greatest((SELECT max(created_at) FROM back), (SELECT max(closed_at) FROM quarrels)) AS last
        """,
        {"order": order_id, "refund_ended": list(ENDED["refund"]), "dispute_ended": list(ENDED["dispute"])},
    )
    row = await cursor.fetchone()
    assert row is not None
    return Trouble(**row)
