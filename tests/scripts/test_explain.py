"""Explaining: both sides, the rules between them and what was done, without changing anything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lib.operators.explain import explain
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent


def run(world: World, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as an operator does."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "explain", *arguments],
        cwd=ROOT,
        env={**os.environ, **world.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def told(world: World, wanted: str, **environ: str) -> dict[str, Any]:
    """What it says, as a program reads it."""
    done = run(world, wanted, "--json", **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    story: dict[str, Any] = json.loads(done.stdout)
    return story


def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, down to the transaction that wrote it."""
    names = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    tables = [row["tablename"] for row in names]
    return {name: world.sql(f"SELECT *, xmin::text FROM {name} ORDER BY 1, 2") for name in tables}  # noqa: S608


async def test_a_customer_at_rest(world: World) -> None:
    """Truth, desired and actual agree, nothing comes next, and the timeline tells how it came about."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    done = run(world, customer)
    assert (done.returncode, done.stderr) == (0, "")
    for shown in ("Truth", "Desired", "Actual", "Next", "Queue", "Timeline", subscription, "basic-hosting-plan"):
        assert shown in done.stdout
    assert "nothing: both sides are equal" in done.stdout
    assert "nothing is due" in done.stdout
    assert "{" not in done.stdout.partition("Timeline")[0]
    story = told(world, subscription)
    assert story["customerId"] == customer
    assert (story["desired"][0]["want"], story["desired"][0]["rule"]) == ("on", "active")
    assert (story["next"]["actions"], story["queue"]) == ([], None)
    assert [fact["kind"] for fact in story["timeline"] if fact["state"] == "applied"] == world.ledger("applied")
    assert story["actual"]["subscriptions"][0]["service"] == subscription


async def test_whoever_is_explained_nothing_is_written(world: World) -> None:
    """New, at rest, in trouble or parked: not one row of any table changes, and both sides are only read."""
    new, resting = world.customer("New", "new@example.com"), world.customer("Resting", "resting@example.com")
    failing, stuck = world.customer("Failing", "failing@example.com"), world.customer("Stuck", "stuck@example.com")
    world.stripe.create_price("price_strange")
    world.buy(stuck, price="price_strange")
    world.buy(new, domain="new.example")
    world.buy(resting, domain=None)
    behind = world.buy(failing, domain=None)
    for customer in (resting, failing, stuck):
        await world.sync(customer)
    world.stripe.mark_unpaid(behind)
    before = everything(world)
    world.panel.forget_calls()
    world.stripe.calls.clear()
    for customer in (new, resting, failing, stuck):
        for form in ((), ("--json",)):
            assert run(world, customer, *form).returncode == 0
    assert everything(world) == before
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert {call.method for call in world.stripe.calls} == {"GET"}


def asked(world: World) -> list[str]:
    """What both sides were asked since this was asked last."""
    asked = [f"{call.method} {call.path}" for call in world.stripe.calls]
    asked += [f"{call.method} {call.path}" for call in world.panel.calls]
    world.stripe.calls.clear()
    world.panel.forget_calls()
    return asked


@pytest.mark.parametrize("trouble", ["none", "new", "behind", "suspended by hand", "gone"])
async def test_an_explanation_asks_no_more_than_a_pass(world: World, trouble: str) -> None:
    """What is told is what one pass would see: neither side is asked anything a second time for it, or besides."""
    customer = world.customer()
    subscription = world.buy(customer)
    if trouble != "new":
        await world.sync(customer)
    if trouble == "behind":
        world.stripe.fail_payment(subscription)
    if trouble == "suspended by hand":
        world.panel.suspend_by_hand(world.only_subscription().id)
    if trouble == "gone":
        world.panel.delete_by_hand(next(iter(world.panel.orgs)), force=True)
    asked(world)
    async with world.bridge() as bridge:
        await bridge.reconcile(customer, dry_run=True)
    of_a_pass = asked(world)
    async with world.bridge() as bridge:
        known = await explain(bridge, customer, facts=0)
    assert asked(world) == of_a_pass
    assert known.away == {} and known.actual is not None and known.actual.org_gone is (trouble == "gone")


@pytest.mark.parametrize("side", ["stripe", "panel"])
async def test_while_a_side_is_away_the_other_is_asked_once(world: World, side: str) -> None:
    """What the pass did not come to is asked for, and what it knows is not asked for again."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    world.stripe.down, world.panel.down = side == "stripe", side == "panel"
    asked(world)
    async with world.bridge() as bridge:
        known = await explain(bridge, customer, facts=0)
    answered = [call for call in asked(world) if ("/v1/" in call) is (side == "panel")]
    assert list(known.away) == [side]
    assert len(answered) == (1 if side == "stripe" else 2) and len(set(answered)) == len(answered)


async def test_a_new_customer_is_told_every_step(world: World) -> None:
    """The next actions stand in their order, each with its rule."""
    customer = world.customer()
    world.buy(customer)
    actions = told(world, customer)["next"]["actions"]
    assert [action["kind"] for action in actions] == [
        "create_org",
        "create_login",
        "add_owner",
        "create_subscription",
        "create_website",
        "rename_org",
        "send_welcome",
    ]
    assert {action["rule"] for action in actions} == {"active", "name_follows_stripe", "first_service"}
    assert "create_website" in run(world, customer).stdout


async def test_grace_says_until_when(world: World) -> None:
    """Somebody whose card failed is on, by the rule of grace and what it means, with its end and what is owed."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    await world.sync(customer)
    story = told(world, customer)
    assert (story["desired"][0]["rule"], story["desired"][0]["want"]) == ("in_grace", "on")
    assert story["desired"][0]["graceUntil"] is not None
    assert story["desired"][0]["means"] == "unpaid, and grace is not over: the date is grace_until"
    owed = story["truth"]["subscriptions"][0]["openInvoices"]
    assert [(one["currency"], one["exponent"]) for one in owed] == [("eur", 2)]
    assert (story["queue"]["state"], story["queue"]["waitsFor"]) == ("waiting", "in_grace")
    assert story["next"]["outcome"]["state"] == "settled"
    assert "it rests until" in run(world, customer).stdout


async def test_a_parked_customer_comes_with_the_remedy(world: World) -> None:
    """What a person must do stands beside the reason."""
    world.stripe.create_price("price_strange")
    customer = world.customer()
    world.buy(customer, price="price_strange")
    await world.sync(customer)
    story = told(world, customer)
    assert (story["queue"]["state"], story["queue"]["reason"]) == ("parked", "unmapped_price")
    assert "plan_mappings" in story["queue"]["problems"][0]["remedy"]
    assert "plan_mappings" in story["next"]["outcome"]["problems"][0]["remedy"]
    said = run(world, customer).stdout
    assert "unmapped_price: " in said and "-> Add a row" in said


async def test_whose_suspension_it_is(world: World) -> None:
    """Ours and somebody else's are told apart, and holds are named."""
    customer = world.customer()
    ours, theirs = world.buy(customer, domain=None), world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.mark_unpaid(ours)
    world.panel.suspend_by_hand(world.service(theirs)["panel_subscription_id"])
    await world.sync(customer)
    story = told(world, customer)
    found = {one["service"]: one for one in story["actual"]["subscriptions"]}
    assert (found[ours]["suspendedByBridge"], found[theirs]["suspendedByBridge"]) == (True, False)
    assert {one["subscriptionId"]: one["holds"] for one in story["desired"]} == {ours: ["unpaid"], theirs: []}
    said = run(world, customer).stdout
    assert "this bridge" in said and "the panel (" in said


async def test_what_was_deleted_in_the_panel(world: World) -> None:
    """A missing organisation is said to be gone, and what to do about it."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    (org,) = world.panel.orgs
    world.panel.delete_by_hand(org, force=True)
    story = told(world, customer)
    assert story["actual"]["orgGone"] is True
    assert story["next"]["outcome"]["reason"] == "panel_deleted"
    assert f"organisation {org} is gone" in run(world, customer).stdout


async def test_shadow_mode_is_said(world: World) -> None:
    """What would come next is told, and that it does not."""
    customer = world.customer()
    world.buy(customer)
    assert "PROVISIONING_MODE is shadow" in run(world, customer, PROVISIONING_MODE="shadow").stdout


async def test_the_timeline_may_be_longer_or_shorter(world: World) -> None:
    """--last takes the newest facts."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    done = run(world, customer, "--json", "--last", "3")
    facts = world.sql("SELECT kind FROM actions ORDER BY id DESC LIMIT 3")
    assert [fact["kind"] for fact in json.loads(done.stdout)["timeline"]] == [fact["kind"] for fact in facts][::-1]


@pytest.mark.parametrize("wanted", ["cus_nobody", "sub_nobody", "nonsense", "../v1/charges", "", "cus_ü"])
async def test_an_unknown_id(world: World, wanted: str) -> None:
    """Clear words and exit code 1."""
    done = run(world, wanted)
    assert (done.returncode, done.stdout) == (1, "")
    assert "knows" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("side", ["Stripe", "The panel", "both"])
async def test_a_side_that_is_away(world: World, side: str) -> None:
    """What is remembered, what waits, what was done and the other side are told; exit code 2 and who is away."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.sql("INSERT INTO due (kind, key, due_at, waits_for) VALUES ('customer', %s, now(), 'brake')", customer)
    world.stripe.down = side != "The panel"
    world.panel.down = side != "Stripe"
    done = run(world, subscription)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    missing = {"Stripe", "The panel"} if side == "both" else {side}
    assert {line.partition(" could not be read")[0] for line in done.stderr.splitlines()} == missing
    for shown in ("Remembered", "shop.example", "basic-hosting-plan", "waits for brake", "create_website"):
        assert shown in done.stdout
    assert ("Stripe is away" in done.stdout) is world.stripe.down
    assert ("the panel is away" in done.stdout) is world.panel.down
    done = run(world, customer, "--json")
    story = json.loads(done.stdout)
    assert done.returncode == 2
    assert {name: error is not None for name, error in story["away"].items()} == {
        "stripe": world.stripe.down,
        "panel": world.panel.down,
    }
    assert [(one["service"], one["state"], one["domain"]) for one in story["remembered"]] == [
        (subscription, "live", "shop.example")
    ]
    assert (story["truth"] is None, story["actual"] is None) == (world.stripe.down, world.panel.down)
    assert [goal["rule"] for goal in story["desired"]] == ([] if world.stripe.down else ["active"])
    assert story["timeline"]
    assert (story["queue"]["waitsFor"], story["next"]["actions"]) == ("brake", [])


async def test_who_is_only_in_the_queue_while_stripe_is_away(world: World) -> None:
    """Somebody who was never provisioned is told of as well; of an id that left no trace nobody can tell."""
    customer = world.customer()
    world.sql("INSERT INTO due (kind, key, last_error) VALUES ('customer', %s, 'the panel was away')", customer)
    world.stripe.down = True
    done = run(world, customer)
    assert done.returncode == 2 and "the panel was away" in done.stdout
    assert "-> Nothing: it is tried again by itself." in done.stdout
    unknown = run(world, "cus_nobody")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "could not be read" in unknown.stderr and "Traceback" not in unknown.stderr


# --- whom is meant ----------------------------------------------------------------------------------------------------


async def test_people_are_found_by_what_they_say_at_the_telephone(world: World) -> None:
    """A whole e-mail address or domain, in any case and spelling; also the address that only Stripe knows yet."""
    customer = world.customer(email="Ada@Example.com")
    world.buy(customer, domain="bücher.example")
    await world.sync(customer)
    for wanted in ("ada@example.com", "ADA@EXAMPLE.COM", "bücher.example", "https://www.Bücher.example/", customer):
        assert told(world, wanted)["customerId"] == customer
    other = world.customer("Ben", "ben@example.com")
    assert told(world, "ben@example.com")["customerId"] == other
    world.sql("UPDATE customers SET panel_email = 'old@example.com'")
    assert told(world, "Old@example.com")["customerId"] == customer


@pytest.mark.parametrize(
    "wanted", ["ada@example.co", "da@example.com", "ada@example.com.example", "shop.example.org", "."]
)
async def test_a_part_of_it_finds_nobody(world: World, wanted: str) -> None:
    """Only the whole counts: a stranger's story must not be read to the wrong person."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    done = run(world, wanted)
    assert done.returncode == 1
    assert "knows" in done.stderr and done.stdout == ""


async def test_several_are_listed_and_none_is_explained(world: World) -> None:
    """One e-mail may be that of many customers at Stripe: the operator chooses."""
    first, second = world.customer("Ada One"), world.customer("Ada Two")
    world.buy(first)
    await world.sync(first)
    done = run(world, "ada@example.com")
    assert done.returncode == 1
    for shown in (first, second, "Ada One", "Ada Two", "shop.example"):
        assert shown in done.stderr
    assert done.stdout == ""


async def test_while_stripe_is_away_memory_answers(world: World) -> None:
    """Who is remembered is found all the same."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    world.stripe.down = True
    done = run(world, "ada@example.com", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["customerId"] == customer
    assert run(world, "nobody@example.com").returncode == 2
