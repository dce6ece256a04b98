"""Below Stripe's limits: how fast one process asks, how several come to share what is left, and that nobody fails."""

import asyncio

import pytest

from lib.config import Secret
from lib.errors import Limited
from lib.model import Waits
from lib.model.reason import WaitReason
from lib.stripe_client import StripeClient
from lib.stripe_client import transport as stripe_transport
from lib.stripe_client.pace import ACCOUNT, ENDPOINT, Pace, endpoint_of
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim
from scripts.sim.stripe_sim.limits import Limits
from tests.world import World

LIST, ONE = "/v1/subscriptions", "/v1/subscriptions/{id}"


class Clock:
    """A steady clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that naps move on, and nobody waits for."""
    clock = Clock()

    async def nap(seconds: float) -> None:
        clock.now += seconds
        await asyncio.sleep(0)

    monkeypatch.setattr(stripe_transport, "nap", nap)
    return clock


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/subscriptions", LIST),
        ("/v1/subscriptions/sub_1Pq7", ONE),
        ("/v1/payment_intents", "/v1/payment_intents"),
        ("/v1/payment_intents/pi_3Ab", "/v1/payment_intents/{id}"),
        ("/v1/invoices/in_1Ab/lines", "/v1/invoices/{id}/lines"),
        ("/v1/checkout/sessions/cs_test_a1B2", "/v1/checkout/sessions/{id}"),
    ],
)
def test_an_endpoint_is_counted_whatever_the_id(path: str, endpoint: str) -> None:
    """Stripe counts all reads of one kind of object together, and lists apart from them."""
    assert endpoint_of(path) == endpoint


def test_a_process_keeps_below_the_limit_of_each_endpoint(clock: Clock) -> None:
    """However much is asked at once, no second holds more than its share and what may come at one moment."""
    pace = Pace(limited=True, clock=clock)
    turns = [pace.turn(LIST) for _ in range(200)]
    assert max(sum(at <= turn < at + 1 for turn in turns) for at in turns) <= ENDPOINT + 6
    assert pace.turn(ONE) == 0  # another endpoint has its own
    pace.refused(LIST, "global-rate")
    clock.now += 1.0
    everything = [pace.turn(f"/v1/{n}") for n in range(300)]
    assert max(sum(at <= turn < at + 1 for turn in everything) for at in everything) <= ACCOUNT / 2 + 11


def test_a_refusal_halves_the_pace_once_and_it_comes_back_slowly(clock: Clock) -> None:
    """What one burst is refused is one refusal; without another one the old pace is back within a minute."""
    pace = Pace(limited=True, clock=clock)

    def in_a_second() -> int:
        clock.now += 5.0
        turns = [pace.turn(LIST) for _ in range(40)]
        clock.now += 5.0
        return sum(turn < 1 for turn in turns)

    before = in_a_second()
    for _ in range(30):
        pace.refused(LIST, "endpoint-rate")
    half = in_a_second()
    assert before / 2 - 4 <= half <= before / 2 + 1
    for _ in range(60):
        clock.now += 1.0
        pace.accepted(LIST)
    assert in_a_second() == before
    pace.refused(LIST, "global-rate")
    assert in_a_second() == before  # the account's limit is another one


def test_nobody_is_held_back_who_was_refused_nothing(clock: Clock) -> None:
    """Another host than Stripe's own has limits of its own, or none."""
    pace = Pace(limited=False, clock=clock)
    assert {pace.turn(LIST) for _ in range(1000)} == {0.0}
    pace.refused(LIST, "endpoint-rate")
    assert pace.turn(LIST) > 0


async def test_several_processes_share_one_endpoint_and_nobody_fails(clock: Clock) -> None:
    """Four clients that know nothing of each other read four times as much as is taken: each read is answered."""
    sim = StripeSim(secret_key="sk_test_fake_key")
    sim.create_price("price_basic_monthly")
    customer = str(sim.create_customer("ada@example.com", "Ada")["id"])
    sim.subscribe(customer, ["price_basic_monthly"])
    sim.limits = Limits(clock=clock)
    with serve(sim.app) as url:
        clients = [StripeClient(Secret("sk_test_fake_key"), url) for _ in range(4)]
        for client in clients:
            client.pace = Pace(limited=True, clock=clock)
        found = await asyncio.gather(*(client.payer(customer) for client in clients for _ in range(25)))
        await asyncio.gather(*(client.close() for client in clients))
    assert {payer.id for payer in found} == {customer}
    assert 0 < sim.limits.refused < len(found)


async def test_a_customer_who_has_to_wait_for_stripe_has_not_failed(world: World, clock: Clock) -> None:
    """Refused for too long, the pass comes again soon: no attempt is counted, nothing is parked, and then it runs."""
    customer = world.customer()
    world.buy(customer)
    world.stripe.limits = Limits(endpoint=0)
    outcome = (await world.sync(customer)).outcome
    assert isinstance(outcome, Waits) and outcome.why is WaitReason.STRIPE_LIMITS
    (row,) = world.due()
    assert (row["waits_for"], row["attempts"], row["last_error"], row["parked_reason"]) == (
        "stripe_limits",
        0,
        None,
        None,
    )
    world.stripe.limits = None
    assert await world.come_to_rest() == []
    assert world.panel.world()["subscriptions"] == 1


async def test_an_object_that_has_to_wait_for_stripe_has_not_failed(world: World, clock: Clock) -> None:
    """The same for a pass of another kind."""
    world.sql("INSERT INTO due (kind, key, lane) VALUES ('dispute', 'dp_1', 'stripe')")
    world.stripe.limits = Limits(endpoint=0)
    await world.drain()
    (row,) = world.due()
    assert (row["waits_for"], row["attempts"], row["last_error"]) == ("stripe_limits", 0, None)


async def test_a_wish_longer_than_our_patience_is_the_queues_business(world: World) -> None:
    """`Retry-After` of a minute is waited for in the queue, and nothing is asked again before."""
    world.stripe.fail_next("GET", "/v1/subscriptions", 429, headers={"Retry-After": "60"})
    async with world.bridge() as bridge:
        with pytest.raises(Limited) as limited:
            await bridge.stripe.payer("cus_1")
    assert limited.value.after is not None and limited.value.after.total_seconds() == 60
    assert world.stripe.count("GET", "/v1/subscriptions") == 1
