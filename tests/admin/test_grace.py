"""A one-off date until which what is unpaid stays on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.admin.hand import DAY, _ahead, act, by_hand, done, provisioned, suspended
from tests.world import World


async def behind(world: World, days: int = 30) -> tuple[str, str]:
    """A customer whose grace is long over: suspended."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - days * DAY)
    await world.sync(customer)
    assert suspended(world, subscription)
    return customer, subscription


FUTURE: dict[str, Callable[[datetime], str]] = {
    "utc": lambda at: at.isoformat(),
    "zulu": lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "naive is utc": lambda at: at.replace(tzinfo=None).isoformat(),
    "another zone": lambda at: (at + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30",
    "with spaces around": lambda at: f"  {at.isoformat()} ",
}


@pytest.mark.parametrize("spelling", FUTURE)
async def test_a_date_in_the_future_resumes_until_then(world: World, spelling: str) -> None:
    """However it is spelt, the same moment ends the grace; the service is on at once and the queue waits for it."""
    _, subscription = await behind(world)
    until = _ahead(days=10)
    async with world.functions() as client:
        answer = await done(client, "grace", subscriptionId=subscription, until=FUTURE[spelling](until))
    assert not suspended(world, subscription)
    assert world.service(subscription)["grace_override"] == until
    assert world.service(subscription)["grace_until"] == until
    assert world.due()[0]["due_at"] == until
    assert datetime.fromisoformat(answer["outcome"]["wakeAt"]) == until


async def test_a_date_alone_is_midnight_in_utc(world: World) -> None:
    """`2030-05-01` is the first moment of that day."""
    _, subscription = await behind(world)
    year = _ahead(days=3000).year
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=f"{year}-05-01")
    assert world.service(subscription)["grace_override"] == datetime(year, 5, 1, tzinfo=UTC)


async def test_a_date_in_the_past_ends_the_grace_now(world: World) -> None:
    """A one-off date wins over the length, to the customer's disadvantage too."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60)
    await world.sync(customer)
    assert not suspended(world, subscription)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=-1).isoformat())
    assert suspended(world, subscription)
    assert world.service(subscription)["holds"] == ["unpaid"]


async def test_null_takes_the_date_back(world: World) -> None:
    """Without the date the ordinary length counts again."""
    _, subscription = await behind(world)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=10).isoformat())
        assert not suspended(world, subscription)
        await done(client, "grace", subscriptionId=subscription, until=None)
    assert suspended(world, subscription)
    assert world.service(subscription)["grace_override"] is None
    assert [row["facts"]["until"] is None for row in by_hand(world, "grace")] == [False, True]


async def test_a_payment_ends_a_one_off_date(world: World) -> None:
    """The promise was about this debt: after it is paid, the next debt gets the ordinary grace."""
    customer, subscription = await behind(world)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=300).isoformat())
        world.stripe.pay_open_invoice(subscription)
        await done(client, "retry", customerId=customer)
    assert world.service(subscription)["grace_override"] is None


async def test_a_date_for_who_is_not_behind_is_refused(world: World) -> None:
    """Whoever owes nothing needs no grace: silently forgetting the admin's promise would be worse than saying so."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        answer = await act(client, "grace", subscriptionId=subscription, until=_ahead(days=300).isoformat())
    assert answer.status_code == 409 or world.service(subscription)["grace_override"] is not None, answer.text
