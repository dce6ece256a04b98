"""What an operator types into the tables of mappings: understood, refused or named, and never a customer's decision."""

import psycopg
import pytest

from lib.model import Waits
from lib.subscription_manager import customer as passes
from tests.admin.hand import ADMIN, WORK, assert_problem, by_hand, done
from tests.world import BASIC, World

BASIC_PRICE = "price_basic_monthly"


def suspended(world: World) -> int:
    """How many hosting subscriptions are off in the panel."""
    return sum(one.suspended_by is not None for one in world.panel.subscriptions.values())


# --- the tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["stripe", "Stripe", " STRIPE ", "stripe\n", "\tstripe"])
@pytest.mark.parametrize("price", ["price_x", " price_x", "price_x \r\n", "\tprice_x"])
def test_case_and_blanks_around_what_is_typed_mean_nothing(world: World, provider: str, price: str) -> None:
    """A row is kept as it was meant, in both tables, and an update is tidied like an insert."""
    world.sql(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id, kind, activate_on)"
        " VALUES (%s, %s, ' Some plan ', 'Service', ' Paid')",
        provider,
        price,
    )
    world.sql(
        "INSERT INTO plan_rules (billing_provider, base_plan_id, addon_plan_id, enhance_plan_id)"
        " VALUES (%s, %s, ' price_y ', ' 7 ')",
        provider,
        price,
    )
    world.sql("UPDATE plan_mappings SET enhance_plan_id = enhance_plan_id || '  ' WHERE billing_plan_id = 'price_x'")
    mapping = world.sql("SELECT * FROM plan_mappings WHERE billing_plan_id = 'price_x'")[0]
    shown = ("billing_provider", "enhance_plan_id", "kind", "activate_on")
    assert [mapping[name] for name in shown] == ["stripe", "Some plan", "service", "paid"]
    assert world.sql(
        "SELECT billing_provider, base_plan_id, addon_plan_id, enhance_plan_id FROM plan_rules"
    ) == [
        {"billing_provider": "stripe", "base_plan_id": "price_x", "addon_plan_id": "price_y", "enhance_plan_id": "7"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('strype', 'p', '1')",
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('', 'p', '1')",
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('stripe', ' ', '1')",
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('stripe', 'p', ' ')",
        "UPDATE plan_mappings SET billing_provider = 'strype'",
        "INSERT INTO plan_rules (base_plan_id, addon_plan_id, enhance_plan_id) VALUES ('a', ' a ', '1')",
        "INSERT INTO plan_rules (base_plan_id, addon_plan_id, enhance_plan_id) VALUES ('a', '', '1')",
        "INSERT INTO plan_rules VALUES ('strype', 'a', 'b', 1, '1')",
    ],
)
def test_a_row_that_could_never_apply_is_refused(world: World, statement: str) -> None:
    """A provider that nobody knows, no id, or a rule of a price with itself: the table says so at once."""
    with pytest.raises(psycopg.errors.CheckViolation):
        world.sql(statement)


# --- what is no hosting any more --------------------------------------------------------------------------------------

EDITS = {
    "ignored": "UPDATE plan_mappings SET kind = 'ignore' WHERE billing_plan_id = 'price_basic_monthly'",
    "an add-on": "UPDATE plan_mappings SET kind = 'addon' WHERE billing_plan_id = 'price_basic_monthly'",
    "gone": "DELETE FROM plan_mappings WHERE billing_plan_id = 'price_basic_monthly'",
    "another provider's": "UPDATE plan_mappings SET billing_provider = 'bank_transfer'"
    " WHERE billing_plan_id = 'price_basic_monthly'",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_one_word_in_a_mapping_switches_nobody_off(world: World, edit: str) -> None:
    """Everybody whom it concerns is due at once, kept as they are, and shown; the row put right, nobody is left."""
    subscriptions = [world.buy(world.customer(), domain=f"site{n}.example") for n in range(3)]
    await world.drain()
    for subscription in subscriptions:
        await world.sync(str(world.stripe.subscriptions[subscription]["customer"]))
    services, ledger = world.dump()["services"], world.ledger("applied")
    world.sql(EDITS[edit])
    assert len(world.due()) == 3
    await world.drain(RETENTION_DAYS="1")
    assert [row["parked_reason"] for row in world.due()] == ["mapping_changed"] * 3
    assert world.ledger("applied") == ledger
    shown = ("state", "holds", "plan", "panel_plan_id", "ended_at", "retain_until", "made_for")
    assert [[s[c] for c in shown] for s in world.dump()["services"]] == [[s[c] for c in shown] for s in services]
    world.sql("DELETE FROM plan_mappings WHERE billing_plan_id = %s", BASIC_PRICE)
    world.map_price(BASIC_PRICE, BASIC)
    await world.drain()
    assert world.due() == []
    assert world.ledger("applied") == ledger


async def test_a_release_confirms_the_end_of_one_subscription(world: World) -> None:
    """What an admin releases ends like a cancellation; the other one stays; with its mapping back it runs again."""
    first, second = world.buy(world.customer()), world.buy(world.customer(), domain="two.example")
    async with world.functions() as client:
        for subscription in (first, second):
            await done(client, "retry", subscriptionId=subscription)
        world.sql(EDITS["ignored"])
        await world.drain()
        row = (await client.get(f"{WORK}?reason=mapping_changed", headers=ADMIN)).json()["data"][0]
        assert "release it" in row["remedy"]
        answer = await done(client, "release", subscriptionId=first, reason="the plan is closed")
        assert answer["outcome"]["state"] == "settled"
        assert [(a["kind"], a["rule"]) for a in answer["actions"]] == [("suspend", "mapping_confirmed")]
        assert (world.service(first)["holds"], world.service(second)["holds"]) == (["ended"], [])
        assert [row["key"] for row in world.due()] == [world.stripe.subscriptions[second]["customer"]]
        world.sql("UPDATE plan_mappings SET kind = 'service' WHERE billing_plan_id = %s", BASIC_PRICE)
        await world.drain()
    assert suspended(world) == 0
    assert world.due() == []
    assert by_hand(world, "release")[0]["facts"]["waited"] == ["mapping_changed"]


async def test_one_release_of_a_customer_never_means_two_things(world: World) -> None:
    """Who waits for different reasons is released by subscription: one word ends nothing that it was not meant for."""
    customer = world.customer()
    first = world.buy(customer)
    async with world.functions(QUANTITY_MAX="2") as client:
        await done(client, "retry", customerId=customer)
        second = str(world.stripe.subscribe(customer, [("price_big_monthly", 3)])["id"])
        world.sql(EDITS["ignored"])
        await done(client, "retry", customerId=customer)
        body = {"action": "release", "customerId": customer}
        refused = await client.post(WORK, json=body, headers=ADMIN)
        assert_problem(refused, 422, field="subscriptionId")
        assert world.service(first)["holds"] == []
        answer = await done(client, "release", subscriptionId=second)
        assert answer["outcome"]["reason"] == "mapping_changed"
    assert world.panel.world()["subscriptions"] == 4
    assert suspended(world) == 0


# --- quantity ---------------------------------------------------------------------------------------------------------


async def test_an_unusual_quantity_waits_for_a_person_and_then_is_made(world: World) -> None:
    """Nothing is made of a slip of the hand, not even an organisation; a release of it makes so many, and no more."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [(BASIC_PRICE, 5000)])["id"])
    async with world.functions(QUANTITY_MAX="3") as client:
        answer = await done(client, "retry", customerId=customer)
        assert (answer["outcome"]["reason"], answer["actions"]) == ("quantity_unusual", [])
        assert world.panel.world() == {"orgs": 0, "logins": 0, "members": 0, "subscriptions": 0, "websites": 0}
        world.stripe.change_items(subscription, quantity=5, invoice="paid")
        assert (await done(client, "retry", customerId=customer))["outcome"]["reason"] == "quantity_unusual"
        assert (await done(client, "release", subscriptionId=subscription))["outcome"]["state"] == "settled"
        assert world.panel.world()["subscriptions"] == 5
        world.stripe.change_items(subscription, quantity=6, invoice="paid")
        assert (await done(client, "retry", customerId=customer))["outcome"]["reason"] == "quantity_unusual"
        world.stripe.change_items(subscription, quantity=2, invoice="paid")
        assert (await done(client, "retry", customerId=customer))["outcome"]["state"] == "settled"
    assert world.panel.world()["subscriptions"] == 5
    assert suspended(world) == 3


async def test_a_large_purchase_comes_in_passes_that_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that takes long gives its place back and goes on later, until all is there and nothing twice."""
    monkeypatch.setattr(passes, "LONGEST_PASS", 0.0)
    customer = world.customer()
    world.stripe.subscribe(customer, [(BASIC_PRICE, 7)])
    report = await world.sync(customer)
    assert len(report.actions) == 1
    assert isinstance(report.outcome, Waits)
    assert report.outcome.why == "more_to_do"
    for _ in range(20):
        await world.drain()
    assert world.due() == []
    assert world.panel.world()["subscriptions"] == 7
