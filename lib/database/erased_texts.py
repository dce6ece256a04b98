"""Free texts beside the ledger in which somebody may be named: errors, notes, what other systems answered.

Each table of `TEXTS` says which of its rows are theirs; there any address goes. In the tables of `SHARED` no row is
anybody's own, so only their words go. What holds nothing but personal data is emptied where it is written (orders,
events, mails).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from psycopg.types.json import Jsonb

from lib.database import outbox
from lib.database.connection import Connection
from lib.policy.personal import Hide, without, without_words


class Theirs(Struct, frozen=True):
    """What is known to belong to one person."""

    parameters: Mapping[str, Any]
    """For statements: provider, customer and key (of nobody: NULL), their orders, addresses, and those as in JSON."""
    orders: tuple[str, ...]
    addresses: frozenset[str]
    words: set[str]
    """What of it is personal."""


_ORDERS = "order_id = ANY(%(orders)s::uuid[])"
_MONEY = f"provider = %(provider)s AND customer_id = %(customer)s OR {_ORDERS}"

TEXTS = {
    "due": (
        ("last_error", "problems"),
        f"""
        key = %(key)s OR key = ANY(%(orders)s) OR split_part(key, ':', 2) = %(key)s
        OR kind = 'outbox' AND substr(key, strpos(key, ':') + 1) = %(key)s
        OR key IN (SELECT notice_id::text FROM notices WHERE {_MONEY}
            UNION SELECT payment_intent_id FROM payments WHERE {_ORDERS}
            UNION SELECT payment_id::text FROM payments WHERE {_ORDERS}
            UNION SELECT session_id FROM orders WHERE {_ORDERS}
            UNION SELECT line_id::text FROM orders WHERE {_ORDERS}
            UNION SELECT dispute_id FROM disputes WHERE {_MONEY}
            UNION SELECT refund_id FROM refunds WHERE {_MONEY})
        """,
    ),
    "order_steps": (("detail", "error"), _ORDERS),
    "outbox": (("last_error",), outbox.THEIRS),
    "outbox_attempts": (("error",), f"outbox_id IN (SELECT id FROM outbox WHERE {outbox.THEIRS})"),
    "payments": (("failure_message",), _ORDERS),
    "refunds": (("note", "failure"), _MONEY),
}
"""Table -> its columns of free text, and which rows are theirs."""

SHARED = {
    "alert_receivers": ("told_title", "error"),
    "alerts": ("title", "detail"),
    "batches": ("given",),
    "outbox_endpoints": ("last_error",),
    "pulses": ("error",),
    "sweeps": ("errors",),
}
"""Table -> columns in which what another side said last stands, or why somebody did something to many."""


async def clean(connection: Connection, theirs: Theirs, hide: Hide, hide_words: Hide) -> None:
    """Rewrite every free text that names them.

    Args:
        hide: their words, and every address.
        hide_words: their words alone.
    """
    await connection.execute("SET LOCAL bridge.erasing = 'on'")
    for table, (columns, where) in TEXTS.items():
        await _rewrite(connection, table, columns, where, theirs, lambda value: without(value, hide))
    for table, columns in SHARED.items():
        await _rewrite(connection, table, columns, "true", theirs, lambda value: without_words(value, hide_words))
    await connection.execute("SET LOCAL bridge.erasing = 'off'")


async def _rewrite(
    connection: Connection,
    table: str,
    columns: tuple[str, ...],
    where: str,
    theirs: Theirs,
    change: Callable[[Any], Any],
) -> None:
    names = ", ".join(columns)
    some = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    cursor = await connection.execute(
        f"SELECT ctid::text AS place, {names} FROM {table} WHERE ({where}) AND ({some}) FOR UPDATE", theirs.parameters
    )
    for row in await cursor.fetchall():
        changed = {column: change(row[column]) for column in columns}
        if all(changed[column] == row[column] for column in columns):
            continue
        values = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in changed.items()}
        changes = ", ".join(f"{column} = %({column})s" for column in columns)
        await connection.execute(
            f"UPDATE {table} SET {changes} WHERE ctid = %(place)s::tid", {**values, "place": row["place"]}
        )
