"""Outgoing events from the fact to the receiver: all of them, in order, whatever fails on the way."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lib.messages import sender
from tests.messages.receiver import Receiver, outlet, receiving
from tests.messages.test_sender import silent
from tests.world import World

DAY = 86400


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    """A receiver that takes everything, and its address."""
    found = Receiver()
    with receiving(found) as url:
        yield found, url


def let_time_pass(world: World) -> None:
    """Let the time pass that endpoints and rows of the queue wait for."""
    world.sql("UPDATE outbox_endpoints SET next_try_at = now() - interval '1 second' WHERE next_try_at IS NOT NULL")
    world.hurry()


async def until_delivered(world: World, **environ: str) -> None:
    """Let fresh processes run and time pass until nothing waits."""
    for _ in range(30):
        await world.drain(**environ)
        if not world.sql("SELECT 1 FROM outbox WHERE state = 'waiting'"):
            return
        let_time_pass(world)
    raise AssertionError("something waits for ever")


def gapless(events: list[dict[str, object]]) -> bool:
    """Whether the numbers begin at 1 and leave none out."""
    return [event["sequence"] for event in events] == list(range(1, len(events) + 1))


async def test_a_life_of_a_service_is_told(world: World, receiver: tuple[Receiver, str]) -> None:
    """Provisioned, its website, suspended, resumed, another plan, the end, deleted: each once, in order, numbered."""
    found, url = receiver
    environ = outlet(url, RETENTION_DAYS="1")
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer, **environ)
    world.stripe.fail_payment(bought, world.stripe.now() - 8 * DAY)
    await world.sync(customer, **environ)
    world.stripe.pay_open_invoice(bought)
    await world.sync(customer, **environ)
    world.stripe.cancel(bought)
    await world.sync(customer, **environ)
    await until_delivered(world, **environ)
    assert found.types(customer) == [
        "service.provisioned",
        "service.changed",
        "service.suspended",
        "service.resumed",
        "service.suspended",
    ]
    assert gapless(found.of(customer))
    made, changed, suspended, *_ = found.of(customer)
    assert made["data"]["subscriptionId"] == bought
    assert (changed["data"]["before"]["websiteId"], changed["data"]["domain"]) == (None, "shop.example")
    assert suspended["data"]["holds"] == ["unpaid"]
    assert suspended["cause"]["rule"] == "grace_over"
    assert world.due() == [] or {row["kind"] for row in world.due()} == {"customer"}


async def test_without_an_endpoint_nothing_is_written(world: World) -> None:
    """No setting, no row: not of an event, a stream or an endpoint."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    for table in ("outbox", "outbox_streams", "outbox_endpoints", "outbox_attempts"):
        assert world.sql(f"SELECT * FROM {table}") == []  # noqa: S608


async def test_a_receiver_that_is_away_gets_all_of_it_later(world: World, receiver: tuple[Receiver, str]) -> None:
    """While it fails another receiver and every customer go on; then it has everything, in order per customer."""
    found, url = receiver
    away = Receiver(status=503)
    with receiving(away) as other:
        environ = outlet(url, other)
        customers = [world.customer(f"Ada {n}", f"ada{n}@example.com") for n in range(4)]
        for n, customer in enumerate(customers):
            world.buy(customer, domain=f"shop{n}.example")
            await world.sync(customer, **environ)
        for _ in range(5):  # the hour
            await world.drain(**environ)
            let_time_pass(world)
        assert all(found.types(customer) == ["service.provisioned", "service.changed"] for customer in customers)
        assert world.panel.world()["websites"] == 4
        assert away.taken == []
        assert len(away.calls) <= 4 + 5 + 5  # each once at first; then one at a time
        away.status = 200
        await until_delivered(world, **environ)
        for customer in customers:
            assert away.types(customer) == ["service.provisioned", "service.changed"]
            assert gapless(away.of(customer))
            assert found.of(customer) == away.of(customer)
    assert world.sql("SELECT 1 FROM outbox_endpoints WHERE failing_since IS NOT NULL OR probing") == []


async def test_a_receiver_that_hangs_holds_up_nobody(
    world: World, receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the requests and never answers: the other one has everything, customers are provisioned, nothing is
    lost.
    """
    post = sender.Sender.post
    found, url = receiver
    with silent() as hanging:

        async def post_or_give_up(to: sender.Sender, *said: Any) -> Any:
            monkeypatch.setattr(sender, "PATIENCE", 0.1 if to._url == hanging else 60.0)  # read as soon as it posts
            return await post(to, *said)

        monkeypatch.setattr(sender.Sender, "post", post_or_give_up)
        environ = outlet(url, hanging)
        customers = [world.customer(f"Ada {n}", f"ada{n}@example.com") for n in range(4)]
        for n, customer in enumerate(customers):
            world.buy(customer, domain=f"shop{n}.example")
            await world.sync(customer, **environ)
        await world.drain(**environ)
    assert world.panel.world()["websites"] == 4
    for customer in customers:
        assert found.types(customer) == ["service.provisioned", "service.changed"]
    assert len(world.sql("SELECT 1 FROM outbox WHERE state = 'waiting'")) == 8


async def test_one_event_that_is_refused_holds_up_no_other_customer(
    world: World, receiver: tuple[Receiver, str]
) -> None:
    """Its customer's events wait, and are a person's turn after a day; everybody else's arrive meanwhile."""
    found, url = receiver
    environ = outlet(url)
    bad, good = world.customer("Bad", "bad@example.com"), world.customer("Good", "good@example.com")
    found.answers = lambda event: 500 if event["customerId"] == bad else 200
    world.buy(bad, domain="bad.example")
    await world.sync(bad, **environ)
    for _ in range(12):
        await world.drain(**environ)
        let_time_pass(world)
    world.buy(good, domain="good.example")
    await world.sync(good, **environ)
    await world.drain(**environ)
    assert found.types(good) == ["service.provisioned", "service.changed"]
    (row,) = world.due()
    assert row["parked_reason"] == "event_refused"
    found.answers = None
    await until_delivered(world, **environ)
    assert found.types(bad) == ["service.provisioned", "service.changed"]


async def test_an_endpoint_that_fails_for_days_is_disabled_and_loses_nothing(
    world: World, receiver: tuple[Receiver, str]
) -> None:
    """After five days nothing is sent any more, what happens goes on queueing, and enabled it gets everything."""
    found, url = receiver
    environ = outlet(url)
    found.status = 500
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer, **environ)
    await world.drain(**environ)
    world.sql("UPDATE outbox_endpoints SET failing_since = failing_since - interval '5 days'")
    let_time_pass(world)
    await world.drain(**environ)
    (endpoint,) = world.sql("SELECT * FROM outbox_endpoints")
    assert endpoint["disabled_reason"] == "failing"
    calls = len(found.calls)
    world.stripe.cancel(bought)
    await world.sync(customer, **environ)
    let_time_pass(world)
    await world.drain(**environ)
    assert len(found.calls) == calls
    assert len(world.sql("SELECT 1 FROM outbox WHERE state = 'waiting'")) == 3


async def test_gone_disables_at_once(world: World, receiver: tuple[Receiver, str]) -> None:
    """410 is the receiver's own word that it wants no more."""
    found, url = receiver
    found.status = 410
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, **outlet(url))
    await world.drain(**outlet(url))
    (endpoint,) = world.sql("SELECT * FROM outbox_endpoints")
    assert (endpoint["disabled_reason"], len(found.calls)) == ("gone", 1)


async def test_a_redirect_is_a_failure(world: World, receiver: tuple[Receiver, str]) -> None:
    """It is not followed, and the next try comes no sooner than the receiver asks for."""
    found, url = receiver
    found.status, found.headers = 307, {"location": url + "/elsewhere", "retry-after": "7200"}
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, **outlet(url))
    await world.drain(**outlet(url))
    assert len(found.calls) == 1
    (endpoint,) = world.sql("SELECT *, next_try_at - now() > interval '110 minutes' AS later FROM outbox_endpoints")
    assert endpoint["later"]
    assert "redirects are not followed" in endpoint["last_error"]


async def test_somebody_parked_is_told_once(world: World, receiver: tuple[Receiver, str]) -> None:
    """Not again by each pass that finds the same."""
    found, url = receiver
    world.stripe.create_price("price_unmapped")
    customer = world.customer()
    world.buy(customer, "price_unmapped")
    for _ in range(3):
        await world.sync(customer, **outlet(url))
    await until_delivered(world, **outlet(url))
    assert found.types(customer) == ["customer.parked"]
    (problem,) = found.taken[0]["data"]["problems"]
    assert problem["reason"] == "unmapped_price"
    assert problem["remedy"]


async def test_only_the_types_that_an_endpoint_wants(world: World, receiver: tuple[Receiver, str]) -> None:
    """Its numbers have no gap for what it does not want."""
    found, url = receiver
    environ = outlet(url, OUTBOX_TYPES="service.suspended|service.resumed")
    customer = world.customer()
    bought = world.buy(customer)
    await world.sync(customer, **environ)
    world.stripe.cancel(bought)
    await world.sync(customer, **environ)
    await until_delivered(world, **environ)
    assert [(event["type"], event["sequence"]) for event in found.taken] == [("service.suspended", 1)]


async def test_the_stored_bytes_are_sent(world: World, receiver: tuple[Receiver, str]) -> None:
    """Byte for byte, below 20 kB, and every attempt is written down."""
    found, url = receiver
    customer = world.customer()
    world.buy(customer, domain="shöp.example")
    await world.sync(customer, **outlet(url))
    await until_delivered(world, **outlet(url))
    stored = world.sql("SELECT body FROM outbox ORDER BY id")
    assert [row["body"].encode() for row in stored] == [call.body for call in found.calls]
    assert all(len(call.body) < 20_000 for call in found.calls)
    assert [row["status"] for row in world.sql("SELECT status FROM outbox_attempts")] == [200, 200]
    assert json.loads(found.calls[0].body)["livemode"] is False
    assert time.time() - int(found.calls[0].headers["webhook-timestamp"]) < 300
