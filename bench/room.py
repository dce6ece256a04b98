"""How much room a customer takes in the database, and how much is written for one: bytes by table, and of the log.

    .venv/bin/python -m bench.room [--copies 300]

A few customers buy and renew at the simulated Stripe, every event is delivered, all passes run. Their rows are copied
with ids of their own, so that tables and indexes are as full as large ones are. The figures to look at: rows and bytes
of each table for a customer of one year (a purchase and eleven renewals), and the bytes of the log for an event, a
purchase and a renewal: what a disk and a replica have to take.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.stage import ENVIRON, event
from lib import log
from lib.bridge import Bridge
from lib.config import Settings
from lib.database import migrate
from lib.stripe_events import subscribe_to
from scripts import sim
from scripts._postgres import start
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

CUSTOMERS = 8
YEAR = 12
"""Months; the first one is the purchase."""

COPIED = ("customers", "services", "subscriptions", "events", "actions", "orders", "order_steps", "payments")

_COPY = """
    INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM (
        SELECT made.* FROM {table} AS t, generate_series(1, %s) AS k, LATERAL jsonb_populate_record(NULL::{table},
            regexp_replace(regexp_replace((to_jsonb(t) - 'body')::text,
                '_1Sim(\\d{{8}})', '_' || lpad(k::text, 6, '0') || '\\1', 'g'),
                '[0-9a-f]{{8}}(-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-)', lpad(to_hex(k), 8, '0') || '\\1', 'g'
            )::jsonb {moved}) AS made
    ) AS copied
"""
"""Ids of Stripe's and of ours get the number of the copy, the same in every table."""

_COLUMNS = """
    SELECT column_name AS name FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'
"""
_MOVED = {
    "events": "|| jsonb_build_object('body', t.body)",
    "actions": "|| jsonb_build_object('id', t.id + k * 1000000)",
    "order_steps": "|| jsonb_build_object('id', t.id + k * 1000000)",
    "services": "|| jsonb_build_object('panel_subscription_id', t.panel_subscription_id + k * 1000)",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.room", description=__doc__)
    parser.add_argument("--copies", type=int, default=300, help="of the few customers (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
        url = postgres.create_database("bench")
        result = asyncio.run(measure(url, options.copies))
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


async def measure(url: str, copies: int) -> dict[str, Any]:
    """A year of a few customers, and what is left of it."""
    stripe, panel = StripeSim(), EnhanceSim()
    stripe.create_price("price_bench")
    panel.add_plan("bench")
    with serve(stripe.app) as stripe_url, serve(panel.app) as panel_url:
        environ = {**ENVIRON, **sim.settings(stripe, stripe_url, panel, panel_url), "DATABASE_URL": url, "ORDERS": "on"}
        log.configure("error")
        bridge = Bridge(Settings.load(environ))
        await migrate(bridge.db)
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            connection.execute(
                "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                " VALUES ('stripe', 'price_bench', 'bench')"
            )
            written = await _year(bridge, stripe, connection)
            await bridge.close()
            connection.execute("UPDATE events SET body = %s", (event("room").decode(),))
            tables = _room(connection, copies)
    customers = CUSTOMERS * (copies + 1)
    return {
        "customers": customers,
        "tables": tables,
        "bytes_per_customer_year": round(sum(table["bytes_per_customer"] for table in tables)),
        **written,
    }


async def _year(bridge: Bridge, stripe: StripeSim, connection: psycopg.Connection[Any]) -> dict[str, float]:
    """A purchase and renewals for everybody; bytes of the log, commits and events for each."""
    began = stripe.now() - 2 * 86_400
    told, wanted = 0, subscribe_to(orders=True)
    figures: dict[str, float] = {}
    subscriptions = []
    for month in range(YEAR):
        if month == 0:
            for n in range(CUSTOMERS):
                customer = str(stripe.create_customer(f"buyer{n}@customers.example", f"Buyer {n}")["id"])
                metadata = {"domain": f"site{n}.example"}
                subscriptions.append(
                    stripe.subscribe(customer, ["price_bench"], metadata=metadata, created=began)["id"]
                )
        else:
            for subscription in subscriptions:
                stripe.renew(subscription, created=began + month)
        happened = [e for e in stripe.events[told:] if e["type"] in wanted]
        told = len(stripe.events)
        before = _log(connection)
        for one in happened:
            await bridge.accept([stripe.signed(one)[0]])
        accepted = _log(connection)
        await bridge.drain(deadline=float("inf"))
        done = _log(connection)
        if month in (0, 1):
            what = "purchase" if month == 0 else "renewal"
            figures[f"{what}_events"] = len(happened) / CUSTOMERS
            figures[f"{what}_wal_bytes_per_event"] = round((accepted[0] - before[0]) / len(happened))
            figures[f"{what}_wal_bytes"] = round((done[0] - before[0]) / CUSTOMERS)
            figures[f"{what}_commits"] = round((done[1] - before[1]) / CUSTOMERS, 1)
    return figures


def _log(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Bytes of the write-ahead log so far, and transactions that wrote."""
    row = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS transactions"
    ).fetchone()
    assert row is not None
    return row["bytes"], row["transactions"]


def _room(connection: psycopg.Connection[Any], copies: int) -> list[dict[str, Any]]:
    connection.execute("SET session_replication_role = replica")  # copies count for nothing, and refer to each other
    for table in COPIED:
        cursor = connection.execute(_COLUMNS, (table,))
        columns = ", ".join(f'"{row["name"]}"' for row in cursor.fetchall())
        copy = _COPY.format(table=table, columns=columns, moved=_MOVED.get(table, ""))
        connection.execute(copy.encode(), (copies,))
    connection.execute("VACUUM ANALYZE")
    rows = connection.execute(
        """
        SELECT relname AS name, pg_total_relation_size(oid) AS bytes, pg_indexes_size(oid) AS indexes,
            reltuples::bigint AS rows
        FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r' ORDER BY pg_total_relation_size(oid) DESC
        """,
        (list(COPIED),),
    ).fetchall()
    customers = CUSTOMERS * (copies + 1)
    return [
        {
            "table": row["name"],
            "rows_per_customer": round(row["rows"] / customers, 1),
            "bytes_per_row": round(row["bytes"] / max(1, row["rows"])),
            "indexes_percent": round(100 * row["indexes"] / row["bytes"]),
            "bytes_per_customer": round(row["bytes"] / customers),
        }
        for row in rows
    ]


if __name__ == "__main__":
    main()
