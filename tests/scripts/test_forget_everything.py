"""Erasing reaches every column of every table: each one is named here, with what it holds or why it stays."""

import json
from datetime import timedelta
from typing import Any

import pytest

from lib.checkout import offline
from tests.checkout.shop import SELLS, WISH, open_shop
from tests.messages.postoffice import mail
from tests.messages.receiver import outlet
from tests.money.till import TRANSFER, came, counter, order, sell
from tests.scripts.test_forget import PERSONAL, leaks, run
from tests.world import World

ON = {
    **SELLS,
    "ORDERS": "on",
    **mail("smtps://127.0.0.1:9"),
    **outlet("http://127.0.0.1:9/hook"),
}
"""Everything on that writes something down; whom it is sent to is away."""

ABOUT = "about Ada Example <ada@example.com> of shop.example"
"""What somebody else's error may say."""

ERASED = {
    "actions": "before after facts error",
    "alert_receivers": "told_title error",
    "alerts": "title detail",
    "batches": "given",
    "customers": "email name org_name panel_name panel_email",
    "due": "last_error problems",
    "events": "body error",
    "notices": "answer recipient reported report",
    "order_steps": "detail error",
    "orders": "buyer email name domain client_reference fingerprint idempotency_key request session_url"
    " hosted_invoice_url",
    "outbox": "body last_error",
    "outbox_attempts": "error",
    "outbox_endpoints": "last_error",
    "payments": "failure_message",
    "pulses": "error",
    "refunds": "note failure",
    "services": "domain",
    "shadow_plans": "actions",
    "sweeps": "errors",
}
"""Columns in which a person may be named: erased, or rewritten without their words."""

DIGESTS = {"checkout_limits": "subject"}
"""A keyed digest of an address, gone with it and after two days."""

STAYS = {
    "ids of Stripe's, the panel's or ours, which name nobody by themselves": {
        "actions": "customer_id subscription_id",
        "batch_items": "customer_id",
        "braked": "customer_id subscription_id",
        "collections": "external_id idempotency_key",
        "customers": "customer_id linked_to",
        "disputes": "dispute_id customer_id subscription_id charge_id payment_intent_id",
        "due": "key",
        "elsewhere": "kind object_id",
        "events": "event_id object_id customer_id subscription_id",
        "notices": "customer_id about subscription_id",
        "order_acts": "idempotency_key digest",
        "order_steps": "subject cause",
        "orders": "customer_id seller_id session_id subscription_id reference",
        "outbox": "endpoint customer event_id",
        "outbox_endpoints": "endpoint url last_failed probe",
        "outbox_streams": "endpoint customer",
        "payments": "payment_intent_id charge_id invoice_id",
        "refunds": "refund_id customer_id subscription_id invoice_id charge_id",
        "services": "customer_id subscription_id item_id price_id",
        "shadow_plans": "customer_id",
        "subscriptions": "subscription_id customer_id fingerprint prices",
        "sweep_seen": "kind id",
        "sweeps": "cursor orphans",
    },
    "words and numbers of ours and of Stripe's": {
        "actions": "provider kind state rule",
        "batch_items": "provider",
        "batches": "action",
        "brake": "reason counts",
        "braked": "provider counts kind",
        "collections": "provider currency",
        "customers": "provider",
        "disputes": "provider status reason currency network_reason case_type",
        "due": "kind waits_for parked_reason lane",
        "events": "provider type outcome source",
        "events_by_hour": "source",
        "leases": "name",
        "metric_marks": "name",
        "metric_totals": "name labels",
        "notices": "provider kind status language",
        "order_steps": "kind state from_state to_state fact",
        "orders": "provider origin mode state currency fees escrow",
        "outbox": "type state",
        "outbox_endpoints": "disabled_reason",
        "payments": "provider state currency failure_code balance_currency presentment_currency sources",
        "pulses": "name",
        "refunds": "provider status currency",
        "schema_migrations": "name",
        "services": "provider state holds waits_for",
        "shadow_plans": "provider",
        "subscriptions": "provider",
        "sweeps": "phase counts",
        "tallies": "name labels",
    },
    "what is sold, and who of the operator's did something": {
        "actions": "actor",
        "alert_receivers": "cause receiver",
        "alerts": "cause code remedy severity",
        "batches": "actor filter",
        "brake": "released_by",
        "braked": "plan",
        "collections": "actor",
        "fee_rules": "kind currency provider billing_plan_id",
        "orders": "billing_plan_id",
        "plan_mappings": "billing_provider billing_plan_id enhance_plan_id kind activate_on",
        "plan_previews": "actor change before moves concerned",
        "plan_rules": "billing_provider base_plan_id addon_plan_id enhance_plan_id",
        "previews": "actor act digest",
        "refunds": "requested_by",
        "services": "plan made_for",
        "sweeps": "asked_by again_by",
    },
}
"""Why -> columns that erasing leaves alone."""

PLANTED: dict[str, dict[str, Any]] = {
    "batches": {"given": {"reason": ABOUT}},
    "due": {"last_error": ABOUT, "problems": [{"reason": "login_not_found", "detail": ABOUT, "subject": "x"}]},
    "events": {"error": ABOUT},
    "notices": {"answer": ABOUT, "recipient": "ada@example.com", "reported": ABOUT, "report": "0123abcd"},
    "order_steps": {"error": ABOUT, "detail": {"name": "Ada Example", "said": ABOUT}},
    "outbox": {"last_error": ABOUT},
    "outbox_attempts": {"error": ABOUT},
    "outbox_endpoints": {"last_error": ABOUT},
    "payments": {"failure_message": ABOUT},
    "pulses": {"error": ABOUT},
    "refunds": {"note": ABOUT, "failure": ABOUT},
    "sweeps": {"errors": {"websites": ABOUT}},
}
"""What other systems and people could have written in these columns, in every row that there is."""


def named(*parts: dict[str, str]) -> set[tuple[str, str]]:
    """Table and column of everything in these."""
    return {(table, column) for part in parts for table, columns in part.items() for column in columns.split()}


def test_every_column_is_named(world: World) -> None:
    """A new column that can hold a text is put above, as erased or with why it stays, or this fails."""
    rows = world.sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type NOT IN ('uuid', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric',"
        " 'boolean')"
        " AND data_type NOT LIKE 'timestamp%%'"
    )
    there = {(row["table_name"], row["column_name"]) for row in rows}
    known = named(ERASED, DIGESTS, *STAYS.values())
    assert there - known == set()
    assert named(ERASED, DIGESTS) - there == set()


async def ada(world: World) -> str:
    """Ada bought in the shop, left two checkouts, paid by bank too, disputed, was refunded and cancelled."""
    async with open_shop(world, **ON) as client:
        for domain in ("other.shop.example", "shop.example"):
            asked = {**WISH, "domain": domain}
            key = {"Idempotency-Key": f"ada@example.com/{domain}"}
            answer = await client.post("/api/checkout", json=asked, headers=key)
            assert answer.status_code == 200, answer.text
            begun = answer.json()
            if domain == "other.shop.example":
                world.stripe.expire_checkout(begun["sessionId"])
            else:
                world.stripe.complete_checkout(begun["sessionId"], "ada@example.com", "Ada Example")
            for event in list(world.stripe.undelivered()):
                await world.deliver(client, event)
                world.stripe.mark_delivered(event)
        await world.come_to_rest(**ON)
        (subscription,) = world.sql("SELECT customer_id, subscription_id FROM services")
        customer, bought = subscription["customer_id"], subscription["subscription_id"]
        world.stripe.refund(bought, 100)
        world.stripe.dispute(bought)
        world.stripe.cancel(bought, created=world.stripe.now() - 2 * 86400)
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
    async with world.bridge(**ON, RETENTION_DAYS="1") as bridge:
        await bridge.sweep(deadline=float("inf"))
    world.hurry()
    await world.drain(**ON, RETENTION_DAYS="1")
    assert world.service(bought)["state"] == "terminated"
    return str(customer)


def plant(world: World) -> None:
    """Let everybody else have written about her wherever they can."""
    world.sql("INSERT INTO batches (actor, action, filter, matches) VALUES ('anna', 'hold', '{}', 1)")
    world.sql("SET session_replication_role = replica")
    for table, columns in PLANTED.items():
        for column, value in columns.items():
            typed = "::jsonb" if isinstance(value, dict | list) else ""
            given = json.dumps(value) if typed else value
            hers = "customer_id IS NOT NULL" if table == "events" else "true"  # the others are of prices and products
            changed = world.sql(f"UPDATE {table} SET {column} = %s{typed} WHERE {hers} RETURNING 1", given)  # noqa: S608
            assert changed, f"nothing to plant in {table}"
    world.sql("SET session_replication_role = origin")


async def test_nothing_of_them_is_left_anywhere(world: World) -> None:
    """Whatever was bought, left, mailed, sent on, refused and disputed: no name, address or domain, in no table."""
    customer = await ada(world)
    plant(world)
    tables = {leak.partition(":")[0] for leak in leaks(world)}
    assert tables >= {"actions", "customers", "events", "orders", "order_steps", "outbox", "services", *PLANTED}
    before = world.sql("SELECT amount, total, currency, paid_at, state FROM orders ORDER BY order_id")
    limits = len(world.sql("SELECT 1 FROM checkout_limits"))
    done = run(world, customer, "--yes", **ON)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(world) == []
    assert world.sql("SELECT amount, total, currency, paid_at, state FROM orders ORDER BY order_id") == before
    assert len(world.sql("SELECT 1 FROM checkout_limits")) == limits - 1
    with pytest.raises(Exception, match="append-only"):
        world.sql("UPDATE order_steps SET error = 'x'")
    await world.come_to_rest(**ON)
    assert leaks(world) == []
    assert world.sql("SELECT name, n FROM tallies_lack()") == [], "the kept numbers, too"


async def left(world: World, email: str, domain: str) -> str:
    """Somebody gives an address in the shop, and leaves."""
    async with open_shop(world, **ON) as client:
        answer = await client.post("/api/checkout", json={**WISH, "email": email, "domain": domain})
        begun: dict[str, Any] = answer.json()
        world.stripe.expire_checkout(begun["sessionId"])
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
            world.stripe.mark_delivered(event)
    await world.come_to_rest(**ON)
    return str(begun["orderId"])


async def test_who_never_became_a_customer_is_found_by_their_address(world: World) -> None:
    """However it is written; who has another one keeps theirs; who did it is noted under the order."""
    mine = await left(world, "ada@example.com", "shop.example")
    theirs = await left(world, "nada@example.com", "nada.example")
    plant_orders = world.sql("SELECT 1 FROM orders WHERE customer_id IS NULL")
    assert len(plant_orders) == 2
    other = world.sql("SELECT *, xmin::text FROM orders WHERE order_id::text = %s", theirs)
    shown = run(world, "Ada@Example.com", **ON)
    assert (shown.returncode, len(leaks(world)) > 0) == (0, True), shown.stdout + shown.stderr
    done = run(world, "Ada@Example.com", "--yes", **ON)
    assert done.returncode == 0, done.stdout + done.stderr
    dumped = json.dumps(world.sql("SELECT * FROM events"), default=str) + json.dumps(
        world.sql("SELECT * FROM orders"), default=str
    )
    assert '"ada@example.com' not in dumped and "nada@example.com" in dumped
    assert not any(word in dumped.lower() for word in ("shop.example", "ada example"))
    assert world.sql("SELECT *, xmin::text FROM orders WHERE order_id::text = %s", theirs) == other
    (note,) = world.sql("SELECT customer_id, actor, facts FROM actions WHERE kind = 'erased'")
    assert (note["customer_id"], note["actor"]) == (mine, "anna")
    assert run(world, "ada@example.com", **ON).returncode == 1, "nothing is held any more"


async def test_what_may_still_be_paid_is_refused(world: World) -> None:
    """An open page would bring the address back: first it ends."""
    async with open_shop(world, **ON) as client:
        order_id = (await client.post("/api/checkout", json=WISH)).json()["orderId"]
    held = leaks(world)
    done = run(world, "ada@example.com", "--yes", **ON)
    assert done.returncode == 1
    assert order_id in done.stderr
    assert leaks(world) == held != []


async def test_one_person_who_pays_in_two_ways_is_told(world: World) -> None:
    """Their other customer is named, and erased by itself: also an offline one with all of its orders."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900, external_id="line 1")
    async with counter(world) as (_, till):
        await offline.cancel(till, made.id)
    await world.drain()
    world.sql("ALTER TABLE orders DISABLE TRIGGER orders_keep_their_word")
    ago = timedelta(days=60)
    world.sql("UPDATE orders SET period_start = period_start - %s, period_end = period_end - %s", ago, ago)
    world.sql("ALTER TABLE orders ENABLE TRIGGER orders_keep_their_word")
    world.hurry()
    for _ in range(3):
        await world.drain(RETENTION_DAYS="1")
    (row,) = world.sql("SELECT customer_id, state FROM services")
    offline_customer = f"{TRANSFER.value}:{row['customer_id']}"
    assert row["state"] == "terminated"
    stripe_customer = world.customer()
    bought = world.buy(stripe_customer, domain="shop.example")
    await world.sync(stripe_customer)
    world.stripe.cancel(bought, created=world.stripe.now() - 2 * 86400)
    await world.sync(stripe_customer, RETENTION_DAYS="1")
    done = run(world, stripe_customer, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert offline_customer in done.stdout
    assert leaks(world) != []
    done = run(world, offline_customer, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(world) == []
    assert PERSONAL
