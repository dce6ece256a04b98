"""What has happened to the money of an order since it came: refunds and disputes of each payment, by their charges."""

from __future__ import annotations

from lib.database.connection import Connection
from lib.database.money_back import ENDED
from lib.policy.escrow import Trouble


async def troubles_of(connection: Connection, order_id: str) -> dict[str, Trouble]:
    """Refunds and disputes of each payment of an order, by its id; the caller holds the order's row.

    Only what is in the order's own currency is added up, which is all of it unless somebody refunds by hand. A lost
    dispute in another currency has taken all of its payment. A prevented one, which Stripe settled before it was a
    chargeback, is lost where its money is missing from the balance. What was asked for and never made at Stripe has no
    id of its own, and moved nothing.
    """
    cursor = await connection.execute(
        """
        SELECT p.payment_id::text AS id, coalesce(back.refunded, 0)::bigint AS refunded,
            coalesce(back.under_way, false) AS refund_under_way, coalesce(quarrels.open, false) AS dispute_open,
            coalesce(quarrels.lost, 0)::bigint AS lost, greatest(back.last, quarrels.last) AS last
        FROM orders o JOIN payments p USING (order_id)
        CROSS JOIN LATERAL (
            SELECT sum(r.amount) FILTER (WHERE r.status = 'succeeded') AS refunded,
                bool_or(r.status <> ALL(%(refund_ended)s)) AS under_way,
                max(coalesce(r.ended_at, r.created_at)) FILTER (WHERE r.refund_id IS DISTINCT FROM r.request_id::text)
                    AS last
            FROM refunds r
            WHERE (r.payment_id = p.payment_id OR (r.provider = 'stripe' AND r.charge_id = p.charge_id))
                AND r.currency = o.currency
        ) AS back
        CROSS JOIN LATERAL (
            SELECT sum(CASE WHEN d.currency = o.currency THEN d.amount ELSE p.amount END)
                    FILTER (WHERE d.status = 'lost' OR (d.status = 'prevented' AND d.withdrawn > 0)) AS lost,
                bool_or(d.status <> ALL(%(dispute_ended)s)) AS open, max(d.closed_at) AS last
            FROM disputes d
            WHERE d.payment_id = p.payment_id OR (d.provider = 'stripe' AND d.charge_id = p.charge_id)
        ) AS quarrels
        WHERE o.order_id = %(order)s
        """,
        {"order": order_id, "refund_ended": list(ENDED["refund"]), "dispute_ended": list(ENDED["dispute"])},
    )
    return {row.pop("id"): Trouble(**row) for row in await cursor.fetchall()}
