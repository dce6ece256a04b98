"""`/api/admin/plans`: what is sold with both sides beside it, and changes that do exactly what was shown."""

from typing import Any

import httpx
import pytest

from tests.world import ADMIN_KEY, BASIC, World

PLANS = "/api/admin/plans"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
BASIC_PRICE = "price_basic_monthly"


async def show(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    """What is sold."""
    answer = await client.get(PLANS, params=query, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx.AsyncClient, method: str, body: dict[str, Any]) -> httpx.Response:
    """One change."""
    return await client.request(method, PLANS, json=body, headers=ADMIN)


async def sold(world: World, count: int) -> list[str]:
    """Customers whose hosting is live on the basic plan."""
    customers = []
    for number in range(count):
        customer = world.customer(f"Name {number}", f"c{number}@example.com")
        world.buy(customer, domain=f"c{number}.example")
        await world.sync(customer)
        customers.append(customer)
    return customers


def plans(world: World) -> list[int]:
    """The plans of everything that is live in the panel."""
    return sorted(s.plan_id for s in world.panel.subscriptions.values() if not s.deleted)


async def test_both_sides_stand_beside_each_mapping(world: World) -> None:
    """The price as it is at Stripe and the plan as it is in the panel; what is gone on a side is missing there."""
    world.map_price("price_gone", "no such plan")
    await sold(world, 2)
    async with world.functions() as client:
        found = await show(client)
    by_price = {row["billingPlanId"]: row for row in found["data"]}
    basic = by_price[BASIC_PRICE]
    assert (basic["plan"], basic["services"]) == ({"id": world.plan_id, "name": BASIC}, 2)
    assert basic["price"]["active"] is True
    assert basic["price"]["interval"] == "month"
    assert (by_price["price_gone"]["price"], by_price["price_gone"]["plan"]) == (None, None)
    assert {plan["name"] for plan in found["plans"]} >= {BASIC, "big-hosting-plan"}
    assert found["away"] == {}


async def test_what_customers_wait_for_comes_first(world: World) -> None:
    """A price without a mapping is named with how many wait; mapped, they get what they bought without more ado."""
    world.stripe.create_price("price_new")
    customer = world.customer()
    world.buy(customer, price="price_new")
    await world.sync(customer)
    async with world.functions() as client:
        (waiting,) = (await show(client))["unmapped"]
        assert (waiting["billingPlanId"], waiting["customers"]) == ("price_new", 1)
        body = {"billingPlanId": "price_new", "enhancePlanId": BASIC}
        made = await send(client, "POST", body)
        assert made.status_code == 200, made.text
        assert (await show(client))["unmapped"] == []
    assert plans(world) == [world.plan_id]


async def test_what_is_mapped_asks_for_no_mapping_while_its_customers_run(world: World) -> None:
    """Their passes are still to come: the price does not stand among those that wait for a person's decision."""
    world.stripe.create_price("price_new")
    customer = world.customer()
    world.buy(customer, price="price_new")
    await world.sync(customer)
    world.sql(
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('stripe', 'price_new', %s)",
        world.plan_id,
    )
    assert [row["parked_reason"] for row in world.due() if row["key"] == customer] == ["unmapped_price"]
    async with world.functions() as client:
        assert (await show(client))["unmapped"] == []


async def test_a_side_that_is_away_is_named_and_the_rest_shown(world: World) -> None:
    """The mappings are ours to show, also while Stripe or the panel does not answer."""
    world.panel.fail_next("GET", "/plans", status=500, times=20)
    async with world.functions() as client:
        found = await show(client)
    assert set(found["away"]) == {"panel"}
    assert {row["billingPlanId"] for row in found["data"]} >= {BASIC_PRICE}


async def test_a_change_is_shown_and_then_done_exactly_so(world: World) -> None:
    """The preview names who would move; applied, just these pass the brake, whatever its limit."""
    customers = await sold(world, 3)
    body: dict[str, Any] = {"billingPlanId": BASIC_PRICE, "enhancePlanId": "big-hosting-plan"}
    async with world.functions(BRAKE_MAX="1") as client:
        shown = (await send(client, "PUT", {**body, "dryRun": True})).json()
        assert [move["customerId"] for move in shown["moves"]] == customers
        assert {(move["fromPlan"], move["toPlan"]) for move in shown["moves"]} == {(BASIC, "big-hosting-plan")}
        assert (shown["suspends"], shown["refused"], shown["unclear"]) == ([], [], [])
        assert plans(world) == [world.plan_id] * 3
        blind = await send(client, "PUT", body)
        assert (blind.status_code, blind.json()["code"]) == (422, "confirmation_needed")
        done = await send(client, "PUT", {**body, "asOf": shown["asOf"]})
        assert (done.status_code, done.json()["moves"]) == (200, 3)
    await world.come_to_rest(BRAKE_MAX="1")
    assert plans(world) == [world.big_plan_id] * 3
    assert world.sql("SELECT count(*) AS n FROM brake WHERE engaged_at IS NOT NULL") == [{"n": 0}]


async def test_as_many_others_by_then_are_not_moved(world: World) -> None:
    """One has ended and another bought since the preview: nothing is written until it was shown again."""
    gone, _ = await sold(world, 2)
    body: dict[str, Any] = {"billingPlanId": BASIC_PRICE, "enhancePlanId": "big-hosting-plan"}
    async with world.functions() as client:
        shown = (await send(client, "PUT", {**body, "dryRun": True})).json()
        world.sql("UPDATE services SET state = 'terminated' WHERE customer_id = %s", gone)
        world.sql("DELETE FROM subscriptions WHERE customer_id = %s", gone)
        customer = world.customer("late", "late@example.com")
        world.buy(customer, domain="late.example")
        await world.sync(customer)
        refused = await send(client, "PUT", {**body, "asOf": shown["asOf"]})
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        (row,) = world.sql("SELECT enhance_plan_id AS plan FROM plan_mappings WHERE billing_plan_id = %s", BASIC_PRICE)
        assert row["plan"] == BASIC
        anew = (await send(client, "PUT", {**body, "dryRun": True})).json()
        assert (anew["customers"], customer in {move["customerId"] for move in anew["moves"]}) == (2, True)
        assert (await send(client, "PUT", {**body, "asOf": anew["asOf"]})).status_code == 200


async def test_who_was_not_looked_at_is_braked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more customers than a preview looks at the others do not slip through: of two of them the brake stops one."""
    monkeypatch.setattr("lib.operators.plans.LOOKED_AT", 2)
    await sold(world, 4)
    body: dict[str, Any] = {"billingPlanId": BASIC_PRICE, "enhancePlanId": "big-hosting-plan"}
    async with world.functions(BRAKE_MAX="1") as client:
        shown = (await send(client, "PUT", {**body, "dryRun": True})).json()
        assert (shown["customers"], shown["lookedAt"]) == (4, 2)
        done = await send(client, "PUT", {**body, "asOf": shown["asOf"]})
        assert done.json()["moves"] == 2
    await world.come_to_rest(BRAKE_MAX="1")
    assert plans(world) == sorted([world.plan_id, *[world.big_plan_id] * 3])


@pytest.mark.parametrize("how", ["another change", "another time", "changed since"])
async def test_only_what_was_shown_is_done(world: World, how: str) -> None:
    """Another change, another preview or another row by then: nothing is written, and the remedy is named."""
    await sold(world, 1)
    body: dict[str, Any] = {"billingPlanId": BASIC_PRICE, "enhancePlanId": "big-hosting-plan"}
    async with world.functions() as client:
        shown = (await send(client, "PUT", {**body, "dryRun": True})).json()
        sent = {**body, "asOf": shown["asOf"]}
        if how == "another change":
            sent["graceDays"] = 3
        elif how == "another time":
            sent["asOf"] = "2026-01-01T00:00:00+00:00"
        else:
            world.sql("UPDATE plan_mappings SET grace_days = 9 WHERE billing_plan_id = %s", BASIC_PRICE)
        before = world.sql("SELECT * FROM plan_mappings ORDER BY 1, 2")
        refused = await send(client, "PUT", sent)
    assert (refused.status_code, refused.json()["field"]) == (409, "asOf")
    assert world.sql("SELECT * FROM plan_mappings ORDER BY 1, 2") == before


async def test_taking_a_mapping_away_switches_nobody_off(world: World) -> None:
    """Who lives by it is kept as it is, and parked until somebody confirms; the preview says so."""
    (customer,) = await sold(world, 1)
    async with world.functions() as client:
        query = {"billingPlanId": BASIC_PRICE, "dryRun": "true"}
        shown = (await client.delete(PLANS, params=query, headers=ADMIN)).json()
        assert (shown["moves"], shown["suspends"]) == ([], [])
        assert [refusal["customerId"] for refusal in shown["refused"]] == [customer]
        assert [problem["reason"] for problem in shown["refused"][0]["problems"]] == ["mapping_changed"]
        query = {"billingPlanId": BASIC_PRICE, "asOf": shown["asOf"]}
        done = await client.delete(PLANS, params=query, headers=ADMIN)
        assert done.status_code == 200, done.text
    await world.come_to_rest()
    assert world.only_subscription().suspended_by is None
    (row,) = world.due()
    assert row["parked_reason"] == "mapping_changed"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"billingPlanId": "price_unknown", "enhancePlanId": BASIC}, 404, "unknown_price", "billingPlanId"),
        ({"billingPlanId": "price_free", "enhancePlanId": "no such plan"}, 404, "unknown_plan", "enhancePlanId"),
        ({"billingPlanId": "price_free"}, 422, "invalid_field", "enhancePlanId"),
        ({"billingPlanId": BASIC_PRICE, "enhancePlanId": BASIC}, 409, "already_exists", "billingPlanId"),
        ({"billingPlanId": "price_free", "enhancePlanId": BASIC, "kind": "x"}, 422, "invalid_field", "kind"),
        ({"billingPlanId": "price_free", "enhancePlanId": BASIC, "graceDays": 999}, 422, "invalid_field", "graceDays"),
        (
            {"billingPlanId": "price_free", "serverGroupId": "x", "kind": "ignore"},
            422,
            "invalid_field",
            "serverGroupId",
        ),
        ({"billingPlanID": "price_free", "enhancePlanId": BASIC}, 422, "invalid_field", "billingPlanID"),
    ],
    ids=str,
)
async def test_a_mapping_that_makes_no_sense_is_refused(
    world: World, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    """What one of both sides does not know is refused before anybody waits for it, and nothing is written."""
    world.stripe.create_price("price_free")
    before = world.sql("SELECT * FROM plan_mappings ORDER BY 1, 2")
    async with world.functions() as client:
        answer = await send(client, "POST", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, field)
    assert world.sql("SELECT * FROM plan_mappings ORDER BY 1, 2") == before


async def test_a_refusal_says_what_there_is(world: World) -> None:
    """Of a plan that the panel does not have it names those that it has; of a price what is wrong with most of them."""
    world.stripe.create_price("price_free")
    async with world.functions() as client:
        plan = await send(client, "POST", {"billingPlanId": "price_free", "enhancePlanId": "Basic"})
        price = await send(client, "POST", {"billingPlanId": "prod_1", "enhancePlanId": BASIC})
    assert plan.json()["detail"].startswith("the panel has no plan 'Basic'; it has ")
    assert all(repr(name) in plan.json()["detail"] for name in ("basic-hosting-plan", "big-hosting-plan"))
    assert "a product's (prod_...) is none of a price" in price.json()["detail"]


async def test_a_change_stands_in_the_ledger_with_its_actor(world: World) -> None:
    """Who changed which mapping from what to what can be told afterwards."""
    world.stripe.create_price("price_new")
    async with world.functions() as client:
        await send(client, "POST", {"billingPlanId": "price_new", "enhancePlanId": BASIC})
    (row,) = world.sql("SELECT * FROM actions WHERE kind = 'mapping'")
    assert (row["customer_id"], row["actor"], row["before"]) == ("price_new", "admin", None)
    assert row["after"]["enhance_plan_id"] == BASIC
