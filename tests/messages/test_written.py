"""An event stands or falls with its fact: a pass that dies anywhere tells each change once, and none that is not so."""

import math

import pytest

from tests.killed import Killed
from tests.messages.receiver import Receiver, outlet, receiving
from tests.passes.test_resume import DAY, mortal
from tests.world import World

WANTED = ["service.provisioned", "service.changed", "service.suspended"]


async def test_killed_anywhere_a_pass_tells_each_change_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the process that suspends dies, the shop hears of one suspension, after what came before it."""
    with receiving(found := Receiver()) as url:
        environ, killed = outlet(url, BRAKE_MAX="1000"), 0
        for number in range(1, 100):
            customer = world.customer(f"Ada {number}", f"ada{number}@example.com")
            bought = world.buy(customer, domain=f"shop{number}.example")
            await world.sync(customer, **environ)
            world.stripe.fail_payment(bought, world.stripe.now() - 8 * DAY)
            world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
            async with world.bridge(**environ) as bridge:
                with monkeypatch.context() as patch:
                    mortal(bridge, patch, dies_before=number)
                    try:
                        await bridge.drain(deadline=math.inf)
                    except Killed:
                        killed += 1
            world.hurry()
            assert await world.come_to_rest(**environ) == []
            assert world.service(bought)["state"] == "suspended"
            assert [event["type"] for event in {one["id"]: one for one in found.of(customer)}.values()] == WANTED
            assert {event["sequence"] for event in found.of(customer)} == {1, 2, 3}
            if killed < number:
                break
        assert killed > 10


async def test_hosting_that_is_wiped_by_hand_is_told(world: World) -> None:
    """With the admin's name as its cause, and once."""
    with receiving(found := Receiver()) as url:
        environ = outlet(url)
        bought = world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        world.stripe.cancel(bought)
        await world.sync(customer, **environ)
        async with world.functions(**environ) as client:
            answer = await client.post(
                "/api/admin/work",
                json={"action": "hardDelete", "subscriptionId": bought, "confirm": bought},
                headers={"Authorization": f"Bearer {world.environ['ADMIN_API_KEY']}"},
            )
            assert answer.status_code == 200, answer.text
        await world.drain(**environ)
    assert found.types(customer) == [*WANTED, "service.terminated"]
    assert found.of(customer)[-1]["cause"] == {"actor": "admin", "rule": "by_hand", "passId": None}


async def test_retention_is_told(world: World) -> None:
    """What is deleted once its retention is over."""
    with receiving(found := Receiver()) as url:
        environ = outlet(url, RETENTION_DAYS="1")
        bought = world.buy(customer := world.customer())
        await world.sync(customer, **environ)
        world.stripe.cancel(bought)
        await world.sync(customer, **environ)
        world.sql(
            "UPDATE services SET ended_at = ended_at - interval '2 days', retain_until = now() - interval '1 day'"
        )
        world.stripe.get(bought)["ended_at"] = world.stripe.get(bought)["canceled_at"] = world.stripe.now() - 2 * DAY
        await world.sync(customer, **environ)
        await world.drain(**environ)
    assert found.types(customer) == [*WANTED, "service.terminated"]
    assert found.of(customer)[-1]["data"]["state"] == "terminated"
