"""Making a copy of a database one shard's: all of other shards' customers is deleted from it, in one transaction.

Every copy keeps what it needs, and what belongs to nobody is kept by exactly one: what is in all copies together is
what was there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.database.connection import Connection, Database
from lib.errors import Declined
from lib.model.shard import Shard

OWNED = (
    "braked",
    "shadow_plans",
    "batch_items",
    "notices",
    "actions",
    "subscriptions",
    "disputes",
    "refunds",
    "events",
)
"""Tables of rows that name their customer in `provider` and `customer_id`, and that no other rows need."""

OF_ORDERS = ("order_acts", "order_steps", "collections", "payments")
"""Tables of rows that are about an order, those first that others do not need."""

OF_STREAMS = ("outbox", "outbox_streams")
"""Tables of rows whose customer stands in one text."""

OF_ONE = ("metric_totals", "events_by_hour", "alerts", "previews", "plan_previews")
"""What was counted or told of all customers together: one copy goes on with it."""

OF_ALL = (
    "alert_receivers", "batches", "brake", "checkout_limits", "elsewhere", "fee_rules", "leases", "metric_marks",
    "outbox_attempts", "outbox_endpoints", "plan_mappings", "plan_rules", "pulses", "schema_migrations", "shard",
    "sweep_seen", "sweeps", "tallies",
)  # fmt: skip
"""What each copy needs, or what follows the rows above."""

_GOES = """
    CASE WHEN {provider} <> 'stripe' OR {customer} IS NULL THEN NOT %(keeps)s
        ELSE shard_of({customer}, %(count)s) <> %(number)s END
"""
_OWNER = _GOES.format(provider="provider", customer="customer_id")
_IN_TEXT = _GOES.format(
    provider="CASE WHEN strpos({text}, ':') > 0 OR {text} = '-' THEN 'other' ELSE 'stripe' END", customer="{text}"
)
_ORDERS_GONE = f"SELECT order_id FROM orders WHERE {_OWNER}"
_MONEY_GONE = f"DELETE FROM {{table}} WHERE {_OWNER} OR order_id IN ({_ORDERS_GONE})"

_STATEMENTS: Mapping[str, str] = {
    **{table: f"DELETE FROM {table} WHERE {_OWNER}" for table in OWNED},
    "disputes": _MONEY_GONE.format(table="disputes"),
    "refunds": _MONEY_GONE.format(table="refunds"),
    **{table: f"DELETE FROM {table} WHERE order_id IN ({_ORDERS_GONE})" for table in OF_ORDERS},
    "orders": f"DELETE FROM orders WHERE {_OWNER}",
    "services": f"DELETE FROM services WHERE {_OWNER}",
    "customers": f"DELETE FROM customers WHERE {_OWNER}",
    # What an object or an order is about is looked up by its pass, which leaves alone what is not here.
    "due": f"DELETE FROM due WHERE kind = 'customer' AND {_IN_TEXT.format(text='key')}",
    **{table: f"DELETE FROM {table} WHERE {_IN_TEXT.format(text='customer')}" for table in OF_STREAMS},
    **{table: f"DELETE FROM {table} WHERE NOT %(keeps)s" for table in OF_ONE},
}

TABLES = frozenset({*_STATEMENTS, *OF_ALL})
"""Every table there is."""

_GUARDED = tuple(_STATEMENTS)
"""Their triggers keep a ledger from being changed, and count each row: all is counted anew at the end."""

_IN_THE_WAY = """
    SELECT (SELECT count(*) FROM due WHERE leased_until > now()) AS working,
        (SELECT count(*) FROM orders WHERE provider = 'stripe' AND customer_id IS NULL
            AND state IN ('pending', 'paying')) AS open_orders
"""


async def look(db: Database, to: Shard) -> dict[str, int]:
    """How many customers stay and go, once nothing is in the way.

    Raises:
        Declined: `busy`, `orders_open` or `wrong_shard`.
    """
    row = await db.row("SELECT number, count FROM shard")
    before = Shard(row["number"], row["count"]) if row else None
    if before is not None and (to.count < before.count or to.number % before.count != before.number):
        halves = f"{before.number}/{before.count * 2} and {before.number + before.count}/{before.count * 2}"
        raise Declined("wrong_shard", f"this database is shard {before}: it becomes {halves}, and not {to}")
    found = await db.row(_IN_THE_WAY)
    assert found is not None
    if found["working"]:
        raise Declined("busy", f"{found['working']} passes run on this database: stop its deployment first")
    if found["open_orders"]:
        raise Declined(
            "orders_open",
            f"{found['open_orders']} purchases on our own page are under way, and whose shard their buyers are is not"
            " known yet: switch public checkout off and wait until their pages have ended, for a day at most",
        )
    counted = await db.row(
        f"SELECT count(*) FILTER (WHERE {_OWNER}) AS go, count(*) FILTER (WHERE NOT {_OWNER}) AS stay FROM customers",
        _parameters(to, before),
    )
    assert counted is not None
    return dict(counted)


def _parameters(to: Shard, before: Shard | None) -> dict[str, Any]:
    return {"number": to.number, "count": to.count, "keeps": to.number == (before.number if before else 0)}


async def split(db: Database, to: Shard) -> dict[str, int]:
    """Delete what is not this shard's; how many rows of each table. All of it happens, or nothing.

    Raises:
        Declined: as `look`.
    """
    await look(db, to)
    async with db.transaction() as connection:
        row = await (await connection.execute("SELECT number, count FROM shard")).fetchone()
        parameters = _parameters(to, Shard(row["number"], row["count"]) if row else None)
        gone = await _delete(connection, parameters)
        await connection.execute("INSERT INTO tallies SELECT * FROM tallies_lack()")
        await connection.execute("DELETE FROM shard")
        await connection.execute(
            "INSERT INTO shard (number, count) VALUES (%(number)s, %(count)s)",
            {"number": to.number, "count": to.count},
        )
    return gone


async def _delete(connection: Connection, parameters: Mapping[str, Any]) -> dict[str, int]:
    gone = {}
    for kind in ("dispute", "refund"):  # whose they are is known: no sweep need find out
        await connection.execute(
            f"INSERT INTO elsewhere (kind, object_id) SELECT '{kind}', {kind}_id FROM {kind}s WHERE {_OWNER}"
            " ON CONFLICT DO NOTHING",
            parameters,
        )
    for table in _GUARDED:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for table, statement in _STATEMENTS.items():
        gone[table] = (await connection.execute(statement, parameters)).rowcount
    # What waits to be checked at the end of the transaction would keep the tables from being altered.
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in _GUARDED:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    return gone
