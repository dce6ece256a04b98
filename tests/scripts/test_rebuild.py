"""Losing the database: what our marks in the panel and Stripe's word give back, and that nothing is made twice."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.test_adopt import launch, panel
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = 86400
KEPT = (
    "customer_id, subscription_id, slot, item_id, price_id, plan, state, panel_subscription_id, panel_plan_id,"
    " website_id, domain, holds, suspended_by, panel_suspended, ended_at, retain_until"
)


def remembered(world: World) -> dict[str, list[dict[str, Any]]]:
    """What must be the same again."""
    owners = "SELECT customer_id, email, name, org_id, org_name, login_id, member_id FROM customers ORDER BY 1"
    return {
        "customers": world.sql(owners),
        "services": world.sql(f"SELECT {KEPT} FROM services ORDER BY subscription_id, slot"),  # noqa: S608
    }


def lose_the_database(world: World) -> None:
    """Everything is gone; the schema is made anew and the mappings are typed again."""
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    assert launch(world, "migrate").returncode == 0
    world.map_price("price_basic_monthly", "basic-hosting-plan")
    world.map_price("price_big_monthly", "big-hosting-plan")


def adopt(world: World, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`./scripts/adopt --by-marks`."""
    return launch(world, "adopt", "--by-marks", *arguments, **environ)


async def bought(world: World, name: str, **more: Any) -> tuple[str, str]:
    """A customer with what they have bought, provisioned."""
    customer = world.customer(name, f"{name.lower()}@example.com")
    subscription = world.buy(customer, **{"domain": f"{name.lower()}.example", **more})
    await world.sync(customer)
    return customer, subscription


async def everybody(world: World) -> dict[str, tuple[str, str]]:
    """One customer in each situation: name -> (customer, subscription)."""
    found = {name: await bought(world, name) for name in ("Ada", "Cara", "Dora", "Eve", "Finn", "Gina", "Iris")}
    ben = world.customer("Ben", "ben@example.com")
    two = world.stripe.subscribe(ben, [("price_big_monthly", 1), ("price_basic_monthly", 2)])
    found["Ben"] = ben, str(two["id"])
    await world.sync(ben)
    jan = world.customer("Jan", "jan@example.com")
    many = world.stripe.subscribe(jan, [("price_basic_monthly", 2)])
    found["Jan"] = jan, str(many["id"])
    await world.sync(jan)
    world.stripe.fail_payment(found["Cara"][1], world.stripe.now() - 8 * DAY)
    world.stripe.cancel(found["Dora"][1])
    world.stripe.fail_payment(found["Eve"][1], world.stripe.now() - 2 * DAY)
    world.stripe.dispute(world.stripe.get(found["Finn"][1], "subscription")["latest_invoice"])
    world.panel.suspend_by_hand(world.service(found["Gina"][1])["panel_subscription_id"])
    world.stripe.change_items(found["Iris"][1], price="price_big_monthly")
    world.stripe.change_items(found["Jan"][1], quantity=1)
    world.sql("INSERT INTO due (kind, key) SELECT 'customer', customer_id FROM customers ON CONFLICT DO NOTHING")
    assert launch(world, "sweep").returncode == 0
    return found


async def test_everything_is_as_it_was(world: World) -> None:
    """Dropped, migrated, mapped, adopted, swept: every row is back, and neither panel nor customers noticed."""
    people = await everybody(world)
    before, there = remembered(world), panel(world)
    states = {row["state"] for row in before["services"]}
    assert states == {"live", "suspended"} and len(before["services"]) == 12
    lose_the_database(world)
    world.panel.forget_calls()

    preview = adopt(world)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "nothing was written" in preview.stdout
    assert world.sql("SELECT * FROM customers") == world.sql("SELECT * FROM disputes") == []

    done = adopt(world, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Customers linked: 9." in done.stdout
    assert panel(world) == there
    swept = launch(world, "sweep")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert panel(world) == there
    after = remembered(world)
    assert after["customers"] == before["customers"]
    differing = [
        (was["subscription_id"], was["slot"], name)
        for is_now, was in zip(after["services"], before["services"], strict=True)
        for name in was
        if is_now[name] != was[name]
    ]
    # Only when a service became surplus stands nowhere: that time begins anew, and with it a retention.
    assert differing == [(people["Jan"][1], 2, "ended_at")]

    counts = world.sql("SELECT counts FROM sweeps ORDER BY id DESC LIMIT 1")[0]["counts"]
    assert launch(world, "sweep", "--no-drain").returncode == 0
    again = world.sql("SELECT counts FROM sweeps ORDER BY id DESC LIMIT 1")[0]["counts"]
    assert again.get("marked", 0) == 0, (counts, again)
    await life_goes_on(world, people)


async def life_goes_on(world: World, people: dict[str, tuple[str, str]]) -> None:
    """What was ours to lift is lifted, what somebody else suspended is not, and retention ends what has ended."""
    world.stripe.pay_open_invoice(people["Cara"][1], every=True)
    (dispute,) = world.sql("SELECT dispute_id FROM disputes")
    world.stripe.close_dispute(dispute["dispute_id"], "won")
    assert launch(world, "sweep").returncode == 0
    states = {name: world.service(subscription) for name, (_, subscription) in people.items()}
    assert {states[name]["state"] for name in ("Ada", "Cara", "Eve", "Finn", "Iris")} == {"live"}
    assert (
        states["Gina"]["panel_suspended"]
        and world.panel.subscriptions[states["Gina"]["panel_subscription_id"]].suspended_by
    )
    world.sql("UPDATE due SET due_at = now() WHERE due_at IS NOT NULL")
    await world.sync(people["Dora"][0], RETENTION_DAYS="1")
    assert world.service(people["Dora"][1])["retain_until"] is not None


async def test_adopting_twice_is_harmless(world: World) -> None:
    """The second run says so and writes nothing."""
    await everybody(world)
    lose_the_database(world)
    assert adopt(world, "--apply", "--yes").returncode == 0
    before = remembered(world)
    done = adopt(world, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 to be linked, 9 linked already, 0 refused" in done.stdout
    assert remembered(world) == before


async def test_a_creation_that_was_interrupted_is_completed(world: World) -> None:
    """An organisation that still has our mark in its name, without login and hosting, is gone on with."""
    customer = world.customer()
    world.buy(customer)
    world.panel.fail_next("POST", "/customers", 502, "after")
    await world.sync(customer)
    world.panel.clear_faults()
    assert world.panel.world()["orgs"] == 1 and world.panel.world()["subscriptions"] == 0
    lose_the_database(world)
    done = adopt(world, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "To be linked without hosting" in done.stdout
    assert launch(world, "sweep").returncode == 0
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert world.sql("SELECT org_name FROM customers") == [{"org_name": "Ada Example"}]


async def test_what_was_deleted_by_hand_is_not_made_again(world: World) -> None:
    """Still paid for, deleted in the panel: parked, as before, until an admin says so."""
    customer, subscription = await bought(world, "Hans")
    world.panel.delete_by_hand(world.service(subscription)["panel_subscription_id"])
    await world.sync(customer)
    lose_the_database(world)
    assert adopt(world, "--apply", "--yes").returncode == 0
    assert launch(world, "sweep").returncode == 1
    assert [row["parked_reason"] for row in world.due()] == ["panel_deleted"]
    assert world.panel.world()["subscriptions"] == 0


async def test_a_suspension_in_doubt_is_lifted_by_a_persons_word_only(world: World) -> None:
    """Paid while the database was lost: it can't be told whose suspension it is, so it is named, and stays."""
    customer, subscription = await bought(world, "Cara")
    world.stripe.fail_payment(subscription, world.stripe.now() - 8 * DAY)
    await world.sync(customer)
    number = world.service(subscription)["panel_subscription_id"]
    world.stripe.pay_open_invoice(subscription, every=True)
    lose_the_database(world)
    preview = adopt(world)
    assert "stays off as the panel's own suspension" in preview.stdout
    assert str(world.panel.actor_id) in preview.stdout
    done = adopt(world, "--apply", "--yes", "--ours", str(world.panel.actor_id))
    assert done.returncode == 0, done.stdout + done.stderr
    assert launch(world, "sweep").returncode == 0
    assert world.panel.subscriptions[number].suspended_by is None
    assert world.service(subscription)["state"] == "live"


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        ("two customers", "ambiguous"),
        ("twice", "duplicate_in_panel"),
        ("another account", "unknown_subscription"),
        ("adopted", "no_mark"),
    ],
)
async def test_what_is_in_doubt_is_refused(world: World, break_it: str, reason: str) -> None:
    """Nothing is linked of it, it is named with its reason, and the others are linked all the same."""
    _, subscription = await bought(world, "Ada")
    other, theirs = await bought(world, "Ben")
    row = world.service(theirs)
    org = str(world.sql("SELECT org_id FROM customers WHERE customer_id = %s", other)[0]["org_id"])
    match break_it:
        case "two customers":
            world.panel.add_subscription(org, world.plan_id, f"moved [{subscription}]")
            world.panel.delete_by_hand(world.service(subscription)["panel_subscription_id"], force=True)
        case "twice":
            world.panel.add_subscription(org, world.plan_id, f"copied [{theirs}]")
        case "another account":
            world.panel.add_subscription(org, world.plan_id, "of the test mode [sub_elsewhere]")
        case "adopted":
            world.panel.rename_by_hand(row["panel_subscription_id"], "Hosting since 2019")
    lose_the_database(world)
    before = panel(world)
    done = adopt(world, "--apply", "--yes", PROVISIONING_MODE="shadow")
    assert done.returncode == 1, done.stdout
    assert f" {reason} " in done.stdout.partition("Refused")[2]
    linked = {row["subscription_id"] for row in world.sql("SELECT subscription_id FROM services")}
    assert linked == (set() if break_it == "two customers" else {subscription})
    assert panel(world) == before


def test_only_one_way_at_a_time(world: World) -> None:
    """Contradictory arguments are refused before anything is read."""
    for arguments in (["--by-email"], ["file.csv"]):
        ended = adopt(world, *arguments)
        assert ended.returncode == 2 and "one of them only" in ended.stderr
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "adopt", "--by-email", "--ours", "x"],
        env={**os.environ, **world.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and "--ours goes with --by-marks" in ended.stderr


async def test_an_old_backup_is_completed(world: World) -> None:
    """Who bought after the backup was made is in the panel and not in it: linked by the marks, and never made again."""
    ada, _ = await bought(world, "Ada")
    backup = {name: world.sql(f"SELECT * FROM {name}") for name in ("customers", "services")}  # noqa: S608
    second = world.buy(ada, domain="second.example")
    await world.sync(ada)
    _, theirs = await bought(world, "Ben")
    there = panel(world)
    world.sql("ALTER TABLE actions DISABLE TRIGGER actions_append_only")
    world.sql("DELETE FROM services WHERE subscription_id = ANY(%s)", [second, theirs])
    for name in ("subscriptions", "actions", "events", "due"):
        world.sql(f"DELETE FROM {name}")  # noqa: S608
    world.sql("DELETE FROM customers WHERE customer_id <> %s", ada)
    assert len(world.sql("SELECT * FROM services")) == len(backup["services"]) == len(backup["customers"]) == 1
    done = adopt(world, "--apply", "--yes", PROVISIONING_MODE="paused")
    assert done.returncode == 0, done.stdout + done.stderr
    assert launch(world, "sweep").returncode == 0
    assert panel(world) == there
    assert {row["subscription_id"] for row in world.sql("SELECT subscription_id FROM services")} >= {second, theirs}
    assert world.due() == []
