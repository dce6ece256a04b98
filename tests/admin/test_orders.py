"""`/api/admin/orders`: offline money by hand and by machines, and every order with its numbers."""

import csv
import io
from typing import Any

import httpx
import pytest

from tests.money.shop import ON, ONCE, Shop
from tests.money.till import PLAN, past, sell
from tests.world import ADMIN_KEY, World

ROUTE = "/api/admin/orders"
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}
CREATE = {
    "action": "create",
    "provider": "bank_transfer",
    "billingPlanId": PLAN,
    "email": "ada@example.com",
    "name": "Ada Example",
    "amount": 1900,
    "currency": "EUR",
    "domain": "www.Shop.example",
    "periodDays": 365,
}


async def post(client: httpx.AsyncClient, body: dict[str, Any], key: str | None = None, **headers: str) -> Any:
    """Act, and the order that is answered."""
    more = {"Idempotency-Key": key} if key else {}
    answer = await client.post(ROUTE, json=body, headers={**HEADERS, **more, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(client: httpx.AsyncClient, **query: Any) -> Any:
    """A list, or one order."""
    answer = await client.get(ROUTE, params=query, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_order_is_created_collected_in_parts_and_shown_with_all_of_it(world: World) -> None:
    """From the telephone to the running site in three calls; one order shows each number and each step."""
    sell(world)
    async with world.functions(ADMIN_API_KEY=f"anna:{ADMIN_KEY},courier:courier_fake_key") as client:
        made = (await post(client, CREATE, key="call-1"))["order"]
        assert (made["state"], made["missing"], made["domain"]) == ("pending", 1900, "shop.example")
        assert made["reference"].startswith("RF") and " " in made["reference"]
        again = await post(client, CREATE, key="call-1")
        assert (again["repeated"], again["order"]["id"]) == (True, made["id"])
        part = {"action": "collect", "reference": made["reference"].lower(), "amount": 900, "currency": "eur"}
        as_courier = {"Authorization": "Bearer courier_fake_key"}
        half = await post(client, {**part, "externalId": "bank-1"}, **as_courier)
        assert (half["order"]["state"], half["order"]["missing"]) == ("paying", 1000)
        assert (await post(client, {**part, "externalId": "bank-1"}, **as_courier))["repeated"]
        rest = {"action": "collect", "orderId": made["id"], "amount": 1200, "currency": "eur"}
        full = await post(client, rest, key="call-2")
        assert (full["order"]["state"], full["order"]["overpaid"]) == ("paid", 200)
        assert (await post(client, rest, key="call-2"))["repeated"]
        shown = await get(client, id=made["id"])
        numbers = await get(client, overpaid="true")
        whose = await client.get("/api/admin/customers", params={"id": made["customerId"]}, headers=HEADERS)
    assert world.only_subscription().suspended_by is None
    assert [(order["id"], order["state"]) for order in whose.json()["orders"]] == [(made["id"], "paid")]
    assert [came["actor"] for came in shown["collections"]] == ["courier", "anna"]
    (payment,) = shown["payments"]
    assert (payment["state"], payment["numbers"]["paid"], payment["numbers"]["net"]) == ("succeeded", 1900, 1900)
    assert payment["numbers"]["sources"]["paid"] == "collection"
    causes = {(step["kind"], step["state"], step["cause"]) for step in shown["steps"]}
    assert {("order", "started", "admin:anna"), ("collection", "succeeded", "admin:courier")} <= causes
    assert shown["periodEnd"] > shown["paidAt"] and shown["servedAt"] is not None
    assert [order["id"] for order in numbers["data"]] == [made["id"]]


async def test_too_much_is_returned_and_what_is_paid_is_not_asked_for_again(world: World) -> None:
    """`return` takes the surplus off the list; `cancel` of a paid order lets it run to its end."""
    sell(world)
    async with world.functions() as client:
        made = (await post(client, CREATE))["order"]["id"]
        await post(client, {"action": "collect", "orderId": made, "amount": 2000, "currency": "eur"})
        back = await post(client, {"action": "return", "orderId": made, "amount": 100})
        assert (back["order"]["overpaid"], back["order"]["returned"]) == (0, 100)
        assert (await get(client, overpaid="true"))["data"] == []
        ended = await post(client, {"action": "cancel", "orderId": made})
        assert (ended["order"]["state"], ended["order"]["cancelled"]) == ("paid", True)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"action": "create"}, {"provider", "billingPlanId", "amount", "currency", "email"}),
        ({**CREATE, "provider": "stripe"}, {"provider"}),
        ({**CREATE, "provider": "wallet"}, {"provider"}),
        ({**CREATE, "amount": 0, "currency": "euro", "email": "ada"}, {"amount", "currency", "email"}),
        ({**CREATE, "amount": 1901, "currency": "kwd"}, {"amount"}),
        ({**CREATE, "domain": "shop"}, {"domain"}),
        ({**CREATE, "price": 1}, {"price"}),
        ({"action": "collect", "amount": 1, "currency": "eur"}, {"orderId"}),
        ({"action": "collect", "orderId": "1", "amount": 1.5, "currency": "eur"}, {"orderId", "amount"}),
        ({"action": "pay"}, {"action"}),
    ],
)
async def test_what_is_wrong_is_named_all_at_once(world: World, body: dict[str, Any], fields: set[str]) -> None:
    """Each wrong field is named with what it takes, and nothing is written."""
    sell(world)
    async with world.functions() as client:
        answer = await client.post(ROUTE, json=body, headers=HEADERS)
    assert answer.status_code == 422, answer.text
    assert {error["field"] for error in answer.json()["errors"]} == fields
    assert world.sql("SELECT 1 FROM orders") == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**CREATE, "billingPlanId": "unknown"}, 404, "unknown_plan"),
        ({"action": "cancel", "reference": "RF18539007547034"}, 404, "unknown_order"),
        ({"action": "cancel", "orderId": "00000000-0000-4000-8000-000000000000"}, 404, "unknown_order"),
    ],
)
async def test_what_is_not_there_is_said(world: World, body: dict[str, Any], status: int, code: str) -> None:
    """A plan that nobody mapped, an order that nobody has."""
    sell(world)
    async with world.functions() as client:
        answer = await client.post(ROUTE, json=body, headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_wrong_currency_is_a_conflict(world: World) -> None:
    """Other money pays nothing, and the answer says what to do with it."""
    sell(world)
    async with world.functions() as client:
        made = (await post(client, CREATE))["order"]["id"]
        body = {"action": "collect", "orderId": made, "amount": 1900, "currency": "usd"}
        answer = await client.post(ROUTE, json=body, headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_currency")
    assert "give it back" in answer.json()["detail"]


async def test_the_list_is_filtered_paged_and_whole_as_csv(world: World) -> None:
    """Newest first, each filter by itself, pages without gaps or doubles, and a spreadsheet of all."""
    sell(world)
    async with world.functions() as client:
        ids = []
        for number in range(5):
            body = {**CREATE, "domain": f"shop{number}.example", "name": "=1+1", "customerId": f"K-{number}"}
            ids.append((await post(client, body))["order"]["id"])
        await post(client, {"action": "collect", "orderId": ids[0], "amount": 1900, "currency": "eur"})
        await post(client, {"action": "collect", "orderId": ids[1], "amount": 100, "currency": "eur"})
        await post(client, {"action": "cancel", "orderId": ids[2]})
        seen, cursor = [], None
        while True:
            page = await get(client, limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [order["id"] for order in page["data"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert seen == ids[::-1]
        for query, expected in (
            ({"state": "paid"}, [ids[0]]),
            ({"state": "expired"}, [ids[2]]),
            ({"openOffline": "true"}, [ids[4], ids[3], ids[1]]),
            ({"provider": "cash_on_delivery"}, []),
            ({"customer": "bank_transfer:K-3"}, [ids[3]]),
            ({"email": "ADA@example.com", "state": "paying"}, [ids[1]]),
            ({"notLive": "true"}, []),
            ({"disputed": "true"}, []),
            ({"from": "-1h"}, ids[::-1]),
            ({"to": "-1h"}, []),
        ):
            assert [order["id"] for order in (await get(client, **query))["data"]] == expected, query
        whole = await client.get(ROUTE, headers={**HEADERS, "Accept": "text/csv"})
        dashboard = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()
    rows = list(csv.DictReader(io.StringIO(whole.text)))
    assert [row["id"] for row in rows] == ids[::-1]
    assert rows[-1]["state"] == "paid"
    numbers = dashboard["orders"]
    assert (numbers["pending"], numbers["paying"], numbers["openOffline"]) == (2, 1, 3)
    assert numbers["missing"] == {"eur": 1900 + 1900 + 1800}


async def test_what_is_paid_and_not_live_is_a_list(world: World) -> None:
    """Paid, and the panel makes nothing: listed and alerted until it runs; a price that means nothing is not meant."""
    sell(world)
    sell(world, "gift-card")
    world.sql("UPDATE plan_mappings SET kind = 'ignore', enhance_plan_id = NULL WHERE billing_plan_id = 'gift-card'")
    async with world.functions(PROVISIONING_MODE="paused") as client:
        made = (await post(client, CREATE))["order"]["id"]
        gift = (await post(client, {**CREATE, "billingPlanId": "gift-card", "domain": None}))["order"]["id"]
        for order_id in (made, gift):
            await post(client, {"action": "collect", "orderId": order_id, "amount": 1900, "currency": "eur"})
        past(world, 0.1)
        assert [order["id"] for order in (await get(client, notLive="true"))["data"]] == [made]
        alerts = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()["alerts"]
        assert "paid_not_live" in {alert["code"] for alert in alerts}
    await world.drain()
    async with world.functions() as client:
        assert (await get(client, notLive="true"))["data"] == []


async def reconciled(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The lines of the reconciliation list, whose sums must hold for each of them, whatever has happened."""
    rows: list[dict[str, Any]] = (await get(client, view="reconciliation", provider="bank_transfer"))["data"]
    for row in rows:
        assert row["kept"] == row["collected"] - row["returned"] - row["refunded"], row
        assert row["kept"] == row["expected"] - row["refunded"] + row["difference"], row
    whole = {"view": "reconciliation", "provider": "bank_transfer"}
    answer = await client.get(ROUTE, params=whole, headers={**HEADERS, "Accept": "text/csv"})
    sheet = list(csv.DictReader(io.StringIO(answer.text)))
    numbers = ("amount", "expected", "collected", "returned", "refunded", "kept", "difference")
    assert [[int(row[name]) for name in numbers] for row in sheet] == [[row[name] for name in numbers] for row in rows]
    assert [row["externalIds"] for row in sheet] == [" ".join(row["externalIds"]) for row in rows]
    return rows


async def test_expected_and_collected_add_up_over_an_orders_life(world: World) -> None:
    """Asked, in part, paid, too much, returned and refunded: the difference is what somebody has to act on, else 0."""
    sell(world)
    async with world.functions() as client:
        made = (await post(client, CREATE))["order"]
        about = {"orderId": made["id"], "currency": "eur"}
        story: list[tuple[dict[str, Any] | None, tuple[int, int, int]]] = [
            (None, (1900, 0, -1900)),
            ({"action": "collect", "amount": 900, "externalId": "b1", **about}, (1900, 900, -1000)),
            ({"action": "collect", "amount": 1200, "externalId": "b2", **about}, (1900, 2100, 200)),
            ({"action": "refund", "amount": 400}, (1900, 1700, 200)),
            ({"action": "return", "amount": 200}, (1900, 1500, 0)),
            ({"action": "refund"}, (1900, 0, 0)),
            ({"action": "collect", "amount": 1900, "externalId": "b3", **about}, (1900, 1900, 1900)),
            ({"action": "return", "amount": 1900}, (1900, 0, 0)),
        ]
        for body, expected in story:
            if body is not None:
                await post(client, {"orderId": made["id"], **body})
            (row,) = await reconciled(client)
            assert (row["expected"], row["kept"], row["difference"]) == expected, body
        refused = await client.get(ROUTE, params={"view": "reconciliation"}, headers=HEADERS)
    assert (row["externalIds"], row["reference"], row["amount"]) == (["b1", "b2", "b3"], made["reference"], 1900)
    assert refused.status_code == 422


async def test_of_what_is_over_nothing_is_expected(world: World) -> None:
    """An order that was cancelled is no missing money, and what came for it is to be returned."""
    sell(world)
    async with world.functions() as client:
        for part in (0, 900):
            made = (await post(client, {**CREATE, "domain": f"shop{part}.example"}))["order"]["id"]
            if part:
                await post(client, {"action": "collect", "orderId": made, "amount": part, "currency": "eur"})
            await post(client, {"action": "cancel", "orderId": made})
        rows = [(row["amount"], row["expected"], row["kept"], row["difference"]) for row in await reconciled(client)]
        assert rows == [(1900, 0, 900, 900), (1900, 0, 0, 0)]


async def test_what_is_paid_in_part_comes_to_an_end(world: World) -> None:
    """Past its date it is listed and alerted; cancelled, its part is to be returned; later money pays it even so."""
    sell(world)
    async with world.functions() as client:
        made = (await post(client, CREATE))["order"]["id"]
        part = {"action": "collect", "orderId": made, "amount": 900, "currency": "eur"}
        await post(client, part)
        assert (await get(client, overdue="true"))["data"] == []
        past(world, 15)
        await world.drain()
        assert [order["id"] for order in (await get(client, overdue="true", state="paying"))["data"]] == [made]
        dashboard = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()
        (alert,) = [alert for alert in dashboard["alerts"] if alert["code"] == "part_paid"]
        assert "overdue=true" in alert["remedy"] and dashboard["verdict"]["needYou"] == 1
        refused = await client.post(ROUTE, json={"action": "refund", "orderId": made}, headers=HEADERS)
        assert "cancel it, and then return the 9.00 EUR" in refused.json()["detail"]
        ended = (await post(client, {"action": "cancel", "orderId": made}))["order"]
        assert (ended["state"], ended["cancelled"], ended["overpaid"]) == ("failed", True, 900)
        (alert,) = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()["alerts"]
        assert alert["code"] == "to_return" and alert["detail"].startswith("9.00 EUR came"), alert
        assert (await post(client, {"action": "cancel", "orderId": made}))["repeated"]
        back = (await post(client, {"action": "return", "orderId": made, "amount": 900}))["order"]
        assert (back["overpaid"], back["returned"]) == (0, 900)
        assert (await client.get("/api/admin/dashboard", headers=HEADERS)).json()["alerts"] == []
        late = (await post(client, {**part, "amount": 1900}))["order"]
        assert (late["state"], late["paidLate"], late["overpaid"]) == ("paid", True, 0)
        assert [order["id"] for order in (await get(client, paidLate="true"))["data"]] == [made]
        (alert,) = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()["alerts"]
        assert alert["code"] == "paid_late" and "paidLate=true" in alert["remedy"]
    assert world.only_subscription().suspended_by is None


async def test_a_renewal_that_is_paid_in_part_ends_with_its_line(world: World) -> None:
    """Given up, the line runs to the end of what was paid, and is not asked for again."""
    sell(world)
    async with world.functions() as client:
        first = (await post(client, {**CREATE, "periodDays": 30}))["order"]["id"]
        await post(client, {"action": "collect", "orderId": first, "amount": 1900, "currency": "eur"})
        past(world, 17)
        await world.drain()
        (renewal,) = (await get(client, openOffline="true"))["data"]
        await post(client, {"action": "collect", "orderId": renewal["id"], "amount": 100, "currency": "eur"})
        ended = (await post(client, {"action": "cancel", "orderId": first}))["order"]
        assert (ended["id"], ended["state"], ended["overpaid"]) == (renewal["id"], "failed", 100)
        past(world, 14)
        await world.drain()
        shown = await get(client, id=first)
    assert [one["state"] for one in shown["line"]] == ["paid", "failed"]
    assert [row["holds"] for row in world.sql("SELECT holds FROM services")] == [["ended"]]


async def test_offline_money_is_given_back_and_what_that_means_is_a_choice(world: World) -> None:
    """Parts add up to all, once under each key; `ON_REFUND` says whether that holds, and a person waives it."""
    sell(world)
    async with world.functions(ON_REFUND="suspend") as client:
        made = (await post(client, CREATE))["order"]["id"]
        await post(client, {"action": "collect", "orderId": made, "amount": 1900, "currency": "eur"})
        part = {"action": "refund", "orderId": made, "amount": 900, "reason": "half a year only"}
        for repeated in (False, True):
            answer = await post(client, part, key="refund-1")
            assert (answer["repeated"], answer["order"]["state"]) == (repeated, "paid")
        assert world.only_subscription().suspended_by is None
        rest = await post(client, {"action": "refund", "orderId": made})
        assert (rest["order"]["state"], rest["order"]["refunded"]) == ("refunded", 1900)
        assert world.only_subscription().suspended_by is not None
        refused = await client.post(ROUTE, json=part, headers=HEADERS)
        assert (refused.status_code, refused.json()["code"]) == (409, "refund_refused")
        shown = await get(client, id=made)
        lift = {"action": "lift", "hold": "refund", "customerId": shown["customerId"]}
        lifted = await client.post("/api/admin/work", json=lift, headers=HEADERS)
        assert lifted.status_code == 200, lifted.text
    assert world.only_subscription().suspended_by is None
    assert [(refund["amount"], refund["reason"]) for refund in shown["refunds"]] == [
        (900, "half a year only"),
        (1000, None),
    ]


async def test_what_was_typed_wrong_is_corrected(world: World) -> None:
    """A domain that is somebody else's parks with the remedy; corrected, the website is made at once."""
    sell(world)
    other = world.panel.add_customer("Somebody Else", "else@example.com")
    world.panel.add_website(world.panel.add_subscription(other, world.plan_id, "theirs"), "shop.example")
    async with world.functions() as client:
        made = (await post(client, CREATE))["order"]
        await post(client, {"action": "collect", "orderId": made["id"], "amount": 1900, "currency": "eur"})
        (row,) = [row for row in world.due() if row["parked_reason"]]
        assert (row["key"], row["parked_reason"]) == (made["customerId"], "domain_in_use")
        assert "action change" in row["problems"][0]["detail"]
        wrong = {"action": "change", "orderId": made["id"], "domain": "shop"}
        assert (await client.post(ROUTE, json=wrong, headers=HEADERS)).status_code == 422
        right = await post(client, {**wrong, "domain": "garden.example", "name": "Ada B. Example"})
        assert (right["order"]["domain"], right["order"]["name"]) == ("garden.example", "Ada B. Example")
        shown = await get(client, id=made["id"])
    assert [site.domain for site in world.panel.websites.values()] == ["shop.example", "garden.example"]
    assert shown["steps"][-1]["detail"] == {"fields": ["domain", "name"]}, "no name, and no domain, in the log"


async def test_money_at_stripe_is_refunded_by_the_same_route(world: World) -> None:
    """Stripe is asked once, and the answer says how the refund stands."""
    shop = Shop(world)
    made, session = await shop.begin(ONCE)
    world.stripe.complete_checkout(session, "ada@example.com")
    async with world.functions(**ON) as client:
        for event in list(world.stripe.undelivered()):
            await world.deliver(client, event)
        await world.drain(**ON)
        answer = await post(client, {"action": "refund", "orderId": made, "amount": 1000})
        assert (answer["refund"]["status"], answer["refund"]["amount"]) == ("succeeded", 1000)
        collect = {"action": "collect", "orderId": made, "amount": 1000, "currency": "eur"}
        refused = await client.post(ROUTE, json=collect, headers=HEADERS)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_offline")


async def test_no_amount_is_told_without_how_many_of_its_digits_are_behind_the_point(world: World) -> None:
    """Yen have none, dinars three: wherever an amount and a currency are, the exponent stands beside them."""
    sell(world)
    bare: list[tuple[str, Any]] = []

    def look(value: Any, where: str) -> None:
        if isinstance(value, dict):
            if "currency" in value and value.get("exponent") != {"jpy": 0, "kwd": 3}.get(value["currency"]):
                bare.append((where, value))
            for name, part in value.items():
                look(part, f"{where}.{name}")
        elif isinstance(value, list):
            for part in value:
                look(part, where)

    async with world.functions() as client:
        for currency, amount in (("jpy", 1900), ("kwd", 1900)):
            made = await post(client, {**CREATE, "currency": currency, "domain": f"{currency}.example"})
            more = {"action": "collect", "orderId": made["order"]["id"], "amount": amount + 100, "currency": currency}
            look(await post(client, more), "collected")
            look(await get(client, id=made["order"]["id"]), "one")
        look(await get(client), "list")
        look(await get(client, view="reconciliation", provider="bank_transfer"), "reconciliation")
        overview = (await client.get("/api/admin/dashboard", headers=HEADERS)).json()["orders"]
    assert bare == []
    assert overview["toReturn"] == {"jpy": 100, "kwd": 100}
    assert overview["exponents"] == {"jpy": 0, "kwd": 3}
