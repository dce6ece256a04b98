"""A database with many customers in it, for measurements and for tests that read plans.

Whatever its size, each list and each of its filters has a page's worth of rows at least: what is wrong with somebody is
wrong with every tenth of a thousand customers, and with every thousandth of more than a hundred thousand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

CUSTOMERS = 100_000
ACTIONS = 1_000_000

BIG = ("customers", "services", "due", "actions", "events", "orders", "payments", "notices")
"""Tables with many rows here: no screen's first answer goes through one."""

_CUSTOMERS = """
    INSERT INTO customers (customer_id, email, name, org_id, created_at)
    SELECT 'cus_' || n, 'many' || n || '@example.com', 'Customer ' || n, md5('org' || n)::uuid,
        now() - n * interval '5 minutes'
    FROM generate_series(1, %(customers)s) n
"""

_SERVICES = """
    INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, plan, state, panel_subscription_id,
        panel_plan_id, domain, holds, grace_until, unpaid_since, ends_at, ended_at, retain_until, waits_for)
    SELECT 'cus_' || n, 'sub_' || n, 1, 'si_' || n, CASE WHEN n % 5 = 0 THEN 'price_big_monthly'
        ELSE 'price_basic_monthly' END, 'basic-hosting-plan',
        CASE WHEN n % 100 < 12 OR n % 100 BETWEEN 20 AND 24 THEN 'suspended'
            WHEN n % 100 BETWEEN 30 AND 34 THEN 'terminated' ELSE 'live' END,
        1000000 + n, 1, 'shop' || n || '.example',
        CASE WHEN n % 100 < 12 THEN '{ended}' WHEN n % 100 BETWEEN 20 AND 24 THEN '{unpaid}' ELSE '{}' END::text[],
        CASE WHEN n % 100 IN (40, 41, 42) THEN now() + n * interval '6 seconds' END,
        CASE WHEN n % 100 BETWEEN 20 AND 24 OR n % 100 IN (40, 41, 42) THEN now() END,
        CASE WHEN n % 100 = 50 THEN now() + n * interval '20 seconds' END,
        CASE WHEN n % 100 < 12 THEN now() END,
        CASE WHEN n % 100 < 12 THEN now() + n * interval '26 seconds' END,
        CASE WHEN n % %(rare)s = 6 THEN 'domain_differs' WHEN n % 100 IN (40, 41, 42) THEN 'in_grace' END
    FROM generate_series(1, %(customers)s) n
"""

_DUE = """
    INSERT INTO due (kind, key, due_at, dated, waits_for, last_error, parked_reason, parked_at, problems)
    SELECT 'customer', 'cus_' || n,
        CASE WHEN n % %(rare)s = 2 THEN NULL WHEN n % %(rare)s = 3 THEN now() - interval '1 second'
            ELSE now() + n * interval '26 seconds' END,
        n % %(rare)s NOT IN (2, 3),
        CASE WHEN n % %(rare)s = 5 THEN 'brake' WHEN n % 100 IN (40, 41, 42) THEN 'in_grace' END,
        CASE WHEN n % %(rare)s = 4 THEN 'the panel does not answer' END,
        CASE WHEN n % %(rare)s = 2 THEN 'no_email' END, CASE WHEN n % %(rare)s = 2 THEN now() END,
        CASE WHEN n % %(rare)s = 2 THEN '[{"reason": "no_email", "detail": "no address", "subject": null}]'
            ELSE '[]' END::jsonb
    FROM generate_series(1, %(customers)s) n
    WHERE n % 100 < 12 OR n % 100 IN (40, 41, 42, 50) OR n % %(rare)s BETWEEN 2 AND 5
"""

_ACTIONS = """
    INSERT INTO actions (action_id, customer_id, subscription_id, slot, kind, state, rule, at, actor)
    SELECT md5('act' || n / 3)::uuid, 'cus_' || c, 'sub_' || c, 1,
        (ARRAY['create_org', 'create_subscription', 'create_website', 'suspend', 'resume',
            'change_plan'])[n / 3 % 6 + 1],
        CASE WHEN n / 3 % %(rare)s = 1 AND n % 3 = 0 THEN 'noted'
            ELSE (ARRAY['intent', 'applied', 'verified'])[n % 3 + 1] END, 'active',
        now() - (%(actions)s - n) * interval '31 seconds', CASE WHEN n / 3 % %(rare)s = 0 THEN 'anna' ELSE 'bridge' END
    FROM (SELECT n, n / 3 * 7919::bigint % %(customers)s + 1 AS c FROM generate_series(0, %(actions)s - 1) n) AS a
"""

_EVENTS = """
    INSERT INTO events (event_id, type, customer_id, subscription_id, object_id, outcome, source, body, created_at,
        received_at)
    SELECT 'evt_' || n, CASE WHEN n % 3 = 0 THEN 'customer.subscription.updated' ELSE 'invoice.paid' END, 'cus_' || c,
        'sub_' || c, 'in_' || n, CASE WHEN n % 50 = 0 THEN 'ignored' ELSE 'accepted' END,
        CASE WHEN n % (3 * %(rare)s) = 0 THEN 'sweep' ELSE 'webhook' END, repeat('x', 200), at, at
    FROM (SELECT n, n * 7919::bigint % %(customers)s + 1 AS c,
        now() - (%(events)s - n) * interval '90 days' / %(events)s AS at
        FROM generate_series(1, %(events)s) n) AS e
"""

_ORDERS = """
    INSERT INTO orders (order_id, provider, origin, state, billing_plan_id, email, customer_id, subscription_id,
        currency, amount, reference, line_id, created_at, paid_at, ended_at, served_at, disputed, collected, due_at,
        paid_late, seller_id, escrow)
    SELECT md5('order' || n)::uuid, provider, CASE WHEN provider = 'stripe' THEN 'checkout' ELSE 'admin' END, state,
        'price_basic_monthly', 'many' || n || '@example.com', 'cus_' || n, 'sub_' || n, 'eur', 1900,
        CASE WHEN provider <> 'stripe' THEN 'MANY ' || n END,
        CASE WHEN provider <> 'stripe' THEN md5('order' || n)::uuid END, now() - n * interval '5 minutes',
        now() - n * interval '5 minutes',
        CASE WHEN state = 'failed' THEN now() END, CASE WHEN n % %(rare)s <> 2 THEN now() END, n % %(rare)s = 0,
        CASE WHEN provider <> 'stripe' AND state = 'paid' AND n % (2 * %(rare)s) = 7 THEN 2000 ELSE 0 END,
        CASE WHEN state = 'pending' THEN now() - n % 3 * interval '1 day' END, n % %(rare)s = 8,
        CASE WHEN n % %(rare)s IN (6, 9) THEN 'shop_1' END,
        CASE WHEN n % %(rare)s IN (6, 9)
            THEN (ARRAY['held', 'releasable', 'released', 'returned'])[n / %(rare)s % 4 + 1] END
    FROM (SELECT n, CASE WHEN n % 10 = 7 THEN 'bank_transfer' WHEN n % %(rare)s = 1 THEN 'cash_on_delivery'
            ELSE 'stripe' END AS provider,
        CASE WHEN n % (2 * %(rare)s) = 7 + %(rare)s OR n % %(rare)s = 4 THEN 'pending'
            WHEN n % %(rare)s = 5 THEN 'failed' ELSE 'paid' END AS state
        FROM generate_series(1, %(customers)s) n) AS o
"""

_PAYMENTS = """
    INSERT INTO payments (payment_id, order_id, provider, attempt, state, amount, currency, payment_intent_id,
        charge_id, invoice_id, subtotal, total, paid, gross, provider_fee, net, balance_currency, settled_at,
        created_at)
    SELECT md5('payment' || n)::uuid, md5('order' || n)::uuid, 'stripe', 1, 'succeeded', 1900, 'eur', 'pi_' || n,
        'ch_' || n, 'in_' || n, 1900, 1900, 1900, 1900, 85, 1815, 'eur', now(), now()
    FROM generate_series(1, %(customers)s) n
"""

_REFUNDS = """
    INSERT INTO refunds (refund_id, charge_id, payment_id, status, amount, currency, charge_refunded, created_at)
    SELECT 're_' || n, 'ch_' || n, md5('payment' || n)::uuid, 'succeeded', 100, 'eur', false, now()
    FROM generate_series(1, %(customers)s, 100) n
"""

_DISPUTES = """
    INSERT INTO disputes (dispute_id, customer_id, charge_id, payment_id, status, amount, currency, created_at, due_by)
    SELECT 'dp_' || n, 'cus_' || n, 'ch_' || n, md5('payment' || n)::uuid,
        CASE WHEN n % %(rare)s = 1 THEN 'needs_response' ELSE 'won' END, 100, 'eur', now(), now() + interval '5 days'
    FROM generate_series(1, %(customers)s, %(rare)s / 5) n
"""

_BRAKED = """
    INSERT INTO braked (customer_id, subscription_id, slot, counts, kind)
    SELECT key, 'sub_' || substr(key, 5), 1, CASE WHEN n % 2 = 0 THEN 'suspensions' ELSE 'moves' END,
        CASE WHEN n % 2 = 0 THEN 'suspend' ELSE 'change_plan' END
    FROM (SELECT key, row_number() OVER (ORDER BY key) AS n FROM due WHERE waits_for = 'brake') AS d
"""

_NOTICES = """
    INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, status, ended_at, created_at)
    SELECT 'stripe', 'cus_' || n, 'suspended', 'sub_' || n || ':' || n, 'sub_' || n, 1,
        CASE WHEN n % (%(rare)s / 5) = 0 THEN 'refused' ELSE 'sent' END, now() - n * interval '3 minutes', now()
    FROM generate_series(1, %(notices)s) n
"""

_SWEEPS = """
    INSERT INTO sweeps (started_at, finished_at, phase, counts)
    SELECT now() - n * interval '1 hour', now() - n * interval '1 hour', 'prune', '{"eventsMissed": 1, "marked": 2}'
    FROM generate_series(200, 0, -1) n
"""


_SMALL = (
    "tallies",
    "events_by_hour",
    "sweeps",
    "disputes",
    "refunds",
    "metric_marks",
    "plan_mappings",
    "pulses",
    "braked",
)

_FOLDED = """
    UPDATE metric_marks SET at = now() - interval '30 minutes', id = CASE WHEN name = 'actions' THEN %(actions)s - 500
        ELSE 0 END;
    INSERT INTO events_by_hour
    SELECT date_trunc('hour', received_at), source, count(*) FROM events
    WHERE received_at > now() - interval '3 days' AND received_at <= now() - interval '30 minutes' GROUP BY 1, 2
"""
"""As the last sweep has left it, half an hour ago."""

_STATEMENTS = {
    "customers": _CUSTOMERS, "services": _SERVICES, "due": _DUE, "actions": _ACTIONS, "events": _EVENTS,
    "orders": _ORDERS, "payments": _PAYMENTS, "notices": _NOTICES,
}  # fmt: skip

_BESIDE = (_REFUNDS, _DISPUTES, _BRAKED, _SWEEPS)

_UNLOGGED = ("actions", "events")
"""The largest: nothing of this outlives a crash, and a log of it would be written twice."""

_THREADS = 2


def _indexes(connection: psycopg.Connection[DictRow]) -> dict[str, list[str]]:
    """Drop the big tables' indexes and switch off their triggers, for a fifth of the time; how to make them anew."""
    found: dict[str, list[str]] = {table: [] for table in BIG}
    for row in connection.execute(
        """
        SELECT t.relname AS table, c.relname AS name, pg_get_indexdef(i.indexrelid) AS made FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        WHERE t.relname = ANY(%s) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        """,
        (list(BIG),),
    ).fetchall():
        found[row["table"]].append(row["made"])
        connection.execute(f"DROP INDEX {row['name']}")
    for table in BIG:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    for table in _UNLOGGED:
        connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
    return found


def fill(url: str, customers: int = CUSTOMERS, actions: int = ACTIONS) -> None:
    """Fill an empty, migrated database, and let the planner know what is in it.

    Args:
        customers: a multiple of a thousand.
        actions: rows of the ledger.
    """
    numbers = {
        "customers": customers,
        "actions": actions,
        "events": 3 * customers,
        "notices": customers // 3,
        "rare": min(max(customers // 100, 10), 1000),
    }

    def run(connection: psycopg.Connection[DictRow], statement: str) -> None:
        for name, number in numbers.items():
            statement = statement.replace(f"%({name})s", str(number))
        connection.execute(statement.encode())

    def fill_one(indexes: dict[str, list[str]], table: str) -> None:
        with _connected(url) as connection:
            connection.execute("SET maintenance_work_mem = '512MB'")
            run(connection, _STATEMENTS[table])
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            for index in indexes[table]:
                connection.execute(index.encode())
            connection.execute(f"VACUUM (ANALYZE) {table}")

    with _connected(url) as connection:
        indexes = _indexes(connection)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(partial(fill_one, indexes), sorted(BIG, key=_LARGEST_FIRST.index)))
        for statement in (*_BESIDE, _FOLDED):
            run(connection, statement)
        connection.execute("INSERT INTO tallies SELECT * FROM tallies_lack()")
        connection.execute(f"VACUUM (ANALYZE) {', '.join(_SMALL)}")


_LARGEST_FIRST = ("actions", "events", "orders", "payments", "services", "customers", "due", "notices")


def _connected(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)
