"""`GET /api/admin/dashboard`: the numbers are those of the world, whatever is in it."""

import itertools
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.database import Database
from tests.admin.hand import ADMIN, DASHBOARD, DAY, WORK, assert_problem, done, fields_of
from tests.world import World

DATA = {"services", "holds", "waiting", "byReason", "actions", "counts", "actionsLastDay", "details"}
"""Objects whose keys are data (states, reasons, kinds), not names of fields."""


async def dashboard(client: httpx.AsyncClient) -> dict[str, Any]:
    """The dashboard as the admin sees it."""
    answer = await client.get(DASHBOARD, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def codes(found: dict[str, Any]) -> list[str]:
    """The alerts' codes."""
    return [alert["code"] for alert in found["alerts"]]


# --- who sees it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept", ["text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "*/*, text/html;q=0.1"]
)
async def test_a_browser_is_sent_to_the_page(world: World, accept: str) -> None:
    """Who asks for HTML without a key gets the page, which holds no data and asks for the key."""
    async with world.functions() as client:
        answer = await client.get(DASHBOARD, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.content == b""


async def test_a_browser_is_sent_there_even_without_settings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page can tell what is missing; a bare problem document in a browser can't."""
    monkeypatch.delitem(world.environ, "STRIPE_SECRET_KEY")
    async with world.functions() as client:
        assert (await client.get(DASHBOARD, headers={"Accept": "text/html"})).status_code == 303


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json"}, {"Accept": "*/*"}])
async def test_a_program_without_a_key_is_refused(world: World, headers: dict[str, str]) -> None:
    """Everybody else must bring a key."""
    async with world.functions() as client:
        assert_problem(await client.get(DASHBOARD, headers=headers), 401, "unauthorized")


async def test_a_browser_with_a_wrong_key_is_refused(world: World) -> None:
    """A wrong key is 401 everywhere, also for HTML."""
    headers = {"Accept": "text/html", "Authorization": "Bearer nonsense"}
    async with world.functions() as client:
        assert_problem(await client.get(DASHBOARD, headers=headers), 401, "unauthorized")


async def test_a_browser_with_a_key_gets_the_numbers(world: World) -> None:
    """The key decides, not what else was asked for."""
    async with world.functions() as client:
        answer = await client.get(DASHBOARD, headers={**ADMIN, "Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_holds_no_data() -> None:
    """What everybody may read names no customer, no key and no address, and loads nothing from elsewhere."""
    page = (Path(__file__).resolve().parent.parent.parent / "public" / "index.html").read_text()
    for secret in ("cus_", "sub_", "sk_", "whsec_", "Bearer ey", "postgres://", "postgresql://"):
        assert secret not in page
    for elsewhere in ('src="http', "src='http", 'src="//', "@import", 'href="http'):
        assert elsewhere not in page


async def test_only_looking(world: World) -> None:
    """The dashboard changes nothing and asks neither side."""
    world.buy(world.customer())
    async with world.functions() as client:
        before = world.dump()
        await dashboard(client)
        assert_problem(await client.delete(DASHBOARD, headers=ADMIN), 405, "method_not_allowed")
    assert world.dump() == before
    assert (world.stripe.calls, world.panel.calls) == ([], [])


async def test_all_of_it_is_read_in_one_round_trip(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far the database is: one way there and back, and one more where events have led to nothing."""
    trips: list[object] = []
    go = Database._repeating

    async def counted(self: Database, run: Any, patience: float) -> Any:
        trips.append(run)
        return await go(self, run, patience)

    monkeypatch.setattr(Database, "_repeating", counted)
    outbox = {"OUTBOX_URL": "https://one.example/in", "OUTBOX_SECRET": "whsec_" + "QUFB" * 8}
    async with world.functions(ORDERS="on", **outbox) as client:
        await dashboard(client)
        assert len(trips) == 1
        world.sql("INSERT INTO due (kind, key, last_error) VALUES ('customer', 'cus_1', 'the panel does not answer')")
        world.sql(
            "INSERT INTO events (event_id, type, customer_id, outcome, source, body)"
            " VALUES ('evt_1', 'invoice.paid', 'cus_1', 'accepted', 'webhook', '{}')"
        )
        trips.clear()
        assert (await dashboard(client))["events"]["notDone"] == 1
        assert len(trips) == 2


# --- an empty world ---------------------------------------------------------------------------------------------------


async def test_an_empty_world_is_all_zeros(world: World) -> None:
    """Every state and hold is named even when nobody is in it, and nothing alarms."""
    async with world.functions() as client:
        found = await dashboard(client)
    assert found["services"] == {"pending": 0, "live": 0, "suspended": 0, "terminated": 0}
    assert found["holds"] == dict.fromkeys(("unpaid", "paused", "ended", "dispute", "refund", "admin"), 0)
    assert found["queue"] == {
        "due": 0, "oldestSeconds": 0, "oldestDueAt": None, "working": 0, "waiting": {},
        "parked": {"total": 0, "byReason": {}, "groups": []},
    }  # fmt: skip
    assert (found["verdict"]["state"], found["verdict"]["needYou"]) == ("equal", 0)
    hours = found["charts"].pop("eventsPerHour")
    assert (found["paidToLive"], found["charts"]) == (None, {"sweeps": []})
    assert len(hours) == 48
    assert all((hour["webhook"], hour["sweep"]) == (0, 0) for hour in hours)
    assert (found["mode"], found["customers"], found["alerts"], found["sweep"]) == ("live", 0, [], None)
    assert found["brake"]["engaged"] is False
    assert found["shadow"] == {"customers": 0, "actions": {}, "plans": []}
    assert found["events"] == {"lastDay": 0, "newestWebhookAt": None, "notDone": 0, "newestNotDone": []}
    assert found["migration"]["applied"] == found["migration"]["wanted"] > 0


# --- a mixed world ----------------------------------------------------------------------------------------------------


async def mixed(world: World, client: httpx.AsyncClient) -> dict[str, str]:
    """One customer of every kind; name -> subscription."""
    bought: dict[str, str] = {}
    payers: dict[str, str] = {}
    names = ("live", "unpaid", "paused", "ended", "dispute", "refund", "admin", "panel", "grace", "gone", "both")
    for name in names:
        payers[name] = world.customer(name, f"{name}@example.com")
        bought[name] = world.buy(payers[name], domain=f"{name}.example")
        await world.sync(payers[name])
    now = world.stripe.now()
    world.stripe.mark_unpaid(bought["unpaid"])
    world.stripe.pause(bought["paused"])
    world.stripe.cancel(bought["ended"])
    world.stripe.dispute(bought["dispute"])
    world.stripe.refund(bought["refund"])
    for kind in ("charge.dispute.created", "charge.refunded"):
        await world.deliver(client, world.stripe.events_of(kind)[-1])
    await done(client, "hold", subscriptionId=bought["admin"])
    world.panel.suspend_by_hand(world.service(bought["panel"])["panel_subscription_id"])
    world.stripe.fail_payment(bought["grace"], now - 60)
    world.stripe.cancel(bought["gone"], created=now - 100 * DAY)
    world.stripe.mark_unpaid(bought["both"])
    await done(client, "hold", subscriptionId=bought["both"])
    for name in names:
        await done(client, "retry", customerId=payers[name])
    return bought


async def test_the_numbers_of_a_mixed_world(world: World) -> None:
    """Each service is counted in its one state, each hold wherever it is, and each waiting or parked row once."""
    async with world.functions(ON_REFUND="suspend", RETENTION_DAYS="30") as client:
        await mixed(world, client)
        pending = world.customer("pending", "pending@example.com")
        world.buy(pending, domain="pending.example", payment="processing")
        await done(client, "retry", customerId=pending)
        for name, price in (("one", "price_of_one"), ("two", "price_of_two")):
            world.stripe.create_price(price)
            customer = world.customer(name, f"{name}@example.com")
            world.buy(customer, price=price, domain=None)
            await done(client, "retry", customerId=customer)
        homeless = world.customer("taken", "taken@example.com")
        world.panel.reserve_domain_elsewhere("taken.example")
        world.buy(homeless, domain="taken.example")
        await done(client, "retry", customerId=homeless)
        found = await dashboard(client)
    counted = Counter(row["state"] for row in world.sql("SELECT state FROM services"))
    assert found["services"] == {state: counted[state] for state in ("pending", "live", "suspended", "terminated")}
    assert counted["terminated"] == 1
    assert counted["suspended"] == 7
    assert counted["live"] == 4  # live, in grace, suspended by somebody in the panel, without its website
    assert found["holds"] == {"unpaid": 2, "paused": 1, "ended": 1, "dispute": 1, "refund": 1, "admin": 2}
    assert found["suspendedInPanel"] == 1
    assert found["customers"] == world.sql("SELECT count(*) AS n FROM customers")[0]["n"]
    parked = found["queue"]["parked"]
    assert (parked["total"], parked["byReason"]) == (3, {"unmapped_price": 2, "domain_in_use": 1})
    assert [(group["reason"], group["count"]) for group in parked["groups"]] == [
        ("unmapped_price", 2), ("domain_in_use", 1),
    ]  # fmt: skip
    assert "plan_mappings" in parked["groups"][0]["remedy"]
    oldest = world.sql("SELECT min(parked_at) AS at FROM due WHERE parked_reason = 'unmapped_price'")[0]["at"]
    assert datetime.fromisoformat(parked["groups"][0]["oldestAt"]) == oldest
    assert (found["verdict"]["state"], found["verdict"]["needYou"]) == ("attention", 4)
    assert found["verdict"]["detail"] == "3 parked, 1 dispute to answer"
    assert found["queue"]["waiting"]["in_grace"] == 1
    assert (found["queue"]["due"], found["queue"]["working"]) == (0, 0)
    assert codes(found) == ["parked", "parked", "paid_after_end", "dispute"]
    assert found["events"]["lastDay"] == 2
    assert datetime.fromisoformat(found["events"]["newestWebhookAt"]).utcoffset() == timedelta()
    assert found["actionsLastDay"]["create_org"] == 12
    assert found["actionsLastDay"]["suspend"] >= 7
    assert found["actionsLastDay"]["terminate"] == 1
    assert len(world.panel.orgs) == 12


async def test_list_and_dashboard_agree(world: World) -> None:
    """A row has one state: the dashboard's numbers are those of the list's filters, also while passes run."""
    insert = "INSERT INTO due (kind, key, due_at, lease_id, leased_until, parked_reason, parked_at) VALUES"
    lease = "gen_random_uuid(), now() + interval '1 hour'"
    for key, due_at, leased, parked in (
        ("due", "now()", "NULL, NULL", "NULL, NULL"),
        ("due_2", "now()", "NULL, NULL", "NULL, NULL"),
        ("later", "now() + interval '1 hour'", "NULL, NULL", "NULL, NULL"),
        ("working", "now()", lease, "NULL, NULL"),
        ("working_early", "now() + interval '1 hour'", lease, "NULL, NULL"),
        ("parked", "NULL", "NULL, NULL", "'no_email', now()"),
        ("parked_and_due", "now()", "NULL, NULL", "'no_email', now()"),
        ("parked_and_working", "now()", lease, "'no_email', now()"),
    ):
        world.sql(f"{insert} ('customer', '{key}', {due_at}, {leased}, {parked})")
    async with world.functions() as client:
        found = (await dashboard(client))["queue"]
        listed = Counter(row["state"] for row in (await client.get(WORK, headers=ADMIN)).json()["data"])
    assert listed == {"due": 2, "waiting": 1, "working": 3, "parked": 2}
    shown = {name: found[name] for name in ("due", "working")}
    shown |= {"waiting": sum(found["waiting"].values()), "parked": found["parked"]["total"]}
    assert shown == dict(listed)


async def test_every_name_is_camel_case_and_every_time_in_utc(world: World) -> None:
    """All fields at any depth, with something in each of them, also where the database's clock is elsewhere."""
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f"ALTER DATABASE {name} SET timezone = 'America/St_Johns'")
    world.sql("UPDATE brake SET engaged_at = now(), reason = 'a test', released_at = now(), released_by = 'anna'")
    customer = world.customer()
    world.buy(customer)
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        await done(client, "retry", customerId=customer)
        await world.deliver(client, world.stripe.events_of("customer.subscription.created")[0])
        async with world.bridge(PROVISIONING_MODE="shadow") as manager:
            await manager.sweep(deadline=time.monotonic() + 100)
        found = await dashboard(client)
    assert found["shadow"]["plans"]
    assert found["sweep"]
    times = 0
    for field, value in fields_of(without_data(found)):
        assert "_" not in field, field
        assert field[0].islower(), field
        if field.endswith("At") and value is not None:
            assert datetime.fromisoformat(value).utcoffset() == timedelta(), (field, value)
            times += 1
    assert times >= 4


def without_data(value: Any) -> Any:
    """A JSON document without the objects whose keys are data."""
    if isinstance(value, dict):
        return {
            field: None if field in DATA and isinstance(part, dict) and field != "details" else without_data(part)
            for field, part in value.items()
        }
    return [without_data(part) for part in value] if isinstance(value, list) else value


# --- alerts -----------------------------------------------------------------------------------------------------------


async def test_an_engaged_brake_is_shown_with_its_reason(world: World) -> None:
    """Since when, why, and what to do; afterwards who released it."""
    payers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(3)]
    for payer in payers:
        subscription = world.buy(payer, domain=None)
        await world.sync(payer)
        world.stripe.mark_unpaid(subscription)
    async with world.functions(BRAKE_MAX="1") as client:
        for payer in payers:
            await done(client, "retry", customerId=payer)
        found = await dashboard(client)
        assert codes(found) == ["brake"]
        assert found["alerts"][0]["detail"] == found["brake"]["reason"]
        assert "releaseBrake" in found["alerts"][0]["remedy"]
        assert (found["brake"]["engaged"], found["brake"]["max"], found["brake"]["percent"]) == (True, 1, 5)
        assert found["brake"]["engagedAt"] is not None
        assert found["queue"]["waiting"] == {"brake": 2}
        assert (found["verdict"]["needYou"], found["verdict"]["detail"]) == (2, "2 held back by the brake")
        assert (found["services"]["suspended"], found["holds"]["unpaid"]) == (1, 3)
        world.sql("UPDATE brake SET engaged_at = NULL, reason = NULL, released_at = now(), released_by = 'anna'")
        found = await dashboard(client)
    assert codes(found) == []
    assert (found["brake"]["engaged"], found["brake"]["releasedBy"]) == (False, "anna")


async def test_shadow_plans_are_counted_and_shown(world: World) -> None:
    """What shadow mode would do, by kind and by customer, and the mode as an alert; it is gone once it is done."""
    payers = [world.customer(f"C{n}", f"c{n}@example.com") for n in range(3)]
    for payer in payers:
        world.buy(payer, domain=None)
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        for payer in payers:
            await done(client, "retry", customerId=payer)
        found = await dashboard(client)
    assert found["mode"] == "shadow"
    assert codes(found) == ["mode"]
    assert found["shadow"]["customers"] == 3
    assert found["shadow"]["actions"]["create_org"] == found["shadow"]["actions"]["create_subscription"] == 3
    assert {plan["customerId"] for plan in found["shadow"]["plans"]} == set(payers)
    assert all(plan["actions"][0]["kind"] == "create_org" for plan in found["shadow"]["plans"])
    await world.come_to_rest()
    async with world.functions() as client:
        found = await dashboard(client)
    assert (found["shadow"]["customers"], found["services"]["live"], codes(found)) == (0, 3, [])


async def test_only_the_newest_fifty_plans_are_shown(world: World) -> None:
    """The counts are of all, the list stays short."""
    world.sql(
        "INSERT INTO shadow_plans (customer_id, actions) SELECT 'cus_' || n,"
        ' \'[{"kind": "suspend"}, {"kind": "suspend"}]\' FROM generate_series(1, 300) AS n'
    )
    async with world.functions(PROVISIONING_MODE="shadow") as client:
        found = (await dashboard(client))["shadow"]
    assert (found["customers"], found["actions"], len(found["plans"])) == (300, {"suspend": 600}, 50)


async def test_a_paused_product_says_so(world: World) -> None:
    """Paused work is no stuck work, but somebody should know."""
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_1', now() - interval '1 day')")
    async with world.functions(PROVISIONING_MODE="paused") as client:
        found = await dashboard(client)
    assert codes(found) == ["mode"]
    assert found["queue"]["due"] == 1


async def test_stuck_work_alarms(world: World) -> None:
    """Work that waits longer than HEALTH_MAX_LAG says how long, and what to look at."""
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_1', now() - interval '400 seconds')")
    async with world.functions(HEALTH_MAX_LAG="300") as client:
        found = await dashboard(client)
        assert codes(found) == ["stuck"]
        assert 400 <= found["queue"]["oldestSeconds"] < 500
        oldest = world.sql("SELECT due_at FROM due")[0]["due_at"]
        assert datetime.fromisoformat(found["queue"]["oldestDueAt"]) == oldest
        assert (found["verdict"]["state"], found["verdict"]["needYou"]) == ("stuck", 0)
    async with world.functions(HEALTH_MAX_LAG="3000") as client:
        found = await dashboard(client)
        assert (codes(found), found["verdict"]["state"]) == ([], "working")


async def test_who_failed_for_now_is_not_equal(world: World) -> None:
    """While the panel is away nobody is called equal who was not looked at; away for long, it calls for a person."""
    world.buy(customer := world.customer())
    world.panel.down = True
    await world.sync(customer)
    async with world.functions() as client:
        found = await dashboard(client)
        assert (found["verdict"]["state"], found["verdict"]["needYou"], codes(found)) == ("working", 0, [])
        assert "1 failed for now and is tried again" in found["verdict"]["detail"]
        world.sql("UPDATE pulses SET failing_since = now() - interval '11 minutes' WHERE name = 'enhance'")
        world.hurry()
        await world.drain()
        found = await dashboard(client)
        assert (codes(found), found["verdict"]["state"]) == (["panel_away"], "attention")
        assert "503" in found["alerts"][0]["detail"]
        world.panel.down = False
        world.hurry()
        await world.drain()
        assert codes(await dashboard(client)) == []


async def test_the_newest_sweep_and_its_orphans(world: World) -> None:
    """How far it came, what it counted, and what in the panel carries our mark and belongs to nobody."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    org = world.panel.add_customer("Somebody [cus_nobody]")
    async with world.functions() as client:
        async with world.bridge() as manager:
            await manager.sweep(deadline=time.monotonic() + 100)
        found = await dashboard(client)
    assert codes(found) == ["orphans"]
    assert found["sweep"]["orphans"] == [{"org": org, "mark": "cus_nobody"}]
    assert found["sweep"]["finishedAt"] is not None
    assert found["sweep"]["phase"] is None
    assert found["sweep"]["counts"]["subscriptions"] == 1
    assert "1 organisation" in found["alerts"][0]["detail"]


async def test_a_sweep_that_left_something_out_alarms_until_one_did_not(world: World) -> None:
    """It names the part and the reason, also while the next sweep is under way, and is quiet after a whole one."""
    world.stripe.forbid("^/v1/disputes", "rak_dispute_read")
    async with world.functions() as client:
        async with world.bridge() as manager:
            await manager.sweep(deadline=time.monotonic() + 100)
            found = await dashboard(client)
            assert codes(found) == ["sweep"]
            assert "disputes (" in found["alerts"][0]["detail"]
            assert "rak_dispute_read" in found["sweep"]["errors"]["disputes"]
            assert found["sweep"]["updatedAt"] is not None
            world.sql("INSERT INTO sweeps DEFAULT VALUES")
            assert codes(await dashboard(client)) == ["sweep"]
            world.stripe.clear_faults()
            await manager.sweep(deadline=time.monotonic() + 100)
        assert codes(await dashboard(client)) == []


async def test_a_sweep_that_does_not_come_on_alarms(world: World) -> None:
    """Unfinished after two hours: since when it stands where, and why if that is known."""
    world.sql("INSERT INTO sweeps (phase, started_at) VALUES ('orgs', now() - interval '119 minutes')")
    async with world.functions() as client:
        assert codes(await dashboard(client)) == []
        world.sql("UPDATE sweeps SET started_at = now() - interval '121 minutes'")
        found = await dashboard(client)
        assert codes(found) == ["sweep"]
        assert "at orgs since" in found["alerts"][0]["detail"]
        world.sql("""UPDATE sweeps SET errors = '{"orgs": "no list"}'""")
        assert "no list" in (await dashboard(client))["alerts"][0]["detail"]


async def test_what_the_panel_itself_suspended_or_lost(world: World) -> None:
    """Organisations suspended and websites deleted in the panel are counted once a sweep has seen them."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    world.panel.delete_by_hand(next(iter(world.panel.websites)), force=True)
    world.panel.suspend_by_hand(next(iter(world.panel.orgs)))
    world.sql("UPDATE customers SET updated_at = now() - interval '1 hour'")
    world.sql("UPDATE services SET updated_at = now() - interval '1 hour'")
    async with world.functions() as client:
        async with world.bridge() as manager:
            await manager.sweep(deadline=time.monotonic() + 100)
        found = await dashboard(client)
    assert found["organisationsSuspendedInPanel"] == 1
    assert found["websitesGone"]["total"] == 1


async def test_a_schema_that_waits_for_its_migration_is_a_problem_and_no_crash(
    world: World, empty_database_url: str
) -> None:
    """Before the first migration the answer says what is the matter."""
    async with world.functions(DATABASE_URL=empty_database_url) as client:
        assert_problem(await client.get(DASHBOARD, headers=ADMIN), 503, "schema_outdated")


# --- the first page ---------------------------------------------------------------------------------------------------


async def test_a_dispute_to_answer_and_money_to_return_need_a_person(world: World) -> None:
    """Both count into the verdict, with no row of the queue parked; a dispute that is answered does not."""
    world.sql(
        "INSERT INTO disputes (dispute_id, charge_id, status, amount, currency, created_at, due_by)"
        " SELECT 'dp_' || status, 'ch_' || status, status, 1900, 'eur', now(), now() + interval '5 days'"
        " FROM unnest(ARRAY['needs_response', 'warning_needs_response', 'under_review']) AS status"
    )
    async with world.functions() as client:
        found = await dashboard(client)
    assert (found["verdict"]["state"], found["verdict"]["needYou"]) == ("attention", 2)
    assert found["verdict"]["detail"] == "2 disputes to answer"


async def test_how_long_paid_took_to_be_live(world: World) -> None:
    """From Stripe's first `invoice.paid` to the first proof of the hosting; what was made anew does not count again."""
    customer = world.customer()
    subscription = world.buy(customer)
    async with world.functions() as client:
        assert (await dashboard(client))["paidToLive"] is None
        for event in world.stripe.undelivered():
            world.stripe.mark_delivered(event)
            await world.deliver(client, event)
        world.sql("UPDATE events SET created_at = created_at - interval '10 minutes' WHERE type = 'invoice.paid'")
        found = (await dashboard(client))["paidToLive"]
        assert found["count"] == 1
        assert 600 <= found["p50Seconds"] == found["p95Seconds"] < 660
        world.panel.delete_by_hand(world.service(subscription)["panel_subscription_id"])
        world.sql("UPDATE events SET created_at = created_at - interval '9 hours' WHERE type = 'invoice.paid'")
        await done(client, "recreate", customerId=customer)
        assert world.ledger("verified").count("create_subscription") == 2
        assert (await dashboard(client))["paidToLive"]["count"] == 1


async def test_the_charts_of_two_days(world: World) -> None:
    """Events by their hour and by how they came, and what each sweep found, oldest first."""
    world.sql(
        "INSERT INTO events (event_id, type, outcome, body, source, received_at)"
        " SELECT 'evt_' || n, 'invoice.paid', 'accepted', '{}', CASE WHEN n <= 3 THEN 'webhook' ELSE 'sweep' END,"
        " date_trunc('hour', now()) - interval '5 hours' FROM generate_series(1, 5) n"
    )
    world.sql(
        "INSERT INTO sweeps (finished_at, counts, errors) VALUES"
        " (now(), '{\"eventsMissed\": 2, \"marked\": 4}', '{\"orgs\": \"no list\"}'), (now(), '{}', '{}'),"
        " (NULL, '{}', '{}')"
    )
    async with world.functions() as client:
        found = (await dashboard(client))["charts"]
    hours = found["eventsPerHour"]
    assert (hours[-6]["webhook"], hours[-6]["sweep"]) == (3, 2)
    assert sum(hour["webhook"] + hour["sweep"] for hour in hours) == 5
    times = [datetime.fromisoformat(hour["at"]) for hour in hours]
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(hours=1)}
    assert [(one["found"], one["made"], one["partial"]) for one in found["sweeps"]] == [(2, 4, True), (0, 0, False)]


async def test_where_ids_can_be_looked_at(world: World) -> None:
    """The addresses of both sides' own pages, Stripe's in the mode of the key."""
    async with world.functions(ENHANCE_API_URL="https://panel.example.com/api/") as client:
        links = (await dashboard(client))["links"]
        assert links == {"stripe": "https://dashboard.stripe.com/test", "panel": "https://panel.example.com"}
    async with world.functions(STRIPE_SECRET_KEY="sk_live_fake") as client:
        assert (await dashboard(client))["links"]["stripe"] == "https://dashboard.stripe.com"
