"""Mappings of offline plans: their edits reach those who live by them, and nobody at Stripe of an equal id."""

from lib.policy.offline_lines import line_name
from tests.money.till import PLAN, came, order, sell
from tests.world import ADMIN_KEY, World

HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def test_an_edited_mapping_moves_who_lives_by_it(world: World) -> None:
    """By plain SQL too: the customer is due under their own key, moves, and Stripe is not asked."""
    sell(world)
    made = await order(world, customer_id="K-1")
    await came(world, made, 1900)
    await world.drain()
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'big-hosting-plan' WHERE billing_plan_id = %s", PLAN)
    assert "K-1" not in {row["key"] for row in world.due()}
    await world.drain()
    assert world.only_subscription().plan_id == world.big_plan_id
    assert world.stripe.calls == []


async def test_a_preview_names_whom_it_moves_and_exactly_these_pass_the_brake(world: World) -> None:
    """The route tells the customer by their key; applied as it was shown, the move is made."""
    sell(world)
    made = await order(world, customer_id="K-1")
    await came(world, made, 1900)
    await world.drain()
    body = {"billingProvider": "bank_transfer", "billingPlanId": PLAN, "enhancePlanId": "big-hosting-plan"}
    async with world.functions(BRAKE_MAX="1") as client:
        shown = await client.put("/api/admin/plans", json={**body, "dryRun": True}, headers=HEADERS)
        assert shown.status_code == 200, shown.text
        (move,) = shown.json()["moves"]
        assert (move["customerId"], move["subscriptionId"]) == ("bank_transfer:K-1", line_name(made.id))
        done = await client.put("/api/admin/plans", json={**body, "asOf": shown.json()["asOf"]}, headers=HEADERS)
        assert done.status_code == 200, done.text
    await world.drain(BRAKE_MAX="1")
    assert world.only_subscription().plan_id == world.big_plan_id
    passed = world.sql("SELECT provider, customer_id FROM braked")
    assert passed == [{"provider": "bank_transfer", "customer_id": "K-1"}]
