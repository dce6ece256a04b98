"""One purchase is one order and one session that can be paid: however often it is asked for, and wherever it dies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import stripe

from lib.bridge import Bridge
from lib.checkout import making, session
from lib.checkout.bodies import Buy
from lib.checkout.entrance import shop
from lib.checkout.shop import Caller
from lib.checkout.views import Begun
from lib.errors import Declined, OutcomeUnknown, Retryable
from tests.checkout.shop import ADMIN, SELLS, moved, open_shop, orders, sessions, wish
from tests.killed import Killed
from tests.money.till import came, order, sell
from tests.world import World

WISH = Buy(price_id="price_basic_monthly", email="ada@example.com", domain="shop.example")
MORE = Buy(price_id="price_basic_monthly", email="ada@example.com", domain="shop.example", quantity=2)
ADA = Caller("192.0.2.1")
CREATE = "/v1/checkout/sessions"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for whoever was first, and the SDK does not pause."""

    async def nap(_: object, __: float) -> None:
        return None

    monkeypatch.setattr(stripe.HTTPXClient, "sleep_async", nap)
    monkeypatch.setattr(making, "UNDER_WAY", timedelta(seconds=0.2))


async def ask(world: World, wanted: Buy = WISH, caller: Caller = ADA) -> Begun:
    """Ask in a fresh process."""
    async with world.bridge(**SELLS) as manager:
        return await session.begin(shop(manager), wanted, caller)


def one_to_pay(world: World, begun: Begun, quantity: int = 1) -> None:
    """There is exactly one session that can be paid, it is the buyer's, and our records say the same."""
    (opened,) = sessions(world, "open")
    assert begun == Begun(order_id=opened["client_reference_id"], session_id=opened["id"], url=opened["url"])
    (pending,) = [order for order in orders(world) if order["state"] == "pending"]
    assert (str(pending["order_id"]), pending["session_id"]) == (begun.order_id, begun.session_id)
    assert pending["quantity"] == quantity


async def test_fifty_at_once_are_one_purchase(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One order, one session, and one request to Stripe."""
    monkeypatch.setattr(making, "UNDER_WAY", timedelta(seconds=30))
    async with open_shop(world, CHECKOUT_LIMIT="5") as client:
        answers = await asyncio.gather(*(client.post("/api/checkout", json=wish()) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert (len(orders(world)), len(sessions(world)), world.stripe.count("POST", CREATE)) == (1, 1, 1)


async def test_a_buyer_whom_nobody_knows_shares_nothing_but_by_a_key(world: World) -> None:
    """Without e-mail and reference two requests are two purchases, and one key is one."""
    anonymous = Buy(price_id="price_basic_monthly")
    first, second = await ask(world, anonymous), await ask(world, anonymous)
    keyed = [await ask(world, anonymous, Caller("192.0.2.1", key="cart-7")) for _ in range(2)]
    assert len({first.session_id, second.session_id, *(begun.session_id for begun in keyed)}) == 3
    with pytest.raises(Declined) as raised:
        await ask(world, Buy(price_id="price_big_monthly"), Caller("192.0.2.1", key="cart-7"))
    assert (raised.value.code, raised.value.about) == ("key_reused", {"orderId": keyed[0].order_id})


async def test_another_wish_ends_the_session_before(world: World) -> None:
    """Nobody pays twice because they changed their mind: the old page can't be paid any more."""
    before = await ask(world)
    one_to_pay(world, await ask(world, MORE), quantity=2)
    (old,) = [order for order in orders(world) if str(order["order_id"]) == before.order_id]
    assert (old["state"], old["cancelled"]) == ("expired", True)


async def test_a_session_that_stripe_does_not_know_keeps_nobody_from_buying(world: World) -> None:
    """Another account, or test data that were deleted: who wants something else gets it."""
    await ask(world)
    world.stripe.tables["checkout.session"].clear()
    one_to_pay(world, await ask(world, MORE), quantity=2)


async def test_a_stranger_who_types_an_address_ends_nobodys_page(world: World) -> None:
    """Another plan for the same e-mail from another network is a page beside; who changes their mind ends their own."""
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def buy(address: str, **others: Any) -> str:
            answer = await client.post("/api/checkout", json=wish(**others), headers={"X-Forwarded-For": address})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["sessionId"])

        mine = await buy("192.0.2.1")
        theirs = await buy("203.0.113.9", quantity=2)
        assert {page["id"] for page in sessions(world, "open")} == {mine, theirs}
        assert await buy("203.0.113.9", sellerId="acct_reseller") == mine  # one page for one thing: the table says so
        changed = await buy("192.0.2.1", quantity=3)
        assert {page["id"] for page in sessions(world, "open")} == {theirs, changed}
        known = await buy("192.0.2.1", clientReference="c-1", domain="own.example")
        beside = await buy("203.0.113.9", clientReference="c-1", domain="own.example", quantity=2)
        assert {known, beside} <= {page["id"] for page in sessions(world, "open")}


async def test_who_guesses_a_reference_sees_nobodys_page(world: World) -> None:
    """A page with somebody's e-mail, or a known customer's card, is given to nobody who has not typed the same."""
    world.customer("Ada Example", "ada@example.com")
    (customer,) = world.stripe.customers
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def buy(address: str, **others: Any) -> str:
            sent = {"X-Forwarded-For": address, **(ADMIN if "customerId" in others else {})}
            answer = await client.post("/api/checkout", json=wish(domain=None, **others), headers=sent)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["sessionId"])

        theirs = await buy("192.0.2.1", clientReference="17")
        guesses = [await buy("203.0.113.9", clientReference="17", email=email) for email in ("m@example.com", None)]
        assert len({theirs, *guesses}) == 3
        assert await buy("192.0.2.1", clientReference="17") == theirs  # which the guesses have not ended
        assert [row["shared"] for row in orders(world)] == [False, False, False]
        prefilled = await buy("192.0.2.1", email="bob@example.com", customerId=customer)
        assert await buy("203.0.113.9", email="bob@example.com") != prefilled
        assert prefilled in {page["id"] for page in sessions(world, "open")}


async def test_a_guessed_key_joins_nothing_and_keeps_nobody_out(world: World) -> None:
    """Each network has keys of its own, and so has each name behind a key of ours."""
    anonymous, other = Buy(price_id="price_basic_monthly"), Buy(price_id="price_big_monthly")
    callers = [
        Caller("192.0.2.1", key="cart-7"),
        Caller("203.0.113.9", key="cart-7"),
        Caller("203.0.113.9", actor="anna", key="cart-7"),
        Caller("203.0.113.9", actor="bob", key="cart-7"),
    ]
    wanted = [anonymous, other, anonymous, other]
    pages = [await ask(world, buy, caller) for buy, caller in zip(wanted, callers, strict=True)]
    assert len({page.session_id for page in pages}) == 4
    assert [await ask(world, buy, caller) for buy, caller in zip(wanted, callers, strict=True)] == pages
    assert not [row for row in orders(world) if "cart-7" in row["idempotency_key"]]


async def test_who_is_elsewhere_learns_no_order_of_a_buyers(world: World) -> None:
    """A buyer is kept from buying twice wherever they ask; the order's id is told where it was begun."""
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def refused(address: str) -> dict[str, Any]:
            sent = {"X-Forwarded-For": address}
            answer = await client.post("/api/checkout", json=wish(domain=None), headers=sent)
            assert (answer.status_code, answer.json()["code"]) == (409, "just_bought")
            found: dict[str, Any] = answer.json()
            return found

        sent = {"X-Forwarded-For": "192.0.2.1"}
        begun = (await client.post("/api/checkout", json=wish(domain=None), headers=sent)).json()
        for state in ("paying", "paid"):
            moved(world, begun["orderId"], state)
            assert (await refused("192.0.2.1"))["orderId"] == begun["orderId"]
            assert begun["orderId"] not in str(await refused("203.0.113.9"))


async def test_a_wish_that_was_paid_while_it_was_changed_is_told(world: World) -> None:
    """The old session turns out to be complete: it is bought, its pass is asked to look, and nothing new begins."""
    before = await ask(world)
    world.stripe.complete_checkout(before.session_id)
    with pytest.raises(Declined) as raised:
        await ask(world, MORE)
    assert (raised.value.code, raised.value.about["orderId"]) == ("just_bought", before.order_id)
    assert sessions(world, "open") == []
    assert [(row["kind"], row["key"]) for row in world.due()] == [("order", before.order_id)]


async def test_just_bought_reveals_no_session_and_passes_when_it_is_meant(world: World) -> None:
    """For ten minutes the same once more is taken for a mistake; the answer is no key to the first purchase."""
    body = wish(domain=None)
    async with open_shop(world) as client:
        begun = (await client.post("/api/checkout", json=body)).json()
        moved(world, begun["orderId"], "paid")
        refused = await client.post("/api/checkout", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "just_bought")
        assert (refused.json()["orderId"], refused.json()["mayRepeat"]) == (begun["orderId"], True)
        assert begun["sessionId"] not in refused.text
        again = await client.post("/api/checkout", json={**body, "again": True})
        assert again.status_code == 200
        assert again.json()["orderId"] != begun["orderId"]
    world.sql("UPDATE orders SET paid_at = now() - interval '11 minutes' WHERE state = 'paid'")
    assert (await ask(world, Buy(price_id="price_basic_monthly", email="ada@example.com"))).order_id


async def test_while_a_debit_runs_the_same_is_not_sold_again(world: World) -> None:
    """Money that is under way takes days, and asking again does not help."""
    begun = await ask(world)
    moved(world, begun.order_id, "paying")
    for again in (False, True):
        with pytest.raises(Declined) as raised:
            await ask(
                world, Buy(price_id="price_basic_monthly", email="ada@example.com", domain="shop.example", again=again)
            )
        assert (raised.value.code, raised.value.about["mayRepeat"]) == ("just_bought", False)


@pytest.mark.parametrize("failure", ["drop_before", "drop_after", 500, 503, 429, 409])
@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_answer_never_makes_a_second_session(world: World, failure: Any, after: bool) -> None:
    """Whether it had taken effect or not, and whether Stripe repeats its failure under the key or not."""
    world.stripe.fail_next("POST", CREATE, failure, after_commit=after, times=2)
    try:
        begun = await ask(world)
    except Retryable:
        world.stripe.clear_faults()
        begun = await ask(world)
    one_to_pay(world, begun)
    assert len(sessions(world)) == 1


async def test_a_stored_failure_is_answered_by_another_key(world: World) -> None:
    """Only after the session was looked for and is certainly not there; the log says which key was used."""
    world.stripe.fail_next("POST", CREATE, 500)
    begun = await ask(world)
    one_to_pay(world, begun)
    (order,) = orders(world)
    assert order["key_number"] == 2
    assert world.stripe.count("GET", CREATE) == 1
    steps = world.sql("SELECT state, detail FROM order_steps WHERE kind = 'session' ORDER BY id")
    assert [(step["state"], step["detail"]) for step in steps] == [
        ("started", {"key": 1}), ("failed", {"key": 1}), ("started", {"key": 2}), ("succeeded", {}),
    ]  # fmt: skip


async def test_where_it_can_not_be_looked_for_no_other_key_is_used(world: World) -> None:
    """An answer that is missing is no answer: the order waits for a better moment."""
    world.stripe.fail_next("POST", CREATE, 500, after_commit=True)
    world.stripe.fail_next("GET", CREATE, 503, times=9)
    with pytest.raises(Retryable):
        await ask(world)
    (order,) = orders(world)
    assert (order["state"], order["key_number"], order["session_id"]) == ("pending", 1, None)
    world.stripe.clear_faults()
    one_to_pay(world, await ask(world))
    assert len(sessions(world)) == 1


async def test_the_same_bytes_are_sent_however_late(world: World) -> None:
    """Within the life of a key the frozen request is repeated, whatever the settings and the clock say by then."""
    world.stripe.fail_next("POST", CREATE, "drop_after", times=9)
    with pytest.raises(OutcomeUnknown):
        await ask(world)
    world.stripe.clear_faults()
    world.sql("UPDATE orders SET sent_at = sent_at - interval '22 hours'")
    async with world.bridge(**{**SELLS, "CHECKOUT_LOCALE": "de", "CHECKOUT_PROMOTION_CODES": "on"}) as manager:
        begun = await session.begin(shop(manager), WISH, ADA)
    one_to_pay(world, begun)
    assert len({str(call.query) for call in world.stripe.calls if call.method == "POST"}) == 1


async def test_after_the_life_of_a_key_the_session_is_looked_for(world: World) -> None:
    """Stripe has forgotten the key: the same request would be a second session."""
    world.stripe.fail_next("POST", CREATE, "drop_after", times=9)
    with pytest.raises(OutcomeUnknown):
        await ask(world)
    world.stripe.clear_faults()
    world.sql("UPDATE orders SET sent_at = sent_at - interval '23 hours 10 minutes'")
    creates = world.stripe.count("POST", CREATE)
    one_to_pay(world, await ask(world))
    assert (len(sessions(world)), world.stripe.count("POST", CREATE)) == (1, creates)


async def test_a_bank_transfer_ends_a_page_whose_answer_was_lost(world: World) -> None:
    """One debt is paid once: the page is found and ended before the money of the transfer is taken in."""
    sell(world)
    made = await order(world, email=WISH.email, domain=WISH.domain)
    world.stripe.fail_next("POST", CREATE, "drop_after", times=9)
    with pytest.raises(OutcomeUnknown):
        await ask(world)
    world.stripe.clear_faults()
    assert (await came(world, made, 500)).order.collected == 500
    (page,) = sessions(world)
    assert page["status"] == "expired"
    ended = "SELECT state, session_id FROM orders WHERE provider = 'stripe'"
    assert world.sql(ended) == [{"state": "expired", "session_id": page["id"]}]


async def test_a_purchase_given_up_while_it_was_made_can_not_be_paid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another tab the buyer changed their mind while Stripe was still at work on the first."""
    async with world.bridge(**SELLS) as slow, world.bridge(**SELLS) as fast:
        create = slow.stripe.create_session

        async def overtaken(*request: Any) -> Any:
            made = await create(*request)
            begun.append(await session.begin(shop(fast), MORE, ADA))
            return made

        begun: list[Begun] = []
        monkeypatch.setattr(slow.stripe, "create_session", overtaken)
        with pytest.raises(Declined) as raised:
            await session.begin(shop(slow), WISH, ADA)
    assert raised.value.code == "order_over"
    one_to_pay(world, begun[0], quantity=2)


# --- killed anywhere --------------------------------------------------------------------------------------------------


def mortal(manager: Bridge, patch: pytest.MonkeyPatch, dies_at: int) -> list[str]:
    """A manager that is killed at its n-th effect: before or behind a statement, a transaction or a call to Stripe."""
    effects: list[str] = []

    def step(what: str) -> None:
        effects.append(what)
        if len(effects) == dies_at:
            raise Killed(what)

    def around(real: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            step(f"before {name} {arguments[0][:60]!r}")
            found = await real(*arguments, **options)
            step(f"behind {name} {arguments[0][:60]!r}")
            return found

        return wrapped

    transaction = manager.db.transaction

    @asynccontextmanager
    async def mortal_transaction() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        step("before a transaction")
        async with transaction() as connection:
            yield connection
            step("before a commit")
        step("behind a commit")

    patch.setattr(manager.db, "rows", around(manager.db.rows, "statement"))
    patch.setattr(manager.db, "transaction", mortal_transaction)
    patch.setattr(manager.stripe, "get", around(manager.stripe.get, "GET"))
    patch.setattr(manager.stripe, "post", around(manager.stripe.post, "POST"))
    return effects


async def killed_everywhere(
    world: World, patching: pytest.MonkeyPatch, begin: Callable[[], Awaitable[object]], wanted: Buy, quantity: int
) -> int:
    """Let one process after another die at each effect of a request, and ask once more: one session can be paid.

    Returns at how many places somebody died.
    """
    for number in range(1, 200):
        await begin()
        killed = False
        async with world.bridge(**SELLS) as manager:
            with patching.context() as patch:
                effects = mortal(manager, patch, dies_at=number)
                try:
                    await session.begin(shop(manager), wanted, ADA)
                except Killed:
                    killed = True
        begun = await ask(world, wanted)
        try:
            one_to_pay(world, begun, quantity)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"killed at {effects[-1]}: {error}") from error
        async with world.bridge(**SELLS) as manager:
            assert await making.give_up(shop(manager), await _order(manager, begun.order_id)) is None
        assert sessions(world, "open") == []
        world.sql("DELETE FROM checkout_limits")
        if not killed:
            return number - 1
    raise AssertionError("it never came to its end")


async def _order(manager: Bridge, order_id: str) -> Any:
    from lib.database import orders as table

    return await table.find(manager.db, order_id)


async def test_killed_between_any_two_effects_of_a_first_purchase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the order and its session, between the session and its answer, and everywhere else."""

    async def nothing() -> None:
        return None

    assert await killed_everywhere(world, monkeypatch, nothing, WISH, 1) > 15


async def test_killed_between_any_two_effects_of_another_wish(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session before is ended, or still the only one: there are never two that can be paid."""

    async def first() -> None:
        await ask(world)

    assert await killed_everywhere(world, monkeypatch, first, MORE, 2) > 20


async def test_killed_while_a_stored_failure_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between looking for the session and using the next key."""

    async def failing() -> None:
        world.stripe.clear_faults()
        world.stripe.fail_next("POST", CREATE, 500, after_commit=len(sessions(world)) % 2 == 0, times=2)

    assert await killed_everywhere(world, monkeypatch, failing, WISH, 1) > 20
