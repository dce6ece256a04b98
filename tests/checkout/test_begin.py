"""A wish to buy: what is asked for at Stripe, what is refused before the money, and how it is answered."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.checkout.shop import ADMIN, moved, open_shop, orders, sessions, wish
from tests.world import World


async def test_a_wish_becomes_an_order_and_a_page_at_stripe(world: World) -> None:
    """The buyer is sent to a session that carries the order's id and the domain wherever they will be looked for."""
    async with open_shop(world) as client:
        answer = await client.post(
            "/api/checkout", json=wish(domain="https://WWW.Shop.example/", clientReference="c-1")
        )
    assert answer.status_code == 200
    (order,), (session,) = orders(world), sessions(world)
    assert answer.json() == {
        "orderId": str(order["order_id"]), "sessionId": session["id"], "url": session["url"],
    }  # fmt: skip
    asked = order["request"]
    assert asked["subscription_data"]["metadata"] == {"order_id": str(order["order_id"]), "domain": "shop.example"}
    assert session["metadata"] == asked["subscription_data"]["metadata"]
    assert session["client_reference_id"] == str(order["order_id"])
    assert (session["customer_email"], session["customer"]) == ("ada@example.com", None)
    assert session["success_url"] == "https://www.shop.test/thanks?session_id={CHECKOUT_SESSION_ID}"
    assert (order["state"], order["amount"], order["currency"]) == ("pending", 1900, "eur")
    assert (order["buyer"], order["client_reference"], order["domain"]) == ("ref:c-1", "c-1", "shop.example")
    assert order["session_id"] == session["id"]
    assert int(order["expires_at"].timestamp()) == session["expires_at"]


async def test_what_was_bought_is_provisioned_with_its_domain(world: World) -> None:
    """From the wish to the website, with nothing but Stripe's event in between."""
    async with open_shop(world) as client:
        begun = (await client.post("/api/checkout", json=wish())).json()
        world.stripe.complete_checkout(begun["sessionId"], name="Ada Example")
        for event in world.stripe.undelivered():
            await world.deliver(client, event)
    (service,) = world.sql("SELECT * FROM services")
    assert (service["state"], service["domain"], service["website_id"] is not None) == ("live", "shop.example", True)


async def test_a_form_is_answered_by_the_way_to_stripe(world: World) -> None:
    """A page without a script sells, too: fields left empty count as not filled in."""
    form = {"priceId": "price_basic_monthly", "email": "ada@example.com", "domain": "", "quantity": "2", "sellerId": ""}
    async with open_shop(world) as client:
        answer = await client.post(
            "/api/checkout",
            content=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"},
        )
    (session,) = sessions(world)
    assert (answer.status_code, answer.headers["location"]) == (303, session["url"])
    (order,) = orders(world)
    assert (order["quantity"], order["domain"], order["amount"]) == (2, None, 3800)


async def test_a_wrong_form_is_answered_by_a_page(world: World) -> None:
    """Who has no script reads what was wrong, and finds the way back."""
    async with open_shop(world) as client:
        answer = await client.post(
            "/api/checkout",
            content="priceId=price_basic_monthly&email=%3Cb%3Eada&quantity=0",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"},
        )
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert "email must be an e-mail address" in answer.text
    assert "quantity must be a whole number from 1" in answer.text
    assert 'href="https://www.shop.test/plans"' in answer.text
    assert orders(world) == []


MARKUP = '"><script>alert(1)</script>'


async def test_nothing_that_is_typed_becomes_markup_or_a_header(world: World) -> None:
    """Not a field, not the name of one, not an address, not a header: it comes back as text, or never."""
    browser = {"Accept": "text/html", "X-Request-Id": "a\tb", "Origin": MARKUP}
    form = {**browser, "Content-Type": "application/x-www-form-urlencoded"}
    texts = ("plan", "priceId", "email", "domain", "quantity", "clientReference", "sellerId", "again", MARKUP)
    async with open_shop(world) as client:
        answers = [
            *[await client.post("/api/checkout", content=urlencode({name: MARKUP}), headers=form) for name in texts],
            *[await client.post("/api/portal", content=urlencode({name: MARKUP}), headers=form) for name in texts],
            await client.get("/api/checkout", params={"session_id": MARKUP, MARKUP: "1"}, headers=browser),
            await client.get("/api/checkout", params={"session_id": "cs_test_1", "round": MARKUP}, headers=browser),
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"][:9]) == (422, "text/html")
        assert "<script>" not in answer.text
        assert "alert" not in str(answer.headers)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"priceId"}),
        ({"priceId": "price_basic_monthly", "plan": "basic-hosting-plan"}, {"priceId"}),
        ({"priceId": "price_unmapped"}, {"priceId"}),
        ({"priceId": "price_gone"}, {"priceId"}),
        ({"priceId": "price_old"}, {"priceId"}),
        ({"priceId": "price_extra"}, {"priceId"}),
        ({"plan": "no-such-plan"}, {"plan"}),
        ({"priceId": "price_basic_monthly", "quantity": 101}, {"quantity"}),
        ({"priceId": "price_basic_monthly", "domain": "not a domain", "email": "ada"}, {"email"}),
        ({"priceId": "price_basic_monthly", "domain": "not a domain", "quantity": 101}, {"domain", "quantity"}),
        ({"priceId": "price_basic_monthly", "customer": "cus_1"}, {"customer"}),
    ],
)
async def test_what_can_not_be_sold_is_refused_with_its_field(
    world: World, body: dict[str, Any], fields: set[str]
) -> None:
    """Before anything is written here or asked for there, and all faults at once."""
    world.stripe.create_price("price_unmapped")
    world.stripe.create_price("price_old")
    world.stripe.update_price("price_old", active=False)
    world.stripe.create_price("price_extra")
    for price in ("price_gone", "price_old"):
        world.map_price(price, "basic-hosting-plan")
    world.map_price("price_extra", None, kind="addon")
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=body)
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} == fields
    assert (orders(world), sessions(world)) == ([], [])


async def test_a_plan_may_be_named_where_one_price_buys_it(world: World) -> None:
    """And where several do, the price has to be."""
    async with open_shop(world) as client:
        assert (await client.post("/api/checkout", json=wish(priceId=None, plan="Big-Hosting-Plan"))).status_code == 200
        world.stripe.create_price("price_big_yearly", amount=49000)
        world.map_price("price_big_yearly", "big-hosting-plan")
        refused = await client.post("/api/checkout", json=wish(priceId=None, plan="big-hosting-plan"))
    assert orders(world)[0]["billing_plan_id"] == "price_big_monthly"
    assert "2 prices buy big-hosting-plan" in refused.json()["detail"]


async def test_a_one_time_price_is_sold_without_a_subscription(world: World) -> None:
    """With a customer, so that its receipt and refund lead to somebody."""
    world.stripe.create_price("price_setup", amount=5000, interval=None)
    world.map_price("price_setup", None, kind="ignore")
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json={"priceId": "price_setup", "email": "ada@example.com"})
    assert answer.status_code == 200
    (session,), (order,) = sessions(world), orders(world)
    assert (session["mode"], session["customer_creation"], order["mode"]) == ("payment", "always", "payment")


async def test_a_known_customer_takes_a_key(world: World) -> None:
    """A stranger who names one would be shown somebody else's card and address."""
    customer = world.customer()
    async with open_shop(world, CHECKOUT_AUTOMATIC_TAX="on", CHECKOUT_TAX_IDS="on") as client:
        refused = await client.post("/api/checkout", json=wish(customerId=customer))
        assert (refused.status_code, orders(world)) == (401, [])
        assert (await client.post("/api/checkout", json=wish(customerId=customer), headers=ADMIN)).status_code == 200
    (session,), (order,) = sessions(world), orders(world)
    assert (session["customer"], session["customer_email"]) == (customer, None)
    assert order["request"]["customer_update"] == {"address": "auto", "name": "auto"}


async def test_the_operators_choices_stand_in_the_request(world: World) -> None:
    """Language, promotion codes, tax, tax ids and terms of service, as the settings say."""
    names = ("CHECKOUT_PROMOTION_CODES", "CHECKOUT_AUTOMATIC_TAX", "CHECKOUT_TAX_IDS", "CHECKOUT_TERMS")
    switched = dict.fromkeys(names, "on")
    async with open_shop(world, CHECKOUT_LOCALE="de", **switched) as client:
        assert (await client.post("/api/checkout", json=wish())).status_code == 200
    asked = orders(world)[0]["request"]
    assert (asked["locale"], asked["allow_promotion_codes"]) == ("de", True)
    assert asked["automatic_tax"] == asked["tax_id_collection"] == {"enabled": True}
    assert asked["consent_collection"] == {"terms_of_service": "required"}


async def test_the_fees_of_the_day_are_frozen(world: World) -> None:
    """What is left for the seller is known from the start, and a later tariff changes nothing."""
    world.sql(
        "INSERT INTO fee_rules (kind, percent, fixed, currency, valid_from) VALUES ('platform', 10, 25, 'eur', now())"
    )
    async with open_shop(world) as client:
        assert (await client.post("/api/checkout", json=wish(sellerId="anna"))).status_code == 200
    world.sql("INSERT INTO fee_rules (kind, percent, valid_from) VALUES ('platform', 90, now())")
    (order,) = orders(world)
    assert (order["fees_total"], order["seller_net"], order["fees"][0]["version"]) == (215, 1685, 1)


async def test_stripe_is_not_asked_for_what_it_has_refused(world: World) -> None:
    """The order has failed, the buyer reads why, and begins anew with another wish."""
    world.stripe.fail_next("POST", "/v1/checkout/sessions", 400)
    async with open_shop(world) as client:
        refused = await client.post("/api/checkout", json=wish())
        assert (refused.status_code, refused.json()["code"]) == (422, "checkout_refused")
        assert [order["state"] for order in orders(world)] == ["failed"]
        assert (await client.post("/api/checkout", json=wish())).status_code == 200
    assert [order["state"] for order in orders(world)] == ["failed", "pending"]


async def test_a_buyer_reads_stripes_words_about_what_they_typed(world: World) -> None:
    """What is wrong with the account is for logs and for who has a key; an e-mail is the buyer's to mend."""
    async with open_shop(world) as client:
        typed = await client.post("/api/checkout", json=wish(email="ada@example..com"))
        assert (typed.status_code, typed.json()["code"], typed.json()["field"]) == (422, "checkout_refused", "email")
        assert "Invalid email address" in typed.json()["detail"]
        for headers, told in (({}, False), (ADMIN, True)):
            world.stripe.fail_next("POST", "/v1/checkout/sessions", 400)
            refused = await client.post("/api/checkout", json=wish(), headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (422, "checkout_refused")
            assert ("Simulated failure 400" in refused.text) is told
    (step,) = world.sql(
        "SELECT error FROM order_steps WHERE kind = 'session' AND error IS NOT NULL ORDER BY id LIMIT 1"
    )
    assert "Invalid email address" in step["error"]


async def test_a_buyer_learns_nothing_of_our_place_in_the_panel(world: World) -> None:
    """A domain that the panel does not take is refused with its name; the panel's words hold our organisation's id."""
    world.panel.fail_next("POST", "/orgs/.*/domains/check", 400)
    async with open_shop(world) as client:
        refused = await client.post("/api/checkout", json=wish())
    assert (refused.status_code, refused.json()["field"]) == (422, "domain")
    assert world.environ["ENHANCE_ORG_ID"] not in refused.text
    assert "/orgs/" not in refused.text


async def test_what_stripe_says_of_our_account_is_for_the_log(world: World) -> None:
    """A buyer learns that it does not work just now; an operator with a key learns which permission is missing."""
    world.stripe.forbid("/v1/checkout/sessions", "rak_checkout_session_write")
    async with open_shop(world) as client:
        told = await client.post("/api/checkout", json=wish())
        known = await client.post("/api/checkout", json=wish(), headers=ADMIN)
    assert (told.status_code, told.json()["code"]) == (503, "unavailable")
    assert "rak_" not in told.text
    assert "rak_checkout_session_write" in known.text
    assert [order["state"] for order in orders(world)] == ["pending"]


@pytest.mark.parametrize("unset", ["CHECKOUT_SUCCESS_URL", "CHECKOUT_CANCEL_URL"])
async def test_who_does_not_sell_says_which_setting_is_missing(world: World, unset: str) -> None:
    """Off is off, for both verbs, and nothing is counted or written."""
    async with open_shop(world, **{unset: ""}) as client:
        for answer in (
            await client.post("/api/checkout", json=wish()),
            await client.get("/api/checkout?session_id=cs_test_1"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "checkout_off")
            assert unset in answer.json()["detail"]
    assert orders(world) == world.sql("SELECT * FROM checkout_limits") == []


async def test_only_listed_sites_may_read_an_answer_by_script(world: World) -> None:
    """And a browser that asks beforehand is told which headers it may send."""
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with open_shop(world) as client:
        for origin, allowed in (("https://www.shop.test", "https://www.shop.test"), ("https://evil.test", None)):
            before = await client.options("/api/checkout", headers={"Origin": origin, **asks})
            assert (before.status_code, before.headers.get("access-control-allow-origin")) == (204, allowed)
            assert ("Idempotency-Key" in before.headers.get("access-control-allow-headers", "")) is (
                allowed is not None
            )
            for answer in (
                await client.post("/api/checkout", json=wish(), headers={"Origin": origin}),
                await client.post("/api/checkout", json={}, headers={"Origin": origin}),
            ):
                assert answer.headers.get("access-control-allow-origin") == allowed
                assert answer.headers["vary"] == "Origin"


async def test_a_body_is_bounded_and_of_a_known_kind(world: World) -> None:
    """Sixteen kilobytes hold any purchase."""
    async with open_shop(world) as client:
        assert (await client.post("/api/checkout", content=b"x" * 20_000)).status_code == 413
        assert (await client.post("/api/checkout", content=b"[1]")).status_code == 400
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await client.post("/api/checkout", content=b"\xff=1", headers=form)).status_code == 400
        key = await client.post("/api/checkout", json=wish(), headers={"Idempotency-Key": "x" * 256})
    assert (key.status_code, key.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_one_address_and_one_mailbox_begin_so_many_purchases_and_no_more(world: World) -> None:
    """Counted in the database, for all processes; who brings a key is not counted, and no address is kept."""
    async with open_shop(world, CHECKOUT_LIMIT="2", TRUSTED_PROXIES="1") as client:

        async def buy(address: str, email: str, reference: str, **headers: str) -> int:
            body = wish(email=email, clientReference=reference, domain=None)
            sent = {"X-Forwarded-For": f"6.6.6.6, {address}", **headers}
            return (await client.post("/api/checkout", json=body, headers=sent)).status_code

        assert [await buy("192.0.2.1", f"{n}@example.com", f"a{n}") for n in range(3)] == [200, 200, 429]
        assert [await buy(f"192.0.2.{n + 2}", "ada@example.com", f"b{n}") for n in range(3)] == [200, 200, 429]
        assert await buy("192.0.2.1", "0@example.com", "a0") == 200  # which is open already
        assert await buy("192.0.2.1", "9@example.com", "c", **ADMIN) == 200
        asked = await client.post("/api/checkout", json=wish(), headers={"X-Forwarded-For": "192.0.2.1"})
    assert asked.headers["retry-after"] == "600"
    assert len(orders(world)) == 5
    kept = [row["subject"] for row in world.sql("SELECT subject FROM checkout_limits")]
    assert not [subject for subject in kept if "192.0.2" in subject or "@" in subject]


@pytest.mark.parametrize("proxies", ["0", "2"])
async def test_nobody_evades_the_limit_by_a_header_of_their_own(world: World, proxies: str) -> None:
    """Where no proxy is declared, or fewer have written than there are, the connection says who is calling."""
    async with open_shop(world, CHECKOUT_LIMIT="1", TRUSTED_PROXIES=proxies) as client:
        codes = [
            (await client.post("/api/checkout", json={"plan": "none"}, headers={"X-Forwarded-For": f"192.0.2.{n}"}))
            for n in range(12)
        ]
    assert [answer.status_code for answer in codes].count(429) == 2


async def test_asking_is_limited_too(world: World) -> None:
    """What begins nothing costs reads all the same."""
    async with open_shop(world, CHECKOUT_LIMIT="1") as client:
        answers = [(await client.post("/api/checkout", json={"plan": "none"})).status_code for _ in range(12)]
    assert (answers.count(422), answers.count(429)) == (10, 2)


# --- the domain, before the money -------------------------------------------------------------------------------------


async def refused_domain(world: World, **others: Any) -> dict[str, Any]:
    """What somebody is answered who wants a domain that they can't have; nothing was begun for it."""
    before = len(sessions(world)), len(orders(world))
    headers = ADMIN if "customerId" in others else {}
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=wish(**others), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "domain_in_use")
    assert (len(sessions(world)), len(orders(world))) == before
    found: dict[str, Any] = answer.json()
    return found


async def test_a_domain_that_the_panel_has_is_refused_before_the_money(world: World) -> None:
    """Whoever made it there: it is not in our records."""
    other = world.customer("Eve Example", "eve@example.com")
    world.buy(other, domain="shop.example")
    await world.sync(other)
    world.sql("UPDATE services SET domain = NULL")
    assert "shop.example" in (await refused_domain(world))["detail"]


async def test_a_live_domain_is_refused_to_everybody_its_owner_too(world: World) -> None:
    """By our own records, before the panel is asked."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    await refused_domain(world)
    await refused_domain(world, customerId=customer)


async def test_the_domain_of_an_ended_service_is_free_to_the_same_customer_only(world: World) -> None:
    """Who comes back gets their website back; an e-mail that anybody can type is no proof."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    website = world.service(subscription)["website_id"]
    world.stripe.cancel(subscription)
    await world.sync(customer)
    await refused_domain(world)
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=wish(customerId=customer), headers=ADMIN)
    assert answer.status_code == 200
    world.stripe.complete_checkout(answer.json()["sessionId"])
    await world.sync(customer)
    (service,) = world.sql("SELECT * FROM services WHERE state = 'live'")
    assert service["website_id"] == website


async def test_a_domain_that_somebody_else_is_paying_for_is_taken(world: World) -> None:
    """Between the payment and the website nobody else buys it; a page that is only open keeps nobody out."""
    async with open_shop(world) as client:
        first = (await client.post("/api/checkout", json=wish())).json()
        other = wish(email="eve@example.com")
        assert (await client.post("/api/checkout", json=other)).status_code == 200
        moved(world, first["orderId"], "paid")
        refused = await client.post("/api/checkout", json=wish(email="mal@example.com"))
        assert refused.json()["code"] == "domain_in_use"
        nobody = wish(email=None, domain="nobody.example")
        second = (await client.post("/api/checkout", json=nobody)).json()
        moved(world, second["orderId"], "paid")
        assert (await client.post("/api/checkout", json=nobody)).json()["code"] == "domain_in_use"


async def test_a_typed_e_mail_gets_nobody_a_domain_that_is_being_paid(world: World) -> None:
    """While a bank debit runs its buyer may buy more for it; who says to be them from another network may not."""
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def ask(address: str, **others: Any) -> httpx.Response:
            return await client.post("/api/checkout", json=wish(**others), headers={"X-Forwarded-For": address})

        first = (await ask("192.0.2.1")).json()
        moved(world, first["orderId"], "paying")
        assert (await ask("203.0.113.9", quantity=2)).json()["code"] == "domain_in_use"
        assert (await ask("192.0.2.1", quantity=2)).status_code == 200


async def test_where_the_panel_can_not_be_asked_nothing_is_sold(world: World) -> None:
    """A domain that nobody could look up is not free; without a domain the panel is not asked."""
    world.panel.fail_next("POST", "/domains/check", 503, "before", 9)
    async with open_shop(world) as client:
        refused = await client.post("/api/checkout", json=wish())
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert orders(world) == []
        assert (await client.post("/api/checkout", json=wish(domain=None))).status_code == 200
