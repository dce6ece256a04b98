"""How far a key reaches by its scope: every method of every route, and what a courier's key may ask for."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.config import Settings
from lib.errors import SettingsError
from lib.model.provider import Provider
from scripts._functions import ROOT, function_files, load_function
from tests.admin.test_orders import CREATE, HEADERS, ROUTE, get, post
from tests.money.shop import Shop
from tests.money.till import sell
from tests.world import ADMIN_KEY, World

KEYS = {
    "ADMIN_API_KEY": f"anna:{ADMIN_KEY},courier:courier_fake_key,books:books_fake_key,courier:courier_fake_newer",
    "KEY_SCOPES": "courier=collect, books=READ",
}
COURIER, BOOKS, NEWER = (
    {"Authorization": f"Bearer {key}"} for key in ("courier_fake_key", "books_fake_key", "courier_fake_newer")
)
ROUTES = [
    ("/" + path.with_suffix("").as_posix(), method)
    for path in function_files()
    if (app := load_function(ROOT, path)).guard.name in ("admin", "optional_admin")
    for method in app.verbs
]
"""Every route that takes a key of an operator, with each of its methods."""


def forbidden(answer: httpx.Response, scope: str) -> None:
    """The answer says that this scope does not reach so far."""
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    assert f"scope {scope}" in answer.json()["detail"]


def test_all_routes_are_meant() -> None:
    """The table is that of the functions: all that operators use, and what strangers may ask with or without a key."""
    assert len({path for path, _ in ROUTES}) == len(list(Path(ROOT, "api", "admin").glob("*.py"))) + 3
    assert {("/api/admin/plans", "DELETE"), ("/api/checkout", "POST"), ("/api/health", "GET")} <= set(ROUTES)


async def test_each_scope_ends_where_it_says(world: World) -> None:
    """`read` changes nothing anywhere, `collect` reaches nothing but orders: refused before a body is read."""
    async with world.functions(**KEYS) as client:
        before = {**world.dump(), "due": world.due()}
        for path, method in ROUTES:
            content = b"{" if method != "GET" else None
            looked = await client.request(method, path, headers=BOOKS, content=content)
            if method == "GET":
                assert looked.status_code in (200, 404, 422), (path, looked.text)
            else:
                forbidden(looked, "read")
            came = await client.request(method, path, headers=COURIER, content=content)
            if (path, method) == (ROUTE, "POST"):
                assert came.json()["code"] == "invalid_json"
            else:
                forbidden(came, "collect")
            everything = await client.request(method, path, headers=HEADERS, content=content)
            assert everything.status_code != 403, (path, everything.text)
        assert (await client.head("/api/admin/dashboard", headers=BOOKS)).status_code == 200
        assert "latencies" in (await client.get("/api/health", headers=BOOKS)).text
        assert {**world.dump(), "due": world.due()} == before


async def test_a_courier_sees_what_is_open_and_tells_of_its_money(world: World) -> None:
    """The list of open orders and one by its reference; `collect`, under both keys of the name; nothing else of it."""
    sell(world)
    async with world.functions(**KEYS) as client:
        made = (await post(client, CREATE))["order"]
        for query in ({"openOffline": "true"}, {"reference": made["reference"]}):
            answer = await client.get(ROUTE, params=query, headers=COURIER)
            assert [order["id"] for order in answer.json()["data"]] == [made["id"]]
        beyond: list[dict[str, Any]] = [
            {},
            {"state": "paid"},
            {"id": made["id"]},
            {"id": made["id"], "openOffline": "true"},
            {"dispute": "dp_1", "reference": made["reference"]},
            {"view": "reconciliation", "provider": "bank_transfer", "openOffline": "true"},
            {"provider": "stripe", "openOffline": "true"},
        ]
        for query in beyond:
            forbidden(await client.get(ROUTE, params=query, headers=COURIER), "collect")
        about = {"orderId": made["id"], "amount": 100}
        for body in (
            CREATE,
            {"action": "cancel", "orderId": made["id"]},
            {"action": "change", "orderId": made["id"], "name": "Eve"},
            {"action": "return", **about},
            {"action": "refund", **about},
            {"action": "releaseEscrow", "orderId": made["id"]},
        ):
            forbidden(await client.post(ROUTE, json=body, headers=COURIER), "collect")
            forbidden(await client.post(ROUTE, json=body, headers=BOOKS), "read")
        for number, key in enumerate((COURIER, NEWER), 1):
            part = {"action": "collect", **about, "currency": "eur", "externalId": f"c{number}"}
            answer = await client.post(ROUTE, json=part, headers=key)
            assert answer.json()["order"]["collected"] == 100 * number
            forbidden(await client.post(ROUTE, json=part, headers=BOOKS), "read")
        shown = await get(client, id=made["id"])
    assert (shown["state"], [line["actor"] for line in shown["collections"]]) == ("paying", ["courier", "courier"])


async def test_a_courier_reaches_no_order_that_is_not_open(world: World) -> None:
    """What is paid, expired or at Stripe is not shown and takes nothing of theirs; a repetition is answered."""
    sell(world)
    at_stripe, _ = await Shop(world).begin(domain="stripe.example")
    async with world.functions(**KEYS) as client:
        paid, gone = [(await post(client, {**CREATE, "domain": f"{n}.example"}))["order"] for n in ("a", "b")]
        await post(client, {"action": "cancel", "orderId": gone["id"]})
        whole = {"action": "collect", "amount": 1900, "currency": "eur"}
        first = {**whole, "reference": paid["reference"], "externalId": "c1"}
        for repeated in (False, True):
            answer = await client.post(ROUTE, json=first, headers=COURIER)
            assert (answer.status_code, answer.json()["repeated"]) == (200, repeated), answer.text
        for order in (paid, gone):
            seen = await client.get(ROUTE, params={"reference": order["reference"]}, headers=COURIER)
            assert seen.json()["data"] == []
        for order_id, refusal in ((paid["id"], "forbidden"), (gone["id"], "forbidden"), (at_stripe, "not_offline")):
            more = {**whole, "orderId": order_id, "externalId": "c2"}
            answer = await client.post(ROUTE, json=more, headers=COURIER)
            assert answer.json()["code"] == refusal, answer.text
            forbidden(await client.post(ROUTE, json={**more, "anyway": True}, headers=COURIER), "collect")
        assert world.sql("SELECT sum(collected)::int AS came FROM orders") == [{"came": 1900}]
        late = await post(client, {**whole, "orderId": gone["id"], "externalId": "c2"})
    assert late["order"]["state"] == "paid", "an operator may"


async def test_a_key_may_be_for_one_way_to_pay(world: World) -> None:
    """A courier's sees and collects what is paid to couriers, and a bank's what is transferred."""
    sell(world)
    sell(world, provider=Provider.CASH_ON_DELIVERY)
    keys = {**KEYS, "KEY_SCOPES": "courier=collect:cash_on_delivery, books=COLLECT:bank_transfer"}
    async with world.functions(**keys) as client:
        made = {
            provider: (await post(client, {**CREATE, "provider": provider, "domain": f"{number}.example"}))["order"]
            for number, provider in enumerate(("cash_on_delivery", "bank_transfer"))
        }
        cash, bank = made
        for key, own, other in ((COURIER, cash, bank), (BOOKS, bank, cash)):
            seen = await client.get(ROUTE, params={"openOffline": "true"}, headers=key)
            assert [order["id"] for order in seen.json()["data"]] == [made[own]["id"]]
            seen = await client.get(ROUTE, params={"reference": made[other]["reference"]}, headers=key)
            assert seen.json()["data"] == []
            asked = {"openOffline": "true", "provider": other}
            forbidden(await client.get(ROUTE, params=asked, headers=key), f"collect:{own}")
            part = {"action": "collect", "amount": 100, "currency": "eur"}
            answer = await client.post(ROUTE, json={**part, "orderId": made[other]["id"]}, headers=key)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert "operator's key" in answer.json()["detail"]
            answer = await client.post(ROUTE, json={**part, "orderId": made[own]["id"]}, headers=key)
            assert answer.json()["order"]["collected"] == 100


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ("courir=collect", "ADMIN_API_KEY has no key of that name"),
        ("admin=read", "ADMIN_API_KEY has no key of that name"),
        ("courier", "must be name=read, name=bounce or name=collect"),
        ("courier=", "must be name=read, name=bounce or name=collect"),
        ("courier=all", "must be name=read, name=bounce or name=collect"),
        ("courier=write", "must be name=read, name=bounce or name=collect"),
        ("courier=collect:stripe", "must be name=read, name=bounce or name=collect"),
        ("courier=collect:", "must be name=read, name=bounce or name=collect"),
        ("courier=read,,books=read", "must be name=read, name=bounce or name=collect"),
        ("courier=read,courier=collect", "names one key twice"),
    ],
)
def test_a_scope_that_is_mistyped_opens_nothing(world: World, scopes: str, said: str) -> None:
    """It is told with the other faults of the settings, and then no key is taken at all."""
    with pytest.raises(SettingsError) as raised:
        Settings.load({**world.environ, **KEYS, "KEY_SCOPES": scopes})
    (problem,) = raised.value.problems
    assert problem.startswith("KEY_SCOPES ") and said in problem


def test_a_key_without_a_scope_may_do_everything(world: World) -> None:
    """Also a bare one, as before there were scopes; a bare one is `admin`, and may have one, too."""
    assert Settings.load(world.environ).scope_of("admin") == "all"
    bare = Settings.load({**world.environ, "KEY_SCOPES": "admin=read"})
    assert (bare.scope_of("admin"), bare.scope_of("anna")) == ("read", "all")
