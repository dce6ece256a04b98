"""`GET /api/health?format=prometheus`: what is measured, as Prometheus reads it."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lib.database import metric_totals, pruning
from lib.kinds import KINDS
from lib.model import ActionKind, Hold, ServiceState
from lib.model.reason import Reason
from tests.messages.receiver import Receiver, outlet, receiving
from tests.world import ADMIN_KEY, World

ROOT = Path(__file__).resolve().parent.parent.parent
BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
OUTLETS = outlet("http://127.0.0.1:9/a", "http://127.0.0.1:9/b")

NAMES = {
    "bridge_info": {"version", "mode"},
    "bridge_services": {"state"},
    "bridge_service_holds": {"hold"},
    "bridge_queue_items": {"kind", "status"},
    "bridge_queue_oldest_due_timestamp_seconds": {"lane"},
    "bridge_parked_items": {"reason"},
    "bridge_events_received_total": {"source", "outcome"},
    "bridge_event_last_received_timestamp_seconds": set(),
    "bridge_actions_total": {"kind", "state"},
    "bridge_pass_failures_total": {"reason"},
    "bridge_paid_to_live_seconds_bucket": {"le"},
    "bridge_paid_to_live_seconds_count": set(),
    "bridge_paid_to_live_seconds_sum": set(),
    "bridge_sweep_last_success_timestamp_seconds": set(),
    "bridge_sweep_differences": {"side"},
    "bridge_brake_engaged": set(),
    "bridge_side_failing": {"side"},
    "bridge_panel_token_expiry_timestamp_seconds": set(),
    "bridge_outbox_pending": {"endpoint"},
    "bridge_outbox_deliveries_total": {"endpoint", "outcome"},
    "bridge_orders": {"state", "provider"},
    "bridge_disputes_open": set(),
    "bridge_schema_migrations_pending": set(),
}
"""Every name, and its labels."""

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(world: World, **environ: str) -> Samples:
    """What a scrape reads: (name, labels) -> value."""
    async with world.functions(**environ) as client:
        answer = await client.get("/api/health?format=prometheus", headers=BEARER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.text)


def parsed(text: str) -> Samples:
    """(name, labels) -> value of an exposition."""
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return found[f"bridge_{name}", frozenset(labels.items())]


def counters(found: Samples) -> dict[Any, float]:
    """What must never fall."""
    return {key: n for key, n in found.items() if re.search("_(total|bucket|count|sum)$", key[0])}


async def test_every_metric_is_there_with_its_labels_and_zeros(world: World) -> None:
    """In an empty world: each value of each closed set, nothing else, and no sample of a time that never was."""
    found = await scrape(world, APP_VERSION="1.2.3", **OUTLETS)
    seen = {name: {label for label, _ in labels} for name, labels in found}
    never = {name for name in NAMES if name.endswith("timestamp_seconds")}
    assert seen == {name: labels for name, labels in NAMES.items() if name not in never}
    assert value(found, "info", version="1.2.3", mode="live") == 1
    for name, label, words in (
        ("services", "state", ServiceState),
        ("service_holds", "hold", Hold),
        ("parked_items", "reason", Reason),
    ):
        assert {dict(labels)[label] for key, labels in found if key == f"bridge_{name}"} == {str(w) for w in words}
    kinds = {dict(labels)["kind"] for name, labels in found if name == "bridge_actions_total"}
    assert kinds == {kind.value for kind in ActionKind}
    assert {dict(labels)["kind"] for name, labels in found if name == "bridge_queue_items"} == set(KINDS)
    assert {dict(labels)["endpoint"] for name, labels in found if name == "bridge_outbox_pending"} == {"1", "2"}
    assert sum(n for (name, _), n in found.items() if name != "bridge_info") == 0


async def test_a_world_in_which_something_happened_is_measured(world: World) -> None:
    """A purchase by events, somebody parked, a brake, an open dispute, a token's end, a sweep: each in its metric."""
    with receiving(receiver := Receiver(status=500)) as url:
        environ = outlet(url)
        world.buy(customer := world.customer())
        async with world.functions(**environ) as client:
            for event in world.stripe.undelivered():
                await world.deliver(client, event)
                world.stripe.mark_delivered(event)
        assert receiver.calls
        world.sql("DELETE FROM plan_mappings WHERE billing_plan_id = 'price_big_monthly'")
        other = world.customer("Bob", "bob@example.com")
        world.buy(other, "price_big_monthly", domain="bob.example")
        world.panel.knobs.token_expires = "2030-01-01T00:00:00Z"
        async with world.bridge(**environ) as bridge:
            await bridge.sweep(deadline=time.monotonic() + 100)
        await world.drain(**environ)
        world.sql("UPDATE brake SET engaged_at = now() WHERE counts = 'moves'")
        world.sql("UPDATE pulses SET error = '503' WHERE name = 'enhance'")
        world.sql("UPDATE due SET due_at = now() - interval '1 hour' WHERE lane = 'out'")
        found = await scrape(world, **environ)
    assert value(found, "services", state="live") == 1
    assert value(found, "parked_items", reason="unmapped_price") == 1
    assert value(found, "queue_items", kind="customer", status="parked") == 1
    assert value(found, "pass_failures_total", reason="unmapped_price") >= 1
    assert value(found, "actions_total", kind="create_subscription", state="verified") == 1
    assert value(found, "paid_to_live_seconds_count") == 1
    assert value(found, "paid_to_live_seconds_bucket", le="+Inf") == 1
    assert value(found, "events_received_total", source="webhook", outcome="accepted") > 0
    assert value(found, "events_received_total", source="sweep", outcome="accepted") > 0
    assert value(found, "sweep_differences", side="events") > 0
    assert value(found, "sweep_differences", side="billing") == 1
    assert value(found, "outbox_deliveries_total", endpoint="1", outcome="failed") >= 1
    assert value(found, "outbox_pending", endpoint="1") >= 1
    assert value(found, "brake_engaged") == 1
    assert (value(found, "side_failing", side="panel"), value(found, "side_failing", side="stripe")) == (1, 0)
    assert value(found, "panel_token_expiry_timestamp_seconds") == 1893456000
    assert time.time() - value(found, "sweep_last_success_timestamp_seconds") < 100
    assert time.time() - value(found, "event_last_received_timestamp_seconds") < 100
    assert value(found, "queue_oldest_due_timestamp_seconds", lane="out") < time.time() - 3500
    words = {word for _, labels in found for _, word in labels}
    personal = (customer, other, "127.0.0.1", "example.com", ".example", "sub_1", "ep_")
    assert not [word for word in words if any(part in word for part in personal)]


async def test_totals_never_fall_when_rows_are_pruned(world: World) -> None:
    """Folded or not, pruned or not: every counter is the same, and what comes afterwards is added to it."""
    with receiving(Receiver()) as url:
        environ = outlet(url, EVENT_RETENTION_DAYS="31")
        world.buy(world.customer())
        async with world.functions(**environ) as client:
            for event in world.stripe.undelivered():
                await world.deliver(client, event)
                world.stripe.mark_delivered(event)
        for table, column in (("events", "received_at"), ("actions", "at"), ("outbox_attempts", "at")):
            world.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            world.sql(f"UPDATE {table} SET {column} = {column} - interval '40 days'")  # noqa: S608
            world.sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        world.sql(
            "UPDATE outbox SET created_at = created_at - interval '40 days', ended_at = ended_at - interval '40 days'"
        )
        before = await scrape(world, **environ)
        async with world.bridge(**environ) as bridge:
            assert (await pruning.prune(bridge.db, "events", 31)).rows == 0, "what is not in the totals is kept"
            assert await metric_totals.fold(bridge.db) is False
            assert counters(await scrape(world, **environ)) == counters(before)
            assert (await bridge.sweep(deadline=time.monotonic() + 100)).finished
        assert [world.sql(f"SELECT count(*) AS n FROM {t}")[0]["n"] for t in ("events", "outbox_attempts")] == [0, 0]  # noqa: S608
        after = await scrape(world, **environ)
        pruned = ("bridge_events_received_total", "bridge_outbox_deliveries_total", "bridge_paid_to_live_seconds_count")
        assert {key: n for key, n in after.items() if key[0] in pruned} == {
            key: n for key, n in before.items() if key[0] in pruned
        }
        assert value(after, "outbox_deliveries_total", endpoint="1", outcome="delivered") >= 1
        assert value(after, "paid_to_live_seconds_count") == 1
        world.buy(world.customer("Bob", "bob@example.com"), domain="bob.example")
        async with world.functions(**environ) as client:
            for event in world.stripe.undelivered():
                await world.deliver(client, event)
        later = counters(await scrape(world, **environ))
        assert all(later[key] >= n for key, n in counters(before).items())
        assert value(later, "actions_total", kind="create_subscription", state="verified") == 2


async def test_totals_are_folded_in_pages_while_others_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long past is taken in page by page, each row once, and what is young stays where it is counted."""
    world.sql(
        "INSERT INTO events (event_id, type, outcome, body, received_at)"
        " SELECT 'evt_' || n, 'invoice.paid', 'accepted', '{}', now() - (n / 5) * interval '1 hour'"
        " FROM generate_series(1, 100) n"
    )
    world.sql(
        "INSERT INTO actions (action_id, customer_id, kind, state, at) SELECT gen_random_uuid(), 'cus_1', 'resume',"
        " 'applied', now() - CASE WHEN mod(n, 7) = 0 THEN interval '1 minute' ELSE interval '1 hour' END"
        " FROM generate_series(1, 100) n"
    )
    before = await scrape(world)
    monkeypatch.setattr(metric_totals, "PAGE", 9)
    async with world.bridge() as bridge:
        turns = 0
        while await metric_totals.fold(bridge.db):
            turns += 1
    assert turns >= 100 // 14
    monkeypatch.undo()
    assert counters(await scrape(world)) == counters(before)
    assert value(before, "events_received_total", source="webhook", outcome="accepted") == 100
    (folded,) = world.sql("SELECT value FROM metric_totals WHERE name = 'actions'")
    assert 0 < folded["value"] < 100


async def test_metrics_are_for_those_with_a_key(world: World) -> None:
    """Strangers get 401 and nothing of it, a wrong key too; another format is refused, and the plain answer stays."""
    async with world.functions() as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await client.get("/api/health?format=prometheus", headers=headers)
            assert answer.status_code == 401
            assert "bridge_" not in answer.text
        assert (await client.get("/api/health?format=xml")).status_code == 422
        assert set((await client.get("/api/health?format=json")).json()) == {"status", "version", "checks"}


async def test_an_older_schema_is_measured_as_such(world: World) -> None:
    """Before the migrations there is the one number that says so."""
    world.sql("DELETE FROM schema_migrations WHERE version > 5")
    found = await scrape(world)
    assert value(found, "schema_migrations_pending") > 10
    assert {name for name, _ in found} == {"bridge_info", "bridge_schema_migrations_pending"}


async def test_a_scrape_asks_nobody_outside(world: World) -> None:
    """It costs Stripe and the panel nothing."""
    await scrape(world)
    assert (world.stripe.count(), len(world.panel.calls)) == (0, 0)


def test_the_client_is_loaded_by_a_scrape_alone() -> None:
    """Neither the health check nor any other function pays for its import."""
    program = "import sys, api.health, api.webhook, lib.operators.health; print('prometheus_client' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
