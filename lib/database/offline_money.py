"""Offline money that came in: each bank line and each courier's call counts once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from lib.database.connection import Connection, Database
from lib.model.money import Collection, Order
from lib.model.provider import Provider
from lib.policy.statement import TakenBefore


class GivenBack(Struct, frozen=True):
    """What a refund of offline money is about."""

    payment_id: str
    subscription_id: str
    actor: str
    note: str | None


async def add(connection: Connection, collection: Collection) -> bool:
    """Write down money that came; False when this line or this call was written before. The table adds it up.

    The caller holds the order's row (`orders.locked`), decides with `policy.offline.collect` and moves it with
    `orders.apply`, all in this transaction.
    """
    cursor = await connection.execute(
        """
        INSERT INTO collections
            (order_id, provider, amount, currency, collected_at, actor, external_id, idempotency_key)
        VALUES (%(order)s, %(provider)s, %(amount)s, %(currency)s, %(at)s, %(actor)s, %(external)s, %(key)s)
        ON CONFLICT DO NOTHING RETURNING 1
        """,
        {
            "order": collection.order_id,
            "provider": collection.provider,
            "amount": collection.amount,
            "currency": collection.currency,
            "at": collection.collected_at,
            "actor": collection.actor,
            "external": collection.external_id,
            "key": collection.idempotency_key,
        },
    )
    return await cursor.fetchone() is not None


async def find(
    connection: Connection, provider: Provider, *, external_id: str | None = None, idempotency_key: str | None = None
) -> list[Collection]:
    """What was written of a bank line or under a caller's key: answers a repetition, refuses another use of it."""
    cursor = await connection.execute(
        """
        SELECT order_id::text, provider, amount, currency, collected_at, actor, external_id, idempotency_key
        FROM collections
        WHERE (provider = %(provider)s AND external_id = %(external)s) OR idempotency_key = %(key)s
        """,
        {"provider": provider, "external": external_id, "key": idempotency_key},
    )
    return [Collection(**{**row, "provider": Provider(row["provider"])}) for row in await cursor.fetchall()]


async def was_given_back(connection: Connection, order: Order, refund_id: str) -> bool:
    """Whether this refund of an order was written down before."""
    cursor = await connection.execute(
        "SELECT FROM refunds WHERE provider = %(provider)s AND refund_id = %(id)s",
        {"provider": order.provider, "id": refund_id},
    )
    return await cursor.fetchone() is not None


async def give_back(
    connection: Connection, order: Order, refund_id: str, amount: int, *, about: GivenBack, at: datetime
) -> None:
    """Write down money of an order that went back; the order has counted it already."""
    await connection.execute(
        """
        INSERT INTO refunds (provider, refund_id, customer_id, subscription_id, invoice_id, status, amount, currency,
            charge_refunded, created_at, ended_at, payment_id, order_id, requested_by, note)
        VALUES (%(provider)s, %(id)s, %(customer)s, %(subscription)s, %(order)s::text, 'succeeded', %(amount)s,
            %(currency)s, %(whole)s, %(at)s, clock_timestamp(), %(payment)s, %(order)s::text::uuid, %(actor)s, %(note)s)
        """,
        {
            "provider": order.provider,
            "id": refund_id,
            "customer": order.terms.customer_id,
            "subscription": about.subscription_id,
            "order": order.id,
            "amount": amount,
            "currency": order.currency,
            "whole": order.refunded == order.amount,
            "at": at,
            "payment": about.payment_id,
            "actor": about.actor,
            "note": about.note,
        },
    )


async def of_order(db: Database, order_id: str) -> list[Collection]:
    """All money that came for an order, oldest first."""
    rows = await db.rows(
        """
        SELECT order_id::text, provider, amount, currency, collected_at, actor, external_id, idempotency_key
        FROM collections WHERE order_id = %(id)s ORDER BY collected_at, recorded_at, collection_id
        """,
        {"id": order_id},
    )
    return [Collection(**{**row, "provider": Provider(row["provider"])}) for row in rows]


async def taken(db: Database, provider: Provider, external_ids: Sequence[str]) -> dict[str, TakenBefore]:
    """What was taken in under these ids of a bank's lines, or of a courier, by the ids."""
    rows = await db.rows(
        """
        SELECT external_id, order_id::text, c.amount, c.currency FROM collections c
        WHERE provider = %(provider)s AND external_id = ANY(%(ids)s)
        """,
        {"provider": provider, "ids": list(external_ids)},
    )
    return {row.pop("external_id"): TakenBefore(**row) for row in rows}
