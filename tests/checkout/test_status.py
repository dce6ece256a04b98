"""How a purchase stands: what a buyer is told, and what nobody is."""

import json
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from lib.checkout import limits, pages
from tests.checkout.shop import ADMIN, ROOT, SELLS, moved, open_shop, orders, sessions, wish
from tests.world import World

LOOK = "/v1/checkout/sessions/.*"


async def begun(client: httpx.AsyncClient, **others: Any) -> dict[str, Any]:
    """A purchase that has begun."""
    answer = await client.post("/api/checkout", json=wish(**others))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def told(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    """What is answered about it."""
    answer = await client.get(f"/api/checkout?session_id={session_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe may be read each time."""
    monkeypatch.setattr(limits, "READ_EVERY", timedelta(0))


async def test_from_the_first_click_to_the_website(world: World, at_once: None) -> None:
    """Pending with the way to pay, paid before any event has come, then what is made, then where it is."""
    async with open_shop(world, PROVISIONING_MODE="paused") as client:
        purchase = await begun(client)
        session_id = purchase["sessionId"]
        assert await told(client, session_id) == {
            "orderId": purchase["orderId"], "state": "pending", "steps": [],
            "urls": {"pay": purchase["url"], "site": None, "panel": None, "again": None},
        }  # fmt: skip
        world.stripe.complete_checkout(session_id, name="Ada Example")
        assert (await told(client, session_id))["state"] == "paid"
        assert [(row["kind"], row["key"]) for row in world.due() if row["kind"] == "order"] == [
            ("order", purchase["orderId"])
        ]
        (subscription,) = world.stripe.subscriptions
        moved(world, purchase["orderId"], "paid")
        world.sql("UPDATE orders SET subscription_id = %s", subscription)
        await world.sync(next(iter(world.stripe.customers)))
        now = await told(client, session_id)
        assert (now["state"], [step["done"] for step in now["steps"]]) == ("ready", [True, True, True])
        assert now["urls"] == {
            "pay": None, "site": "https://shop.example", "panel": world.environ["ENHANCE_API_URL"].removesuffix("/api"),
            "again": None,
        }  # fmt: skip
        world.sql("UPDATE services SET website_id = NULL")
        now = await told(client, session_id)
        assert now["state"] == "provisioning"
        assert now["steps"] == [
            {"name": "account", "done": True}, {"name": "hosting", "done": True}, {"name": "website", "done": False},
        ]  # fmt: skip
        assert "site" not in json.dumps({k: v for k, v in now["urls"].items() if v})


@pytest.mark.parametrize("state", ["paying", "failed", "expired"])
async def test_what_did_not_come_to_an_end_says_so(world: World, state: str) -> None:
    """Never a success that is none, and a way on wherever there is one."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        moved(world, purchase["orderId"], state)
        world.sql("UPDATE orders SET hosted_invoice_url = 'https://invoice.stripe.com/i/1'")
        now = await told(client, purchase["sessionId"])
    assert (now["state"], now["steps"]) == (state, [])
    again = None if state == "paying" else "https://www.shop.test/plans"
    pay = "https://invoice.stripe.com/i/1" if state == "failed" else None
    assert (now["urls"]["again"], now["urls"]["pay"]) == (again, pay)


async def test_a_debit_and_an_expired_page_are_told_before_their_event(world: World, at_once: None) -> None:
    """Complete and unpaid is not paid."""
    async with open_shop(world, PROVISIONING_MODE="paused") as client:
        debit, left = await begun(client), await begun(client, email="bob@example.com", domain=None)
        world.stripe.complete_checkout(debit["sessionId"], payment="processing")
        world.stripe.expire_checkout(left["sessionId"])
        assert (await told(client, debit["sessionId"]))["state"] == "paying"
        assert (await told(client, left["sessionId"]))["state"] == "expired"
    assert {order["state"] for order in orders(world)} == {"pending"}  # which only its own pass changes


async def test_reads_of_stripe_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is looked at for days, or by somebody who means harm, costs a dozen reads."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        for _ in range(5):
            await told(client, purchase["sessionId"])
        assert world.stripe.count("GET", LOOK) == 1
        monkeypatch.setattr(limits, "READ_EVERY", timedelta(0))
        for _ in range(30):
            assert (await told(client, purchase["sessionId"]))["state"] == "pending"
        assert world.stripe.count("GET", LOOK) == limits.READS
        moved(world, purchase["orderId"], "paid")
        await told(client, purchase["sessionId"])
        assert world.stripe.count("GET", LOOK) == limits.READS


async def test_who_makes_ids_up_leaves_nothing_and_costs_no_read(world: World) -> None:
    """Neither a row nor a read of Stripe for any of them, from wherever they are asked for."""
    async with open_shop(world, TRUSTED_PROXIES="1") as client:
        await begun(client)
        kept = len(world.sql("SELECT subject FROM checkout_limits"))
        for number in range(20):
            answer = await client.get(
                f"/api/checkout?session_id=cs_test_made{number}up",
                headers={"X-Forwarded-For": f"2001:db8:0:{number}::1"},
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")
    assert len(world.sql("SELECT subject FROM checkout_limits")) == kept
    assert world.stripe.count("GET", LOOK) == 0


async def test_while_an_answer_is_missing_made_up_ids_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the half of an address that one customer of a provider has, and for all strangers together; no id is kept."""
    monkeypatch.setattr(limits, "LOOKS", 12)
    async with open_shop(world, TRUSTED_PROXIES="1", CHECKOUT_LIMIT="1") as client:
        await begun(client)
        world.sql("UPDATE orders SET session_id = NULL, session_url = NULL")
        kept = len(world.sql("SELECT subject FROM checkout_limits"))

        async def look(number: int, address: str) -> None:
            path = f"/api/checkout?session_id=cs_test_made{number}up"
            assert (await client.get(path, headers={"X-Forwarded-For": address})).status_code == 404

        for number in range(20):
            await look(number, f"2001:db8::{number:x}")
        assert world.stripe.count("GET", LOOK) == 10
        assert len(world.sql("SELECT subject FROM checkout_limits")) == kept + 2
        for number in range(20):
            await look(number, f"203.0.113.{number}")
    assert world.stripe.count("GET", LOOK) == 12


async def test_our_own_records_answer_while_stripe_is_away(world: World) -> None:
    """The page goes on with what is known."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        world.stripe.down = True
        assert (await told(client, purchase["sessionId"]))["state"] == "pending"


async def test_nobody_learns_of_what_was_not_begun_here(world: World, at_once: None) -> None:
    """A foreign session, another mode's and a made-up one are all the same: unknown."""
    foreign = world.stripe.create_checkout(
        mode="subscription", line_items=[{"price": "price_basic_monthly"}], success_url="https://x.test",
        client_reference_id="17",
    )  # fmt: skip
    async with open_shop(world) as client:
        for session_id in (foreign["id"], "cs_test_made1up", "cs_live_" + foreign["id"][8:]):
            answer = await client.get(f"/api/checkout?session_id={session_id}")
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")
        for wrong in ("", "cs_test_", "x", "cs_test_1%0A"):
            assert (await client.get(f"/api/checkout?session_id={wrong}")).status_code == 422
        assert (await client.get("/api/checkout")).status_code == 422


async def test_a_session_leads_to_its_own_purchase_and_to_no_person(world: World, at_once: None) -> None:
    """Neither who bought nor what else they have stands in the answer."""
    async with open_shop(world) as client:
        mine = await begun(client)
        other = await begun(client, email="bob@example.com", domain="bob.example")
        for purchase in (mine, other):
            world.stripe.complete_checkout(purchase["sessionId"], name="Somebody Secret")
        for customer in list(world.stripe.customers):
            await world.sync(customer)
        now = await told(client, mine["sessionId"])
    assert now["urls"]["site"] == "https://shop.example"
    assert not re.search("bob|secret|@|cus_|sub_", json.dumps(now), re.IGNORECASE)


async def test_an_answer_that_was_lost_on_its_way_to_us_is_found_by_its_buyer(world: World, at_once: None) -> None:
    """Whoever comes back from Stripe with a session of ours is known, although we never heard its id."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        world.sql("UPDATE orders SET session_id = NULL, session_url = NULL")
        assert (await told(client, purchase["sessionId"]))["orderId"] == purchase["orderId"]
    assert orders(world)[0]["session_id"] == purchase["sessionId"]


@pytest.mark.parametrize(
    "forged",
    [
        {"payment_link": "plink_1", "metadata": {}},
        {"payment_link": "plink_1"},
        {"metadata": {}},
        {"metadata": {"order_id": "another"}},
        {"mode": "payment"},
        {"currency": "usd"},
    ],
)
async def test_a_leaked_order_id_binds_no_other_session(world: World, at_once: None, forged: dict[str, Any]) -> None:
    """Who types an order's id into a cheap Payment Link has paid for that, and for nothing dearer."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        world.sql("UPDATE orders SET session_id = NULL, session_url = NULL")
        cheap = world.stripe.create_checkout(
            mode="subscription", line_items=[{"price": "price_basic_monthly"}], success_url="https://x.test",
            client_reference_id=purchase["orderId"], metadata={"order_id": purchase["orderId"]},
        )  # fmt: skip
        world.stripe.complete_checkout(cheap["id"], email="mallory@example.com")
        world.stripe.get(cheap["id"]).update(forged)
        answer = await client.get(f"/api/checkout?session_id={cheap['id']}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")
        await world.drain()
        assert (await client.post("/api/portal", json={"sessionId": cheap["id"]})).status_code == 404
    dear = world.sql("SELECT state, session_id FROM orders WHERE order_id = %s", purchase["orderId"])
    assert [(row["state"], row["session_id"] != cheap["id"]) for row in dear] == [("pending", True)]


async def test_a_page_without_a_script_renews_itself_for_two_minutes(world: World) -> None:
    """And says then that the buyer need not wait; what can't change any more is not renewed."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with open_shop(world) as client:
        purchase = await begun(client)
        path = f"/api/checkout?session_id={purchase['sessionId']}"
        first = await client.get(path, headers=browser)
        assert first.headers["content-type"].startswith("text/html")
        assert f'content="1;url={path.replace("&", "&amp;")}&amp;round=1"' in first.text
        assert "Waiting for your payment" in first.text
        assert purchase["url"] in first.text
        moved(world, purchase["orderId"], "paid")
        pauses = [1, 2, *[pages.PAUSE] * (pages.ROUNDS - 2)]
        for number, pause in enumerate(pauses):
            page = await client.get(f"{path}&round={number}", headers=browser)
            assert f'content="{pause};url=' in page.text
        assert 110 <= sum(pauses) <= 130
        last = await client.get(f"{path}&round={pages.ROUNDS}", headers=browser)
        assert "refresh" not in last.text
        assert "we write to you" in last.text
        unknown = await client.get("/api/checkout?session_id=cs_test_1", headers=browser)
    assert (unknown.status_code, unknown.headers["content-type"][:9]) == (404, "text/html")


async def test_without_a_script_the_static_page_leads_to_the_one_that_needs_none(world: World) -> None:
    """Its form asks for the id, and sends a browser where the purchase is told without JavaScript; never a success."""
    page = (ROOT / "public" / "success.html").read_text()
    (form,) = re.findall(
        r"<noscript>.*?<form action=\"(.*?)\" method=\"get\">.*?name=\"(.*?)\".*?</noscript>", page, re.DOTALL
    )
    async with open_shop(world) as client:
        purchase = await begun(client)
        answer = await client.get(form[0], params={form[1]: purchase["sessionId"]}, headers={"Accept": "text/html"})
    assert (answer.status_code, "Nothing has been paid yet" in answer.text) == (200, True)
    assert not [title for state, (title, _) in pages.WORDS.items() if state != "pending" and title in answer.text]


def test_the_script_and_the_page_say_the_same() -> None:
    """Words of the page that is made here, and of the one that is made in the browser."""
    script = (ROOT / "public" / "success.js").read_text()
    for state, (title, text) in pages.WORDS.items():
        assert f'{state}: ["{title}", "{text}"],' in script
    for words in (pages.STEPS, pages.LINKS):
        for name, text in words.items():
            assert f'{name}: "{text}"' in script
    assert f'const LATER = "{pages.LATER}";' in script
    assert f"const PAUSES = {list(pages.PAUSES)};" in script
    assert f"const PAUSE = {pages.PAUSE};" in script


# --- the billing portal -----------------------------------------------------------------------------------------------


async def test_who_has_just_paid_reaches_their_portal(world: World) -> None:
    """For an hour after the checkout, by the session; by a form it is the way there."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        body = {"sessionId": purchase["sessionId"]}
        early = await client.post("/api/portal", json=body)
        assert (early.status_code, early.json()["code"]) == (404, "unknown_session")
        world.stripe.complete_checkout(purchase["sessionId"])
        moved(world, purchase["orderId"], "paid")
        answer = await client.post("/api/portal", json=body)
        assert answer.status_code == 200
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await client.post("/api/portal", content=f"sessionId={purchase['sessionId']}", headers=form)
        assert posted.status_code == 303
        assert posted.headers["location"].startswith("https://billing.stripe.com/")
        world.sql("UPDATE orders SET paid_at = now() - interval '61 minutes'")
        assert (await client.post("/api/portal", json=body)).status_code == 404
    (customer,) = world.stripe.customers
    portals = world.stripe.tables["billing_portal.session"].values()
    assert {(portal["customer"], portal["return_url"]) for portal in portals} == {
        (customer, "https://www.shop.test/account")
    }
    assert answer.json() == {"url": next(iter(portals))["url"]}


async def told_of_all(world: World, client: httpx.AsyncClient) -> None:
    """Every event that Stripe has, and what follows from it."""
    for event in list(world.stripe.undelivered()):
        await world.deliver(client, event)
    await world.come_to_rest(**SELLS)


async def test_a_debit_that_is_paid_days_later_opens_no_portal(world: World) -> None:
    """The hour begins when the checkout was completed, and not when its money came."""
    async with open_shop(world) as client:
        purchase = await begun(client)
        world.stripe.complete_checkout(purchase["sessionId"], payment="processing")
        await told_of_all(world, client)
        assert [order["state"] for order in orders(world)] == ["paying"]
        body = {"sessionId": purchase["sessionId"]}
        assert (await client.post("/api/portal", json=body)).status_code == 200
        world.sql("ALTER TABLE order_steps DISABLE TRIGGER order_steps_append_only")
        world.sql("UPDATE order_steps SET at = at - interval '4 days'")
        world.stripe.settle_checkout(purchase["sessionId"])
        await told_of_all(world, client)
        assert [order["state"] for order in orders(world)] == ["paid"]
        answer = await client.post("/api/portal", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")


async def test_no_other_session_and_no_stranger_reaches_a_portal(world: World) -> None:
    """A session that somebody else began, and a customer's id without a key."""
    customer = world.customer()
    line = {"price": "price_basic_monthly"}
    foreign = world.stripe.create_checkout(
        mode="subscription", line_items=[line], success_url="https://x.test", customer=customer
    )
    world.stripe.complete_checkout(foreign["id"])
    async with open_shop(world) as client:
        assert (await client.post("/api/portal", json={"sessionId": foreign["id"]})).status_code == 404
        assert (await client.post("/api/portal", json={"customerId": customer})).status_code == 401
        both = await client.post("/api/portal", json={"customerId": customer, "sessionId": foreign["id"]})
        assert both.status_code == 422
        known = await client.post("/api/portal", json={"customerId": customer}, headers=ADMIN)
        assert known.status_code == 200
        unknown = await client.post("/api/portal", json={"customerId": "cus_none"}, headers=ADMIN)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_customer")
    assert len(sessions(world)) == 1
    assert len(world.stripe.tables["billing_portal.session"]) == 1


async def test_who_only_typed_an_e_mail_reaches_no_portal(world: World) -> None:
    """A stranger who was given the buyer's open page holds its id, too: then it opens the portal to nobody."""
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def buy(address: str, **others: Any) -> str:
            answer = await client.post("/api/checkout", json=wish(**others), headers={"X-Forwarded-For": address})
            return str(answer.json()["sessionId"])

        async def portal(session_id: str) -> int:
            world.stripe.complete_checkout(session_id)
            return (await client.post("/api/portal", json={"sessionId": session_id})).status_code

        mine, again, stranger = [await buy(address) for address in ("192.0.2.1", "192.0.2.1", "203.0.113.9")]
        assert mine == again == stranger
        assert await portal(mine) == 404
        guessed = [await buy(a, clientReference="c-1", domain=None) for a in ("192.0.2.1", "203.0.113.9")]
        assert guessed[0] == guessed[1]
        assert await portal(guessed[0]) == 404
        known = [await buy("192.0.2.1", clientReference="c-2", domain=None) for _ in range(2)]
        assert await portal(known[0]) == 200
        twice = [await buy("192.0.2.1", email="bob@example.com", domain=None) for _ in range(2)]
        assert await portal(twice[0]) == 200


async def test_who_only_typed_an_e_mail_learns_no_address(world: World, at_once: None) -> None:
    """How far it is, and nothing else: no site, no panel, no invoice; for as long as the session's id is known."""
    invoice = "https://invoice.stripe.com/i/1"
    async with open_shop(world, TRUSTED_PROXIES="1") as client:

        async def buy(address: str, **others: Any) -> str:
            answer = await client.post("/api/checkout", json=wish(**others), headers={"X-Forwarded-For": address})
            return str(answer.json()["sessionId"])

        referred = {"clientReference": "c-1"}
        for others, other_network, shown in (
            ({}, "203.0.113.9", False),
            ({**referred, "domain": "guessed.example"}, "203.0.113.9", False),
            ({**referred, "domain": "own.example"}, "192.0.2.1", True),
        ):
            session_id = await buy("192.0.2.1", **others)
            assert (await told(client, session_id))["urls"]["pay"] is not None
            assert await buy(other_network, **others) == session_id
            world.sql("DELETE FROM checkout_limits")  # as after two days
            assert ((await told(client, session_id))["urls"]["pay"] is not None) is shown
            (order,) = [row for row in orders(world) if row["session_id"] == session_id]
            world.sql("UPDATE orders SET hosted_invoice_url = %s", invoice)
            moved(world, str(order["order_id"]), "failed")
            now = await told(client, session_id)
            assert (now["state"], now["urls"]["again"]) == ("failed", "https://www.shop.test/plans")
            assert (now["urls"]["pay"] == invoice) is shown
            world.stripe.complete_checkout(session_id)
            moved(world, str(order["order_id"]), "paid")
            subscription = world.stripe.get(session_id)["subscription"]
            world.sql("UPDATE orders SET subscription_id = %s WHERE session_id = %s", subscription, session_id)
            await world.sync(world.stripe.get(session_id)["customer"])
            now = await told(client, session_id)
            assert (now["state"], [step["done"] for step in now["steps"]]) == ("ready", [True, True, True])
            assert (now["urls"]["site"] is not None, now["urls"]["panel"] is not None) == (shown, shown)


async def test_a_portal_that_is_off_says_which_setting_is_missing(world: World) -> None:
    """As checkout does."""
    async with open_shop(world, PORTAL_RETURN_URL="") as client:
        answer = await client.post("/api/portal", json={"customerId": "cus_1"}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (404, "portal_off")
    assert "PORTAL_RETURN_URL" in answer.json()["detail"]
