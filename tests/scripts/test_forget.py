"""Erasing on request: personal data goes for good, ids, money, numbers and dates stay."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.world import ADMIN_KEY, World

ROOT = Path(__file__).resolve().parent.parent.parent
PERSONAL = ("Ada Example", "ada@example.com", "shop.example")


def run(world: World, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as an operator does."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "forget", *arguments],
        cwd=ROOT,
        env={**os.environ, **world.environ, "USER": "anna", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, down to the transaction that wrote it."""
    names = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    tables = [row["tablename"] for row in names]
    return {name: world.sql(f"SELECT *, xmin::text FROM {name} ORDER BY 1, 2") for name in tables}  # noqa: S608


def leaks(world: World) -> list[str]:
    """Tables in which something personal of Ada can be read."""
    dumped = {name: json.dumps(rows, default=str).lower() for name, rows in everything(world).items()}
    return [f"{name}: {word}" for name, text in dumped.items() for word in PERSONAL if word.lower() in text]


async def gone(world: World) -> tuple[str, str]:
    """Ada had a website and a login, cancelled, and her hosting was terminated; everything was told by webhooks."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions(RETENTION_DAYS="1") as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
        async with world.bridge() as manager:
            await manager.sweep(deadline=float("inf"))
        two_days_ago = world.stripe.now() - 2 * 86400
        world.stripe.cancel(subscription, created=two_days_ago)
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    assert world.service(subscription)["state"] == "terminated"
    return customer, subscription


async def test_a_preview_shows_and_writes_nothing(world: World) -> None:
    """Without --yes it only says what is held."""
    customer, _ = await gone(world)
    before = everything(world)
    done = run(world, customer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ada@example.com" in done.stdout and "nothing was erased" in done.stdout
    assert everything(world) == before


async def test_nothing_personal_is_left(world: World) -> None:
    """Not in any table: customers, services, ledger, events, queue; neither Stripe nor the panel is called."""
    customer, _ = await gone(world)
    assert {leak.partition(":")[0] for leak in leaks(world)} >= {"actions", "customers", "events", "services"}
    world.panel.forget_calls()
    world.stripe.calls.clear()
    done = run(world, customer, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks(world) == []
    assert (world.panel.calls, world.stripe.calls) == ([], [])
    (org,) = world.panel.orgs
    assert customer in done.stdout and org in done.stdout and "Stripe" in done.stdout


async def test_what_happened_can_still_be_told(world: World) -> None:
    """Every fact and every event is there with its ids, dates and rules; the erasure itself is noted with its actor."""
    customer, subscription = await gone(world)
    kept = "SELECT id, action_id, at, kind, state, rule, subscription_id, slot FROM actions ORDER BY id"
    facts = world.sql(kept)
    events = world.sql("SELECT event_id, type, customer_id, object_id, created_at, outcome FROM events ORDER BY 1")
    run(world, customer, "--yes")
    assert world.sql(kept)[:-1] == facts
    assert (
        world.sql("SELECT event_id, type, customer_id, object_id, created_at, outcome FROM events ORDER BY 1") == events
    )
    assert {row["body"] for row in world.sql("SELECT body FROM events WHERE customer_id = %s", customer)} == {"{}"}
    (note,) = world.sql("SELECT actor, state FROM actions WHERE kind = 'erased'")
    assert note == {"actor": "anna", "state": "noted"}
    made = world.sql("SELECT after FROM actions WHERE kind = 'create_subscription' AND state = 'applied'")
    assert made[0]["after"]["panel_subscription_id"] == world.service(subscription)["panel_subscription_id"]
    (row,) = world.sql("SELECT org_id, login_id, erased_at FROM customers")
    assert row["org_id"] and row["login_id"] and row["erased_at"]


async def test_the_ledger_closes_again(world: World) -> None:
    """The permission to change it ended with the erasure."""
    customer, _ = await gone(world)
    run(world, customer, "--yes")
    with pytest.raises(Exception, match="append-only"):
        world.sql("UPDATE actions SET actor = 'nobody'")


async def test_nothing_is_written_back(world: World) -> None:
    """A later pass and a later sweep read the name and e-mail from both sides, and write none of it down."""
    customer, _ = await gone(world)
    run(world, customer, "--yes")
    world.panel.forget_calls()
    report = await world.sync(customer)
    assert report.actions == ()
    async with world.bridge() as manager:
        await manager.sweep(deadline=float("inf"))
        await manager.drain(deadline=float("inf"))
    assert leaks(world) == []
    assert {call.method for call in world.panel.calls} <= {"GET"}


async def test_later_events_are_kept_without_their_bodies(world: World) -> None:
    """What Stripe sends afterwards, its word of the deletion above all, or a sweep finds missing, is data once more."""
    customer, _ = await gone(world)
    run(world, customer, "--yes")
    world.stripe.update_customer(customer, name="Ada Example-Other")
    world.stripe.delete_customer(customer)
    (deleted,) = world.stripe.events_of("customer.deleted")
    async with world.functions() as client:
        await world.deliver(client, deleted)
    world.sql("DELETE FROM events WHERE event_id <> %s", deleted["id"])
    async with world.bridge() as manager:
        await manager.sweep(deadline=float("inf"))
    assert world.sql("SELECT body FROM events WHERE event_id = %s", deleted["id"]) == [{"body": "{}"}]
    assert leaks(world) == []


async def test_erasing_twice_is_harmless(world: World) -> None:
    """The first date stays, and nothing else is left to change."""
    customer, _ = await gone(world)
    run(world, customer, "--yes")
    dates = world.sql("SELECT erased_at FROM customers")
    again = run(world, customer, "--yes")
    assert again.returncode == 0
    assert "erased before" in again.stdout and "Erased: 0 facts of the ledger, 0 events and 0 orders" in again.stdout
    assert world.sql("SELECT erased_at FROM customers") == dates


async def test_other_customers_keep_theirs(world: World) -> None:
    """Only the rows of this customer change."""
    other = world.customer("Ben", "ben@example.net")
    world.buy(other, domain="ben.example")
    await world.sync(other)
    customer, _ = await gone(world)
    rows = "SELECT *, xmin::text FROM {} WHERE customer_id = %s ORDER BY 1, 2"
    tables = ("customers", "services", "actions", "events")
    before = [world.sql(rows.format(name), other) for name in tables]
    run(world, customer, "--yes")
    assert [world.sql(rows.format(name), other) for name in tables] == before


async def test_hosting_that_runs_is_refused(world: World) -> None:
    """Somebody who still pays is not erased by a slip."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    before = everything(world)
    done = run(world, customer, "--yes")
    assert done.returncode == 1
    assert "--force" in done.stderr and "shop.example" in done.stdout
    assert "action hardDelete of /api/admin/work" in done.stderr  # what there is to wipe it with, by its name
    assert everything(world) == before


async def test_force_erases_all_but_what_runs(world: World) -> None:
    """The domain of the running service stays, since the website needs it, and every later pass leaves both alone."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    panel = world.panel.world()
    done = run(world, customer, "--yes", "--force")
    assert done.returncode == 0
    assert "Remains" in done.stdout
    assert leaks(world) == ["services: shop.example"]
    assert (await world.sync(customer)).actions == ()
    assert leaks(world) == ["services: shop.example"]
    assert world.service(subscription)["state"] == "live"
    assert world.panel.world() == panel


async def test_free_texts_are_cleaned(world: World) -> None:
    """Errors, reasons and parked details lose names, domains and any e-mail, and keep their sense."""
    customer, _ = await gone(world)
    world.sql(
        "INSERT INTO actions (action_id, customer_id, kind, state, error, facts) VALUES (gen_random_uuid(), %s, 'x',"
        " 'failed', 'POST: 409 shop.example is taken by Ada Example (old@example.org), plan 3', %s)",
        customer,
        json.dumps(
            {"problems": [{"reason": "invalid_domain", "detail": "'my sh op' is no domain", "subject": "sub_1"}]}
        ),
    )
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at, last_error, problems)"
        " VALUES ('customer', %s, NULL, 'login_not_found', now(), 'about ada@example.com', %s)",
        customer,
        json.dumps([{"reason": "login_not_found", "detail": "a login for ada@example.com", "subject": customer}]),
    )
    run(world, customer, "--yes")
    (fact,) = world.sql("SELECT error, facts FROM actions WHERE kind = 'x'")
    assert fact["error"] == "POST: 409 erased is taken by erased (erased), plan 3"
    assert fact["facts"]["problems"][0] == {"reason": "invalid_domain", "detail": "erased", "subject": "sub_1"}
    (row,) = world.due()
    assert (row["last_error"], row["parked_reason"]) == ("about erased", "login_not_found")
    assert row["problems"] == [{"reason": "login_not_found", "detail": "a login for erased", "subject": customer}]


async def test_a_dispute_that_names_nobody_is_theirs(world: World) -> None:
    """Stripe's dispute events hold no customer; once it is known they are noted as theirs, and emptied with them."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.dispute(world.stripe.charge_of(subscription)["id"])
    async with world.functions() as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    owners = world.sql("SELECT DISTINCT customer_id FROM events WHERE type LIKE 'charge.dispute.%%'")
    assert owners == [{"customer_id": customer}]
    run(world, customer, "--yes", "--force")
    disputes = world.sql("SELECT body FROM events WHERE type LIKE 'charge.dispute.%%'")
    assert {row["body"] for row in disputes} == {"{}"}


async def delivered(world: World) -> None:
    """Deliver what Stripe has to tell."""
    async with world.functions() as client:
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
            world.stripe.mark_delivered(event)


def abandon(world: World, address: str) -> None:
    """Somebody gives their address at Checkout and leaves it at that."""
    session = world.stripe.create_checkout(
        mode="subscription",
        line_items=[{"price": "price_basic_monthly", "quantity": 1}],
        customer_email=address,
        success_url="https://shop.test",
    )
    world.stripe.expire_checkout(session["id"])


@pytest.mark.parametrize("kind", ["dispute", "refund"])
async def test_what_names_nobody_and_comes_later_is_theirs(world: World, kind: str) -> None:
    """A dispute's evidence, or a refund, is emptied as soon as it turns out whose it is; another customer's is kept."""
    customer, subscription = await gone(world)
    other = world.buy(world.customer("Ben", "ben@example.net"), domain="ben.example")
    run(world, customer, "--yes")
    for one, name in ((subscription, "Ada Example"), (other, "Ben")):
        if kind == "dispute":
            dispute = world.stripe.dispute(one)["id"]
            world.stripe.set(dispute, evidence={"customer_name": name})
            world.stripe.update_dispute(dispute, "under_review")
        else:
            world.stripe.refund(one, metadata={"for": name})
    await delivered(world)
    assert leaks(world) == []
    found = {row["body"] == "{}" for row in world.sql("SELECT body FROM events WHERE type LIKE %s", f"%{kind}%")}
    assert found == {True, False}


async def test_an_abandoned_checkout_is_theirs(world: World) -> None:
    """It names nobody but the address; who has another address, or one that only ends like it, keeps theirs."""
    customer, _ = await gone(world)
    for address in ("ada@example.com", "Ada@Example.com", "nada@example.com", "ben@example.net"):
        abandon(world, address)
    await delivered(world)
    run(world, customer, "--yes")
    kept = world.sql("SELECT body FROM events WHERE type = 'checkout.session.expired' AND body <> '{}'")
    assert sorted(json.loads(row["body"])["data"]["object"]["customer_email"] for row in kept) == [
        "ben@example.net",
        "nada@example.com",
    ]


@pytest.mark.parametrize("address", ["j\u00fcrgen_%@example.com", 'a"b\\\\@example.com', "o'hara+x@example.com"])
async def test_an_address_of_any_spelling_is_found(world: World, address: str) -> None:
    """Signs that mean something to JSON or to SQL stand for themselves, escaped or not."""
    customer = world.customer(email=address)
    world.buy(customer, domain=None)
    await delivered(world)
    for number, ascii_only in enumerate((True, False)):
        body = json.dumps({"customer_email": address}, ensure_ascii=ascii_only)
        world.sql(
            "INSERT INTO events (event_id, type, outcome, body) VALUES (%s, 'x', 'ignored', %s)", f"evt_{number}", body
        )
    run(world, customer, "--yes", "--force")
    assert world.sql("SELECT body FROM events WHERE type = 'x' AND body <> '{}'") == []


async def test_who_never_bought_anything_stays_erased(world: World) -> None:
    """Of somebody without hosting the date is kept all the same, so that later events are emptied."""
    customer = world.customer()
    world.stripe.update_customer(customer, name="Ada Example")
    abandon(world, "ada@example.com")
    await delivered(world)
    assert world.sql("SELECT * FROM customers") == []
    done = run(world, customer, "--yes")
    assert (done.returncode, leaks(world)) == (0, []), done.stdout + done.stderr
    world.stripe.delete_customer(customer)
    await delivered(world)
    async with world.bridge() as manager:
        await manager.sweep(deadline=float("inf"))
        await manager.drain(deadline=float("inf"))
    assert (leaks(world), world.due()) == ([], [])
    async with world.functions() as client:
        shown = await client.get("/api/admin/dashboard", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert (shown.json()["customers"], shown.json()["alerts"]) == (0, [])
    assert "erased before" in run(world, customer, "--yes").stdout
    assert world.panel.world()["orgs"] == 0


async def test_who_buys_again_gets_everything_and_is_kept_without_a_name(world: World) -> None:
    """New hosting, with a clean name in the panel and a mail; of the customer only ids and the new domain are kept."""
    customer, ended = await gone(world)
    run(world, customer, "--yes")
    (org,) = world.panel.orgs
    world.panel.delete_by_hand(org, force=True)
    bought = world.buy(customer, domain="new.example")
    await world.sync(customer)
    mails = len(world.panel.recovery_mails)
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        body = {"action": "recreate", "customerId": customer}
        answer = await client.post("/api/admin/work", json=body, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert answer.status_code == 200, answer.text
    assert leaks(world) == []
    await world.sync(customer)
    await world.sync(customer)
    async with world.bridge() as manager:
        await manager.sweep(deadline=float("inf"))
        await manager.drain(deadline=float("inf"))
    assert leaks(world) == []
    assert [(o.name, o.deleted) for o in world.panel.orgs.values() if not o.deleted] == [("Ada Example", False)]
    assert len(world.panel.recovery_mails) == mails + 1
    assert (world.service(bought)["state"], world.service(bought)["domain"]) == ("live", "new.example")
    assert (world.service(ended)["state"], world.service(ended)["domain"]) == ("terminated", None)
    assert world.sql("SELECT email, name, org_name, panel_name, panel_email FROM customers") == [
        {"email": None, "name": None, "org_name": None, "panel_name": None, "panel_email": None}
    ]
    assert world.due() == []


async def test_a_place_that_is_not_made_gets_no_domain_again(world: World) -> None:
    """What ended before it was made keeps no domain, whatever still stands in Stripe's metadata."""
    customer = world.customer()
    world.panel.fail_next("POST", "/customers", 500, times=1000)
    subscription = world.buy(customer)
    await world.sync(customer)
    assert world.service(subscription)["domain"] == "shop.example"
    world.stripe.cancel(subscription)
    run(world, customer, "--yes")
    await world.sync(customer)
    assert world.service(subscription)["domain"] is None
    assert leaks(world) == []


async def test_a_pass_that_is_under_way_comes_first(world: World) -> None:
    """It would write back what it had read; so nothing is erased beneath it."""
    customer, _ = await gone(world)
    world.sql(
        "INSERT INTO due (kind, key, lease_id, leased_until)"
        " VALUES ('customer', %s, gen_random_uuid(), now() + interval '1 minute')",
        customer,
    )
    before = everything(world)
    done = run(world, customer, "--yes")
    assert done.returncode == 1 and "Run this again" in done.stderr
    assert everything(world) == before


async def test_an_unknown_customer(world: World) -> None:
    """Clear words and exit code 1."""
    done = run(world, "cus_nobody", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "holds nothing" in done.stderr
