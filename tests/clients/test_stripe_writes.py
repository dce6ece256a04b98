"""What is written at Stripe: a closed list, under a key, and a failure that says whether it may have happened."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from lib.config import Secret
from lib.errors import Denied, Limited, NotFound, OutcomeUnknown, Refused, Unavailable
from lib.stripe_client import StripeClient, checkout
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

NOW = 1_794_000_000
KEY = "sk_test_fake_key"
SINCE, UNTIL = (datetime.fromtimestamp(NOW + distance, UTC) for distance in (-300, 300))


@pytest.fixture
def sim() -> StripeSim:
    """An account with a clock that stands still."""
    sim = StripeSim(secret_key=KEY, clock=lambda: NOW)
    sim.create_price("price_basic_monthly")
    return sim


@pytest.fixture
async def client(sim: StripeSim, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StripeClient]:
    """Our client of that account, over real HTTP, whose repetitions do not wait."""

    async def nap(_: object, __: float) -> None:
        return None

    monkeypatch.setattr(stripe.HTTPXClient, "sleep_async", nap)
    with serve(sim.app) as url:
        opened = StripeClient(Secret(KEY), url)
        yield opened
        await opened.close()


def asked(reference: str = "order-1", **others: Any) -> dict[str, Any]:
    """A request for a session."""
    line = {"price": "price_basic_monthly", "quantity": 1}
    return {
        "mode": "subscription", "line_items": [line], "success_url": "https://shop.example/done",
        "client_reference_id": reference, "metadata": {"order_id": reference}, "expires_at": NOW + 7200, **others,
    }  # fmt: skip


async def test_the_same_key_gives_the_same_session(client: StripeClient, sim: StripeSim) -> None:
    """However often it is asked for, one session is made."""
    made = [await client.create_session(asked(), "order-1") for _ in range(3)]
    assert len({session.id for session in made}) == 1 == len(sim.tables["checkout.session"])
    assert (made[0].reference, made[0].status, made[0].expires_at.timestamp()) == ("order-1", "open", NOW + 7200)


async def test_no_other_route_is_ever_written_and_none_without_a_key(client: StripeClient, sim: StripeSim) -> None:
    """The key may be allowed more than this product ever does."""
    for path, key in (("/v1/customers", "k"), ("/v1/checkout/sessions/../../x", "k"), ("/v1/checkout/sessions", "")):
        with pytest.raises(ValueError, match=r"ever written|needs an idempotency key"):
            await client.post(path, key, {})
    assert sim.calls == []


@pytest.mark.parametrize(
    ("failure", "error", "answered"),
    [
        (500, OutcomeUnknown, True),
        (503, OutcomeUnknown, True),
        (409, OutcomeUnknown, False),
        ("drop_before", OutcomeUnknown, False),
        ("drop_after", OutcomeUnknown, False),
        (429, Limited, None),
        (403, Denied, None),
        (401, Denied, None),
        (400, Refused, None),
        (402, Refused, None),
        (404, NotFound, None),
    ],
)
async def test_a_failure_says_whether_it_may_have_happened(
    client: StripeClient, sim: StripeSim, failure: Any, error: type[Exception], answered: bool | None
) -> None:
    """Only who knows nothing looks before they ask again; who was refused asks for something else."""
    sim.fail_next("POST", "/v1/checkout/sessions", failure, times=9)
    with pytest.raises(error) as raised:
        await client.create_session(asked(), "order-1")
    assert type(raised.value) is error
    assert getattr(raised.value, "answered", None) == answered
    sim.clear_faults()


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(client: StripeClient, sim: StripeSim) -> None:
    """A connection that broke behind the request costs a second try, and makes no second session."""
    sim.fail_next("POST", "/v1/checkout/sessions", "drop_after")
    assert (await client.create_session(asked(), "order-1")).status == "open"
    assert len(sim.tables["checkout.session"]) == 1


async def test_other_bytes_under_a_key_are_no_refusal(client: StripeClient) -> None:
    """Something was made under that key, and has to be looked for."""
    await client.create_session(asked(), "order-1")
    with pytest.raises(OutcomeUnknown) as raised:
        await client.create_session(asked("order-2"), "order-1")
    assert raised.value.answered


async def test_a_session_is_found_by_its_reference_among_many(
    client: StripeClient, sim: StripeSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe has no such filter: every page of the time is read, and where that ends too early nothing is certain."""
    made = await client.create_session(asked(), "order-1")
    for number in range(120):
        sim.create_checkout(**asked(f"other-{number}"))
    found = await client.session_of("order-1", SINCE, UNTIL)
    assert found == made
    assert await client.session_of("order-9", SINCE, UNTIL) is None
    assert await client.session_of("order-1", SINCE, SINCE + timedelta(seconds=1)) is None
    monkeypatch.setattr(checkout, "PAGES_LOOKED_THROUGH", 1)
    with pytest.raises(Unavailable, match="more Checkout sessions"):
        await client.session_of("order-9", SINCE, UNTIL)


async def test_a_payment_link_with_the_same_reference_hides_nothing(client: StripeClient, sim: StripeSim) -> None:
    """Whoever types our reference into the address of a Payment Link makes no session that is taken for ours."""
    made = await client.create_session(asked(), "order-1")
    copied = sim.create_checkout(**asked())
    copied["payment_link"] = "plink_1"
    assert await client.session_of("order-1", SINCE, UNTIL) == made
    sim.create_checkout(**asked(metadata={}))  # by another program of the account, which counts its orders by itself
    assert await client.session_of("order-1", SINCE, UNTIL) == made
    sim.tables["checkout.session"][made.id]["client_reference_id"] = "another"
    assert await client.session_of("order-1", SINCE, UNTIL) is None


async def test_an_open_session_is_ended_and_a_complete_one_is_not(client: StripeClient, sim: StripeSim) -> None:
    """What was paid meanwhile is not taken for ended."""
    first, second = [await client.create_session(asked(name), name) for name in ("order-1", "order-2")]
    assert (await client.expire_session(first.id)).status == "expired"
    sim.complete_checkout(second.id, "ada@example.com", "Ada Example")
    with pytest.raises(Refused):
        await client.expire_session(second.id)
    now = await client.session(second.id)
    assert (now.paid, now.customer_id is not None, now.url) == (True, True, None)


async def test_a_portal_link_is_of_the_customer_who_was_asked_for(client: StripeClient, sim: StripeSim) -> None:
    """And an unknown customer has none."""
    customer = sim.create_customer(email="ada@example.com")["id"]
    assert (await client.create_portal(customer, "https://shop.example", "k1")).startswith("https://billing.stripe.com")
    with pytest.raises(NotFound):
        await client.create_portal("cus_unknown", "https://shop.example", "k2")
