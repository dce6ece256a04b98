"""The operator's hand: `/api/admin/work` shows all that waits for somebody, and does what only a person may decide."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest

from lib.enhance_client import EnhanceClient
from lib.subscription_manager import SubscriptionManager
from lib.subscription_manager.customer import Reconciler
from tests.world import ADMIN_KEY, World

DAY = 86400
WORK, DASHBOARD, SYNC = "/api/admin/work", "/api/admin/dashboard", "/api/admin/sync"
ANNA = {"Authorization": "Bearer key1"}
BOB = {"Authorization": "Bearer key2"}
TWO_KEYS = {"ADMIN_API_KEY": "anna:key1,bob:key2"}
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


async def act(client: httpx.AsyncClient, action: str, **body: Any) -> httpx.Response:
    """One action as the one admin."""
    return await client.post(WORK, json=own(action, body), headers=ADMIN)


def own(action: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body of an action, without what only another one takes."""
    others = {"until": "grace", "confirm": "hardDelete"}
    return {"action": action, **{name: value for name, value in body.items() if others.get(name, action) == action}}


async def done(client: httpx.AsyncClient, action: str, **body: Any) -> dict[str, Any]:
    """One action that must succeed; its answer."""
    answer = await act(client, action, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["action"] == action
    return found


def assert_problem(answer: httpx.Response, status: int, code: str | None = None, field: str | None = None) -> None:
    """It is an RFC 9457 problem document of this status, code and field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"]
    if code is not None:
        assert document["code"] == code
    if field is not None:
        assert document["field"] == field


async def provisioned(world: World, **more: Any) -> tuple[str, str]:
    """A customer whose service is live: (customer, subscription)."""
    customer = world.customer()
    subscription = world.buy(customer, **more)
    await world.sync(customer)
    return customer, subscription


def suspended(world: World, subscription: str) -> bool:
    """Whether the panel has this service suspended."""
    return world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].suspended_by is not None


def writes(world: World) -> list[str]:
    """Every call that changed, or was to change, something in the panel."""
    harmless = ("/domains/check", "/calculate-resource-usage")
    return [f"{c.method} {c.path}" for c in world.panel.calls if c.method != "GET" and not c.path.endswith(harmless)]


def by_hand(world: World, kind: str) -> list[dict[str, Any]]:
    """The ledger's rows of one kind."""
    return world.sql("SELECT * FROM actions WHERE kind = %s ORDER BY id", kind)


# --- who may ----------------------------------------------------------------------------------------------------------

STRANGERS = {
    "nobody": {},
    "a wrong key": {"Authorization": "Bearer nonsense"},
    "an empty key": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {ADMIN_KEY}"},
    "the name and the key": {"Authorization": f"Bearer admin:{ADMIN_KEY}"},
    "both keys at once": {"Authorization": f"Bearer {ADMIN_KEY},{ADMIN_KEY}"},
    "the cron's secret": {"Authorization": "Bearer cron_fake_secret"},
    "bytes beyond ASCII": {"Authorization": b"Bearer \xff\xfe"},
}


@pytest.mark.parametrize("who", STRANGERS)
async def test_strangers_see_and_change_nothing(world: World, who: str) -> None:
    """Without a valid key every admin route answers 401 with a problem document, and neither side is asked anything."""
    async with world.functions() as client:
        for method, path in (("GET", WORK), ("POST", WORK), ("GET", DASHBOARD), ("POST", SYNC)):
            body = {"action": "releaseBrake", "all": True} if method == "POST" else None
            answer = await client.request(method, path, json=body, headers=STRANGERS[who])  # type: ignore[arg-type]
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert world.stripe.calls == []
    assert world.panel.calls == []
    assert world.due() == []


async def test_a_strangers_body_is_not_even_read(world: World) -> None:
    """Who may nothing learns nothing: a broken body still answers 401."""
    async with world.functions() as client:
        assert_problem(await client.post(WORK, content=b"{"), 401)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(world: World, method: str) -> None:
    """The route takes GET and POST, and says so."""
    async with world.functions() as client:
        answer = await client.request(method, WORK, headers=ADMIN)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_the_ledger_names_who_did_it(world: World) -> None:
    """Each admin's own name stands in every row that their action caused, the words of their hand and the panel's."""
    customer, subscription = await provisioned(world)
    async with world.functions(**TWO_KEYS) as client:
        for headers, action in ((ANNA, "hold"), (BOB, "lift")):
            body = {"action": action, "subscriptionId": subscription, "reason": "asked by phone"}
            answer = await client.post(WORK, json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    actors = {(row["kind"], row["actor"]) for row in world.sql("SELECT * FROM actions WHERE actor <> 'bridge'")}
    assert actors == {("hold", "anna"), ("suspend", "anna"), ("lift", "bob"), ("resume", "bob")}
    (row,) = by_hand(world, "hold")
    assert (row["customer_id"], row["subscription_id"], row["state"]) == (customer, subscription, "noted")
    assert row["facts"]["reason"] == "asked by phone"


async def test_the_ledger_names_who_asked_for_a_plan_in_shadow_mode(world: World) -> None:
    """Also what would be done carries the name of whoever asked."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(PROVISIONING_MODE="shadow", **TWO_KEYS) as client:
        answer = await client.post(WORK, json={"action": "retry", "customerId": customer}, headers=BOB)
        assert answer.status_code == 200, answer.text
    assert {row["actor"] for row in world.sql("SELECT actor FROM actions")} == {"bob"}


# --- what is malformed ------------------------------------------------------------------------------------------------

SUB = object()
"""Stands for the subscription of this test's customer."""
CUS = object()

MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({}, "action"),
    ({"action": None, "customerId": CUS}, "action"),
    ({"action": 5, "customerId": CUS}, "action"),
    ({"action": "", "customerId": CUS}, "action"),
    ({"action": "frobnicate", "customerId": CUS}, "action"),
    ({"action": "frobnicate"}, "action"),
    ({"action": "Retry", "customerId": CUS}, "action"),
    ({"action": "retry"}, "customerId"),
    ({"action": "retry", "customerId": 7}, "customerId"),
    ({"action": "retry", "customerId": ""}, "customerId"),
    ({"action": "retry", "customerId": "   "}, "customerId"),
    ({"action": "retry", "customerId": "x" * 256}, "customerId"),
    ({"action": "retry", "customerId": "cus_\x00"}, "customerId"),
    ({"action": "retry", "customerId": "cus_\ud800"}, "customerId"),
    ({"action": "retry", "customerId": [CUS]}, "customerId"),
    ({"action": "retry", "subscriptionId": {"id": SUB}}, "subscriptionId"),
    ({"action": "retry", "subscriptionId": True}, "subscriptionId"),
    ({"action": "retry", "subscriptionId": "sub_\n"}, "subscriptionId"),
    ({"action": "hold", "subscriptionId": SUB, "reason": 7}, "reason"),
    ({"action": "hold", "subscriptionId": SUB, "reason": ""}, "reason"),
    ({"action": "hold", "subscriptionId": SUB, "reason": "x" * 501}, "reason"),
    ({"action": "lift", "subscriptionId": SUB, "hold": "paused"}, "hold"),
    ({"action": "lift", "subscriptionId": SUB, "hold": "nonsense"}, "hold"),
    ({"action": "lift", "subscriptionId": SUB, "hold": ["admin"]}, "hold"),
    ({"action": "grace", "subscriptionId": SUB}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "tomorrow"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": ""}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": 1893456000}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": True}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "2030-02-30"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "0001-01-01T00:00:00+23:59"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "9999-12-31T23:59:59-23:59"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "9999-12-31T23:59:59Z"}, "until"),
    ({"action": "grace", "subscriptionId": SUB, "until": "2099-05-01"}, "until"),
    ({"action": "releaseBrake", "customerId": CUS}, "customerId"),
    ({"action": "releaseBrake", "subscriptionId": SUB}, "subscriptionId"),
    ({"action": "hardDelete", "subscriptionId": SUB}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": "yes"}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": True}, "confirm"),
    ({"action": "hardDelete", "subscriptionId": SUB, "confirm": CUS}, "confirm"),
]


@pytest.mark.parametrize(("body", "field"), MALFORMED, ids=lambda part: json.dumps(part, default=lambda _: "ID")[:70])
async def test_a_malformed_field_is_named_and_nothing_happens(world: World, body: dict[str, Any], field: str) -> None:
    """What is wrong is answered with 422 and the field's name, and no memory changes."""
    customer, subscription = await provisioned(world)
    before = world.dump()

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [filled(part) for part in value]
        return subscription if value is SUB else customer if value is CUS else value

    world.panel.forget_calls()
    async with world.functions() as client:
        content = json.dumps(filled(body)).encode()
        assert_problem(await client.post(WORK, content=content, headers=ADMIN), 422, field=field)
    assert world.dump() == before
    assert writes(world) == []


@pytest.mark.parametrize("body", [b"[]", b'"retry"', b"null", b"{", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object(world: World, body: bytes) -> None:
    """Only a JSON object is a request."""
    async with world.functions() as client:
        assert_problem(await client.post(WORK, content=body, headers=ADMIN), 400, "invalid_json")


HOSTILE = [
    "cus_unknown",
    "sub_unknown",
    "'; DROP TABLE services; --",
    '" OR 1=1 --',
    "%s %(id)s {}",
    "../prices/price_basic_monthly",
    "..",
    "a/../../prices/price_basic_monthly",
    "cus_1?limit=1",
    "cus_1#fragment",
    "%2e%2e%2fprices%2fprice_basic_monthly",
    "Zoë 🚀 נכון",
    "x" * 255,
    "$(reboot)",
    "<script>alert(1)</script>",
    "\\",
    "*",
]
ACTIONS = ("retry", "release", "hold", "lift", "grace", "recreate", "hardDelete")


@pytest.mark.parametrize("identifier", HOSTILE)
async def test_an_unknown_id_is_refused_whatever_it_looks_like(world: World, identifier: str) -> None:
    """Nobody is found, Stripe is asked under its own paths only, and nothing is written anywhere."""
    await provisioned(world)
    before = world.dump()
    world.stripe.calls.clear()
    named = identifier.replace("_", "").isalnum() and identifier.isascii()
    async with world.functions() as client:
        for kind in ("customer", "subscription"):
            named_by = {f"{kind}Id": identifier}
            more = {"until": None, "confirm": identifier, **named_by}
            for path, sent in [(SYNC, named_by), *((WORK, own(action, more)) for action in ACTIONS)]:
                answer = await client.post(path, json=sent, headers=ADMIN)
                if named:
                    assert_problem(answer, 404, f"unknown_{kind}", f"{kind}Id")
                else:
                    assert_problem(answer, 422, "invalid_field", f"{kind}Id")
    asked = {call.path.rpartition("/") for call in world.stripe.calls}
    assert {(start, end) for start, _, end in asked} <= {
        (start, identifier) for start in ("/v1/customers", "/v1/subscriptions")
    }
    assert world.dump() == before
    assert world.due() == []


async def test_a_subscription_of_somebody_else_is_unknown(world: World) -> None:
    """With both ids given they must belong together."""
    _, subscription = await provisioned(world)
    other = world.customer("Ben", "ben@example.com")
    async with world.functions() as client:
        answer = await act(client, "hold", customerId=other, subscriptionId=subscription)
        assert_problem(answer, 404, "unknown_subscription", "subscriptionId")
    assert world.service(subscription)["holds"] == []


@pytest.mark.parametrize("action", ["hold", "lift", "release", "grace"])
async def test_a_subscription_that_was_never_reconciled_is_said_to_be_unknown(world: World, action: str) -> None:
    """There is nothing yet to hold or release; the customer stays due and is provisioned as usual."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        answer = await act(client, action, subscriptionId=subscription, until=None)
        assert_problem(answer, 404, "unknown_subscription")
    await world.come_to_rest()
    assert world.service(subscription)["state"] == "live"


# --- retry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
async def test_retry_runs_the_pass_now(world: World, by: str) -> None:
    """A parked customer whose cause is gone is provisioned by the very request that asks for it."""
    customer = world.customer()
    subscription = world.buy(customer, domain="taken.example")
    world.panel.reserve_domain_elsewhere("taken.example")
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "domain_in_use"
    world.panel.state.elsewhere.clear()
    async with world.functions() as client:
        answer = await done(client, "retry", **{by: subscription if by == "subscriptionId" else customer})
    assert answer["outcome"]["state"] == "settled"
    assert [one["kind"] for one in answer["actions"]] == ["create_website"]
    assert world.due() == []
    assert world.service(subscription)["website_id"] is not None


async def test_retry_of_what_still_fails_stays_parked(world: World) -> None:
    """A retry that changes nothing leaves the row parked for as long as it was, and says why."""
    customer = world.customer()
    world.buy(customer, domain="taken.example")
    world.panel.reserve_domain_elsewhere("taken.example")
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        answer = await done(client, "retry", customerId=customer)
    (after,) = world.due()
    assert (answer["outcome"]["state"], answer["outcome"]["reason"]) == ("parked", "domain_in_use")
    assert (after["parked_reason"], after["parked_at"]) == (before["parked_reason"], before["parked_at"])
    assert len(by_hand(world, "parked")) == 1


async def test_twenty_retries_at_once_provision_once(world: World) -> None:
    """However often the button is pressed, one of everything is made, and every press gets an answer."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions() as client:
        answers = await asyncio.gather(*(act(client, "retry", customerId=customer) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert any(answer.status_code == 200 for answer in answers)
    await world.come_to_rest()
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    assert len(world.panel.recovery_mails) == 1
    assert world.due() == []
    assert world.dangling() == []


async def test_retry_while_the_panel_is_away_says_so_and_stays_due(world: World) -> None:
    """The other side's failure is the answer's outcome, never a crash; the customer stays in the queue."""
    customer = world.customer()
    world.buy(customer)
    world.panel.down = True
    async with world.functions() as client:
        answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["state"] == "again"
    assert answer["outcome"]["error"]
    assert len(world.due()) == 1


# --- hold and lift ----------------------------------------------------------------------------------------------------


async def test_a_hold_suspends_and_only_a_lift_resumes(world: World) -> None:
    """An admin's hold outlives payments, renewals and passes; the lift brings the service back at once."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        answer = await done(client, "hold", subscriptionId=subscription, reason="abuse")
        assert [one["kind"] for one in answer["actions"]] == ["suspend"]
        assert suspended(world, subscription)
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        await done(client, "retry", customerId=customer)
        world.stripe.pay_open_invoice(subscription)
        world.stripe.renew(subscription)
        for event in world.stripe.events_of("invoice.paid"):
            await world.deliver(client, event)
        await done(client, "retry", customerId=customer)
        assert suspended(world, subscription)
        assert world.service(subscription)["holds"] == ["admin"]
        answer = await done(client, "lift", subscriptionId=subscription)
    assert [one["kind"] for one in answer["actions"]] == ["resume"]
    assert not suspended(world, subscription)
    assert (world.service(subscription)["holds"], world.due()) == ([], [])


async def test_a_lift_of_the_admins_hold_leaves_the_others(world: World) -> None:
    """Each hold is lifted by its own cause: who has not paid stays off after the admin's hold is gone."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        world.stripe.mark_unpaid(subscription)
        await done(client, "retry", customerId=customer)
        assert world.service(subscription)["holds"] == ["admin", "unpaid"]
        await done(client, "lift", subscriptionId=subscription)
        assert world.service(subscription)["holds"] == ["unpaid"]
        assert suspended(world, subscription)
        world.stripe.pay_open_invoice(subscription)
        await done(client, "retry", customerId=customer)
    assert not suspended(world, subscription)


async def test_holding_and_lifting_twice_is_once(world: World) -> None:
    """Doubled presses change nothing more: one suspension, one resumption."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        await asyncio.gather(*(done(client, "hold", subscriptionId=subscription) for _ in range(5)))
        assert world.service(subscription)["holds"] == ["admin"]
        await asyncio.gather(*(done(client, "lift", subscriptionId=subscription) for _ in range(5)))
    assert world.service(subscription)["holds"] == []
    applied = world.ledger("applied")
    assert (applied.count("suspend"), applied.count("resume")) == (1, 1)


async def test_a_hold_is_of_every_service_of_its_subscription_and_of_no_other(world: World) -> None:
    """Two services of one subscription are held together; the customer's other subscription runs on."""
    customer = world.customer()
    first = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    second = world.buy(customer, price="price_big_monthly")
    await world.sync(customer)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=first)
    assert [world.service(first, slot)["holds"] for slot in (1, 2)] == [["admin"], ["admin"]]
    assert not suspended(world, second)
    assert world.service(second)["holds"] == []


@pytest.mark.parametrize("action", ["hold", "lift", "grace", "release"])
async def test_by_customer_it_is_about_all_their_subscriptions(world: World, action: str) -> None:
    """With `customerId` alone an action means everything of this customer, and nothing of anybody else."""
    customer = world.customer()
    mine = [world.buy(customer), world.buy(customer, price="price_big_monthly", domain="two.example")]
    other = world.customer("Ben", "ben@example.com")
    theirs = world.buy(other, domain="ben.example")
    await world.sync(customer)
    await world.sync(other)
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    cases: dict[str, tuple[str, Any, Any]] = {
        "hold": ("holds", ["admin"], []),
        "lift": ("holds", [], []),
        "grace": ("grace_override", until, None),
        "release": ("released", True, False),
    }
    column, wanted, empty = cases[action]
    async with world.functions() as client:
        if action == "lift":
            await done(client, "hold", customerId=customer)
        if action == "grace":
            for subscription in mine:
                world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        await done(client, action, customerId=customer, until=until.isoformat())
    assert [world.service(subscription)[column] for subscription in mine] == [wanted, wanted]
    assert world.service(theirs)[column] == empty


async def test_a_hold_of_what_was_never_made_makes_nothing(world: World) -> None:
    """What is held before it was provisioned stays unmade until the hold is lifted."""
    customer = world.customer()
    subscription = world.buy(customer)
    world.panel.fail_next("POST", "/subscriptions$", 400, code="bad_request", times=9)
    await world.sync(customer)
    world.panel.clear_faults()
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        assert world.panel.world()["subscriptions"] == 0
        await done(client, "lift", subscriptionId=subscription)
    assert world.panel.world()["subscriptions"] == 1


async def test_a_lift_never_touches_a_suspension_made_in_the_panel(world: World) -> None:
    """Somebody else's suspension is theirs to lift."""
    _, subscription = await provisioned(world)
    world.panel.suspend_by_hand(world.only_subscription().id)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        await done(client, "lift", subscriptionId=subscription)
    assert suspended(world, subscription)
    assert world.only_subscription().suspended_by == world.panel.staff_id
    assert world.service(subscription)["panel_suspended"]


async def test_a_hold_is_never_braked_by_its_own_kind_of_work(world: World) -> None:
    """With the brake engaged a hold is remembered and waits as every suspension does; the release carries it out."""
    _, subscription = await provisioned(world)
    world.sql("UPDATE brake SET engaged_at = now(), reason = 'a test'")
    async with world.functions() as client:
        answer = await done(client, "hold", subscriptionId=subscription)
        assert answer["outcome"]["why"] == "brake"
        assert world.service(subscription)["holds"] == ["admin"]
        assert not suspended(world, subscription)
        assert (await done(client, "releaseBrake"))["released"] == 1
    assert suspended(world, subscription)


async def test_a_hold_says_what_is_off_now_and_what_is_not(world: World) -> None:
    """Suspended, never made and terminated services of one customer are told apart in the answer."""
    customer = world.customer()
    ended = world.buy(customer, domain=None)
    live, strange = world.buy(customer, domain=None), world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.cancel(ended, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    unmade = world.buy(customer, domain=None)
    world.panel.fail_next("POST", "/subscriptions$", 400, code="bad_request", times=9)
    await world.sync(customer)
    world.stripe.set(strange, status="new_in_2030")
    async with world.functions() as client:
        answer = await done(client, "hold", customerId=customer)
        assert sorted(answer["held"]) == sorted([live, unmade, strange])
        assert answer["notHeld"] == [ended]
    assert suspended(world, live) and suspended(world, strange)


async def test_a_hold_during_a_pass_waits_for_it_and_is_not_overwritten(world: World) -> None:
    """A pass that read its memory before the hold can't write it away: the hold takes its turn after the pass."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    gate = world.panel.hold_next("PATCH", "/subscriptions/")
    async with world.functions() as client:
        running = asyncio.create_task(world.sync(customer))
        await gate.reached()
        holding = asyncio.create_task(done(client, "hold", subscriptionId=subscription))
        for _ in range(1000):  # until the hold has asked for its turn
            if world.due()[0]["generation"] > 1:
                break
            await asyncio.sleep(0.01)
        assert world.service(subscription)["holds"] == []
        gate.release()
        await running
        await holding
    assert world.service(subscription)["holds"] == ["admin"]
    assert suspended(world, subscription)
    assert world.only_subscription().plan_id == world.big_plan_id
    await world.come_to_rest()
    assert world.service(subscription)["holds"] == ["admin"]


async def test_a_pass_that_lost_its_lease_does_not_write_a_hold_away(world: World) -> None:
    """Whoever comes back after their lease was taken stops before the next change, and the hold stands."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, price="price_big_monthly", invoice="paid")
    gate = world.panel.hold_next("PATCH", "/subscriptions/")
    async with world.functions() as client:
        running = asyncio.create_task(world.sync(customer))
        await gate.reached()
        world.sql("UPDATE due SET leased_until = now() - interval '1 second'")  # its process seemed dead
        await done(client, "hold", subscriptionId=subscription)
        assert suspended(world, subscription)
        gate.release()
        await running
    assert "admin" in world.service(subscription)["holds"]
    await world.come_to_rest()
    assert "admin" in world.service(subscription)["holds"]
    assert suspended(world, subscription)


async def test_a_hold_that_gets_no_turn_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process works on the customer and does not end, the answer is 409 `busy`, and nothing is held."""
    monkeypatch.setattr(import_module("lib.subscription_manager.manager"), "WAIT_FOR_CLAIM", 0.0)
    customer, subscription = await provisioned(world)
    world.sql(
        "INSERT INTO due (kind, key, lease_id, leased_until)"
        " VALUES ('customer', %s, gen_random_uuid(), now() + interval '1 hour')",
        customer,
    )
    async with world.functions() as client:
        assert_problem(await act(client, "hold", subscriptionId=subscription), 409, "busy")
    assert world.service(subscription)["holds"] == []


# --- disputes and refunds: lift waives the present one ----------------------------------------------------------------


async def disputed(world: World, client: httpx.AsyncClient, subscription: str) -> str:
    """Dispute the subscription's latest payment, and let the event arrive; the dispute's id."""
    world.stripe.dispute(subscription)
    event = world.stripe.events_of("charge.dispute.created")[-1]
    await world.deliver(client, event)
    return str(event["data"]["object"]["id"])


async def test_a_lifted_dispute_stays_lifted_until_the_next_one(world: World) -> None:
    """The waiver is for this dispute: it survives passes and its own progress, and the next dispute holds again."""
    customer, subscription = await provisioned(world)
    async with world.functions() as client:
        dispute = await disputed(world, client, subscription)
        assert world.service(subscription)["holds"] == ["dispute"]
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        assert not suspended(world, subscription)
        world.stripe.update_dispute(dispute, "under_review")
        await world.deliver(client, world.stripe.events_of("charge.dispute.updated")[-1])
        await done(client, "retry", customerId=customer)
        assert not suspended(world, subscription)
        world.stripe.close_dispute(dispute, "won")
        await world.deliver(client, world.stripe.events_of("charge.dispute.closed")[-1])
        world.stripe.renew(subscription)
        await disputed(world, client, subscription)
    assert world.service(subscription)["holds"] == ["dispute"]
    assert suspended(world, subscription)


@pytest.mark.parametrize("first", ["lost", "still open"])
async def test_a_waiver_does_not_excuse_a_second_dispute(world: World, first: str) -> None:
    """A lost dispute stays lost for good, and cases overlap: a waiver never stands for what is disputed afterwards."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        dispute = await disputed(world, client, subscription)
        if first == "lost":
            world.stripe.close_dispute(dispute, "lost")
            await world.deliver(client, world.stripe.events_of("charge.dispute.closed")[-1])
        assert world.service(subscription)["holds"] == ["dispute"]
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        assert not suspended(world, subscription)
        world.stripe.renew(subscription)
        await disputed(world, client, subscription)
    assert world.service(subscription)["holds"] == ["dispute"]
    assert suspended(world, subscription)


async def test_a_lifted_refund_is_of_that_invoice_only(world: World) -> None:
    """The refund of a later invoice holds again."""
    customer, subscription = await provisioned(world)
    async with world.functions(ON_REFUND="suspend") as client:
        world.stripe.refund(subscription)
        await world.deliver(client, world.stripe.events_of("charge.refunded")[-1])
        assert world.service(subscription)["holds"] == ["refund"]
        await done(client, "lift", subscriptionId=subscription, hold="refund")
        await done(client, "retry", customerId=customer)
        assert not suspended(world, subscription)
        world.stripe.renew(subscription)
        await done(client, "retry", customerId=customer)
        world.stripe.refund(subscription)
        await world.deliver(client, world.stripe.events_of("charge.refunded")[-1])
    assert world.service(subscription)["holds"] == ["refund"]
    assert suspended(world, subscription)


async def test_a_lift_of_what_is_not_there_waives_nothing(world: World) -> None:
    """A dispute that does not exist yet can't be waived ahead."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        await done(client, "lift", subscriptionId=subscription, hold="dispute")
        await disputed(world, client, subscription)
    assert suspended(world, subscription)


# --- one-off grace ----------------------------------------------------------------------------------------------------


async def behind(world: World, days: int = 30) -> tuple[str, str]:
    """A customer whose grace is long over: suspended."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - days * DAY)
    await world.sync(customer)
    assert suspended(world, subscription)
    return customer, subscription


def _ahead(**delta: float) -> datetime:
    return (datetime.now(UTC) + timedelta(**delta)).replace(microsecond=0)


FUTURE: dict[str, Callable[[datetime], str]] = {
    "utc": lambda at: at.isoformat(),
    "zulu": lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "naive is utc": lambda at: at.replace(tzinfo=None).isoformat(),
    "another zone": lambda at: (at + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30",
    "with spaces around": lambda at: f"  {at.isoformat()} ",
}


@pytest.mark.parametrize("spelling", FUTURE)
async def test_a_date_in_the_future_resumes_until_then(world: World, spelling: str) -> None:
    """However it is spelt, the same moment ends the grace; the service is on at once and the queue waits for it."""
    _, subscription = await behind(world)
    until = _ahead(days=10)
    async with world.functions() as client:
        answer = await done(client, "grace", subscriptionId=subscription, until=FUTURE[spelling](until))
    assert not suspended(world, subscription)
    assert world.service(subscription)["grace_override"] == until
    assert world.service(subscription)["grace_until"] == until
    assert world.due()[0]["due_at"] == until
    assert datetime.fromisoformat(answer["outcome"]["wakeAt"]) == until


async def test_a_date_alone_is_midnight_in_utc(world: World) -> None:
    """`2030-05-01` is the first moment of that day."""
    _, subscription = await behind(world)
    year = _ahead(days=3000).year
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=f"{year}-05-01")
    assert world.service(subscription)["grace_override"] == datetime(year, 5, 1, tzinfo=UTC)


async def test_a_date_in_the_past_ends_the_grace_now(world: World) -> None:
    """A one-off date wins over the length, to the customer's disadvantage too."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_payment(subscription, world.stripe.now() - 60)
    await world.sync(customer)
    assert not suspended(world, subscription)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=-1).isoformat())
    assert suspended(world, subscription)
    assert world.service(subscription)["holds"] == ["unpaid"]


async def test_null_takes_the_date_back(world: World) -> None:
    """Without the date the ordinary length counts again."""
    _, subscription = await behind(world)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=10).isoformat())
        assert not suspended(world, subscription)
        await done(client, "grace", subscriptionId=subscription, until=None)
    assert suspended(world, subscription)
    assert world.service(subscription)["grace_override"] is None
    assert [row["facts"]["until"] is None for row in by_hand(world, "grace")] == [False, True]


async def test_a_payment_ends_a_one_off_date(world: World) -> None:
    """The promise was about this debt: after it is paid, the next debt gets the ordinary grace."""
    customer, subscription = await behind(world)
    async with world.functions() as client:
        await done(client, "grace", subscriptionId=subscription, until=_ahead(days=300).isoformat())
        world.stripe.pay_open_invoice(subscription)
        await done(client, "retry", customerId=customer)
    assert world.service(subscription)["grace_override"] is None


async def test_a_date_for_who_is_not_behind_is_refused(world: World) -> None:
    """Whoever owes nothing needs no grace: silently forgetting the admin's promise would be worse than saying so."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        answer = await act(client, "grace", subscriptionId=subscription, until=_ahead(days=300).isoformat())
    assert answer.status_code == 409 or world.service(subscription)["grace_override"] is not None, answer.text


# --- release ----------------------------------------------------------------------------------------------------------


async def bought_twice(world: World, client: httpx.AsyncClient) -> tuple[str, str, str]:
    """A customer with the same thing bought twice, the second one held: (customer, first, second)."""
    customer = world.customer()
    now = world.stripe.now()
    first = world.buy(customer, created=now - 100)
    second = world.buy(customer, domain="two.example", created=now - 50)
    answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1
    return customer, first, second


async def test_a_released_double_purchase_is_provisioned(world: World) -> None:
    """The release of the second purchase makes it, once, and leaves nobody parked."""
    async with world.functions(ON_DOUBLE_PURCHASE="hold") as client:
        _, first, second = await bought_twice(world, client)
        row = (await client.get(WORK, headers=ADMIN)).json()["data"][0]
        assert (row["state"], row["reason"]) == ("parked", "double_purchase")
        answer = await done(client, "release", subscriptionId=second)
        assert answer["outcome"]["state"] == "settled"
        await done(client, "release", subscriptionId=second)
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 2, "websites": 2}
    assert [world.service(one)["state"] for one in (first, second)] == ["live", "live"]
    assert world.due() == []
    assert len(by_hand(world, "release")) == 2


async def test_releasing_the_first_purchase_does_not_release_the_second(world: World) -> None:
    """A release is of one purchase."""
    async with world.functions(ON_DOUBLE_PURCHASE="hold") as client:
        _, first, _ = await bought_twice(world, client)
        answer = await done(client, "release", subscriptionId=first)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1


# --- the brake --------------------------------------------------------------------------------------------------------


async def test_releasing_the_brake_goes_on_with_who_waits(world: World) -> None:
    """The answer says how many go on, they are done after it, and the release is known by name and time."""
    customers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(4)]
    subscriptions = [world.buy(customer, domain=None) for customer in customers]
    for customer in customers:
        await world.sync(customer)
    for subscription in subscriptions:
        world.stripe.mark_unpaid(subscription)
    async with world.functions(BRAKE_MAX="2", **TWO_KEYS) as client:
        for customer in customers:
            body = {"action": "retry", "customerId": customer}
            assert (await client.post(WORK, json=body, headers=ANNA)).status_code == 200
        assert sum(suspended(world, one) for one in subscriptions) == 2
        waiting = (await client.get(f"{WORK}?state=waiting", headers=ANNA)).json()["data"]
        assert [row["waitsFor"] for row in waiting] == ["brake", "brake"]
        answer = await client.post(WORK, json={"action": "releaseBrake"}, headers=BOB)
        assert answer.json() == {"action": "releaseBrake", "released": 2}
    assert all(suspended(world, one) for one in subscriptions)
    (brake,) = world.sql("SELECT * FROM brake WHERE counts = 'suspensions'")
    assert (brake["engaged_at"], brake["released_by"]) == (None, "bob")
    assert brake["released_at"] is not None


async def test_releasing_a_brake_that_is_not_engaged_releases_nobody(world: World) -> None:
    """It is no error: what was asked for is true already."""
    async with world.functions() as client:
        assert (await done(client, "releaseBrake"))["released"] == 0


# --- recreate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
@pytest.mark.parametrize("force", [False, True], ids=["soft-deleted", "wiped"])
async def test_recreate_after_the_organisation_was_deleted_by_hand(world: World, force: bool, by: str) -> None:
    """Organisation, owner and hosting are made anew, with a mail for the new login's password.

    A soft-deleted website still reserves its domain, and says so.
    """
    customer, subscription = await provisioned(world)
    old = world.service(subscription)["panel_subscription_id"]
    world.panel.delete_by_hand(next(iter(world.panel.orgs)), force=force)
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "panel_deleted"
    async with world.functions() as client:
        answer = await done(client, "recreate", **{by: subscription if by == "subscriptionId" else customer})
    row = world.service(subscription)
    assert (row["state"], row["panel_subscription_id"] != old) == ("live", True)
    alive = world.panel.world()
    assert (alive["orgs"], alive["subscriptions"], alive["logins"]) == (1, 1, 1)
    assert len(world.panel.recovery_mails) == 2
    (note,) = by_hand(world, "recreate")
    assert note["facts"]["organisation"] is True
    if force:
        assert answer["outcome"]["state"] == "settled"
        assert (alive["websites"], world.due()) == (1, [])
    else:
        assert answer["outcome"]["reason"] == "domain_reserved"
        assert world.due()[0]["parked_reason"] == "domain_reserved"


@pytest.mark.parametrize("by", ["customerId", "subscriptionId"])
@pytest.mark.parametrize("force", [False, True], ids=["soft-deleted", "wiped"])
async def test_recreate_after_the_subscription_was_deleted_by_hand(world: World, force: bool, by: str) -> None:
    """Only the hosting subscription is made anew, in the same organisation, without a second set-password mail."""
    customer, subscription = await provisioned(world)
    org = world.sql("SELECT org_id FROM customers")
    world.panel.delete_by_hand(world.only_subscription().id, force=force)
    await world.sync(customer)
    assert world.due()[0]["parked_reason"] == "panel_deleted"
    async with world.functions() as client:
        answer = await done(client, "recreate", **{by: subscription if by == "subscriptionId" else customer})
    assert world.sql("SELECT org_id FROM customers") == org
    assert world.service(subscription)["panel_subscription_id"] == world.only_subscription().id
    assert len(world.panel.recovery_mails) == 1
    (note,) = by_hand(world, "recreate")
    assert note["facts"]["organisation"] is False
    if force:
        assert answer["outcome"]["state"] == "settled"
        assert world.panel.world()["websites"] == 1
    else:
        assert answer["outcome"]["reason"] == "domain_reserved"
        assert world.panel.world()["websites"] == 0


async def test_recreate_of_one_subscription_leaves_the_other_missing_one(world: World) -> None:
    """With a subscription's id, only what is missing of it is made anew."""
    customer = world.customer()
    one, two = world.buy(customer, domain=None), world.buy(customer, price="price_big_monthly", domain=None)
    await world.sync(customer)
    for subscription in (one, two):
        world.panel.delete_by_hand(world.service(subscription)["panel_subscription_id"])
    async with world.functions() as client:
        answer = await done(client, "recreate", subscriptionId=one)
        assert answer["outcome"]["reason"] == "panel_deleted"
        assert world.panel.world()["subscriptions"] == 1
        assert world.only_subscription().id == world.service(one)["panel_subscription_id"]
        await done(client, "recreate", customerId=customer)
    assert world.panel.world()["subscriptions"] == 2
    assert world.due() == []


async def test_recreate_lets_no_double_purchase_in(world: World) -> None:
    """What waits for an admin's word on a second purchase goes on waiting when the organisation is made anew."""
    settings = {"ON_DOUBLE_PURCHASE": "hold"}
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer, **settings)
    world.buy(customer, domain="two.example")
    world.panel.delete_by_hand(next(iter(world.panel.orgs)), force=True)
    await world.sync(customer, **settings)
    async with world.functions(**settings) as client:
        answer = await done(client, "recreate", customerId=customer)
    assert answer["outcome"]["reason"] == "double_purchase"
    assert world.panel.world()["subscriptions"] == 1


async def test_recreate_waits_for_no_renewal(world: World) -> None:
    """A debit of the next period that is still under way keeps nothing off that was paid for before."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    await world.sync(customer)
    world.stripe.renew(subscription, "processing")
    world.panel.delete_by_hand(world.only_subscription().id, force=True)
    await world.sync(customer)
    async with world.functions() as client:
        await done(client, "recreate", subscriptionId=subscription)
    assert world.service(subscription)["state"] == "live"


async def test_recreate_of_a_closed_organisation_says_so(world: World) -> None:
    """The token works and may not look at that organisation: what is told is neither a wrong token nor "gone"."""
    customer, _ = await provisioned(world)
    world.panel.fail_next("GET", f"/orgs/{next(iter(world.panel.orgs))}$", 403, code="unauthorized", times=9)
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "panel_org_closed")


@pytest.mark.parametrize("side", ["stripe", "panel"])
async def test_nothing_is_wiped_that_could_not_be_looked_at(world: World, side: str) -> None:
    """Bought again since, and one refused look: hardDelete wipes nothing on what was remembered."""
    customer = world.customer()
    subscription = world.buy(customer)
    await world.sync(customer)
    world.stripe.change_items(subscription, quantity=0)
    await world.sync(customer)
    world.stripe.change_items(subscription, quantity=1)
    if side == "stripe":
        world.stripe.fail_next("GET", "/v1/subscriptions", 400)
    else:
        world.panel.fail_next("GET", "/subscriptions", 400, code="bad_request", detail="x")
    async with world.functions() as client:
        assert_problem(
            await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription), 503, "unavailable"
        )
    assert by_hand(world, "hard_delete") == []
    assert world.panel.world()["websites"] == 1


async def test_recreate_needs_no_new_payment(world: World) -> None:
    """What was paid for and ran in its grace is made anew in its grace, though nothing is added meanwhile."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    await world.sync(customer)
    world.stripe.fail_payment(subscription)
    world.panel.delete_by_hand(world.service(subscription, 2)["panel_subscription_id"])
    async with world.functions() as client:
        answer = await done(client, "recreate", subscriptionId=subscription)
    assert answer["outcome"]["state"] == "settled"
    assert world.panel.world()["subscriptions"] == 2
    assert world.service(subscription, 2)["state"] == "live"


@pytest.mark.parametrize("state", ["live", "suspended", "never made", "terminated"])
async def test_recreate_with_nothing_gone_is_refused(world: World, state: str) -> None:
    """What is there, was never there, or was ended by us is not made anew."""
    customer = world.customer()
    subscription = world.buy(customer, status="incomplete" if state == "never made" else "active")
    await world.sync(customer)
    if state == "suspended":
        world.stripe.mark_unpaid(subscription)
    if state == "terminated":
        world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    before = world.panel.world()
    async with world.functions(RETENTION_DAYS="30") as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "nothing_gone")
    assert world.panel.world() == before
    assert by_hand(world, "recreate") == []


async def test_what_was_restored_in_the_panel_is_not_recreated(world: World) -> None:
    """The panel is asked afresh: what is back by now is not made a second time."""
    customer, _ = await provisioned(world)
    number = world.only_subscription().id
    world.panel.delete_by_hand(number)
    await world.sync(customer)
    world.panel.restore_by_hand(number)
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 409, "nothing_gone")
    await world.come_to_rest()
    assert world.only_subscription().id == number
    assert world.due() == []


async def test_twenty_recreations_at_once_make_one(world: World) -> None:
    """The first one makes it, the others find nothing gone."""
    customer, _ = await provisioned(world, domain=None)
    world.panel.delete_by_hand(world.only_subscription().id)
    async with world.functions() as client:
        answers = await asyncio.gather(*(act(client, "recreate", customerId=customer) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert [answer.status_code for answer in answers].count(200) == 1
    assert world.panel.world()["subscriptions"] == 1
    assert len(by_hand(world, "recreate")) == 1


async def test_recreate_does_not_switch_on_what_is_held(world: World) -> None:
    """What was held when it was deleted stays unmade until its hold is gone."""
    customer, subscription = await provisioned(world, domain=None)
    async with world.functions() as client:
        await done(client, "hold", subscriptionId=subscription)
        world.panel.delete_by_hand(world.only_subscription().id)
        await done(client, "recreate", customerId=customer)
        assert world.panel.world()["subscriptions"] == 0
        await done(client, "lift", subscriptionId=subscription)
    assert world.panel.world()["subscriptions"] == 1
    assert not suspended(world, subscription)


async def test_recreate_while_the_panel_is_away_forgets_nothing(world: World) -> None:
    """An outage is no deletion: whatever can't be seen is remembered as it was."""
    customer, subscription = await provisioned(world)
    before = world.service(subscription)
    world.panel.down = True
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", customerId=customer), 503, "unavailable")
    assert world.service(subscription)["panel_subscription_id"] == before["panel_subscription_id"]
    world.panel.down = False
    await world.come_to_rest()
    assert world.panel.world()["subscriptions"] == 1


# --- hard delete ------------------------------------------------------------------------------------------------------


async def ended(world: World, **more: Any) -> tuple[str, str]:
    """A customer whose subscription has ended: suspended, and kept."""
    customer, subscription = await provisioned(world, **more)
    world.stripe.cancel(subscription)
    await world.sync(customer)
    assert world.service(subscription)["holds"] == ["ended"]
    world.panel.forget_calls()
    return customer, subscription


def wipes(world: World) -> list[str]:
    """Every call that asked for data to be gone for good."""
    return [call.path for call in world.panel.calls if "force" in call.query]


async def test_a_confirmed_hard_delete_wipes_what_has_ended(world: World) -> None:
    """Hosting and website are gone for good, the service is terminated, and the ledger says who asked and why."""
    customer, subscription = await ended(world)
    async with world.functions(**TWO_KEYS) as client:
        body = {"action": "hardDelete", "subscriptionId": subscription, "confirm": subscription, "reason": "GDPR"}
        answer = await client.post(WORK, json=body, headers=ANNA)
        assert answer.status_code == 200, answer.text
    assert [(a["kind"], a["rule"], a["service"]) for a in answer.json()["actions"]] == [
        ("hard_delete", "by_hand", subscription)
    ]
    assert [(s["slot"], s["state"]) for s in answer.json()["services"]] == [(1, "terminated")]
    assert (world.panel.subscriptions, world.panel.websites) == ({}, {})
    assert world.panel.world()["orgs"] == 1
    assert world.service(subscription)["state"] == "terminated"
    rows = by_hand(world, "hard_delete")
    assert [(row["state"], row["actor"]) for row in rows] == [("intent", "anna"), ("applied", "anna")]
    assert rows[0]["facts"]["reason"] == "GDPR"
    assert len(wipes(world)) == 1
    await world.sync(customer)
    assert (world.due(), world.dangling()) == ([], [])


async def test_a_hard_delete_by_customer_wipes_all_their_ended_hosting(world: World) -> None:
    """With the customer's id, repeated in `confirm`, everything of theirs goes, provided that all of it has ended."""
    customer = world.customer()
    subscriptions = [world.buy(customer, domain=None), world.buy(customer, price="price_big_monthly", domain=None)]
    await world.sync(customer)
    world.stripe.cancel(subscriptions[0])
    await world.sync(customer)
    async with world.functions() as client:
        assert_problem(await act(client, "hardDelete", customerId=customer, confirm=customer), 409, "not_ended")
        assert len(world.panel.subscriptions) == 2
        world.stripe.cancel(subscriptions[1])
        await done(client, "hardDelete", customerId=customer, confirm=customer)
    assert world.panel.subscriptions == {}


@pytest.mark.parametrize("confirm", ["", "SUB", "sub", "other", "prefix", None])
async def test_the_confirmation_must_be_the_very_id(world: World, confirm: str | None) -> None:
    """Anything but the exact id wipes nothing."""
    _, subscription = await ended(world)
    typed = {"SUB": subscription.upper(), "other": "sub_other", "prefix": subscription[:-1]}.get(confirm or "", confirm)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=typed)
        assert_problem(answer, 422, field="confirm")
    assert wipes(world) == []
    assert len(world.panel.subscriptions) == 1


@pytest.mark.parametrize("state", ["live", "unpaid", "paused", "held"])
async def test_what_has_not_ended_is_never_wiped(world: World, state: str) -> None:
    """Live, unpaid, paused or held by an admin: only an ended subscription may be wiped."""
    _, subscription = await provisioned(world)
    async with world.functions() as client:
        if state == "unpaid":
            world.stripe.mark_unpaid(subscription)
        if state == "paused":
            world.stripe.pause(subscription)
        await done(client, "hold" if state == "held" else "retry", subscriptionId=subscription)
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409, "not_ended")
    assert wipes(world) == []
    assert by_hand(world, "hard_delete") == []


async def test_what_is_live_again_without_our_knowing_is_not_wiped(world: World) -> None:
    """The truth is read afresh before anything is wiped: a lost event must not cost a paying customer their data."""
    customer, subscription = await provisioned(world)
    world.stripe.change_items(subscription, quantity=0)
    await world.sync(customer)
    assert world.service(subscription)["holds"] == ["ended"]
    world.stripe.change_items(subscription, quantity=1, invoice="paid")
    world.panel.forget_calls()
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409, "not_ended")
    assert wipes(world) == []
    assert not suspended(world, subscription)


async def test_nothing_is_wiped_while_the_truth_is_unknown(world: World) -> None:
    """While Stripe is away nobody can say that it has ended."""
    _, subscription = await ended(world)
    world.stripe.down = True
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert answer.status_code in (409, 503), answer.text
    assert wipes(world) == []


async def test_twenty_hard_deletes_at_once_wipe_once(world: World) -> None:
    """The data is wiped by one call; the others find it gone, and none of them fails."""
    _, subscription = await ended(world)
    async with world.functions() as client:
        answers = await asyncio.gather(
            *(act(client, "hardDelete", subscriptionId=subscription, confirm=subscription) for _ in range(20))
        )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(wipes(world)) == 1
    assert [row["state"] for row in by_hand(world, "hard_delete")] == ["intent", "applied"]
    assert (world.panel.subscriptions, world.dangling()) == ({}, [])
    await world.come_to_rest()
    assert world.due() == []


async def test_a_hard_delete_of_what_was_soft_deleted(world: World) -> None:
    """What retention soft-deleted may be wiped, too."""
    customer, subscription = await provisioned(world)
    world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, RETENTION_DAYS="30")
    assert world.service(subscription)["state"] == "terminated"
    async with world.functions(RETENTION_DAYS="30") as client:
        await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.panel.subscriptions == {}


async def test_a_hard_delete_of_what_was_wiped_by_hand(world: World) -> None:
    """It is gone already, which is what was asked for."""
    _, subscription = await ended(world)
    world.panel.delete_by_hand(world.only_subscription().id, force=True)
    async with world.functions() as client:
        await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.service(subscription)["state"] == "terminated"
    assert world.dangling() == []


async def test_a_hard_delete_of_what_was_never_made_is_unknown(world: World) -> None:
    """There is nothing to wipe."""
    customer = world.customer()
    subscription = world.buy(customer, status="incomplete_expired")
    await world.sync(customer)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 404, "unknown_subscription")


async def test_a_resellers_token_may_not_wipe_and_the_answer_says_so(world: World) -> None:
    """The panel's 403 is told in its words, nothing is changed, and the customer's next pass runs as ever."""
    customer, subscription = await ended(world)
    world.panel.state.role = "reseller"
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 502, "panel_refused")
        assert "only_mo_allowed" in answer.json()["detail"]
        assert [row["state"] for row in by_hand(world, "hard_delete")] == ["intent", "failed"]
        row = world.service(subscription)
        assert (row["state"], row["holds"]) == ("suspended", ["ended"])
        assert len(world.panel.subscriptions) == 1
        await done(client, "retry", customerId=customer)
    assert (world.due(), world.dangling()) == ([], [])
    world.panel.violations.clear()  # the contract's word on a reseller's force; asking was the test


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_wipe_whose_answer_was_lost_poisons_nothing(world: World, when: Any) -> None:
    """Nobody knows whether it happened: the next pass finds out and goes on, and asking again completes it."""
    customer, subscription = await ended(world)
    world.panel.drop_next("DELETE", "/subscriptions/", when=when, times=3)
    async with world.functions() as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert answer.status_code in (200, 503), answer.text
        world.panel.clear_faults()
        assert (await done(client, "retry", customerId=customer))["outcome"]["state"] == "settled"
        if world.panel.subscriptions:
            await done(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    assert world.panel.subscriptions == {}
    assert world.service(subscription)["state"] == "terminated"
    assert (world.due(), world.dangling()) == ([], [])


async def test_no_other_action_ever_asks_for_force(world: World) -> None:
    """Only the confirmed hard delete does: neither a pass, nor retention, nor any other button."""
    customer, subscription = await provisioned(world)
    async with world.functions(RETENTION_DAYS="30") as client:
        for action in ("retry", "hold", "lift", "release", "grace", "recreate"):
            await act(client, action, subscriptionId=subscription, until=None, confirm=subscription)
        world.stripe.cancel(subscription, created=world.stripe.now() - 100 * DAY)
        await done(client, "retry", customerId=customer)
    assert world.service(subscription)["state"] == "terminated"
    assert wipes(world) == []


# --- shadow and paused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["shadow", "paused"])
@pytest.mark.parametrize("action", ["retry", "hold", "lift", "grace", "release", "recreate", "releaseBrake"])
async def test_outside_of_live_mode_no_button_writes_to_the_panel(world: World, action: str, mode: str) -> None:
    """What a person decides is remembered for later; the panel is only read. Nothing crashes."""
    _, subscription = await provisioned(world)
    if action == "recreate":
        world.panel.delete_by_hand(world.only_subscription().id)
    if action == "grace":
        world.stripe.fail_payment(subscription, world.stripe.now() - 30 * DAY)
    before = world.panel.world()
    world.panel.forget_calls()
    async with world.functions(PROVISIONING_MODE=mode) as client:
        until = _ahead(days=5).isoformat()
        body = {} if action == "releaseBrake" else {"subscriptionId": subscription, "until": until}
        answer = await act(client, action, **body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            assert_problem(answer, 409, "paused")
    assert writes(world) == []
    assert world.panel.world() == before
    if action == "hold":
        assert world.service(subscription)["holds"] == ["admin"]
        await world.come_to_rest()
        assert suspended(world, subscription)


@pytest.mark.parametrize("mode", ["shadow", "paused"])
async def test_outside_of_live_mode_nothing_is_wiped(world: World, mode: str) -> None:
    """A hard delete can't be remembered for later, so it is refused; nothing is written to panel or ledger."""
    _, subscription = await ended(world)
    async with world.functions(PROVISIONING_MODE=mode) as client:
        answer = await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
        assert_problem(answer, 409)
        assert mode in answer.json()["detail"]
    assert writes(world) == []
    assert len(world.panel.subscriptions) == 1
    assert by_hand(world, "hard_delete") == []


async def test_a_retry_in_shadow_mode_says_what_it_would_do(world: World) -> None:
    """The plan is the answer, marked as a dry run, and is kept for the dashboard."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        answer = await done(client, "retry", customerId=customer)
    assert answer["dryRun"] is True
    assert "create_subscription" in [one["kind"] for one in answer["actions"]]
    assert writes(world) == []
    assert world.sql("SELECT count(*) AS n FROM shadow_plans") == [{"n": 1}]


# --- the listing ------------------------------------------------------------------------------------------------------


def fill(world: World, count: int, prefix: str = "cus_", **columns: str) -> None:
    """Rows of the queue, as SQL says; `n` is the row's number."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    world.sql(
        f"INSERT INTO due (kind, key{names}) SELECT 'customer', '{prefix}' || lpad(n::text, 5, '0'){values}"  # noqa: S608
        f" FROM generate_series(1, {count}) AS n"
    )


def fill_states(world: World) -> None:
    """Three rows in each state, two of the parked with a second problem."""
    fill(world, 3, "cus_due_", due_at="now() - interval '1 minute'")
    fill(world, 3, "cus_waiting_", due_at="now() + interval '1 hour'", waits_for="'in_grace'")
    fill(world, 3, "cus_working_", lease_id="gen_random_uuid()", leased_until="now() + interval '1 hour'")
    for prefix, reason in (("cus_plan_", "plan_not_found"), ("cus_price_", "unmapped_price")):
        problems = [{"reason": reason, "detail": "a detail", "subject": "x"}]
        if reason == "plan_not_found":
            problems.append({"reason": "no_email", "detail": "another", "subject": "y"})
        quoted = "'" + json.dumps(problems) + "'"
        fill(world, 3, prefix, due_at="NULL", parked_reason=f"'{reason}'", parked_at="now()", problems=quoted)


async def keys(client: httpx.AsyncClient, **query: str) -> list[str]:
    """The keys of one page of the list."""
    answer = await client.get(WORK, params=query, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    return [row["key"] for row in answer.json()["data"]]


@pytest.mark.parametrize("state", ["due", "waiting", "working", "parked"])
async def test_the_list_by_state(world: World, state: str) -> None:
    """Each row is in exactly one state, and the filter shows those of one."""
    fill_states(world)
    async with world.functions() as client:
        answer = (await client.get(WORK, params={"state": state}, headers=ADMIN)).json()
        everything = (await client.get(WORK, headers=ADMIN)).json()
    assert {row["state"] for row in answer["data"]} == {state}
    assert len(answer["data"]) == (6 if state == "parked" else 3)
    assert answer["nextCursor"] is None
    assert len(everything["data"]) == 15


async def test_the_list_by_reason(world: World) -> None:
    """A reason finds the parked rows that have it among their problems, first or not, and none by halves."""
    fill_states(world)
    async with world.functions() as client:
        assert len(await keys(client, reason="unmapped_price")) == 3
        assert await keys(client, reason="no_email") == await keys(client, reason="plan_not_found")
        assert await keys(client, reason="unmapped") == []
        assert_problem(await client.get(WORK, params={"reason": ""}, headers=ADMIN), 422, field="reason")
        assert await keys(client, reason="' OR true --") == []
        assert await keys(client, reason="unmapped_price", state="due") == []
        assert len(await keys(client, reason="unmapped_price", state="parked")) == 3


async def test_a_parked_row_says_all_that_is_needed_to_act(world: World) -> None:
    """Who, since when, why in words and numbers, and the remedy for the row and for each problem; camelCase, UTC."""
    customer = world.customer()
    world.stripe.create_price("price_unmapped")
    world.buy(customer, price="price_unmapped")
    await world.sync(customer)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert set(row) == {
        "kind", "key", "email", "state", "dueAt", "attempts", "lastError", "waitsFor", "reason", "parkedAt", "problems",
        "remedy",
    }  # fmt: skip
    assert (row["kind"], row["key"], row["state"], row["reason"]) == ("customer", customer, "parked", "unmapped_price")
    assert "plan_mappings" in row["remedy"]
    (problem,) = row["problems"]
    assert problem["subject"] == "price_unmapped"
    assert problem["remedy"] == row["remedy"]
    assert "price_unmapped" in problem["detail"]
    assert datetime.fromisoformat(row["parkedAt"]).utcoffset() == timedelta()


async def test_a_row_of_a_known_customer_has_their_address(world: World) -> None:
    """People look for people, not for ids."""
    customer, _ = await provisioned(world)
    world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s)", customer)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert row["email"] == "ada@example.com"


async def test_every_remembered_reason_comes_with_a_remedy(world: World) -> None:
    """Also a reason that this version does not know any more."""
    problems = "'" + json.dumps([{"reason": "of_yesterday", "detail": "?", "subject": ""}]) + "'"
    fill(world, 1, due_at="NULL", parked_reason="'of_yesterday'", parked_at="now()", problems=problems)
    async with world.functions() as client:
        (row,) = (await client.get(WORK, headers=ADMIN)).json()["data"]
    assert row["remedy"]
    assert row["problems"][0]["remedy"]


async def walk(client: httpx.AsyncClient, between: Callable[[int], None], **query: str) -> list[str]:
    """Every key of the list, page by page, while `between` changes the world after each page."""
    found: list[str] = []
    for page in range(1000):
        answer = (await client.get(WORK, params=query, headers=ADMIN)).json()
        assert len(answer["data"]) <= int(query.get("limit", "50"))
        found += [row["key"] for row in answer["data"]]
        if answer["nextCursor"] is None:
            return found
        query["cursor"] = answer["nextCursor"]
        between(page)
    raise AssertionError("the list never ends")


@pytest.mark.parametrize("limit", ["1", "7", "50", "200"])
async def test_paging_loses_and_doubles_nothing(world: World, limit: str) -> None:
    """Whatever the page's length, every row comes once and in order; the last page says that it is the last."""
    count = 60 if limit == "1" else 600
    fill(world, count)
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit=limit)
    assert found == [f"cus_{n:05d}" for n in range(1, count + 1)]


async def test_paging_while_rows_come_go_and_change(world: World) -> None:
    """Rows that stay come exactly once, whatever happens around them between two pages."""
    fill(world, 400)
    gone = {f"cus_{n:05d}" for n in range(3, 401, 10)}

    def change(page: int) -> None:
        world.sql("DELETE FROM due WHERE key = ANY(%s)", [key for key in gone if key.endswith(f"{page % 10}3")])
        world.sql("UPDATE due SET attempts = attempts + 1, due_at = now() - random() * interval '1 day'")
        fill(world, 3, f"cus_0{page % 5}new{page:03d}")

    async with world.functions() as client:
        found = await walk(client, change, limit="25")
    assert len(found) == len(set(found))
    assert {f"cus_{n:05d}" for n in range(1, 401)} - gone <= set(found)


async def test_paging_with_a_filter(world: World) -> None:
    """The cursor goes with the filter: pages of the parked hold the parked only."""
    fill(world, 120)
    fill(world, 120, "cus_p_", due_at="NULL", parked_reason="'no_email'", parked_at="now()")
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit="33", state="parked")
    assert found == [f"cus_p_{n:05d}" for n in range(1, 121)]


async def test_paging_over_keys_of_any_script(world: World) -> None:
    """Keys that sort, quote or look oddly come once each."""
    odd = ["cus_ä", "cus_a", "cus_A", "cus_'", 'cus_"', "cus_%", "cus__", "cus_🚀", "cus_[", "cus_\\", "cus_,"]
    for key in odd:
        world.sql("INSERT INTO due (kind, key) VALUES ('customer', %s), ('invoice', %s)", key, key)
    async with world.functions() as client:
        found = await walk(client, lambda _: None, limit="1")
    assert sorted(found) == sorted(odd * 2)


@pytest.mark.parametrize(
    "limit", ["0", "-1", "201", "1e3", "", " ", "ten", "5.0", "٣", "²", "9" * 40, "000050999", "+5", "0x10", "1_0"]
)
async def test_a_bad_limit_is_named(world: World, limit: str) -> None:
    """A page holds 1 to 200 rows."""
    fill(world, 300)
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={"limit": limit}, headers=ADMIN), 422, field="limit")


@pytest.mark.parametrize("limit", [None, "1", "50", "200"])
async def test_a_good_limit(world: World, limit: str | None) -> None:
    """Fifty rows unless told otherwise."""
    fill(world, 300)
    async with world.functions() as client:
        assert len(await keys(client, **({"limit": limit} if limit else {}))) == int(limit or 50)


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "ünïcode",
        "====",
        _cursor("not json"),
        _cursor("5"),
        _cursor("null"),
        _cursor("[]"),
        _cursor('["work", "customer"]'),
        _cursor('["work", "customer", "cus_1", "more"]'),
        _cursor('["events", "customer", "cus_1"]'),
        _cursor('"ab"'),
        _cursor('{"kind": 1, "key": 2}'),
        _cursor('["work", 1, 2]'),
        _cursor('["work", "customer", null]'),
        _cursor('["work", "customer", ["cus_1"]]'),
        _cursor('["work", "customer", "cus_\\u0000"]'),
        _cursor('["work", "customer", "cus_\\ud800"]'),
        _cursor("[" * 20_000),
    ],
)
async def test_a_bad_cursor_is_named(world: World, cursor: str) -> None:
    """Only what a list gave out begins a page."""
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={"cursor": cursor}, headers=ADMIN), 422, field="cursor")


async def test_a_cursor_is_data_and_never_sql(world: World) -> None:
    """Whoever makes up a cursor gets the rows behind it in order, and nothing else happens."""
    fill(world, 5)
    cursor = _cursor(json.dumps(["work", "customer", "cus_00003'; DROP TABLE due; --"]))
    async with world.functions() as client:
        assert await keys(client, cursor=cursor) == ["cus_00004", "cus_00005"]


@pytest.mark.parametrize(("name", "value"), [("state", "nonsense"), ("state", ""), ("reason", "a\x00b")])
async def test_a_bad_filter_is_named(world: World, name: str, value: str) -> None:
    """A state that does not exist, or a text that no row can hold, is a mistake and no empty list."""
    async with world.functions() as client:
        assert_problem(await client.get(WORK, params={name: value}, headers=ADMIN), 422, field=name)


async def test_an_empty_queue_is_an_empty_list(world: World) -> None:
    """Nothing to do looks like nothing to do."""
    async with world.functions() as client:
        answer = await client.get(WORK, headers=ADMIN)
    assert answer.json() == {"data": [], "nextCursor": None}
    assert answer.headers["cache-control"] == "no-store"


# --- names and times in every answer ----------------------------------------------------------------------------------


async def test_answers_are_camel_case_and_in_utc(world: World) -> None:
    """Every field of an answer is camelCase and every time is in UTC, also where the database's clock is elsewhere."""
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    customer = world.customer()
    subscription = world.buy(customer)
    answers = []
    async with world.functions() as client:
        answers.append(await done(client, "retry", customerId=customer))
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        answers.append(await done(client, "retry", customerId=customer))
        year = _ahead(days=3000).year
        until = f"{year}-05-01T12:00:00+09:00"
        answers.append(await done(client, "grace", subscriptionId=subscription, until=until))
    for answer in answers:
        for field, value in fields_of(answer):
            assert "_" not in field, field
            if isinstance(value, str) and field.endswith(("At", "Until", "at")):
                assert datetime.fromisoformat(value).utcoffset() == timedelta(), (field, value)
    assert answers[-1]["services"][0]["graceUntil"] == f"{year}-05-01T03:00:00+00:00"


def fields_of(value: Any) -> list[tuple[str, Any]]:
    """Every (field, value) in a JSON document, at any depth."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for field, part in value.items():
            found += [(field, part), *fields_of(part)]
    if isinstance(value, list):
        for part in value:
            found += fields_of(part)
    return found


# --- a lease that is lost on the way ----------------------------------------------------------------------------------


def overtaken(world: World, monkeypatch: pytest.MonkeyPatch, place: object, verb: str, *, after: bool = False) -> None:
    """Another process takes the customer over, for a second, when `verb` is called for the first time."""
    original = getattr(place, verb)
    waiting = [True]

    def steal() -> None:
        if waiting and waiting.pop():
            world.sql(
                "UPDATE due SET lease_id = gen_random_uuid(), leased_until = clock_timestamp() + interval '1 second'"
            )

    async def stealing(*args: Any, **named: Any) -> Any:
        if not after:
            steal()
        found = await original(*args, **named)
        if after:
            steal()
        return found

    monkeypatch.setattr(place, verb, stealing)


@pytest.mark.parametrize("action", ["hold", "lift", "release", "grace", "recreate", "hardDelete"])
async def test_who_was_overtaken_changes_nothing_and_asks_again(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Each action by hand is written under a lease that is still ours, once, and the panel is touched once."""
    customer, subscription = await provisioned(world)
    more: dict[str, Any] = {"subscriptionId": subscription}
    if action == "grace":
        world.stripe.fail_payment(subscription, world.stripe.now() - 60)
        more["until"] = "2030-01-01"
    if action == "recreate":
        world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].deleted = True
    if action == "hardDelete":
        world.stripe.cancel(subscription)
        more["confirm"] = subscription
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        overtaken(world, monkeypatch, SubscriptionManager, "_edit")
        await done(client, action, **more)
    kind = "hard_delete" if action == "hardDelete" else action
    assert [row["state"] for row in by_hand(world, kind)] == (
        ["intent", "applied"] if action == "hardDelete" else ["noted"]
    )
    assert len(wipes(world)) == (1 if action == "hardDelete" else 0)
    assert world.dangling() == []


async def test_a_wipe_that_is_overtaken_in_the_middle_is_known_by_the_next_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel wiped it and the lease is gone before that is remembered: it is found, written down, not repeated."""
    customer, subscription = await provisioned(world)
    world.stripe.cancel(subscription)
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        overtaken(world, monkeypatch, EnhanceClient, "hard_delete", after=True)
        await act(client, "hardDelete", subscriptionId=subscription, confirm=subscription)
    await world.sync(customer)
    assert world.service(subscription)["state"] == "terminated"
    assert len(wipes(world)) == 1
    assert world.dangling() == []


async def test_a_pass_that_is_overtaken_at_its_end_does_not_call_its_finding_settled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pass without its lease found is not reported: the answer tells of a pass that was written down."""
    customer = world.customer()
    world.stripe.create_price("price_unmapped")
    world.buy(customer, "price_unmapped")
    async with world.functions() as client:
        overtaken(world, monkeypatch, Reconciler, "run", after=True)
        answer = await done(client, "retry", customerId=customer)
    assert answer["outcome"]["state"] == "parked"
    (row,) = world.due()
    assert row["parked_reason"] == "unmapped_price"
    assert len(by_hand(world, "parked")) == 1


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_a_refused_action_leaves_the_queue_as_it_was(world: World) -> None:
    """Since when somebody is parked, and for what, is not forgotten over a 409; nor is it told a second time."""
    customer, subscription = await provisioned(world)
    world.stripe.create_price("price_unmapped")
    world.buy(customer, "price_unmapped", domain=None)
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        assert_problem(await act(client, "recreate", subscriptionId=subscription), 409, "nothing_gone")
    await world.drain()
    (after,) = world.due()
    kept = ("parked_reason", "parked_at", "problems")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert len(by_hand(world, "parked")) == 1


async def test_a_refused_action_uses_up_no_step_of_the_retry_curve(world: World) -> None:
    """A customer whose passes fail keeps the date of the next try, however often somebody asks for what is refused."""
    customer, subscription = await provisioned(world)
    world.stripe.fail_next("GET", "/v1/subscriptions", 500, times=99)
    await world.sync(customer)
    (before,) = world.due()
    async with world.functions() as client:
        for _ in range(3):
            assert (await act(client, "recreate", subscriptionId=subscription)).status_code == 409
    await world.drain()
    (after,) = world.due()
    assert (after["attempts"], after["retry_at"]) == (before["attempts"], before["retry_at"])
