"""In shadow and paused mode no button writes to the panel."""

import pytest

from tests.admin.hand import DAY, _ahead, act, assert_problem, by_hand, done, ended, provisioned, suspended, writes
from tests.world import World


@pytest.mark.parametrize("mode", ["shadow", "paused"])
@pytest.mark.parametrize("action", ["retry", "hold", "lift", "grace", "release", "recreate", "releaseBrake"])
async def test_outside_of_live_mode_no_button_writes_to_the_panel(world: World, action: str, mode: str) -> None:
    """What a person decides is remembered for later; the panel is only read. Nothing crashes."""
    _, subscription = await provisioned(world)
    if action == "recreate":
        world.panel.delete_by_hand(world.only_subscription().id)
    if action == "grace":
        world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    before = world.panel.world()
    world.panel.forget_calls()
    async with world.functions(PROVISIONING_MODE=mode) as client:
        until = _ahead(days=5).isoformat()
        body = {} if action == "releaseBrake" else {"subscriptionId": subscription, "until": until}
        answer = await act(client, action, **body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            assert_problem(answer, 409, "paused")
    assert writes(world) == []
    assert world.panel.world() == before
    if action == "hold":
        assert world.service(subscription)["holds"] == ["admin"]
        await world.come_to_rest()
        assert suspended(world, subscription)


@pytest.mark.parametrize("mode", ["shadow", "paused"])
async def test_outside_of_live_mode_nothing_is_wiped(world: World, mode: str) -> None:
    """A hard delete can't be remembered for later, so it is refused; nothing is written to panel or ledger."""
    _, subscription = await ended(world)
    async with world.functions(PROVISIONING_MODE=mode) as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409)
        assert mode in answer.json()["detail"]
    assert writes(world) == []
    assert len(world.panel.subscriptions) == 1
    assert by_hand(world, "hard_delete") == []


async def test_a_retry_in_shadow_mode_says_what_it_would_do(world: World) -> None:
    """The plan is the answer, marked as a dry run, and is kept for the dashboard."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        answer = await done(client, "retry", customerId=customer)
    assert answer["dryRun"] is True
    assert "create_subscription" in [one["kind"] for one in answer["actions"]]
    assert writes(world) == []
    assert world.sql("SELECT count(*) AS n FROM shadow_plans") == [{"n": 1}]
