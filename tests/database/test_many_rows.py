"""What is done for one customer costs the same among a hundred and a hundred thousand: nothing reads whole tables."""

import json
import time

import pytest

from lib.database import due, metric_totals, orders, outlook, tallies, unsettled
from lib.model import Lane, Settlement
from tests.money.till import came, order, sell
from tests.tools import until_alone
from tests.world import ADMIN_KEY, World

MANY = 20_000
FEW = 1_000
"""More rows than one customer has and fewer than any table holds here."""


def fill(world: World) -> None:
    """As many other customers, each with hosting, a date in the queue, events, and a past in the ledger."""
    world.sql(
        "INSERT INTO customers (customer_id, email, org_id)"
        " SELECT 'cus_many' || n, 'many' || n || '@example.com', gen_random_uuid() FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql(
        "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id)"
        " SELECT 'cus_many' || n, 'sub_many' || n, 1, 'si_many' || n, 'price_basic_monthly', 'live', 1000000 + n"
        " FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql(
        "INSERT INTO due (kind, key, due_at) SELECT 'customer', 'cus_many' || n, now() + interval '9 days'"
        " FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql(
        "INSERT INTO actions (action_id, customer_id, subscription_id, slot, kind, state, at)"
        " SELECT md5(kind || n)::uuid, 'cus_many' || n, 'sub_many' || n, 1, kind, state, now() - interval '2 days'"
        " FROM generate_series(1, %s) n, unnest(ARRAY['suspend', 'resume']) kind,"
        " unnest(ARRAY['intent', 'applied', 'verified']) state",
        MANY,
    )
    world.sql(
        "INSERT INTO events (event_id, type, customer_id, outcome, body)"
        " SELECT 'evt_many' || n, 'invoice.paid', 'cus_many' || n, 'accepted', '{}' FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql("VACUUM ANALYZE customers, services, due, actions, events")


def fill_dates(world: World) -> None:
    """Every second of them is in a grace, every third has ended and is kept for a while."""
    world.sql(
        "UPDATE services SET grace_until = now() + slot_of * interval '1 minute', unpaid_since = now()"
        " FROM (SELECT subscription_id AS id, substr(subscription_id, 9)::int AS slot_of FROM services) AS n"
        " WHERE id = subscription_id AND slot_of %% 2 = 0"
    )
    world.sql(
        "UPDATE services SET state = 'suspended', holds = ARRAY['ended'], ended_at = now(),"
        " retain_until = now() + interval '20 days' WHERE substr(subscription_id, 9)::int %% 3 = 0"
    )
    world.sql("VACUUM ANALYZE services")


def fill_orders(world: World) -> None:
    """As many orders: most are paid at Stripe and served, every tenth is offline, some of each kind need a person."""
    world.sql("ALTER TABLE orders DISABLE TRIGGER USER")
    world.sql(
        """
        INSERT INTO orders (order_id, provider, origin, state, billing_plan_id, email, customer_id, currency, amount,
            reference, line_id, created_at, paid_at, ended_at, served_at, disputed, collected, due_at, paid_late,
            seller_id, escrow)
        SELECT md5('order' || n)::uuid, provider, CASE WHEN provider = 'stripe' THEN 'checkout' ELSE 'admin' END, state,
            'price_basic_monthly', 'many' || n || '@example.com', 'K' || n, 'eur', 1900,
            CASE WHEN provider <> 'stripe' THEN 'MANY ' || n END,
            CASE WHEN provider <> 'stripe' THEN md5('order' || n)::uuid END, now() - n * interval '1 second', now(),
            CASE WHEN state = 'failed' THEN now() END, CASE WHEN n %% 500 <> 0 THEN now() END, n %% 400 = 0,
            CASE WHEN provider <> 'stripe' AND n %% 300 = 7 THEN 2000 ELSE 0 END,
            CASE WHEN state = 'pending' THEN now() - n %% 3 * interval '1 day' END, n %% 700 = 7,
            CASE WHEN n %% 600 < 4 THEN 'shop_1' END,
            CASE WHEN n %% 600 < 4 THEN (ARRAY['held', 'releasable', 'released', 'returned'])[n %% 600 + 1] END
        FROM (SELECT n, CASE WHEN n %% 10 = 7 THEN 'bank_transfer' WHEN n %% 4000 = 3 THEN 'cash_on_delivery'
                ELSE 'stripe' END AS provider,
            CASE WHEN n %% 200 = 17 THEN 'pending' WHEN n %% 1000 = 5 THEN 'failed' ELSE 'paid' END AS state
            FROM generate_series(1, %s) n) AS o
        """,
        MANY,
    )
    world.sql("ALTER TABLE orders ENABLE TRIGGER USER")
    world.sql("VACUUM ANALYZE orders")


def fill_payments(world: World) -> None:
    """For each of these orders a settled payment, a refund and a dispute, all of them over."""
    world.sql(
        "INSERT INTO payments (payment_id, order_id, provider, attempt, state, amount, currency, payment_intent_id,"
        " charge_id, invoice_id, subtotal, total, paid, gross, provider_fee, net, balance_currency, settled_at,"
        " created_at) SELECT md5('payment' || n)::uuid, md5('order' || n)::uuid, 'stripe', 1, 'succeeded', 1900, 'eur',"
        " 'pi_many' || n, 'ch_many' || n, 'in_many' || n, 1900, 1900, 1900, 1900, 85, 1815, 'eur', now(), now()"
        " FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql(
        "INSERT INTO refunds (refund_id, charge_id, payment_id, status, amount, currency, charge_refunded, created_at)"
        " SELECT 're_many' || n, 'ch_many' || n, md5('payment' || n)::uuid, 'succeeded', 100, 'eur', false, now()"
        " FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql(
        "INSERT INTO disputes (dispute_id, charge_id, payment_id, status, amount, currency, created_at)"
        " SELECT 'dp_many' || n, 'ch_many' || n, md5('payment' || n)::uuid, 'won', 100, 'eur', now()"
        " FROM generate_series(1, %s) n",
        MANY,
    )
    world.sql("VACUUM ANALYZE payments, refunds, disputes")


async def folded(world: World) -> None:
    """Fold what the triggers have added row by row, as the next sweep would."""
    async with world.bridge() as bridge:
        for _ in range(1 + world.sql("SELECT count(*) AS n FROM tallies")[0]["n"] // tallies.FOLDED):
            await tallies.fold(bridge.db, long=0)
    world.sql("VACUUM tallies")


def read_in_sequence(world: World) -> dict[str, int]:
    """Rows that were read by going through a whole table, since the database began."""
    _all_told(world)
    rows = world.sql("SELECT relname, seq_tup_read FROM pg_stat_user_tables")
    return {row["relname"]: row["seq_tup_read"] for row in rows}


async def test_an_event_and_its_pass_read_the_rows_of_their_customer_only(world: World) -> None:
    """Accepting, claiming, passing, suspending under the brake and resuming each find their rows by an index."""
    customer, other = world.customer(), world.customer("Bob Example", "bob@example.com")
    subscription, another = world.buy(customer), world.buy(other, domain=None)
    await world.sync(customer)
    await world.sync(other)
    world.stripe.fail_payment(another, world.stripe.now() - 30 * 86400)
    await world.sync(other)  # so that the brake has one to count already
    for event in world.stripe.undelivered():
        world.stripe.mark_delivered(event)
    fill(world)
    before = read_in_sequence(world)
    async with world.functions() as client:  # its connections end with it, and with them their numbers are written
        for paid in (False, True):
            if paid:
                world.stripe.pay_open_invoice(subscription)
            else:
                world.stripe.fail_payment(subscription, world.stripe.now() - 30 * 86400)
            for event in world.stripe.undelivered():
                world.stripe.mark_delivered(event)
                assert (await world.deliver(client, event)).status_code == 200
    async with world.bridge() as manager:
        await manager.drain(deadline=time.monotonic() + 120)
        assert await due.claim(manager.db, concurrency=4) == []
    done = world.sql("SELECT kind FROM actions WHERE customer_id = %s AND state = 'applied' ORDER BY id", customer)
    assert [row["kind"] for row in done][-2:] == ["suspend", "resume"]
    after = read_in_sequence(world)
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] > FEW} == {}


@pytest.mark.parametrize(
    ("priority", "waiting"), [("0", True), ("1", True), ("length(key) %% 2", False)], ids=["asked", "routine", "later"]
)
async def test_a_claim_out_of_a_long_queue_reads_what_it_claims(world: World, priority: str, waiting: bool) -> None:
    """Everybody waits for the lock under which a claim reads: a backlog, or many dates, must not make that longer."""
    fill(world)
    world.sql(f"UPDATE due SET priority = {priority}")  # noqa: S608
    if waiting:
        world.sql("UPDATE due SET due_at = now() - interval '1 minute'")
    world.sql(
        "INSERT INTO due (kind, key, priority) SELECT 'customer', 'cus_due' || n, n %% 2 FROM generate_series(1, 6) n"
    )
    world.sql("VACUUM FULL ANALYZE due")
    before = read_in_sequence(world)
    async with world.bridge() as manager:
        for _ in range(3):
            (claim,) = await due.claim(manager.db, concurrency=4)
            await due.settle(manager.db, claim, Settlement())
    after = read_in_sequence(world)
    assert after["due"] - before["due"] < FEW
    assert (
        world.sql("SELECT idx_tup_read AS n FROM pg_stat_user_indexes WHERE indexrelname = 'due_claim_idx'")[0]["n"]
        < FEW
    )


async def test_what_can_be_due_next_is_found_at_the_ends_of_indexes(world: World) -> None:
    """However many customers wait for their dates, a look that wakes the database reads a handful of rows."""
    fill(world)
    world.sql("UPDATE due SET due_at = now() + (substr(key, 9)::int + 100) * interval '1 second'")
    world.sql("VACUUM FULL ANALYZE due")
    before = read_in_sequence(world)
    async with world.bridge() as manager:
        found = await outlook.look(manager.db)
    assert found.due_in is not None
    assert (found.due_in <= 101, found.busy, found.idle is not None) == (True, False, True)
    after = read_in_sequence(world)
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] > FEW} == {}
    read = world.sql("SELECT idx_tup_read AS n FROM pg_stat_user_indexes WHERE indexrelname = 'due_claim_idx'")
    assert read[0]["n"] < FEW


LISTS = [
    ("customers", {}),
    ("customers", {"email": "many19"}),
    ("customers", {"email": "m"}),
    ("customers", {"name": "x"}),
    ("customers", {"domain": "shop"}),
    ("customers", {"identifier": "sub_many777"}),
    ("customers", {"state": "live"}),
    ("customers", {"hold": "unpaid"}),
    ("customers", {"reason": "no_email"}),
    ("customers", {"id": "cus_many777"}),
    ("events", {}),
    ("events", {"customer": "cus_many777"}),
    ("events", {"from": "-1h", "type": "invoice.paid"}),
    ("events", {"id": "evt_many777"}),
    ("events", {"direction": "ledger"}),
    ("events", {"direction": "ledger", "after": "9999"}),
    ("events", {"direction": "ledger", "customer": "cus_many777"}),
    ("events", {"direction": "ledger", "kind": "resume"}),
    ("events", {"direction": "ledger", "kind": "nothing"}),
    ("events", {"direction": "ledger", "actor": "anna"}),
    ("events", {"direction": "ledger", "state": "failed"}),
    ("events", {"direction": "ledger", "from": "-1h"}),
    ("work", {}),
    ("work", {"state": "parked"}),
    ("work", {"state": "due"}),
    ("work", {"state": "waiting"}),
    ("work", {"state": "working"}),
    ("work", {"state": "failing"}),
    ("work", {"state": "braked"}),
    ("work", {"reason": "no_email"}),
    ("work", {"view": "upcoming"}),
    ("work", {"view": "upcoming", "days": "60"}),
    ("orders", {}),
    ("orders", {"state": "paid"}),
    ("orders", {"state": "failed"}),
    ("orders", {"provider": "cash_on_delivery"}),
    ("orders", {"customer": "bank_transfer:K777"}),
    ("orders", {"email": "many777@example.com"}),
    ("orders", {"reference": "MANY 777"}),
    ("orders", {"notLive": "true"}),
    ("orders", {"overpaid": "true"}),
    ("orders", {"disputed": "true"}),
    ("orders", {"openOffline": "true"}),
    ("orders", {"overdue": "true"}),
    ("orders", {"paidLate": "true"}),
    ("orders", {"escrow": "releasable"}),
    ("orders", {"from": "-1h", "to": "-10m"}),
    ("orders", {"view": "reconciliation", "provider": "bank_transfer"}),
    ("orders", {"view": "disputes"}),
    ("orders", {"view": "disputes", "over": "true"}),
    ("orders", {"view": "disputes", "customer": "cus_many777"}),
]
"""Lists of the admin routes, and filters that find many, few or none."""


async def test_the_overview_reads_what_it_shows(world: World) -> None:
    """Its first answer reads ranges of indexes: nothing is counted whole."""
    fill(world)
    fill_orders(world)
    fill_payments(world)
    world.sql("UPDATE events SET received_at = now() - interval '3 days'")
    world.sql("VACUUM ANALYZE events, services, customers, due, orders, disputes")
    await folded(world)
    before = looked_at(world)
    async with world.functions() as client:
        answer = await client.get("/api/admin/dashboard", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["services"]["live"] == answer.json()["customers"] == MANY
    after = looked_at(world)
    read = {table: after[table] - before.get(table, 0) for table in after}
    assert {table: rows for table, rows in read.items() if rows > FEW} == {}


async def test_what_if_and_plans_count_nothing_whole(world: World) -> None:
    """Those who live by each price, and those who run, are known; what if looks at who is in trouble."""
    fill(world)
    await folded(world)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    before = looked_at(world)
    async with world.functions() as client:
        answer = await client.get("/api/admin/plans", headers=headers)
        assert answer.status_code == 200, answer.text
        asked = {"action": "whatIf", "settings": {"GRACE_DAYS": "3", "RETENTION_DAYS": "30"}}
        assert (await client.post("/api/admin/dashboard", json=asked, headers=headers)).status_code == 200
    after = looked_at(world)
    read = {table: after[table] - before.get(table, 0) for table in after}
    assert {name: rows for name, rows in read.items() if rows > FEW} == {}


async def test_a_scrape_of_the_metrics_reads_indexes_and_what_is_new(world: World) -> None:
    """Nothing is counted whole, and of the past no more than a page is read."""
    fill(world)
    fill_orders(world)
    fill_payments(world)
    world.sql("UPDATE events SET received_at = now() - interval '3 days'")
    world.sql("VACUUM ANALYZE events, services, due, orders, disputes, actions")
    await folded(world)
    async with world.bridge() as bridge:
        while await metric_totals.fold(bridge.db):
            pass
    before = looked_at(world)
    async with world.functions() as client:
        answer = await client.get("/api/health?format=prometheus", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert f'bridge_services{{state="live"}} {float(MANY)}' in answer.text
    assert f'bridge_actions_total{{kind="suspend",state="verified"}} {float(MANY)}' in answer.text
    after = looked_at(world)
    read = {table: after[table] - before.get(table, 0) for table in after}
    assert {table: rows for table, rows in read.items() if rows > FEW} == {}


async def test_a_page_of_a_list_reads_a_range_of_an_index(world: World) -> None:
    """The first page and one from the middle cost a page of rows, whatever the filter and however many there are."""
    fill(world)
    fill_orders(world)
    fill_payments(world)
    world.sql("UPDATE disputes SET status = 'needs_response' WHERE dispute_id LIKE '%%77'")
    world.sql("VACUUM ANALYZE disputes")
    fill_dates(world)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    read: dict[str, dict[str, int]] = {}
    for name, query in LISTS:
        before = looked_at(world)
        async with world.functions() as client:
            answer = await client.get(f"/api/admin/{name}", params={**query, "limit": 50}, headers=headers)
            assert answer.status_code == 200, answer.text
            if cursor := answer.json().get("nextCursor"):
                more = {**query, "limit": 50, "after" if "after" in query else "cursor": cursor}
                answer = await client.get(f"/api/admin/{name}", params=more, headers=headers)
                assert answer.status_code == 200, answer.text
        after = looked_at(world)
        read[f"{name} {query}"] = {
            table: after[table] - before.get(table, 0) for table in after if after[table] - before.get(table, 0) > FEW
        }
    assert {name: tables for name, tables in read.items() if tables} == {}


def looked_at(world: World) -> dict[str, int]:
    """Rows of each table and entries of each index that were read in any way, since the database began."""
    _all_told(world)
    rows = world.sql(
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS n FROM pg_stat_user_tables"
        " UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes"
    )
    return {row["relname"]: row["n"] for row in rows}


def _all_told(world: World) -> None:
    """Have everything counted that was read: by our own connection, and by others, which tell it with their end."""
    until_alone(world.connection)
    world.sql("SELECT pg_stat_force_next_flush()")


async def test_passes_of_money_read_the_rows_of_their_order_only(world: World) -> None:
    """A purchase, a refund and a dispute among many others, and the look of a sweep for what was forgotten."""
    fill_orders(world)
    fill_payments(world)
    session = world.stripe.create_checkout(
        mode="subscription",
        line_items=[{"price": "price_basic_monthly", "quantity": 1}],
        success_url="https://shop.example/thanks",
    )
    before = read_in_sequence(world)
    async with world.bridge(ORDERS="on") as bridge:
        for happening in ("bought", "refunded", "disputed"):
            if happening == "bought":
                world.stripe.complete_checkout(session["id"], "ada@example.com")
            elif happening == "refunded":
                world.stripe.refund(session["id"], 500)
            else:
                world.stripe.dispute(session["id"])
            await bridge.accept([json.dumps(event).encode() for event in world.stripe.undelivered()])
            for event in world.stripe.undelivered():
                world.stripe.mark_delivered(event)
            await bridge.drain(deadline=time.monotonic() + 120)
        await unsettled.unsettled(bridge.db, 14)
    (row,) = world.sql("SELECT state, refunded, disputed FROM orders WHERE session_id = %s", session["id"])
    assert row == {"state": "paid", "refunded": 500, "disputed": True}
    after = read_in_sequence(world)
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] > FEW} == {}


async def test_money_without_stripe_is_laid_on_the_orders_of_its_buyer_only(world: World) -> None:
    """What the same person has at Stripe is found by their words, before the money is taken in and once more after."""
    fill_orders(world)
    sell(world)
    made = await order(world, client_reference="c-1")
    before = read_in_sequence(world)
    await came(world, made, 1900)
    async with world.bridge() as bridge:
        found = await orders.collected_since(
            bridge.db,
            livemode=made.livemode,
            since=made.created_at,
            domain="shop.example",
            reference="c-1",
            address="ada@example.com",
            customers=["K1"],
        )
        assert [one.id for one in found] == [made.id]
        await bridge.drain(deadline=time.monotonic() + 120, lanes=[Lane.STRIPE])
    assert [row for row in world.due() if row["kind"] == "debt"] == []
    after = read_in_sequence(world)
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] > FEW} == {}
