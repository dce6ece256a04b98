"""One debt, one payment: what somebody has open at Stripe is ended before their offline money is taken in."""

from datetime import timedelta
from typing import Any

import pytest

from lib.errors import Declined
from lib.model.money import Order, OrderState
from lib.policy.one_debt import Same, Stands, Ware, compare, person, stands
from lib.structs import replace
from tests.checkout.shop import moved, open_shop, orders, sessions, wish
from tests.money.goods import NOW, offline, order, terms
from tests.money.shop import Shop
from tests.money.till import came, sell
from tests.money.till import order as ordered
from tests.world import World

BASIC, BIG = Ware("service", "basic"), Ware("service", "big")


def debt(**words: Any) -> Order:
    """Ada's offline order of a site."""
    return offline(terms=terms(billing_plan_id="basic-yearly", **words))


def at_stripe(**words: Any) -> Order:
    """What somebody has open at Stripe."""
    return order(terms(**words))


def meant(mine: Order, other: Order, *customers: str, wares: tuple[Ware | None, Ware | None] = (BASIC, BASIC)) -> Same:
    """What a purchase at Stripe has to do with the debt, by its person's words and these customers of theirs."""
    whose = person(mine, frozenset({"ada@work.example"} if customers else ()), frozenset(customers))
    return compare(mine, whose, other, ware=wares[0], others_ware=wares[1])


ADA = "ada@example.com"
ALIKE = {
    "the shop's word on one side only": ({"client_reference": "c-1"}, {"email": ADA}),
    "the shop's word on the other side only": ({"email": ADA}, {"client_reference": "c-1", "email": ADA}),
    "one word of the shop's, two addresses": (
        {"client_reference": "c-1", "email": "ada@home.example"}, {"client_reference": "c-1", "email": ADA}
    ),
    "two carts of one address": ({"client_reference": "c-1", "email": ADA}, {"client_reference": "c-2", "email": ADA}),
    "other letters": ({"email": " Ada@Example.COM "}, {"email": ADA}),
    "www": ({"domain": "www.shop.example"}, {"domain": "shop.example"}),
    "other letters of the domain": ({"domain": "m\u00fcller.example"}, {"domain": "xn--mller-kva.example"}),
    "another plan for the domain": ({}, {"billing_plan_id": "price_big_monthly"}),
    "the domain is still to be typed": ({}, {"domain": None}),
    "no website": ({"domain": None}, {"domain": None}),
}  # fmt: skip


@pytest.mark.parametrize("words", ALIKE.values(), ids=ALIKE)
def test_the_same_debt_is_seen_by_any_word_of_the_same_person(words: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Whichever word each side has of them, and however the domain is spelt."""
    assert meant(debt(**words[0]), at_stripe(**words[1])) is Same.DEBT


def test_customers_who_share_an_account_are_one_person() -> None:
    """By the customer at Stripe whom an operator linked, and by that customer's address."""
    linked = at_stripe(customer_id="cus_1", email=None)
    assert meant(debt(email="ada@home.example"), linked, "cus_1") is Same.DEBT
    assert meant(debt(email="ada@home.example"), at_stripe(email="Ada@Work.example"), "cus_1") is Same.DEBT
    assert meant(debt(email="ada@home.example"), linked) is Same.DOMAIN


def test_another_persons_page_is_nobodys_debt() -> None:
    """The same domain or plan is no person; neither is what both sides do not know."""
    bob = at_stripe(email="bob@example.com")
    assert meant(debt(), bob) is Same.DOMAIN
    assert meant(debt(domain=None), at_stripe(email="bob@example.com", domain=None)) is Same.NO
    assert meant(debt(email=None), at_stripe(email=None)) is Same.DOMAIN
    assert meant(debt(email=None, domain=None), at_stripe(email=None, domain=None)) is Same.NO


def test_another_thing_of_the_same_person_is_another_debt() -> None:
    """A second domain, another plan where no domain decides, something that is no hosting, another mode."""
    assert meant(debt(), at_stripe(domain="second.example")) is Same.NO
    assert meant(debt(domain=None), at_stripe(), wares=(BASIC, BIG)) is Same.NO
    assert meant(debt(domain=None), at_stripe(), wares=(BASIC, Ware("ignore", None))) is Same.NO
    assert meant(debt(), replace(at_stripe(), livemode=False)) is Same.NO
    for unknown in ((BASIC, None), (Ware("service", "3"), BASIC)):  # an id can be the plan that a name is
        assert meant(debt(domain=None), at_stripe(), wares=unknown) is Same.DEBT


S = OrderState
LATER, BEFORE = NOW + timedelta(hours=1), NOW - timedelta(seconds=1)
STANDING: dict[str, tuple[dict[str, Any], Stands]] = {
    "a page": ({"session_id": "cs_1"}, Stands.PAGE),
    "a debit under way": ({"state": S.PAYING}, Stands.MONEY),
    "paid since it began": ({"state": S.PAID, "paid_at": NOW}, Stands.MONEY),
    "paid before": ({"state": S.PAID, "paid_at": BEFORE}, Stands.OVER),
    "a subscription that runs": ({"state": S.PAID, "paid_at": BEFORE, "subscription_id": "sub_1"}, Stands.BILL),
    "a debit that failed": ({"state": S.FAILED, "subscription_id": "sub_1", "session_id": "cs_1"}, Stands.BILL),
    "one that failed, bought once": ({"state": S.FAILED, "session_id": "cs_1"}, Stands.BILL),
    "a refund of a subscription": ({"state": S.REFUNDED, "subscription_id": "sub_1"}, Stands.BILL),
    "a subscription that nobody began here": ({"subscription_id": "sub_1", "request": None}, Stands.BILL),
    "a page that Stripe refused": ({"state": S.FAILED}, Stands.OVER),
    "given up while it was made": ({"state": S.EXPIRED, "session_id": "cs_1", "expires_at": LATER}, Stands.PAGE),
    "a page whose time is over": ({"state": S.EXPIRED, "session_id": "cs_1", "expires_at": NOW}, Stands.OVER),
    "given up before": ({"state": S.EXPIRED}, Stands.OVER),
    "a refund": ({"state": S.REFUNDED, "session_id": "cs_1"}, Stands.OVER),
}


@pytest.mark.parametrize(("columns", "as_"), STANDING.values(), ids=STANDING)
def test_what_can_take_money_is_seen_in_every_state(columns: dict[str, Any], as_: Stands) -> None:
    """A page, money, or a bill that outlives both; what was paid before the debt began is another purchase."""
    assert stands(debt(), replace(at_stripe(), **columns), NOW) is as_


def test_a_renewal_that_was_paid_meanwhile_counts_for_its_own_domain() -> None:
    """It is the same money twice; the renewal of what runs for another domain, or where none is named, is none."""
    runs = replace(at_stripe(), state=S.PAID, paid_at=BEFORE, subscription_id="sub_1")
    assert stands(debt(), runs, NOW, came=True) is Stands.MONEY
    assert stands(debt(domain=None), runs, NOW, came=True) is Stands.BILL
    assert stands(debt(domain="second.example"), runs, NOW, came=True) is Stands.BILL
    assert stands(debt(), replace(runs, state=S.REFUNDED), NOW, came=True) is Stands.BILL


# --- with a shop, a bank and a database -------------------------------------------------------------------------------


async def begun(world: World, **words: Any) -> dict[str, Any]:
    """A page at Stripe that a buyer has opened in our checkout; its row."""
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=wish(**words))
    assert answer.status_code == 200, answer.text
    return next(row for row in orders(world) if str(row["order_id"]) == answer.json()["orderId"])


async def test_open_pages_of_the_same_person_are_ended_and_no_others(world: World) -> None:
    """By the shop's word, by the address in other letters, and with a domain in another spelling; Bob's goes on."""
    sell(world)
    made = await ordered(world, client_reference="c-1", domain="xn--mller-kva.example")
    cart = await begun(world, clientReference="c-1", email=None, domain="m\u00fcller.example")
    typed = await begun(world, email="ADA@example.com", domain="www.m\u00fcller.example")
    second = await begun(world, clientReference="c-9", email="ada@example.com", domain="second.example")
    bob = await begun(world, email="bob@example.com", domain="m\u00fcller.example")
    assert (await came(world, made, 500)).order.collected == 500
    states = {row["session_id"]: row["state"] for row in orders(world) if row["session_id"]}
    expected = {cart["session_id"]: "expired", typed["session_id"]: "expired"}
    expected |= {second["session_id"]: "pending", bob["session_id"]: "pending"}
    assert states == expected
    assert {page["id"] for page in sessions(world, "open")} == {second["session_id"], bob["session_id"]}


async def test_what_is_paid_at_stripe_stops_the_collection_however_far_it_is(world: World) -> None:
    """The page was paid a moment ago, its order is paid, a debit is under way: nothing is written until it is meant."""
    sell(world)
    made = await ordered(world)
    page = await begun(world, clientReference="c-1")
    world.stripe.complete_checkout(page["session_id"])
    for state in ("pending", "paying", "paid"):
        if state != "pending":
            moved(world, str(page["order_id"]), state)
        with pytest.raises(Declined) as refused:
            await came(world, made, 900)
        assert refused.value.code == "paid_otherwise"
        assert str(page["order_id"]) in str(refused.value)
    assert world.sql("SELECT collected FROM orders WHERE order_id = %s", made.id) == [{"collected": 0}]
    assert (await came(world, made, 900, anyway=True)).order.collected == 900


async def test_a_debit_by_a_payment_link_is_seen(world: World) -> None:
    """Nobody told our checkout of it: the purchase is learnt from its session, with the address typed there."""
    sell(world)
    made = await ordered(world)
    shop = Shop(world)
    link = shop.link(metadata={"domain": "shop.example"})
    world.stripe.complete_checkout(link, "Ada@Example.com", payment="processing")
    await shop.hear()
    with pytest.raises(Declined) as refused:
        await came(world, made, 1900)
    assert refused.value.code == "paid_otherwise"


async def test_somebody_elses_money_for_the_domain_is_a_question(world: World) -> None:
    """A domain is sold once: their open page is left alone, and once they pay, an operator is asked."""
    sell(world)
    made = await ordered(world)
    page = await begun(world, email="bob@example.com")
    assert (await came(world, made, 500)).order.collected == 500
    assert [one["status"] for one in sessions(world)] == ["open"]
    moved(world, str(page["order_id"]), "paying")
    with pytest.raises(Declined) as refused:
        await came(world, made, 500)
    assert "another buyer is paying" in str(refused.value)


async def test_a_linked_customers_page_is_ended(world: World) -> None:
    """An operator said that they are one person: their page, begun for the customer at Stripe, is ended."""
    sell(world)
    customer = world.customer()
    world.buy(customer, domain="first.example")
    await world.sync(customer)
    made = await ordered(world, link_to=customer, email="ada@home.example")
    page = await begun(world, email=None)
    world.sql("UPDATE orders SET customer_id = %s WHERE order_id = %s", customer, page["order_id"])
    await came(world, made, 500)
    assert [one["status"] for one in sessions(world) if one["id"] == page["session_id"]] == ["expired"]
