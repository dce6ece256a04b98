"""`POST /api/admin/dashboard {"action": "whatIf"}`, undo of what a person did, and logging in as a customer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.admin.hand import ADMIN, ANNA, DASHBOARD, DAY, TWO_KEYS, WORK, assert_problem, done
from tests.world import World

CUSTOMERS, PLANS = "/api/admin/customers", "/api/admin/plans"


async def what_if(client: httpx.AsyncClient, **settings: str) -> dict[str, Any]:
    """Ask what these would change."""
    answer = await client.post(DASHBOARD, json={"action": "whatIf", "settings": settings}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def totals(found: dict[str, Any]) -> dict[str, int]:
    """The numbers that are not zero."""
    return {name: part["total"] for name, part in found.items() if isinstance(part, dict) and part["total"]}


async def test_what_a_shorter_grace_would_change_and_nothing_is(world: World) -> None:
    """Who would be suspended now, whose date would move, and whom the brake would stop; nothing is written."""
    async with world.functions(RETENTION_DAYS="90") as client:
        bought = {}
        for name, ago in (("new", 1), ("old", 5), ("ended", None)):
            customer = world.customer(name, f"{name}@example.com")
            bought[name] = world.buy(customer, domain=f"{name}.example")
            await done(client, "retry", customerId=customer)
            if ago is None:
                world.stripe.cancel(bought[name], created=world.stripe.now() - 40 * DAY)
            else:
                world.stripe.fail_payment(bought[name], world.stripe.now() - ago * DAY)
            await done(client, "retry", customerId=customer)
        before, calls = world.dump(), len(world.stripe.calls) + len(world.panel.calls)
        found = await what_if(client, GRACE_DAYS="3")
        assert (totals(found), found["notKnown"], found["braked"]) == ({"suspended": 1, "sooner": 1}, 0, 0)
        assert found["suspended"]["sample"][0]["service"] == bought["old"]
        assert found["suspended"]["sample"][0]["domain"] == "old.example"
        assert totals(await what_if(client, GRACE_DAYS="30")) == {"later": 2}
        assert totals(await what_if(client, RETENTION_DAYS="30")) == {"deleted": 1}
        assert totals(await what_if(client, RETENTION_DAYS="")) == {"later": 1}
        both = await what_if(client, GRACE_DAYS="0", RETENTION_DAYS="30", BRAKE_MAX="1")
        assert (totals(both), both["braked"]) == ({"suspended": 2, "deleted": 1}, 2)
        assert (await what_if(client, PAUSE_COLLECTION="suspend"))["notKnown"] == 2
        assert (world.dump(), len(world.stripe.calls) + len(world.panel.calls)) == (before, calls)


async def test_who_is_not_looked_at_counts_as_not_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be more in trouble than one answer can look at: they are counted, and nothing is said of them."""
    monkeypatch.setattr("lib.operators.what_if.LOOKED_AT", 1)
    world.sql("INSERT INTO customers (customer_id) VALUES ('cus_1')")
    world.sql(
        "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id,"
        " unpaid_since, grace_until) SELECT 'cus_1', 'sub_' || n, 1, 'si_1', 'price_basic_monthly', 'live', n,"
        " now() - interval '5 days', now() + interval '2 days' FROM generate_series(1, 3) n"
    )
    async with world.functions() as client:
        found = await what_if(client, GRACE_DAYS="3")
    assert (totals(found), found["notKnown"]) == ({"suspended": 1}, 2)


async def test_what_is_no_setting_of_it_is_named_with_every_other_fault(world: World) -> None:
    """Unknown names and wrong values, all at once; without a key it is 401 also for a browser."""
    async with world.functions() as client:
        body = {"action": "whatIf", "settings": {"GRACE_DAYS": "seven", "MAIL_URL": "x", "SUSPEND_WINDOW": "Mon"}}
        answer = await client.post(DASHBOARD, json=body, headers=ADMIN)
        assert_problem(answer, 422, "invalid_field")
        assert {fault["field"] for fault in answer.json()["errors"]} == {
            "settings.GRACE_DAYS", "settings.MAIL_URL", "settings.SUSPEND_WINDOW",
        }  # fmt: skip
        assert_problem(await client.post(DASHBOARD, json={"action": "whatIf", "settings": {}}, headers=ADMIN), 422)
        assert_problem(await client.post(DASHBOARD, json=body, headers={"Accept": "text/html"}), 401, "unauthorized")


# --- undo -------------------------------------------------------------------------------------------------------------


async def undos(client: httpx.AsyncClient, customer: str) -> list[dict[str, Any]]:
    """What the timeline offers to take back, newest first."""
    answer = await client.get(CUSTOMERS, params={"id": customer}, headers=ADMIN)
    return [entry["undo"] for entry in answer.json()["timeline"]["data"] if entry["undo"] is not None]


async def take_back(client: httpx.AsyncClient, undo: dict[str, Any]) -> httpx.Response:
    """Send what was offered."""
    sent = {"params": undo["body"]} if undo["method"] == "DELETE" else {"json": undo["body"]}
    return await client.request(undo["method"], undo["route"], headers=ADMIN, **sent)


async def test_a_hold_and_its_lifting_are_taken_back(world: World) -> None:
    """Each offers its inverse while it is in effect, and that makes the world as it was."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        await done(client, "hold", subscriptionId=subscription)
        (undo,) = await undos(client, customer)
        assert undo["label"] == "Lift this hold"
        assert (await take_back(client, undo)).status_code == 200
        assert world.service(subscription)["state"] == "live"
        (undo,) = await undos(client, customer)  # of the lift; the hold is not in effect any more
        assert (await take_back(client, undo)).status_code == 200
        assert world.service(subscription)["state"] == "suspended"


async def test_a_date_goes_back_to_the_one_before(world: World) -> None:
    """A second date offers the first one, and that none."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        await done(client, "retry", customerId=customer)
        world.stripe.fail_payment(subscription, world.stripe.now() - 2 * DAY)
        first, second = [(datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (20, 40)]
        await done(client, "grace", customerId=customer, until=first)
        await done(client, "grace", customerId=customer, until=second)
        (undo,) = await undos(client, customer)
        assert (await take_back(client, undo)).status_code == 200
        assert world.service(subscription)["grace_override"] == datetime.fromisoformat(first)
        assert world.service(subscription)["state"] == "live"


async def two_bought(world: World, client: httpx.AsyncClient) -> tuple[str, str, str]:
    """A customer with two services that run: (customer, first, second)."""
    customer = world.customer()
    first, second = (world.buy(customer, domain=f"{name}.example") for name in ("one", "two"))
    await done(client, "retry", customerId=customer)
    return customer, first, second


def holds(world: World, *subscriptions: str) -> list[list[str]]:
    """What holds each."""
    return [world.service(one)["holds"] for one in subscriptions]


async def test_lifting_all_is_taken_back_for_what_was_held_alone(world: World) -> None:
    """One of two was held: to hold again suspends that one, not the other that never was."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        await done(client, "hold", subscriptionId=first)
        await done(client, "lift", customerId=customer)
        (undo,) = await undos(client, customer)
        assert (await take_back(client, undo)).status_code == 200
        assert holds(world, first, second) == [["admin"], []]


async def test_holding_all_is_taken_back_for_what_ran_alone(world: World) -> None:
    """One of two was held before: taking the later hold of all back leaves it held."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        await done(client, "hold", subscriptionId=first)
        await done(client, "hold", customerId=customer)
        undo = (await undos(client, customer))[0]
        assert (await take_back(client, undo)).status_code == 200
        assert holds(world, first, second) == [["admin"], []]


async def test_an_act_on_several_is_taken_back_for_each_of_them(world: World) -> None:
    """A hold of all is lifted from the two that it has held, not from the one that was held before; and held again."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        third = world.buy(customer, domain="three.example")
        await done(client, "retry", customerId=customer)
        await done(client, "hold", subscriptionId=third)
        await done(client, "hold", customerId=customer)
        undo = (await undos(client, customer))[0]
        assert (undo["label"], undo["body"]["services"]) == ("Lift this hold of 2 services", sorted([first, second]))
        assert (await take_back(client, undo)).status_code == 200
        assert holds(world, first, second, third) == [[], [], ["admin"]]
        assert [world.service(one)["state"] for one in (first, second, third)] == ["live", "live", "suspended"]
        again = (await undos(client, customer))[0]
        assert again["label"] == "Hold 2 services again"
        assert (await take_back(client, again)).status_code == 200
        assert holds(world, first, second, third) == [["admin"], ["admin"], ["admin"]]


async def test_what_would_reach_others_by_now_takes_nothing_back(world: World) -> None:
    """One of two was lifted since it was looked at: nothing is done, and what is left is offered; then it is over."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        await done(client, "hold", customerId=customer)
        undo = (await undos(client, customer))[0]
        await done(client, "lift", subscriptionId=first)
        refused = await take_back(client, undo)
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
        assert holds(world, first, second) == [[], ["admin"]]
        left = (await undos(client, customer))[-1]
        assert left["body"]["services"] == [second]
        assert (await take_back(client, left)).status_code == 200
        refused = await take_back(client, left)
        assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_undo")
        other = world.customer("Other", "other@example.com")
        refused = await take_back(client, {**left, "body": {**left["body"], "customerId": other}})
        assert (refused.status_code, refused.json()["field"]) == (404, "actionId")


async def test_a_date_for_all_is_taken_back_to_what_each_was_promised(world: World) -> None:
    """Of two that had different dates each gets its own again, the one that had none has none; and forth once more."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        for subscription in (first, second):
            world.stripe.fail_payment(subscription, world.stripe.now() - 2 * DAY)
        promised, later = [datetime.now(UTC) + timedelta(days=days) for days in (20, 40)]
        await done(client, "grace", subscriptionId=first, until=promised.isoformat())
        await done(client, "grace", customerId=customer, until=later.isoformat())
        undo = (await undos(client, customer))[0]
        assert undo["label"] == "Set the dates of 2 services back"
        assert (await take_back(client, undo)).status_code == 200
        assert dates(world, first, second) == [promised, None]
        again = (await undos(client, customer))[0]
        assert (await take_back(client, again)).status_code == 200
        assert dates(world, first, second) == [later, later]


async def test_taking_back_a_date_for_one_leaves_the_amnesty_before_it(world: World) -> None:
    """What an amnesty gave is the amnesty's again, so that its end takes it back."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        world.stripe.fail_payment(first, world.stripe.now() - 2 * DAY)
        sooner, later = [datetime.now(UTC) + timedelta(days=days) for days in (20, 40)]
        await done(client, "grace", customerId=customer, until=sooner.isoformat())
        world.sql("UPDATE services SET amnesty = grace_override IS NOT NULL")
        await done(client, "grace", subscriptionId=first, until=later.isoformat())
        undo = (await undos(client, customer))[0]
        assert undo["label"] == f"Set the date back to {sooner:%Y-%m-%d}"
        assert (await take_back(client, undo)).status_code == 200
    assert dates(world, first, second) == [sooner, None]
    assert world.service(first)["amnesty"] is True


def dates(world: World, *subscriptions: str) -> list[datetime | None]:
    """The one-off date of each."""
    return [world.service(one)["grace_override"] for one in subscriptions]


async def test_a_date_for_all_is_taken_back_where_one_owes(world: World) -> None:
    """Who owes nothing has kept no date: to take it back names the one that has."""
    async with world.functions() as client:
        customer, first, second = await two_bought(world, client)
        world.stripe.fail_payment(first, world.stripe.now() - 2 * DAY)
        until = (datetime.now(UTC) + timedelta(days=20)).isoformat()
        await done(client, "grace", customerId=customer, until=until)
        (undo,) = await undos(client, customer)
        assert (undo["label"], undo["body"]["services"]) == ("Take this date back", [first])
        assert (await take_back(client, undo)).status_code == 200
        assert [world.service(one)["grace_override"] for one in (first, second)] == [None, None]


async def test_a_line_that_names_no_services_is_offered_no_inverse(world: World) -> None:
    """Lines of an older version do not say what the act has changed: nothing is guessed."""
    async with world.functions() as client:
        customer, first, _ = await two_bought(world, client)
        world.sql("UPDATE services SET holds = ARRAY['admin'] WHERE subscription_id = %s", first)
        world.sql(
            "INSERT INTO actions (action_id, customer_id, kind, state, rule, actor)"
            " VALUES (gen_random_uuid(), %s, 'hold', 'noted', 'by_hand', 'anna')",
            customer,
        )
        assert await undos(client, customer) == []


async def test_a_mapping_is_set_back_as_it_was(world: World) -> None:
    """The list of changes has both rows; what is still as it was made can be set back, by a preview like any change."""
    async with world.functions() as client:
        row = {"billingPlanId": "price_basic_monthly", "enhancePlanId": "big-hosting-plan", "graceDays": 3}
        assert (await client.put(PLANS, json=row, headers=ADMIN)).status_code == 200
        found = (await client.get(PLANS, headers=ADMIN)).json()["changes"]
        assert len(found) == 1
        assert (found[0]["actor"], found[0]["billingPlanId"]) == ("admin", "price_basic_monthly")
        assert (found[0]["before"]["enhancePlanId"], found[0]["after"]["graceDays"]) == ("basic-hosting-plan", 3)
        assert (await take_back(client, found[0]["undo"])).status_code == 200
        (now,) = world.sql("SELECT * FROM plan_mappings WHERE billing_plan_id = 'price_basic_monthly'")
        assert (now["enhance_plan_id"], now["grace_days"]) == ("basic-hosting-plan", None)
        newest, oldest = (await client.get(PLANS, headers=ADMIN)).json()["changes"]
        assert oldest["undo"] is None  # it is not in effect any more
        assert newest["undo"]["body"]["enhancePlanId"] == "big-hosting-plan"
        world.stripe.create_price("price_new")
        made = {"billingPlanId": "price_new", "enhancePlanId": "basic-hosting-plan"}
        assert (await client.post(PLANS, json=made, headers=ADMIN)).status_code == 200
        undo = (await client.get(PLANS, headers=ADMIN)).json()["changes"][0]["undo"]
        assert undo["method"] == "DELETE"
        assert (await take_back(client, undo)).status_code == 200
        assert world.sql("SELECT 1 FROM plan_mappings WHERE billing_plan_id = 'price_new'") == []


# --- log in as --------------------------------------------------------------------------------------------------------


async def test_a_link_into_the_panel_is_made_on_request_and_stands_nowhere(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It logs in as the owner, is made anew each time, is never cached, and no log, ledger or timeline holds it."""
    customer = world.customer()
    world.buy(customer)
    async with world.functions(**TWO_KEYS, LOG_LEVEL="debug") as client:
        await world.sync(customer)
        body = {"action": "login", "customerId": customer, "reason": "asked by telephone"}
        answers = [await client.post(CUSTOMERS, json=body, headers=ANNA) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        links = [answer.json()["url"] for answer in answers]
        timeline = (await client.get(CUSTOMERS, params={"id": customer}, headers=ANNA)).text
    assert len(set(links)) == 2
    assert all("/login/sessions/sso?otp=" in link for link in links)
    assert answers[0].headers["cache-control"] == "no-store"
    rows = world.sql("SELECT actor, facts, rule FROM actions WHERE kind = 'login_as'")
    assert [(row["actor"], row["facts"]) for row in rows] == [("anna", {"reason": "asked by telephone"})] * 2
    kept = json.dumps(world.dump(), default=str) + timeline + "".join(capsys.readouterr())
    assert "login_as" in kept
    for link in links:
        assert link.partition("otp=")[2] not in kept


async def test_nobody_logs_in_as_somebody_without_a_login(world: World) -> None:
    """Who has nothing in the panel is said to have none; an unknown field is refused."""
    async with world.functions() as client:
        body = {"action": "login", "customerId": "cus_nobody"}
        assert_problem(await client.post(CUSTOMERS, json=body, headers=ADMIN), 404, "unknown_customer", "customerId")
        assert_problem(await client.post(CUSTOMERS, json={**body, "x": 1}, headers=ADMIN), 422, "invalid_field", "x")
        assert_problem(await client.post(CUSTOMERS, json=body), 401, "unauthorized")
    assert world.sql("SELECT 1 FROM actions") == []


async def test_the_ledger_says_who_asked_also_when_the_panel_refused(world: World) -> None:
    """It is written before anybody is let in; an answer that is no link is repeated to nobody."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    async with world.functions() as client:
        world.panel_says.tamper("GET", "/sso$", lambda _: {"secret": "otp-of-somebody"})
        answer = await client.post(CUSTOMERS, json={"action": "login", "customerId": customer}, headers=ADMIN)
    assert (answer.status_code, "otp-of-somebody" in answer.text) == (502, False)
    assert len(world.sql("SELECT 1 FROM actions WHERE kind = 'login_as'")) == 1
    assert WORK not in answer.text
