"""Numbers that are kept are those that counting would find, whatever is written, by whom, and in which order."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.config import Secret
from lib.database import Database, alert_facts, dashboard_numbers, metrics, notices, tallies
from lib.database.lists import orders
from lib.database.lists.outgoing import reading_endpoints
from lib.model.notice import TROUBLE
from lib.policy.disputes import ANSWER, OVER
from tests.world import World

WRITES = """
    INSERT INTO customers (customer_id) VALUES (%(c)s) ON CONFLICT DO NOTHING;
    UPDATE customers SET name = %(word)s, updated_at = now() WHERE customer_id = %(c)s;
    UPDATE customers SET erased_at = now() WHERE customer_id = %(c)s;
    UPDATE customers SET erased_at = NULL, org_id = gen_random_uuid() WHERE customer_id = %(c)s;
    UPDATE customers SET org_id = NULL WHERE customer_id = %(c)s;
    DELETE FROM customers c WHERE customer_id = %(c)s
        AND NOT EXISTS (SELECT FROM services s WHERE s.customer_id = c.customer_id);
    INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id)
        SELECT customer_id, 'sub_' || %(c)s, 1, 'si', %(price)s FROM customers WHERE customer_id = %(c)s
        ON CONFLICT (provider, subscription_id, slot)
        DO UPDATE SET price_id = excluded.price_id, holds = services.holds;
    UPDATE services SET state = 'live', panel_subscription_id = substr(customer_id, 5)::int WHERE customer_id = %(c)s;
    UPDATE services SET state = 'suspended', holds = %(holds)s WHERE state <> 'pending' AND customer_id = %(c)s;
    UPDATE services SET state = 'terminated' WHERE state = 'suspended' AND customer_id = %(c)s;
    UPDATE services SET holds = %(holds)s;
    UPDATE services SET panel_suspended = NOT panel_suspended WHERE customer_id = %(c)s;
    UPDATE services SET website_gone = NOT website_gone WHERE customer_id = %(c)s;
    UPDATE services SET waits_for = CASE WHEN waits_for IS NULL THEN 'domain_differs'
        WHEN waits_for <> 'in_grace' THEN 'in_grace' END WHERE customer_id = %(c)s;
    UPDATE customers SET org_suspended = NOT org_suspended WHERE customer_id = %(c)s;
    DELETE FROM services WHERE customer_id = %(c)s;
    INSERT INTO due (kind, key) VALUES ('customer', %(c)s) ON CONFLICT (kind, key) DO UPDATE
        SET due_at = least(due.due_at, excluded.due_at), generation = due.generation + 1, updated_at = now();
    INSERT INTO due (kind, key, due_at) VALUES ('alert', %(c)s, now() + interval '1 day') ON CONFLICT DO NOTHING;
    INSERT INTO due (kind, key, due_at, waits_for) VALUES ('customer', %(c)s, now() + interval '1 day', 'in_grace')
        ON CONFLICT (kind, key) DO UPDATE SET waits_for = excluded.waits_for, due_at = excluded.due_at;
    UPDATE due SET lease_id = gen_random_uuid(), leased_until = now() + interval '1 hour' WHERE key = %(c)s;
    UPDATE due SET lease_id = NULL, leased_until = NULL, last_error = %(word)s, due_at = now() + interval '1 hour',
        dated = true, updated_at = clock_timestamp() WHERE key = %(c)s AND parked_reason IS NULL;
    UPDATE due SET lease_id = NULL, leased_until = NULL, last_error = NULL, waits_for = NULL, dated = true,
        due_at = now() + interval '2 hours' WHERE key = %(c)s AND lease_id IS NOT NULL;
    UPDATE due SET parked_reason = 'no_email', parked_at = now() WHERE key = %(c)s;
    UPDATE due SET parked_reason = 'unmapped_price', parked_at = now() WHERE key = %(c)s;
    INSERT INTO due (kind, key, due_at, parked_reason, parked_at) VALUES ('order', %(c)s, NULL, 'no_email', now())
        ON CONFLICT DO NOTHING;
    UPDATE due SET parked_reason = NULL, parked_at = NULL, due_at = now() WHERE key = %(c)s;
    UPDATE due SET due_at = NULL WHERE key = %(c)s AND parked_reason IS NOT NULL;
    UPDATE due SET due_at = now() - interval '1 second', waits_for = NULL, last_error = NULL, dated = false
        WHERE key = %(c)s;
    DELETE FROM due WHERE key = %(c)s;
    INSERT INTO shadow_plans (customer_id, actions) VALUES (%(c)s, %(plan)s)
        ON CONFLICT (provider, customer_id) DO UPDATE SET actions = excluded.actions;
    DELETE FROM shadow_plans WHERE customer_id = %(c)s
"""
"""What passes, events, people and scripts write, each in its shape."""


def given(chance: random.Random) -> dict[str, Any]:
    """Values for one statement."""
    kinds = chance.choices(["suspend", "create_org", "resume"], k=chance.randrange(4))
    return {
        "c": f"cus_{chance.randrange(1, 9)}",
        "word": chance.choice(["one", "two"]),
        "price": f"price_{chance.randrange(3)}",
        "holds": chance.sample(["unpaid", "ended", "admin", "paused"], chance.randrange(3)),
        "plan": "[" + ", ".join(f'{{"kind": "{kind}"}}' for kind in kinds) + "]",
    }


COUNTED = """
    SELECT (SELECT count(*) FROM customers WHERE erased_at IS NULL OR org_id IS NOT NULL) AS customers,
        (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (
            SELECT state, count(*) AS n FROM services GROUP BY 1) AS s) AS services,
        (SELECT coalesce(jsonb_object_agg(hold, n), '{}') FROM (
            SELECT unnest(holds) AS hold, count(*) AS n FROM services WHERE state <> 'terminated' GROUP BY 1) AS h
        ) AS holds,
        (SELECT count(*) FROM due WHERE parked_reason IS NULL AND due_at > now() AND leased_until IS NULL) AS waiting,
        (SELECT count(*) FROM due WHERE parked_reason IS NULL AND due_at <= now() AND leased_until IS NULL) AS due,
        (SELECT count(*) FROM due WHERE leased_until IS NOT NULL) AS working,
        (SELECT count(*) FROM services WHERE panel_suspended) AS panel_suspended,
        (SELECT count(*) FROM services WHERE website_gone AND state <> 'terminated') AS websites_gone,
        (SELECT count(*) FROM services WHERE waits_for = 'domain_differs') AS domains_differ,
        (SELECT count(*) FROM customers WHERE org_suspended) AS orgs_suspended,
        (SELECT coalesce(jsonb_agg(p ORDER BY count DESC, reason), '[]') FROM (
            SELECT parked_reason AS reason, count(*) AS count, min(parked_at) AS oldest_at FROM due
            WHERE parked_reason IS NOT NULL AND leased_until IS NULL GROUP BY 1) AS p) AS parked,
        (SELECT count(*) FROM shadow_plans) AS shadow_customers,
        (SELECT coalesce(jsonb_object_agg(kind, n), '{}') FROM (
            SELECT a ->> 'kind' AS kind, count(*) AS n FROM shadow_plans, jsonb_array_elements(actions) AS a
            GROUP BY 1) AS k) AS shadow_actions
"""
"""The same numbers, from the tables themselves."""


@pytest.mark.parametrize("seed", range(6))
async def test_kept_numbers_are_those_that_counting_finds(world: World, seed: int) -> None:
    """After any history of writes, undone ones and folds among them, the first page and the metrics say what is so."""
    chance = random.Random(seed)  # noqa: S311
    async with world.bridge() as bridge:
        for turn in range(1, 241):
            statement, values = chance.choice(WRITES.split(";")), given(chance)
            with world.connection.transaction(force_rollback=chance.random() < 0.1):
                world.connection.execute(statement, values)
            if turn % 40 == 0:
                if chance.random() < 0.5:
                    await tallies.fold(bridge.db, long=0)
                (counted,) = world.sql(COUNTED)
                shown = await dashboard_numbers.read(bridge.db)
                shown["waiting"] = sum(shown["waiting"].values())
                assert {name: shown[name] for name in counted} == counted, turn
                kinds = ("customer", "alert", "order")
                measured = metrics.items(await metrics.read(bridge.db), kinds)
                told = {
                    status: sum(measured[kind, status] for kind in kinds)
                    for status in ("waiting", "due", "working", "parked")
                }
                counted["parked"] = sum(group["count"] for group in counted["parked"])
                assert told == {status: counted[status] for status in told}
                assert world.sql("SELECT name, n FROM tallies_lack()") == []


MONEY = """
    INSERT INTO orders (order_id, provider, origin, state, billing_plan_id, currency, amount, reference, line_id,
            created_at, due_at)
        SELECT md5(%(c)s)::uuid, %(provider)s, 'admin', 'pending', %(price)s, 'eur', 500,
            CASE WHEN %(provider)s <> 'stripe' THEN %(c)s END,
            CASE WHEN %(provider)s <> 'stripe' THEN md5(%(c)s)::uuid END, now(), now() + %(far)s ON CONFLICT DO NOTHING;
    UPDATE orders SET state = 'paying' WHERE state = 'pending' AND (due_at < now() OR order_id = md5(%(c)s)::uuid);
    UPDATE orders SET state = 'paid', paid_at = now() + %(far)s WHERE state IN ('pending', 'paying')
        AND order_id = md5(%(c)s)::uuid;
    UPDATE orders SET state = 'failed', ended_at = now() WHERE state IN ('pending', 'paying')
        AND order_id = md5(%(c)s)::uuid;
    UPDATE orders SET served_at = CASE WHEN served_at IS NULL THEN now() END WHERE order_id = md5(%(c)s)::uuid;
    UPDATE orders SET billing_plan_id = %(price)s WHERE order_id = md5(%(c)s)::uuid;
    UPDATE orders SET disputed = NOT disputed, updated_at = now() WHERE order_id = md5(%(c)s)::uuid;
    UPDATE orders SET paid_late = NOT paid_late WHERE order_id = md5(%(c)s)::uuid;
    UPDATE orders SET due_at = now() + %(far)s WHERE order_id = md5(%(c)s)::uuid;
    UPDATE orders SET returned = overpaid WHERE overpaid > 0 AND returned = 0 AND order_id = md5(%(c)s)::uuid;
    INSERT INTO collections (order_id, provider, external_id, amount, currency, collected_at, actor)
        SELECT order_id, provider, gen_random_uuid()::text, 300, currency, now(), 'anna' FROM orders
        WHERE provider <> 'stripe' AND order_id = md5(%(c)s)::uuid;
    DELETE FROM orders o WHERE order_id = md5(%(c)s)::uuid
        AND NOT EXISTS (SELECT FROM collections c WHERE c.order_id = o.order_id);
    INSERT INTO plan_mappings (billing_provider, billing_plan_id, kind) VALUES (%(provider)s, 'price_0', 'ignore')
        ON CONFLICT DO NOTHING;
    DELETE FROM plan_mappings WHERE billing_provider = %(provider)s;
    INSERT INTO disputes (dispute_id, status, amount, currency, created_at, due_by)
        VALUES (%(c)s, %(status)s, 500, 'eur', now(), now() + %(far)s)
        ON CONFLICT (provider, dispute_id) DO UPDATE SET status = excluded.status, due_by = excluded.due_by;
    UPDATE disputes SET due_by = NULL WHERE dispute_id = %(c)s;
    UPDATE disputes SET closed_at = CASE WHEN closed_at IS NULL THEN now() END WHERE dispute_id = %(c)s;
    DELETE FROM disputes WHERE dispute_id = %(c)s;
    INSERT INTO notices (provider, customer_id, kind, about, subscription_id, slot, status, ended_at)
        VALUES ('stripe', %(c)s, 'suspended', %(c)s, 'sub_1', 1, %(mail)s, now()) ON CONFLICT DO NOTHING;
    UPDATE notices SET status = %(mail)s WHERE customer_id = %(c)s;
    DELETE FROM notices WHERE customer_id = %(c)s;
    INSERT INTO outbox (endpoint, customer, sequence, event_id, type, body, created_at)
        SELECT 'one', '-', 1 + count(*), gen_random_uuid()::text, 'order.paid', '{}', now() + %(far)s FROM outbox;
    UPDATE outbox SET state = 'delivered', ended_at = now() WHERE state = 'waiting' AND id %% 2 = 0;
    UPDATE outbox SET state = 'waiting', ended_at = NULL WHERE id %% 3 = 0;
    DELETE FROM outbox WHERE sequence = (SELECT max(sequence) FROM outbox)
"""
"""What changes about orders, their money, disputes and mails."""

_HOSTING = """
    state = 'paid' AND served_at IS NULL AND mode = 'subscription' AND NOT EXISTS (
        SELECT FROM plan_mappings m WHERE m.billing_provider = o.provider AND m.billing_plan_id = o.billing_plan_id
            AND m.kind = 'ignore')
"""
_OPEN_OFFLINE = "provider <> 'stripe' AND state IN ('pending', 'paying')"

MONEY_COUNTED = f"""
    SELECT (SELECT count(*) FROM orders WHERE state = 'pending') AS pending,
        (SELECT count(*) FROM orders WHERE state = 'paying') AS paying,
        (SELECT count(*) FROM orders o WHERE {_HOSTING}) AS not_live,
        (SELECT count(*) FROM orders WHERE disputed) AS disputed,
        (SELECT count(*) FROM disputes WHERE status <> ALL(%(over)s)) AS open_disputes,
        (SELECT count(*) FROM orders WHERE {_OPEN_OFFLINE}) AS open_offline,
        (SELECT count(*) FROM orders WHERE {_OPEN_OFFLINE} AND due_at < now()) AS overdue,
        (SELECT count(*) FROM orders WHERE {_OPEN_OFFLINE} AND due_at < now() AND state = 'paying') AS overdue_in_part,
        (SELECT count(*) FROM orders WHERE paid_late AND provider <> 'stripe') AS paid_late,
        (SELECT coalesce(jsonb_object_agg(currency, n), '{{}}') FROM (
            SELECT currency, sum(amount - collected + returned) AS n FROM orders WHERE {_OPEN_OFFLINE} GROUP BY 1
            HAVING sum(amount - collected + returned) <> 0) AS m) AS missing,
        (SELECT count(*) FROM orders WHERE overpaid > 0) AS orders_to_return,
        (SELECT coalesce(jsonb_object_agg(currency, n), '{{}}') FROM (
            SELECT currency, sum(overpaid) AS n FROM orders WHERE overpaid > 0 GROUP BY 1) AS m) AS to_return
"""  # noqa: S608

ALERTED = f"""
    SELECT count(*) FILTER (WHERE paid_at < now() - interval '15 minutes') AS not_live,
        min(paid_at) FILTER (WHERE paid_at < now() - interval '15 minutes') AS not_live_since,
        min(paid_at) FILTER (WHERE paid_at >= now() - interval '15 minutes') + interval '15 minutes'
            AS turns_not_live_at,
        (SELECT count(*) FROM disputes
            WHERE closed_at IS NULL AND due_by > now() AND status = ANY(%(answer)s)) AS to_answer,
        (SELECT count(*) FROM disputes WHERE closed_at IS NULL AND due_by > now() - interval '90 days'
            AND status = ANY(%(answer)s)) AS disputes,
        (SELECT count(*) FROM notices WHERE status = ANY(%(trouble)s)) AS mails
    FROM orders o WHERE {_HOSTING}
"""  # noqa: S608


def found_by(world: World, statement: str, words: dict[str, Any]) -> dict[str, Any]:
    """The one row of a statement with named parameters."""
    row = world.connection.execute(statement, words).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("seed", [0, 2, 3])
async def test_kept_money_is_what_counting_finds(world: World, seed: int) -> None:
    """The same of what calls for a person about orders, disputes and mails, on the first page and in the alerts."""
    chance = random.Random(seed)  # noqa: S311
    words = {"over": list(OVER), "answer": list(ANSWER), "trouble": [status.value for status in TROUBLE]}
    seen: Counter[str] = Counter()
    world.sql("INSERT INTO outbox_endpoints (endpoint, url) VALUES ('one', 'https://one.example/in')")
    world.sql("INSERT INTO outbox_streams (endpoint, customer, sequence) VALUES ('one', '-', 0)")
    async with world.bridge() as bridge:
        for turn in range(1, 1001):
            values = {
                **given(chance),
                "provider": chance.choice(["stripe", "bank_transfer"]),
                "far": timedelta(minutes=chance.choice([-200_000, -100, -5, 5, 100])),
                "status": chance.choice([*ANSWER, *OVER, "under_review"]),
                "mail": chance.choice(["sent", "obsolete", *words["trouble"]]),
            }
            with world.connection.transaction(force_rollback=chance.random() < 0.1):
                world.connection.execute(chance.choice(MONEY.split(";")), values)
            if turn % 20 == 0:
                counted, alerted = (found_by(world, statement, words) for statement in (MONEY_COUNTED, ALERTED))
                assert await bridge.db.read(orders.reading_numbers()) == counted, turn
                facts = await alert_facts.of(bridge.db, bridge.settings)
                mails, shown = await notices.trouble(bridge.db, 100)
                numbers = await dashboard_numbers.read(bridge.db)
                assert {
                    "not_live": facts.not_live,
                    "not_live_since": facts.not_live_since,
                    "turns_not_live_at": facts.turns_not_live_at,
                    "to_answer": len(facts.to_answer),
                    "disputes": numbers["disputes"],
                    "mails": mails,
                } == alerted, turn
                (outgoing,) = await bridge.db.read(reading_endpoints())
                assert world.sql(
                    "SELECT count(*) AS waiting, min(created_at) AS oldest FROM outbox WHERE state = 'waiting'"
                ) == [{"waiting": outgoing.waiting, "oldest": outgoing.oldest_waiting_at}]
                assert (len(shown), facts.to_return) == (mails, counted["to_return"])
                assert world.sql("SELECT name, n FROM tallies_lack()") == []
                seen.update(name for name, value in {**counted, **alerted}.items() if value)
    assert set(seen) == {*counted, *alerted}, "each of them was once more than nothing"


async def test_folds_and_writers_do_not_meet(world: World) -> None:
    """Many who write, fold and count at one time wait for nobody, and nothing is lost or told twice."""
    world.sql("INSERT INTO customers (customer_id) SELECT 'cus_' || n FROM generate_series(1, 40) n")
    url = world.environ["DATABASE_URL"]

    async def write(part: int) -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row) as connection:
            for number in range(part, 41, 4):
                for _ in range(5):
                    await connection.execute(
                        'INSERT INTO shadow_plans (customer_id, actions) VALUES (%s, \'[{"kind": "resume"}]\')',
                        (f"cus_{number}",),
                    )
                    await connection.execute("DELETE FROM shadow_plans WHERE customer_id = %s", (f"cus_{number}",))
                await connection.execute(
                    "INSERT INTO shadow_plans (customer_id, actions) VALUES (%s, '[]')", (f"cus_{number}",)
                )

    async def fold(db: Database) -> None:
        for _ in range(20):
            await tallies.fold(db, long=0)
            assert await tallies.count_anew(db) == []
            await db.rows("UPDATE pulses SET beat_at = NULL WHERE name = 'tallies'")

    one, other = Database(Secret(url)), Database(Secret(url))
    try:
        await asyncio.gather(*(write(part) for part in range(1, 5)), fold(one), fold(other))
        shown = await dashboard_numbers.read(one)
    finally:
        await one.close()
        await other.close()
    assert (shown["shadow_customers"], shown["shadow_actions"]) == (40, {})


async def test_tables_that_are_filled_and_emptied_as_a_whole_are_counted(world: World) -> None:
    """COPY and TRUNCATE change the numbers as single rows do, of several tables at once, and undone with them."""
    with world.connection.cursor() as cursor:
        for columns in ("customers (customer_id)", "shadow_plans (customer_id, actions)"):
            with cursor.copy(f"COPY {columns} FROM STDIN") as copy:
                for customer in ("cus_1", "cus_2"):
                    copy.write_row([customer, "[]"][: columns.count(",") + 1])
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_1', now() + interval '1 day')")
    with world.connection.transaction(force_rollback=True):
        world.sql("TRUNCATE due, shadow_plans")
    async with world.bridge() as bridge:
        shown = await dashboard_numbers.read(bridge.db)
        assert (shown["customers"], shown["shadow_customers"], sum(shown["waiting"].values())) == (2, 2, 1)
        world.sql("TRUNCATE due")
        world.sql("TRUNCATE customers, shadow_plans CASCADE")
        shown = await dashboard_numbers.read(bridge.db)
        assert (shown["customers"], shown["shadow_customers"], sum(shown["waiting"].values())) == (0, 0, 0)
    assert world.sql("SELECT name, n FROM tallies_lack()") == []
    by_row, as_a_whole = world.sql(
        "SELECT array_agg(DISTINCT tgrelid::regclass::text) AS tables FROM pg_trigger"
        " WHERE tgfoid IN ('add_to_tallies'::regproc, 'count_tallies_anew'::regproc) GROUP BY tgfoid"
    )
    assert by_row == as_a_whole, "each table that is counted"


async def test_a_sum_that_is_wrong_is_put_right_by_a_sweep_within_a_day(world: World) -> None:
    """Somebody wrote with the triggers off: the daily count finds it, once, and the numbers are true again."""
    world.sql("ALTER TABLE customers DISABLE TRIGGER USER")
    world.sql("INSERT INTO customers (customer_id) VALUES ('cus_1'), ('cus_2')")
    world.sql("ALTER TABLE customers ENABLE TRIGGER USER")
    async with world.bridge() as bridge:
        assert (await dashboard_numbers.read(bridge.db))["customers"] == 0
        assert (await bridge.sweep(deadline=asyncio.get_running_loop().time() + 1e9)).finished
        assert (await dashboard_numbers.read(bridge.db))["customers"] == 2
        assert await tallies.count_anew(bridge.db) == []
        world.sql("ALTER TABLE customers DISABLE TRIGGER USER")
        world.sql("DELETE FROM customers")
        world.sql("ALTER TABLE customers ENABLE TRIGGER USER")
        assert await tallies.count_anew(bridge.db) == [], "not twice a day"
        world.sql("UPDATE pulses SET beat_at = now() - interval '1 day' WHERE name = 'tallies'")
        assert await tallies.count_anew(bridge.db) == [{"name": "customers", "labels": [], "n": -2}]
        assert (await dashboard_numbers.read(bridge.db))["customers"] == 0
