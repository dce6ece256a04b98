"""A database of a large installation: a hundred thousand customers and a million rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

CUSTOMERS = 100_000
ACTIONS = 1_000_000
EVENTS = 300_000
"""A quarter of a year at three thousand a day."""

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
        CASE WHEN n % 100 < 12 OR n % 100 IN (20, 21) THEN 'suspended' WHEN n % 100 = 30 THEN 'terminated'
            ELSE 'live' END,
        1000000 + n, 1, 'shop' || n || '.example',
        CASE WHEN n % 100 < 12 THEN '{ended}' WHEN n % 100 IN (20, 21) THEN '{unpaid}' ELSE '{}' END::text[],
        CASE WHEN n % 100 IN (40, 41, 42) THEN now() + n * interval '6 seconds' END,
        CASE WHEN n % 100 IN (20, 21, 40, 41, 42) THEN now() END,
        CASE WHEN n % 100 = 50 THEN now() + n * interval '20 seconds' END,
        CASE WHEN n % 100 < 12 THEN now() END,
        CASE WHEN n % 100 < 12 THEN now() + n * interval '26 seconds' END,
        CASE WHEN n % 2000 = 60 THEN 'domain_differs' WHEN n % 100 IN (40, 41, 42) THEN 'in_grace' END
    FROM generate_series(1, %(customers)s) n
"""

_DUE = """
    INSERT INTO due (kind, key, due_at, dated, waits_for, last_error, parked_reason, parked_at, problems)
    SELECT 'customer', 'cus_' || n,
        CASE WHEN n % 1000 = 200 THEN NULL WHEN n % 1000 = 300 THEN now() - interval '1 second'
            ELSE now() + n * interval '26 seconds' END,
        n % 1000 NOT IN (200, 300),
        CASE WHEN n % 100 IN (40, 41, 42) THEN 'in_grace' END,
        CASE WHEN n % 2000 = 71 THEN 'the panel does not answer' END,
        CASE WHEN n % 1000 = 200 THEN 'no_email' END, CASE WHEN n % 1000 = 200 THEN now() END, '[]'
    FROM generate_series(1, %(customers)s) n
    WHERE n % 100 < 12 OR n % 100 IN (40, 41, 42, 50) OR n % 1000 IN (200, 300) OR n % 2000 = 71
"""

_ACTIONS = """
    INSERT INTO actions (action_id, customer_id, subscription_id, slot, kind, state, rule, at, actor)
    SELECT md5('act' || n / 3)::uuid, 'cus_' || c, 'sub_' || c, 1,
        (ARRAY['create_org', 'create_subscription', 'create_website', 'suspend', 'resume',
            'change_plan'])[n / 3 % 6 + 1],
        (ARRAY['intent', 'applied', 'verified'])[n % 3 + 1], 'active',
        now() - (%(actions)s - n) * interval '31 seconds', CASE WHEN n / 3 % 500 = 0 THEN 'anna' ELSE 'bridge' END
    FROM (SELECT n, n / 3 * 7919::bigint % %(customers)s + 1 AS c FROM generate_series(0, %(actions)s - 1) n) AS a
"""

_EVENTS = """
    INSERT INTO events (event_id, type, customer_id, subscription_id, object_id, outcome, source, body, created_at,
        received_at)
    SELECT 'evt_' || n, CASE WHEN n % 3 = 0 THEN 'customer.subscription.updated' ELSE 'invoice.paid' END, 'cus_' || c,
        'sub_' || c, 'in_' || n, CASE WHEN n % 50 = 0 THEN 'ignored' ELSE 'accepted' END,
        CASE WHEN n % 3000 = 0 THEN 'sweep' ELSE 'webhook' END, repeat('x', 200), at, at
    FROM (SELECT n, n * 7919::bigint % %(customers)s + 1 AS c, now() - (%(events)s - n) * interval '26 seconds' AS at
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
        CASE WHEN state = 'failed' THEN now() END, CASE WHEN n % 5000 <> 0 THEN now() END, n % 400 = 0,
        CASE WHEN provider <> 'stripe' AND n % 3000 = 7 THEN 2000 ELSE 0 END,
        CASE WHEN state = 'pending' THEN now() - n % 3 * interval '1 day' END, n % 7000 = 7,
        CASE WHEN n % 600 < 4 THEN 'shop_1' END,
        CASE WHEN n % 600 < 4 THEN (ARRAY['held', 'releasable', 'released', 'returned'])[n % 600 + 1] END
    FROM (SELECT n, CASE WHEN n % 10 = 7 THEN 'bank_transfer' WHEN n % 4000 = 3 THEN 'cash_on_delivery'
            ELSE 'stripe' END AS provider,
        CASE WHEN n % 500 = 17 THEN 'pending' WHEN n % 1000 = 5 THEN 'failed' ELSE 'paid' END AS state
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
        CASE WHEN n % 4000 = 1 THEN 'needs_response' ELSE 'won' END, 100, 'eur', now(), now() + interval '5 days'
    FROM generate_series(1, %(customers)s, 400) n
"""

_NOTICES = """
    INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, status, ended_at, created_at)
    SELECT 'stripe', 'cus_' || n, 'suspended', 'sub_' || n || ':' || n, 'sub_' || n, 1,
        CASE WHEN n % 1000 = 0 THEN 'refused' ELSE 'sent' END, now() - n * interval '3 minutes', now()
    FROM generate_series(1, %(notices)s) n
"""

_SWEEPS = """
    INSERT INTO sweeps (started_at, finished_at, phase, counts)
    SELECT now() - n * interval '1 hour', now() - n * interval '1 hour', 'prune', '{"eventsMissed": 1, "marked": 2}'
    FROM generate_series(200, 0, -1) n
"""


_SMALL = ("tallies", "events_by_hour", "sweeps", "disputes", "refunds", "metric_marks", "plan_mappings", "pulses")

_FOLDED = """
    UPDATE metric_marks SET at = now() - interval '30 minutes', id = CASE WHEN name = 'actions' THEN %(actions)s - 500
        ELSE 0 END;
    INSERT INTO events_by_hour
    SELECT date_trunc('hour', received_at), source, count(*) FROM events
    WHERE received_at > now() - interval '3 days' AND received_at <= now() - interval '30 minutes' GROUP BY 1, 2
"""
"""As the last sweep has left it, half an hour ago."""

_STATEMENTS = (
    _CUSTOMERS, _SERVICES, _DUE, _ACTIONS, _EVENTS, _ORDERS, _PAYMENTS, _REFUNDS, _DISPUTES, _NOTICES, _SWEEPS,
)  # fmt: skip


@contextmanager
def _bare(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Fill without indexes and triggers, and make them anew: a fifth of the time."""
    indexes = connection.execute(
        """
        SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS made FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        WHERE t.relname = ANY(%s) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        """,
        (list(BIG),),
    ).fetchall()
    for index in indexes:
        connection.execute(f"DROP INDEX {index['name']}")
    for table in BIG:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    yield
    for table in BIG:
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    connection.execute("SET maintenance_work_mem = '256MB'")
    for index in indexes:
        connection.execute(index["made"])


def fill(connection: psycopg.Connection[Any], customers: int = CUSTOMERS, actions: int = ACTIONS) -> None:
    """Fill an empty, migrated database, and let the planner know what is in it."""
    numbers = {"customers": customers, "actions": actions, "events": 3 * customers, "notices": customers // 3}

    def run(statement: str) -> None:
        for name, number in numbers.items():
            statement = statement.replace(f"%({name})s", str(number))
        connection.execute(statement.encode())

    with _bare(connection):
        for statement in _STATEMENTS:
            run(statement)
    run(_FOLDED)
    connection.execute("INSERT INTO tallies SELECT * FROM tallies_lack()")
    connection.execute(f"VACUUM (ANALYZE) {', '.join(BIG)}")
    connection.execute(f"VACUUM (ANALYZE) {', '.join(_SMALL)}")
