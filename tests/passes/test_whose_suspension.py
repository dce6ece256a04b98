"""Whose suspension it is: ours is lifted by the payment whatever became of its answer, anybody else's never is."""

import asyncio
from typing import Any

import pytest

from lib.enhance_client import transport
from scripts.sim.enhance_sim.faults import Call, Gate
from tests.world import World

DAY = 86400
PATCH = r"/subscriptions/\d+$"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick repetitions without the wait before them."""
    monkeypatch.setattr(transport, "_wait", lambda _: 0.0)


async def bought(world: World, **more: Any) -> tuple[str, str, int]:
    """A customer whose service is live: (customer, subscription, number in the panel)."""
    customer = world.customer()
    subscription = world.buy(customer, **more)
    await world.sync(customer)
    return customer, subscription, world.service(subscription)["panel_subscription_id"]


def stop_paying(world: World, subscription: str) -> None:
    """Its grace is over."""
    world.stripe.fail_payment(subscription, world.stripe.now() - 8 * DAY)


async def known(world: World) -> None:
    """The panel has told who we are to it: three of our suspensions were seen at once."""
    for number in range(3):
        customer = world.customer(f"Known {number}", f"known{number}@example.com")
        subscription = world.buy(customer, domain=None)
        await world.sync(customer)
        stop_paying(world, subscription)
        await world.sync(customer)


async def short_of_breath(world: World, customer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that waits for the answer to a change for a third of a second only."""
    async with world.bridge() as manager:
        once = manager.enhance._transport._once

        async def soon(method: str, route: str, body: Any, query: Any, patience: float) -> Any:
            return await once(method, route, body, query, 0.3 if method == "PATCH" else patience)

        monkeypatch.setattr(manager.enhance._transport, "_once", soon)
        await manager.reconcile(customer)


def by(world: World, number: int) -> str | None:
    """Whom the panel names."""
    found: str | None = world.panel.subscriptions[number].suspended_by
    return found


async def pays(world: World, customer: str, subscription: str) -> None:
    """The bill is paid, and everything has come to rest."""
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    await world.come_to_rest()


async def lands_late(world: World, gate: Gate, number: int) -> None:
    """The suspension takes effect only now, is known as ours, and lifted."""
    gate.release()
    while by(world, number) is None:  # noqa: ASYNC110 - the panel has a thread of its own
        await asyncio.sleep(0.01)
    assert by(world, number) == world.panel.actor_id
    await world.come_to_rest()
    assert by(world, number) is None


@pytest.mark.parametrize("second", [429, 400])
async def test_a_later_refusal_does_not_hide_that_an_earlier_try_took_effect(world: World, second: int) -> None:
    """A server error after the effect, then a refusal: the suspension is known as ours, and lifted."""
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)

    async def refuse_the_next(when: str, call: Call) -> None:
        if when == "after" and call.method == "PATCH":
            world.panel.fail_next("PATCH", PATCH, second, code="invalid_argument", retry_after=600)

    forget = world.panel.on_call(refuse_the_next)
    world.panel.fail_next("PATCH", PATCH, 502, "after")
    await world.sync(customer)
    forget()
    world.panel.clear_faults()
    assert by(world, number) == world.panel.actor_id
    await pays(world, customer, subscription)
    assert by(world, number) is None
    assert world.service(subscription)["panel_suspended"] is False


async def test_a_suspension_that_lands_long_after_its_last_try_is_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the tries took, what may still take effect counts from their end."""
    await known(world)
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    gate = world.panel.hold_next("PATCH", PATCH, "before")
    await short_of_breath(world, customer, monkeypatch)
    world.sql("ALTER TABLE actions DISABLE TRIGGER actions_append_only")
    for state, seconds in (("intent", 130), ("unknown", 40)):
        world.sql(
            "UPDATE actions SET at = at - make_interval(secs => %s) WHERE kind = 'suspend' AND state = %s",
            seconds,
            state,
        )
    world.sql("ALTER TABLE actions ENABLE TRIGGER actions_append_only")
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    await lands_late(world, gate, number)


async def test_a_suspension_without_an_answer_is_not_sent_again_behind_its_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent twice, the first could land after the payment has lifted the second. So it is looked for, and lifted."""
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    gate = world.panel.hold_next("PATCH", PATCH, "before")
    await short_of_breath(world, customer, monkeypatch)
    assert by(world, number) is None
    world.stripe.pay_open_invoice(subscription)
    await world.sync(customer)
    await lands_late(world, gate, number)


async def test_a_suspension_that_shows_only_later_is_ours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel said yes and was not done yet: what shows a moment later is lifted by the payment."""
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    late: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    with monkeypatch.context() as patched:
        patched.setattr(world.panel.state, "suspend", lambda *what, **how: late.append((what, how)))
        await world.sync(customer)
    for what, how in late:
        world.panel.state.suspend(*what, **how)
    assert by(world, number) == world.panel.actor_id
    world.hurry()
    await world.drain()
    assert world.service(subscription)["state"] == "suspended"
    await pays(world, customer, subscription)
    assert by(world, number) is None


async def test_a_resume_whose_answer_is_lost_is_not_repeated_blindly(world: World) -> None:
    """It took effect, staff suspend for another reason, and only what we see afterwards is acted upon."""
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    await world.sync(customer)
    world.stripe.pay_open_invoice(subscription)
    done: list[str] = []

    async def staff_act(when: str, call: Call) -> None:
        if when == "after" and call.method == "PATCH" and not done:
            done.append(call.path)
            world.panel.suspend_by_hand(number)

    world.panel.on_call(staff_act)
    world.panel.drop_next("PATCH", PATCH, "after")
    await world.sync(customer)
    await world.come_to_rest()
    assert by(world, number) == world.panel.staff_id
    assert world.service(subscription)["panel_suspended"] is True


async def test_a_new_token_may_have_another_name_in_the_panel(world: World) -> None:
    """After a rotation the panel names us differently: a suspension whose answer is lost is still known, and lifted."""
    await known(world)
    customer, subscription, number = await bought(world)
    world.panel.actor_id = world.panel.state.uuid()
    world.panel.token = world.environ["ENHANCE_API_TOKEN"] = "enhance_fake_token_rotated"
    stop_paying(world, subscription)
    world.panel.drop_next("PATCH", PATCH, "after")
    await world.sync(customer)
    assert by(world, number) == world.panel.actor_id
    await world.come_to_rest()
    await pays(world, customer, subscription)
    assert by(world, number) is None


async def test_a_token_that_is_rotated_while_a_suspension_is_looked_for(world: World) -> None:
    """Ours was made with the old token, which the panel knows by another name than the new one."""
    await known(world)
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    world.panel.drop_next("PATCH", PATCH, "after")
    await world.sync(customer)
    old = world.panel.actor_id
    world.panel.actor_id = world.panel.state.uuid()
    world.panel.token = world.environ["ENHANCE_API_TOKEN"] = "enhance_fake_token_rotated"
    other = world.customer("Bob Example", "bob@example.com")
    another = world.buy(other, domain=None)
    await world.sync(other)
    stop_paying(world, another)
    await world.sync(other)
    assert by(world, number) == old
    await world.come_to_rest()
    await pays(world, customer, subscription)
    assert by(world, number) is None


async def test_the_panel_may_come_to_call_us_otherwise(world: World) -> None:
    """With the same token another name is shown, as after an update of the panel: who pays comes back on."""
    await known(world)
    world.panel.actor_id = world.panel.state.uuid()
    customer, subscription, number = await bought(world)
    stop_paying(world, subscription)
    await world.sync(customer)
    assert by(world, number) == world.panel.actor_id
    await pays(world, customer, subscription)
    assert by(world, number) is None


async def test_a_gateway_that_gave_up_says_nothing_about_the_panel(world: World) -> None:
    """After a 504 the suspension may still be under way: it is looked for, and not sent a second time at once."""
    customer, subscription, _ = await bought(world)
    stop_paying(world, subscription)
    world.panel.forget_calls()
    world.panel.fail_next("PATCH", PATCH, 504, "before")
    await world.sync(customer)
    assert world.panel.count("PATCH", PATCH) == 1
    (row,) = world.sql("SELECT facts ->> 'answered' AS answered FROM actions WHERE state = 'unknown'")
    assert row["answered"] == "false"


async def test_a_refusal_after_a_lost_answer_keeps_the_panels_own_wish(world: World) -> None:
    """The panel asks for ten minutes: nothing is asked of it before."""
    customer, subscription, _ = await bought(world)
    stop_paying(world, subscription)

    async def refuse_the_next(when: str, call: Call) -> None:
        if when == "after" and call.method == "PATCH":
            world.panel.fail_next("PATCH", PATCH, 429, retry_after=600)

    world.panel.on_call(refuse_the_next)
    world.panel.fail_next("PATCH", PATCH, 502, "after")
    await world.sync(customer)
    (row,) = world.sql("SELECT extract(epoch FROM due_at - now())::float AS seconds FROM due")
    assert row["seconds"] > 540
