"""Numbers that are kept are those that counting would find, whatever is written, by whom, and in which order."""

import asyncio
import random
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.config import Secret
from lib.database import Database, dashboard_numbers, metrics, tallies
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
                measured = metrics.items(await metrics.read(bridge.db), ["customer", "alert"])
                told = {
                    status: measured["customer", status] + measured["alert", status]
                    for status in ("waiting", "due", "working")
                }
                assert told == {status: counted[status] for status in told}
                assert world.sql("SELECT name, n FROM tallies_lack()") == []


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
