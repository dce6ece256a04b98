"""What happened when something could not be read: each situation as it was met, and what must come of it."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from lib.model import Failed, Parked, Settled
from tests.world import ADMIN_KEY, World


def _hidden(page: Any) -> Any:
    return {**page, "data": []}


async def _settled(world: World) -> tuple[str, str]:
    """A customer with hosting and a website, at rest."""
    customer = world.customer()
    subscription = world.buy(customer)
    assert isinstance((await world.sync(customer)).outcome, Settled)
    return customer, subscription


def _edit(world: World, customer: str, **fields: Any) -> None:
    world.stripe.edit(world.stripe.customers[customer], world.stripe.now(), "customer.updated", **fields)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"name": None}, {"name": None, "email": None}, {"name": "", "email": ""}, {"name": " \u200b"}, {"name": "\x00"},
])  # fmt: skip
async def test_a_name_that_was_emptied_is_still_their_name(world: World, fields: dict[str, Any]) -> None:
    """Nothing is renamed to an e-mail address or an id once it had a name, and the name is not forgotten."""
    customer, _ = await _settled(world)
    _edit(world, customer, **fields)
    before = world.ledger()
    report = await world.sync(customer)
    assert (report.outcome, report.actions) == (Settled(), ())
    assert world.ledger() == before
    (org,) = [o for o in world.panel.orgs.values() if o.id != world.panel.org_id]
    assert org.name == "Ada Example"
    assert world.sql("SELECT name, email FROM customers") == [{"name": "Ada Example", "email": "ada@example.com"}]


async def test_who_never_had_a_name_is_called_by_the_address_of_today(world: World) -> None:
    """An e-mail that changes is followed where it is all there is, and a name when there is one."""
    customer = world.customer(name="")
    world.buy(customer)
    await world.sync(customer)
    (org,) = [o for o in world.panel.orgs.values() if o.id != world.panel.org_id]
    for fields, name in (({"email": "new@example.com"}, "new@example.com"), ({"name": "Ada"}, "Ada")):
        _edit(world, customer, **fields)
        await world.sync(customer)
        assert org.name == name


@pytest.mark.parametrize("dirt", ["\x00", "\ud800", "\udfff\x00\ud83d"])
async def test_text_that_nobody_can_store_stops_nothing(world: World, dirt: str) -> None:
    """With NUL or half a character in name or domain a customer is provisioned, and suspended when it is due."""
    customer = world.customer(f"Ada{dirt} Example", "ada@example.com")
    subscription = world.buy(customer, domain=None)
    async with world.functions() as client:
        for event in world.stripe.undelivered():
            assert (await world.deliver(client, event)).status_code == 200
    hosting = world.only_subscription()
    (row,) = world.sql("SELECT name FROM customers")
    assert row["name"].replace("\ufffd", "") == "Ada Example"
    assert all(dirt not in o.name for o in world.panel.orgs.values())
    thing = world.stripe.get(subscription)
    metadata = {"domain": f"shop.exam{dirt}ple", "note": dirt}
    world.stripe.edit(thing, world.stripe.now(), "customer.subscription.updated", metadata=metadata)
    world.stripe.cancel(subscription)
    await world.sync(customer)
    assert hosting.suspended_by is not None
    assert world.sql("SELECT count(*) AS n FROM due WHERE last_error IS NOT NULL") == [{"n": 0}]


# --- whom Stripe does not know ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what_is_left", ["nothing", "a subscription that is none of theirs"])
async def test_nothing_is_written_for_whom_stripe_does_not_know(world: World, what_is_left: str) -> None:
    """The key of another account or mode sees nobody: no rename, no hold, no note; parked with that reason."""
    customer, subscription = await _settled(world)
    if what_is_left == "nothing":
        world.stripe.subscriptions.drop(subscription)
    else:
        world.stripe.subscriptions[subscription]["customer"] = world.customer("Bob", "bob@example.com")
    world.stripe.customers.drop(customer)
    before, panel = world.dump(), world.panel.world()
    names = [o.name for o in world.panel.orgs.values()]
    async with world.functions() as client:
        answer = await client.post(
            "/api/admin/sync", json={"customerId": customer}, headers={"Authorization": f"Bearer {ADMIN_KEY}"}
        )
    assert answer.json()["outcome"]["reason"] == "unknown_customer"
    after = {**world.dump(), "actions": [a for a in world.dump()["actions"] if a["kind"] != "parked"]}
    assert (after, world.panel.world()) == (before, panel)
    assert [o.name for o in world.panel.orgs.values()] == names


async def test_a_stranger_of_whom_nothing_is_remembered_is_nobody(world: World) -> None:
    """An event about a customer that Stripe denies, and that we never had, parks nobody and writes nothing."""
    report = await world.sync("cus_unknown")
    assert isinstance(report.outcome, Settled)
    assert world.due() == []


# --- what an event named ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["customer.subscription.created", "invoice.paid", "thin", "checkout.session.completed"]
)
async def test_what_an_event_named_counts_although_the_list_lacks_it(world: World, kind: str) -> None:
    """The subscription is read by its id, and provisioned at once; afterwards the list is enough."""
    customer = world.customer()
    if kind == "checkout.session.completed":
        session = world.stripe.create_checkout(
            mode="subscription", customer=customer, line_items=[{"price": "price_basic_monthly", "quantity": 1}],
            success_url="https://shop.example/",
        )  # fmt: skip
        world.stripe.complete_checkout(session["id"])
    else:
        world.buy(customer)
    world.stripe_says.tamper("GET", "/v1/subscriptions$", _hidden)
    subscription = next(iter(world.stripe.subscriptions))
    wanted = "customer.subscription.created" if kind == "thin" else kind
    (event,) = [e for e in world.stripe.undelivered() if e["type"] == wanted]
    if kind == "thin":
        related = {"id": subscription, "type": "subscription", "url": f"/v1/subscriptions/{subscription}"}
        event = {
            "id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.subscription.created",
            "created": "2026-11-20T10:00:00.000Z", "livemode": False, "related_object": related,
        }  # fmt: skip
    async with world.functions() as client:
        assert (await world.deliver(client, event)).status_code == 200
    assert world.only_subscription().friendly_name.endswith(f"[{subscription}]")
    assert (await world.drain()).outcomes.get("failed") is None
    world.stripe_says.honest()
    world.stripe.calls.clear()
    await world.sync(customer)
    assert world.stripe.count() == 1


async def test_what_was_looked_at_before_is_not_lost_with_a_list(world: World) -> None:
    """A subscription that buys no hosting is asked for by its id too, so that it comes to nothing new."""
    customer, _ = await _settled(world)
    world.stripe_says.tamper("GET", "/v1/subscriptions$", _hidden)
    before, panel = world.dump(), world.panel.world()
    report = await world.sync(customer)
    assert (report.outcome, report.actions) == (Settled(), ())
    assert (world.dump(), world.panel.world()) == (before, panel)


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["unknown", "a customer's"])
async def test_a_wrong_organisation_of_our_own_parks_nobody(world: World, which: str) -> None:
    """ENHANCE_ORG_ID is a matter of the settings: nobody is gone, it is asked about once, and all go on afterwards."""
    customers = []
    for number in range(3):
        customers.append(world.customer(f"Customer {number}", f"c{number}@example.com"))
        world.buy(customers[-1], domain=f"site{number}.example")
        await world.sync(customers[-1])
    other = str(uuid4()) if which == "unknown" else world.panel.add_customer("Somebody", "somebody@example.com")
    before, panel = world.dump(), world.panel.world()
    world.panel.forget_calls()
    async with world.bridge(ENHANCE_ORG_ID=other) as manager:
        for customer in customers:
            report = await manager.reconcile(customer)
            assert isinstance(report.outcome, Failed)
            assert report.outcome.error.startswith("panel_org: ")
        assert world.dump() == before
        sweep = await manager.sweep(deadline=time.monotonic() + 120)
    assert all(row["parked_reason"] is None for row in world.due())
    assert world.panel.world() == panel
    if which == "unknown":
        assert sweep.errors.keys() >= {"orgs", "websites"}
        assert world.panel.count("GET", f"/orgs/{other}$") == 1
    assert await world.come_to_rest() == []


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"STRIPE_SECRET_KEY": "sk_test_fake_wrong_key"}, "stripe_key"),
        ({"ENHANCE_API_TOKEN": "wrong_fake_token"}, "panel_token"),
        ({"ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000009"}, "panel_org"),
    ],
)
async def test_what_is_nobodys_own_matter_parks_nobody(world: World, setting: dict[str, str], reason: str) -> None:
    """However often the settings are refused: it is tried again within about an hour, and goes on once they are right.

    What failed by itself before is not forgotten over it, and not added to either.
    """
    customer, _ = await _settled(world)
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    for _ in range(12):
        world.hurry()
        await world.drain(**setting)
        (row,) = world.due()
        assert (row["parked_reason"], row["waits_for"]) == (None, None)
        assert row["last_error"].startswith(f"{reason}: ")
        (wait,) = world.sql("SELECT extract(epoch FROM due_at - now())::float AS seconds FROM due")
        assert 0 < wait["seconds"] < 2 * 3600
    assert row["attempts"] <= 5
    assert await world.come_to_rest() == []


async def test_what_fails_by_itself_is_a_persons_turn_in_the_end(world: World) -> None:
    """Ten failures of any other kind still park, whatever the settings did in between."""
    customer, _ = await _settled(world)
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    world.stripe_says.tamper("GET", "/v1/subscriptions$", lambda _: {})
    for number in range(12):
        world.hurry()
        await world.drain(**({"STRIPE_SECRET_KEY": "sk_test_fake_wrong_key"} if number == 9 else {}))
    (row,) = world.due()
    assert row["parked_reason"] == "gave_up"
    assert "lacks data" in json.dumps(row["problems"])


# --- by hand ----------------------------------------------------------------------------------------------------------


async def test_recreate_asks_for_what_a_list_lacks(world: World) -> None:
    """A list that is short and says so nowhere must not lead to a second hosting: the panel is asked by its id."""
    customer, _ = await _settled(world)
    world.panel_says.tamper("GET", "/customers/[^/]+/subscriptions$", lambda _: {"items": [], "total": 0})
    assert isinstance((await world.sync(customer)).outcome, Parked)
    async with world.functions() as client:
        answer = await client.post(
            "/api/admin/work",
            json={"action": "recreate", "customerId": customer},
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_gone")
    world.panel_says.honest()
    assert await world.come_to_rest() == []
    assert world.only_subscription().suspended_by is None


async def test_a_dead_endpoint_of_somebody_else_is_read_through_once(world: World) -> None:
    """What some other endpoint of the account never takes is read whole by the first sweep, and not by each one."""
    for number in range(250):
        world.customer(f"Customer {number}", f"c{number}@example.com")

    async def pages() -> int:
        world.stripe.calls.clear()
        async with world.bridge() as manager:
            assert (await manager.sweep(deadline=time.monotonic() + 120)).finished
        return sum(call.query.get("delivery_success") is False for call in world.stripe.calls)

    assert await pages() >= 3
    assert await pages() == 1
    world.buy(world.customer("Late", "late@example.com"))
    assert await pages() <= 2
