"""A storm over the whole product: it leaves what was promised, and whatever else it left would be named."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.chaos_world.judge import Seen, Wanted, complaints, wanted
from scripts.chaos_world.people import LONG_AGO, People
from scripts.chaos_world.relay import relayed
from scripts.chaos_world.stage import PLANS
from scripts.sim.enhance_sim.world import Subscription as Hosting
from scripts.sim.stripe_sim import StripeSim
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_short_storm_leaves_what_was_promised() -> None:
    """Processes die, events are lost and calls break; afterwards the panel is equal to Stripe, and it says so."""
    command = [sys.executable, "-m", "scripts._chaos", "--seconds", "6", "--customers", "8", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "killed" in lines["Trouble"]
    assert " lost" in lines["Events"]
    assert "nobody twice, nothing unexplained" in lines["Equal"]


def test_a_storm_that_can_not_be_played_is_2(tmp_path: Path) -> None:
    """Nothing was judged, which is neither good nor bad: it is told at once, and not after the storm."""
    command = [sys.executable, "-m", "scripts._chaos", "--log", str(tmp_path / "none" / "log")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("The storm could not be played: ")
    assert "Traceback" not in done.stderr


# --- the judge --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def at_rest(world: World) -> World:
    """Somebody with two that are live, and somebody whose subscription has ended; all is as it should be."""
    for price, plan in PLANS.items():
        world.stripe.create_price(price)
        world.panel.add_plan(plan)
        world.map_price(price, plan)
    ada = world.customer()
    world.stripe.subscribe(ada, [("price_small", 2)], metadata={"domain": "ada.example"})
    bob = world.customer("Bob Example", "bob@example.com")
    gone = world.stripe.subscribe(bob, ["price_medium"], metadata={"domain": "bob.example"})["id"]
    for customer in (ada, bob):
        await world.sync(customer)
    world.stripe.cancel(gone)
    await world.sync(bob)
    return world


def heard(world: World) -> list[tuple[dict[str, Any], bool]]:
    """What the seller's systems would have been told: of each hosting, that it is there."""
    rows = world.sql(
        "SELECT customer_id, subscription_id, slot, row_number() OVER (PARTITION BY customer_id ORDER BY slot) AS nth"
        " FROM services ORDER BY slot"
    )
    return [
        (
            {
                "id": f"evt_{row['subscription_id']}_{row['slot']}",
                "type": "service.provisioned",
                "customerId": row["customer_id"],
                "sequence": row["nth"],
                "data": {"subscriptionId": row["subscription_id"], "slot": row["slot"]},
            },
            True,
        )
        for row in rows
    ]


def said(world: World, **seen: Any) -> list[str]:
    """What the judge says."""
    seen.setdefault("heard", heard(world))
    return complaints(world.stripe, world.panel, world.environ["DATABASE_URL"], Seen(**seen))


def of(world: World, domain: str) -> Hosting:
    """The hosting that a website is on."""
    (site,) = [one for one in world.panel.websites.values() if one.domain == domain]
    return world.panel.subscriptions[site.subscription_id or 0]


def suspend(world: World) -> None:
    of(world, "ada.example").suspended_by = "somebody"


def switch_on(world: World) -> None:
    of(world, "bob.example").suspended_by = None


def move(world: World) -> None:
    (large,) = [plan.id for plan in world.panel.plans.values() if plan.name == "large"]
    of(world, "ada.example").plan_id = large


def delete(world: World) -> None:
    of(world, "ada.example").deleted = True


def double(world: World) -> None:
    first = of(world, "ada.example")
    world.panel.state.subscriptions[9999] = Hosting(
        9999, first.plan_id, first.org_id, first.vendor_id, first.friendly_name
    )


def unmark(world: World) -> None:
    of(world, "bob.example").friendly_name = "Hosting"


def lose_website(world: World) -> None:
    world.panel.state.websites.clear()


def orphan(world: World) -> None:
    world.sql("UPDATE customers SET org_id = NULL WHERE email = 'bob@example.com'")


def leave_undone(world: World) -> None:
    world.sql(
        "INSERT INTO actions (action_id, customer_id, kind, state) VALUES (gen_random_uuid(), 'cus_1', 'x', 'intent')"
    )
    world.sql(
        "INSERT INTO due (kind, key, due_at, parked_reason, parked_at) VALUES ('customer', 'c', NULL, 'x', now())"
    )
    world.sql("INSERT INTO due (kind, key, attempts, last_error) VALUES ('customer', 'd', 3, 'timed out')")


def unexplain(world: World) -> None:
    of(world, "ada.example").suspended_by = of(world, "bob.example").suspended_by
    world.stripe.pause(next(iter(world.stripe.subscriptions)))


PLANTED: dict[Callable[[World], None], tuple[str, ...]] = {
    suspend: ("number 1 is suspended, and it is paid for",),
    switch_on: ("number 1 is on, and nobody pays for it",),
    move: ("number 1 has plan large instead of small",),
    delete: ("number 1 is not there, and it is paid for",),
    double: ("/1 was made 2 times",),
    unmark: ("is nobody's: 'Hosting'",),
    lose_website: ("ada.example is there 0 times",),
    orphan: ("belongs to nobody",),
    leave_undone: (
        "was begun, and the ledger does not say how it ended",
        "has no cause in the ledger",
        "customer c is parked: x",
        "customer d still fails: timed out",
    ),
    unexplain: ("/1 is off, and the ledger's last word is None",),
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
async def test_whatever_is_not_as_promised_is_named(at_rest: World, plant: Callable[[World], None]) -> None:
    """At rest there is nothing to say; each thing that is planted then is said."""
    assert said(at_rest) == []
    plant(at_rest)
    lines = said(at_rest)
    assert [words for words in PLANTED[plant] if not any(words in line for line in lines)] == [], lines


async def test_an_event_that_was_taken_and_is_not_there_is_named(at_rest: World) -> None:
    """200 is a promise that it is kept."""
    assert said(at_rest, taken=["evt_lost"]) == ["event evt_lost was taken, and is not there"]


async def test_what_was_told_wrongly_is_named(at_rest: World) -> None:
    """Nothing is left out, told twice, out of order or without its signature, and nobody is given two pages."""
    told = heard(at_rest)
    again = [({**event, "id": f"{event['id']}_again", "sequence": event["sequence"] + 1}, True) for event, _ in told]
    assert said(at_rest, heard=[*told, told[-1]]) == []
    for wrong, words in (
        (told[:-1], "is there was told 0 times"),
        ([*told, again[-1]], "is there was told 2 times"),
        (list(reversed(told)), "came as number 2 after 0"),
        ([(event, False) for event, _ in told], "is signed wrongly"),
    ):
        lines = said(at_rest, heard=wrong)
        assert any(words in line for line in lines), (words, lines)
    assert said(at_rest, twice=["ada@example.com"]) == ["ada@example.com was given two pages for one purchase"]


async def test_money_that_is_not_in_the_books_is_named(at_rest: World) -> None:
    """A page that is no order, an order that is not paid although its page is, a payment that is not there."""
    sells = {"CHECKOUT_SUCCESS_URL": "https://hosting.example/", "CHECKOUT_CANCEL_URL": "https://hosting.example/"}
    stripe = at_rest.stripe
    async with at_rest.functions(**sells) as client:
        body = {"priceId": "price_small", "email": "cy@example.com", "domain": "cy.example"}
        page = (await client.post("/api/checkout", json=body)).json()["sessionId"]
        assert said(at_rest) == []
        session = stripe.complete_checkout(page, name="Cy Example")
        assert any("is pending, and its page is paid" in line for line in said(at_rest))
        for event in stripe.events:
            await at_rest.deliver(client, event)
        assert said(at_rest) == []
    at_rest.sql("DELETE FROM payments")
    assert any("is 0 payments instead of 1" in line for line in said(at_rest))
    stripe.get(page, "checkout.session")["client_reference_id"] = None
    assert f"{session['id']} is no order" in said(at_rest)


def test_what_is_wanted_is_told_from_stripe_alone() -> None:
    """Paid is on, behind stays on until its grace is over, and what was taken back or has ended is off."""
    stripe = StripeSim()
    stripe.create_price("price_small")
    customer = stripe.create_customer(email="ada@example.com", name="Ada")["id"]
    subscription = stripe.subscribe(customer, [("price_small", 3)])["id"]

    def state() -> Wanted:
        return wanted(stripe, stripe.get(subscription))

    assert state() == ("on", 3, "small")
    dispute = stripe.dispute(subscription)["id"]
    assert state() == ("off", 3, None)
    stripe.close_dispute(dispute, "won")
    assert state() == ("on", 3, "small")
    stripe.fail_payment(subscription)
    assert state() == ("made", 3, None)
    stripe.pay_open_invoice(subscription)
    stripe.fail_payment(subscription, stripe.now() - LONG_AGO)
    assert state() == ("off", 3, None)
    stripe.cancel(subscription)
    assert state() == ("off", 3, None)


# --- what the storm is made of ----------------------------------------------------------------------------------------


def test_people_come_to_every_state() -> None:
    """Given time, each act is done, and subscriptions reach every status that the judge knows."""
    stripe = StripeSim()
    for price in PLANS:
        stripe.create_price(price)
    people = People(stripe, None, random.Random(3), 40)  # noqa: S311 - to be repeated
    seen: set[str] = set()
    for _ in range(900):
        people.act()
        seen |= {one["status"] for one in stripe.subscriptions.values()}
    assert seen >= {"active", "trialing", "past_due", "unpaid", "paused", "canceled", "incomplete_expired"}
    assert {dispute["status"] for dispute in stripe.disputes.values()} >= {"won", "lost"}
    assert len(people.acts) == 16, people.acts


def test_a_way_that_is_cut_loses_the_answer_and_not_the_question(database_url: Any) -> None:
    """What was asked for while answers are lost is done, and whoever asked is told that the connection ended."""
    import psycopg

    with psycopg.connect(database_url, autocommit=True) as near:
        near.execute("CREATE TABLE kept (number integer)")
        with relayed(near.info.port) as relay:
            url = psycopg.conninfo.make_conninfo(database_url, port=relay.port)
            with psycopg.connect(url, autocommit=True) as far:
                far.execute("SELECT 1")
                relay.cut(deaf=0.5)
                while not relay.deaf:
                    pass
                with pytest.raises(psycopg.OperationalError):
                    far.execute("INSERT INTO kept VALUES (1)")
            with psycopg.connect(url, autocommit=True) as again:
                assert again.execute("SELECT number FROM kept").fetchall() == [(1,)]
