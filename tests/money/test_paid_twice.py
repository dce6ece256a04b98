"""Nobody pays one debt twice: bills that are open at Stripe, and pages that begin while offline money is taken in."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lib.checkout import collecting, making, session
from lib.checkout.collecting import Money
from lib.checkout.paid_elsewhere import closed
from lib.database import due
from lib.errors import Declined, Unavailable
from lib.kinds import nudge
from lib.model.money import Order
from lib.stripe_client import StripeClient
from tests.checkout.shop import moved, open_shop, orders, sessions, wish
from tests.money.shop import ON, ONCE, Shop
from tests.money.test_one_debt import begun
from tests.money.till import came, counter, sell
from tests.money.till import order as ordered
from tests.world import World

PAID_TWICE = "SELECT key FROM due WHERE kind = 'debt' AND parked_reason = 'debt_paid_twice'"


async def refused(world: World, made: Order, code: str, *said: str) -> None:
    """The money is not taken in, for this reason, which names what it is about; and nothing was written."""
    with pytest.raises(Declined) as declined:
        await came(world, made, 1900)
    assert declined.value.code == code, declined.value
    assert [word for word in said if word not in declined.value.detail] == []
    assert world.sql("SELECT collected FROM orders WHERE order_id = %s", made.id) == [{"collected": 0}]


async def debit_failed(world: World) -> tuple[Shop, str, str]:
    """Ada's bank debit has failed at Stripe: the shop, her order there, and the invoice that stays open."""
    shop = Shop(world)
    page = await begun(world)
    world.stripe.complete_checkout(page["session_id"], payment="processing")
    await shop.hear()
    world.stripe.settle_checkout(page["session_id"], ok=False)
    await shop.hear()
    assert shop.order(str(page["order_id"]))["state"] == "failed"
    return shop, str(page["order_id"]), str(world.stripe.get(page["session_id"])["invoice"])


# --- what stays open at Stripe ----------------------------------------------------------------------------------------


async def test_the_bill_of_a_debit_that_failed_stops_the_collection(world: World) -> None:
    """It can be paid on its page, and Stripe may try it again; once void, or by `anyway`, nothing is in the way."""
    sell(world)
    made = await ordered(world)
    _, other, invoice = await debit_failed(world)
    await refused(world, made, "payable_otherwise", other, invoice, "void it")
    assert (await came(world, made, 900, anyway=True)).order.collected == 900
    await world.drain(**ON)
    assert world.sql(PAID_TWICE) == [], "whoever took it knew of it"
    world.stripe.void_invoice(invoice)
    assert (await came(world, made, 1000)).order.collected == 1900


async def test_a_bill_that_was_written_off_can_still_be_paid(world: World) -> None:
    """Stripe does not ask for it any more, and takes it all the same."""
    sell(world)
    made = await ordered(world)
    _, other, invoice = await debit_failed(world)
    world.stripe.mark_uncollectible(invoice)
    await refused(world, made, "payable_otherwise", other, invoice)


async def test_the_unpaid_renewal_of_a_subscription_stops_the_collection(world: World) -> None:
    """Its order was paid long ago; the bill of its last period is open, also when the subscription has ended."""
    sell(world)
    shop = Shop(world)
    _, session = await shop.begin()
    subscription = world.stripe.complete_checkout(session, "ada@example.com")["subscription"]
    await shop.hear()
    made = await ordered(world, domain=None)
    world.sql("UPDATE orders SET domain = 'shop.example' WHERE order_id = %s", made.id)
    world.stripe.renew(subscription, "failed")
    invoice = world.stripe.open_invoice(subscription)["id"]
    await refused(world, made, "payable_otherwise", invoice)
    world.stripe.cancel(subscription)
    await refused(world, made, "payable_otherwise", invoice)
    world.stripe.pay_invoice(invoice, created=int(time.time()) + 5)  # Stripe tells whole seconds
    await shop.hear()
    await refused(world, made, "paid_otherwise", "has paid")


async def test_a_running_subscription_that_owes_nothing_is_no_debt(world: World) -> None:
    """Somebody who pays one site at Stripe pays the next one offline, and nothing of the first is touched."""
    sell(world)
    shop = Shop(world)
    _, session = await shop.begin(domain="first.example")
    world.stripe.complete_checkout(session, "ada@example.com")
    await shop.hear()
    made = await ordered(world, domain=None)
    assert (await came(world, made, 1900)).order.state == "paid"


async def test_a_subscription_that_nobody_began_here_is_not_cancelled_in_our_books(world: World) -> None:
    """It has no page that could be ended: its open bill is said, and its order stays as it is."""
    sell(world)
    made = await ordered(world)
    shop, customer = Shop(world), world.customer()
    subscription = world.buy(customer, payment="open")
    async with world.bridge(**ON) as bridge:
        await due.mark(bridge.db, [nudge("order", world.stripe.open_invoice(subscription)["id"])])
    await shop.rest()
    (learnt,) = world.sql("UPDATE orders SET email = 'ada@example.com' WHERE provider = 'stripe' RETURNING state")
    assert learnt["state"] == "pending"
    await refused(world, made, "payable_otherwise", world.stripe.open_invoice(subscription)["id"])
    assert {row["state"] for row in orders(world)} == {"pending"}


async def test_a_one_time_payment_that_goes_on_after_it_failed_is_seen(world: World) -> None:
    """The first try failed, and the second is under way; what is not tried again is over."""
    sell(world)
    made = await ordered(world, domain=None)
    shop = Shop(world)
    order_id, session = await shop.begin(ONCE)
    world.sql("UPDATE plan_mappings SET kind = 'service', enhance_plan_id = 'x' WHERE billing_plan_id = %s", ONCE)
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'x' WHERE billing_provider = 'bank_transfer'")
    world.stripe.complete_checkout(session, "ada@example.com", payment="processing")
    await shop.hear()
    world.stripe.settle_checkout(session, ok=False)
    await shop.hear()
    assert shop.order(order_id)["state"] == "failed"
    intent = world.stripe.get(world.stripe.get(session)["payment_intent"])
    intent["status"] = "processing"
    await refused(world, made, "payable_otherwise", order_id, intent["id"])
    intent["status"] = "requires_payment_method"
    assert (await came(world, made, 1900)).order.state == "paid"


async def test_a_page_that_was_given_up_and_left_open_is_ended(world: World) -> None:
    """It was made just when its order was given up, and the process died before it ended it."""
    sell(world)
    made = await ordered(world)
    page = await begun(world)
    moved(world, str(page["order_id"]), "expired")
    await came(world, made, 500)
    assert sessions(world, "open") == []


async def test_money_that_is_taken_all_the_same_ends_what_is_open(world: World) -> None:
    """`anyway` skips the question and not the closing: one purchase was paid, and the page of another one is ended."""
    sell(world)
    made = await ordered(world, client_reference="c-1")
    paid, open_page = await begun(world, clientReference="c-1", email=None), await begun(world)
    moved(world, str(paid["order_id"]), "paid")
    await refused(world, made, "paid_otherwise", str(paid["order_id"]))
    assert open_page["session_id"] in {page["id"] for page in sessions(world, "open")}
    assert (await came(world, made, 1900, anyway=True)).order.state == "paid"
    assert open_page["session_id"] not in {page["id"] for page in sessions(world, "open")}


async def test_money_that_is_refused_ends_nobodys_page(world: World) -> None:
    """Of another currency, or by a key that does not reach the order: all is as it was."""
    sell(world)
    made = await ordered(world)
    await begun(world)
    async with counter(world) as (bridge, till):
        with pytest.raises(Declined, match="give it back"):
            await collecting.collect(till, made.id, Money(1900, "usd"), bridge.stripe)
    assert len(sessions(world, "open")) == 1


# --- pages that begin meanwhile ---------------------------------------------------------------------------------------


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[Any]]) -> None:
    """Let something happen after Stripe was looked through, and before the money is written."""

    async def looked(*given: Any, **words: Any) -> Any:
        found = await closed(*given, **words)
        monkeypatch.undo()
        await happens()
        return found

    monkeypatch.setattr(collecting, "closed", looked)


async def test_a_page_that_begins_while_money_is_taken_in_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was begun after Stripe was looked through and before the money was written: the next pass ends it."""
    sell(world)
    made = await ordered(world)
    between(monkeypatch, lambda: begun(world))
    assert (await came(world, made, 1900)).order.state == "paid"
    assert len(sessions(world, "open")) == 1
    await world.drain(**ON)
    assert sessions(world, "open") == []
    assert sorted(row["state"] for row in orders(world)) == ["expired", "paid"]
    assert world.sql(PAID_TWICE) == []


async def test_whoever_pays_such_a_page_first_is_a_persons_to_see(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both came: it is parked and names both orders, until one of them is given back."""
    sell(world)
    made = await ordered(world)
    shop = Shop(world)

    async def buys() -> None:
        page = await begun(world)
        world.stripe.complete_checkout(page["session_id"])

    between(monkeypatch, buys)
    await came(world, made, 1900)
    await shop.hear()
    (row,) = world.sql("SELECT key, parked_reason, problems::text AS said FROM due WHERE kind = 'debt'")
    bought = next(str(one["order_id"]) for one in orders(world) if one["provider"] == "stripe")
    assert (row["key"], row["parked_reason"]) == (made.id, "debt_paid_twice")
    assert made.id in row["said"] and bought in row["said"]
    invoice = world.stripe.get(sessions(world)[0]["invoice"])
    world.stripe.refund(world.stripe.charge_of(invoice["id"])["id"])
    await shop.hear()
    world.sql("UPDATE due SET updated_at = updated_at - interval '1 hour' WHERE kind = 'debt'")
    await shop.sweep()
    assert world.sql("SELECT key FROM due WHERE kind = 'debt'") == []


async def test_money_that_comes_while_a_page_is_made_leaves_no_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Stripe has made it, or made already and its answer on the way: the buyer is told that it is over."""
    sell(world)
    create = StripeClient.create_session
    for number, first in enumerate((True, False)):
        made = await ordered(world, domain=f"shop{number}.example")

        async def slow(self: StripeClient, request: Any, key: str, *, made: Order = made, first: bool = first) -> Any:
            monkeypatch.setattr(StripeClient, "create_session", create)
            session = None if first else await create(self, request, key)
            await came(world, made, 1900)
            return session or await create(self, request, key)

        async with open_shop(world) as client:
            monkeypatch.setattr(StripeClient, "create_session", slow)
            answer = await client.post("/api/checkout", json=wish(domain=f"shop{number}.example"))
        assert (answer.status_code, answer.json()["code"]) == (409, "order_over"), answer.text
        assert sessions(world, "open") == []


async def test_a_page_that_begins_right_after_the_money_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its order was written when the money was there, and nobody will look for it any more: it looks for the money."""
    sell(world)
    made = await ordered(world, domain=None)
    begin = making.looked_at_later

    async def pays(*given: Any) -> None:
        monkeypatch.undo()
        await begin(*given)
        await came(world, made, 1900)
        world.sql("DELETE FROM due WHERE kind = 'debt'")

    monkeypatch.setattr(making, "looked_at_later", pays)
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=wish(domain=None))
        assert (answer.status_code, answer.json()["code"]) == (409, "just_bought"), answer.text
        assert made.id not in answer.text
        assert sessions(world) == []
        meant = await client.post("/api/checkout", json=wish(domain=None, again=True))
        assert meant.status_code == 200, meant.text
        other = await client.post("/api/checkout", json=wish(domain="second.example", email="bob@example.com"))
    assert other.status_code == 200, other.text


async def test_a_page_whose_process_died_before_it_looked_for_the_money_is_not_made_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its order stands there and Stripe was not asked: whoever comes back to it looks for the money first."""
    sell(world)
    await came(world, await ordered(world, domain=None), 900)
    await world.drain(**ON)

    async def away(*_: Any) -> None:
        raise Unavailable("the database is away")

    async with open_shop(world) as client:
        with monkeypatch.context() as patched:
            patched.setattr(session, "not_collected", away)
            assert (await client.post("/api/checkout", json=wish(domain=None))).status_code == 503
        answer = await client.post("/api/checkout", json=wish(domain=None))
        assert (answer.status_code, answer.json()["code"]) == (409, "just_bought"), answer.text
        assert sessions(world) == []
        meant = await client.post("/api/checkout", json=wish(domain=None, again=True))
    assert meant.status_code == 200, meant.text


async def test_a_page_that_stripe_does_not_know_stops_no_money(world: World) -> None:
    """Another account, or test data that were deleted: nobody can pay it, and its order is over."""
    sell(world)
    made = await ordered(world)
    page = await begun(world)
    world.stripe.tables["checkout.session"].clear()
    assert (await came(world, made, 1900)).order.state == "paid"
    assert world.sql("SELECT state FROM orders WHERE order_id = %s", page["order_id"]) == [{"state": "expired"}]
