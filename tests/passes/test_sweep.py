"""The sweep: with every webhook dropped, both sides become equal; with no changes, nothing is marked."""

import asyncio
import contextlib
import gc
import time
import tracemalloc
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from lib.config import Policy
from lib.database import sweeps
from lib.enhance_client import EnhanceClient
from lib.errors import BridgeError, Refused
from lib.model.reason import Reason
from lib.policy import fingerprint
from lib.stripe_client import StripeClient
from lib.stripe_events import SUBSCRIBE_TO
from lib.subscription_manager.sweep import PHASES, TRIES
from scripts.sim.stripe_sim.store import Table
from tests.killed import Killed
from tests.world import World

DAY = 86400
LISTS_OF_THE_PANEL = {"access_tokens", "customers", "websites"}
"""What a sweep lists there, each a few pages; the token's end is a page of its own."""

NO_BRAKE = {"BRAKE_MAX": "1000000", "BRAKE_PERCENT": "100"}


async def sweep(world: World, **environ: str) -> dict[str, int]:
    """Run one whole sweep in a fresh process, and drain what it marked."""
    async with world.bridge(**environ) as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
        assert report.finished
        await manager.drain(deadline=time.monotonic() + 300, workers=4)
    return report.counts


async def remembered(world: World, count: int) -> list[str]:
    """That many customers whom both sides and our memory know, each with one live service; the subscriptions."""
    subscriptions = world.stripe.seed_many(count, "price_basic_monthly")
    world.panel.seed_many(count, world.plan_id)
    sites = {site.subscription_id: site for site in world.panel.websites.values()}
    members = world.panel.members
    rows: list[list[Any]] = []
    for org, subscription_id in zip(world.panel.orgs.values(), subscriptions, strict=True):
        seeded = world.stripe.subscriptions[subscription_id]
        customer = world.stripe.customers[seeded["customer"]]
        held = world.panel.subscriptions[org.subscription_ids[0]]
        owner = members[str(org.owner_id)]
        site = sites[held.id]
        rows.append(
            [
                *(customer["id"], customer["email"], customer["name"]),
                *(UUID(org.id), UUID(owner.login_id), UUID(owner.id)),
                *(subscription_id, seeded["items"]["data"][0]["id"], held.id, UUID(site.id), site.domain),
            ]
        )
    columns = [list(column) for column in zip(*rows, strict=True)]
    world.sql(
        """
        INSERT INTO customers (customer_id, livemode, email, name, org_id, org_name, login_id, member_id, welcomed_at)
        SELECT c, false, email, name, org, name, login, member, now()
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::uuid[])
            AS r (c, email, name, org, login, member)
        """,
        *columns[:6],
    )
    world.sql(
        """
        INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, plan, state,
            panel_subscription_id, panel_plan_id, website_id, domain, adopted)
        SELECT c, sub, 1, item, 'price_basic_monthly', 'basic-hosting-plan', 'live', number, %s, site, domain, true
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::integer[], %s::uuid[], %s::text[])
            AS r (c, sub, item, number, site, domain)
        """,
        world.plan_id,
        columns[0],
        *columns[6:],
    )
    async with world.bridge() as manager:
        after: str | None = None
        while True:
            page, _, after = await manager.stripe.subscriptions_page(after)
            for customer_id, truth in page:
                world.sql(
                    "INSERT INTO subscriptions (subscription_id, customer_id, fingerprint) VALUES (%s, %s, %s)",
                    *(truth.id, customer_id, fingerprint(truth, Policy())),
                )
            if after is None:
                break
    world.stripe.calls.clear()
    world.panel.forget_calls()
    return subscriptions


# --- what differs is put right, and nothing else is touched -----------------------------------------------------------


async def test_a_sweep_finds_what_no_webhook_told(world: World) -> None:
    """With every webhook dropped, one sweep provisions who paid and suspends who stopped paying."""
    anna, ben = world.customer("Anna", "anna@example.com"), world.customer("Ben", "ben@example.com")
    world.buy(anna, domain="anna.example")
    stopped = world.buy(ben, domain="ben.example")
    await sweep(world)
    assert world.panel.world()["subscriptions"] == 2
    world.stripe.mark_unpaid(stopped)
    world.stripe.events.clear()
    counts = await sweep(world)
    assert counts["marked"] == 1
    assert world.sql("SELECT state, holds FROM services ORDER BY customer_id") == [
        {"state": "live", "holds": []},
        {"state": "suspended", "holds": ["unpaid"]},
    ]


async def test_one_sweep_brings_a_thousand_changed_subscriptions_right(world: World) -> None:
    """A thousand changes of which no event ever told are in the panel after one sweep, and the next one marks none."""
    subscriptions = await remembered(world, 1000)
    for number, subscription in enumerate(subscriptions):
        changed = world.stripe.subscriptions[subscription]
        match number % 4:
            case 0:
                world.stripe.set(subscription, status="unpaid")
            case 1:
                world.stripe.set(subscription, status="canceled", ended_at=world.stripe.now())
            case 2:
                world.stripe.set(subscription, status="paused")
            case _:
                item = {**changed["items"]["data"][0], "price": world.stripe.prices["price_big_monthly"]}
                world.stripe.set(subscription, items={**changed["items"], "data": [item]})
    counts = await sweep(world, **NO_BRAKE)
    assert counts["marked"] == 1000
    assert world.due() == []
    held = world.sql("SELECT state, holds, count(*) AS n FROM services GROUP BY 1, 2 ORDER BY 1, 2")
    assert held == [
        {"state": "live", "holds": [], "n": 250},
        {"state": "suspended", "holds": ["ended"], "n": 250},
        {"state": "suspended", "holds": ["paused"], "n": 250},
        {"state": "suspended", "holds": ["unpaid"], "n": 250},
    ]
    found = world.panel.subscriptions.values()
    assert sum(one.suspended_by is not None for one in found) == 750
    assert sum(one.plan_id == world.big_plan_id for one in found) == 250
    assert all(one.suspended_by is None for one in found if one.plan_id == world.big_plan_id)
    assert (await sweep(world, **NO_BRAKE)).get("marked", 0) == 0


async def test_an_unchanged_world_costs_list_pages_only(world: World) -> None:
    """A second sweep marks nobody, asks nothing for a customer, and verifies what was only applied before."""
    world.buy(world.customer("Anna", "anna@example.com"), domain="anna.example")
    await sweep(world)
    await sweep(world)
    world.panel.forget_calls()
    counts = await sweep(world)
    assert counts.get("marked", 0) == 0
    assert world.due() == []
    assert {call.path.rsplit("/", 1)[1] for call in world.panel.calls} == LISTS_OF_THE_PANEL
    unproven = world.sql(
        "SELECT kind FROM actions a WHERE state = 'applied' AND NOT EXISTS"
        " (SELECT FROM actions v WHERE v.action_id = a.action_id AND v.state = 'verified')"
    )
    assert [row["kind"] for row in unproven] == ["send_welcome"]


async def test_many_unchanged_subscriptions_cost_pages_and_no_memory(world: World) -> None:
    """2,000 unchanged subscriptions are 20 pages of Stripe and a few of the panel; nothing is held beyond a page."""
    await remembered(world, 2000)
    await sweep(world)
    before = world.dump()
    world.stripe.calls.clear()
    world.panel.forget_calls()
    held: list[int] = []

    def look(phase: str, counts: Mapping[str, int]) -> None:
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        async with world.bridge() as manager:
            report = await manager.sweep(deadline=time.monotonic() + 300, progress=look)
    finally:
        tracemalloc.stop()
    assert report.finished
    assert report.counts["subscriptions"] == report.counts["orgs"] == report.counts["websites"] == 2000
    assert report.counts.get("marked", 0) == 0
    assert world.due() == []
    assert world.stripe.count(".*", "/v1/subscriptions") == 20
    assert len(world.stripe.calls) <= 20 + 4
    assert len(world.panel.calls) <= 2 * 5 + 1
    assert world.dump() == before
    assert held[-1] - held[2] < 500_000


# --- resumable --------------------------------------------------------------------------------------------------------


def dies_before_prune(phase: str, counts: Mapping[str, int]) -> None:
    """Let a process end behind each page but the last ones."""
    if phase != "prune":
        raise Killed


async def one_page(world: World, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fresh process do one page of a sweep and end, in one of several ways."""
    pages = 0
    real = time.monotonic

    def after_a_page(phase: str, counts: Mapping[str, int]) -> None:
        nonlocal pages
        pages += 1
        match how:
            case "killed":
                raise Killed
            case "cancelled":
                raise asyncio.CancelledError
            case "failed":
                raise BridgeError("the database is away")
            case _:
                monkeypatch.setattr(time, "monotonic", lambda: real() + 1000)

    with contextlib.suppress(Killed, asyncio.CancelledError, BridgeError):
        async with world.bridge() as manager:
            await manager.sweep(deadline=real() + 500, progress=after_a_page)
    monkeypatch.undo()
    assert pages == 1


def still_to_prune(world: World) -> bool:
    """Whether the only sweep has come to its last step."""
    (row,) = world.sql("SELECT phase, finished_at FROM sweeps")
    assert row["finished_at"] is None
    return bool(row["phase"] == "prune")


@pytest.mark.parametrize("how", ["killed", "cancelled", "failed", "out of time"])
async def test_a_sweep_that_ends_after_any_page_goes_on_from_there(
    world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the process ends, and after each single page, none is compared twice and none is left out.

    What was read ahead of an end is read again: a page at most for each end that had one to come.
    """
    subscriptions = await remembered(world, 250)
    for subscription in subscriptions[::25]:
        world.stripe.set(subscription, status="unpaid")
    await one_page(world, how, monkeypatch)
    while not still_to_prune(world):
        await one_page(world, how, monkeypatch)
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 500)
    assert report.finished
    assert world.sql("SELECT count(*) AS n FROM sweeps") == [{"n": 1}]
    assert [report.counts[kind] for kind in ("subscriptions", "orgs", "websites", "marked")] == [250, 250, 250, 10]
    read = world.stripe.count(".*", "/v1/subscriptions")
    assert 3 <= read <= 3 + 2
    assert len(world.stripe.calls) == read + 4
    assert len(world.panel.calls) == 3
    assert len(world.due()) == 10


async def test_a_page_whose_cursor_was_not_written_is_done_again_without_harm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dying between a page's work and the note of it repeats the page: no event is stored twice, nothing made twice."""
    world.buy(world.customer("Anna", "anna@example.com"), domain="anna.example")
    save, attempts = sweeps.save, 0

    async def dies(*args: Any, **more: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts % 2 == 0:
            await save(*args, **more)
        raise Killed

    monkeypatch.setattr(sweeps, "save", dies)
    while attempts == 0 or not still_to_prune(world):
        with contextlib.suppress(Killed):
            async with world.bridge() as manager:
                await manager.sweep(deadline=time.monotonic() + 300)
    monkeypatch.undo()
    assert attempts == 2 * (len(PHASES) - 1)
    await sweep(world)
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}
    stored = world.sql("SELECT event_id FROM events")
    assert len(stored) == len({row["event_id"] for row in stored}) > 0
    assert world.due() == []


async def test_a_sweep_without_time_does_nothing_and_says_so(world: World) -> None:
    """A deadline that has passed leaves the sweep where it stands."""
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() - 1)
    assert (report.finished, report.elsewhere) == (False, False)
    assert world.stripe.calls == []
    assert (await sweep(world))["subscriptions"] == 0


async def test_of_two_sweeps_at_once_one_works(world: World) -> None:
    """The second one finds the first under way, asks nobody anything, and says so."""
    world.buy(world.customer())
    gate = world.panel.hold_next("GET", "/customers$")
    async with world.bridge() as one, world.bridge() as other:
        first = asyncio.create_task(one.sweep(deadline=time.monotonic() + 300))
        await gate.reached()
        asked = len(world.stripe.calls)
        second = await other.sweep(deadline=time.monotonic() + 300)
        assert (second.elsewhere, second.finished) == (True, False)
        assert len(world.stripe.calls) == asked
        gate.release()
        assert (await first).finished
        third = await other.sweep(deadline=time.monotonic() + 300)
    assert third.finished
    assert world.sql("SELECT count(*) AS n FROM sweeps") == [{"n": 2}]


async def test_a_sweep_with_a_wrong_key_changes_nothing(world: World) -> None:
    """Stripe refuses: nothing is marked, nobody is parked, and the report names each part that was left out."""
    world.buy(world.customer())
    await sweep(world)
    await sweep(world)
    before = world.dump()
    async with world.bridge(STRIPE_SECRET_KEY="sk_test_fake_of_nobody") as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert set(report.errors) == {"events", "undelivered", "subscriptions", "disputes", "refunds"}
    assert world.dump() == before
    assert world.due() == []
    assert (await sweep(world))["subscriptions"] == 1


# --- what goes wrong on the way ---------------------------------------------------------------------------------------


async def kill_at(world: World, phase: str, **counted: int) -> None:
    """Begin a sweep that dies behind the page that brings it to this phase with at least these counts."""

    def look(at: str, counts: Mapping[str, int]) -> None:
        if at == phase and all(counts.get(name, 0) >= number for name, number in counted.items()):
            raise Killed

    async with world.bridge() as manager:
        with pytest.raises(Killed):
            await manager.sweep(deadline=time.monotonic() + 300, progress=look)


@pytest.mark.parametrize("phase", ["events", "undelivered"])
async def test_an_event_that_stripe_has_forgotten_ends_its_list(world: World, phase: str) -> None:
    """Interrupted for so long that Stripe lists the cursor's event no more, the sweep goes on with the next list."""
    customer = world.customer()
    world.buy(customer)
    for number in range(150):
        world.stripe.update_customer(customer, metadata={"n": str(number)})
    seen = len(world.stripe.events) if phase == "undelivered" else 0
    await kill_at(world, phase, events=seen + 100)
    assert world.sql("SELECT cursor FROM sweeps")[0]["cursor"].startswith("evt_")
    world.stripe.tables["event"] = Table()
    counts = await sweep(world)
    assert counts["subscriptions"] == 1
    assert world.sql("SELECT errors, finished_at IS NOT NULL AS ended FROM sweeps") == [{"errors": {}, "ended": True}]


async def test_a_list_whose_place_is_lost_is_walked_again(world: World) -> None:
    """A subscription that Stripe does not know any more as cursor: its list begins anew, and all of it is compared."""
    subscriptions = await remembered(world, 250)
    await kill_at(world, "subscriptions", subscriptions=200)
    (row,) = world.sql("SELECT cursor FROM sweeps")
    world.stripe.subscriptions.drop(row["cursor"])
    world.stripe.set(next(s for s in subscriptions if s != row["cursor"]), status="unpaid")
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert (report.finished, report.errors) == (True, {})
    assert report.counts["subscriptions"] == 249
    assert report.counts["marked"] == 1  # what was dropped had been met before; the next sweep misses it


async def test_what_may_not_be_read_is_left_out_and_the_rest_is_compared(world: World) -> None:
    """A key without permission for disputes: the panel is compared and the parked get their try all the same."""
    parked = world.customer("Ben", "ben@example.com")
    world.panel.prohibit("taken.example")
    world.buy(parked, domain="taken.example")
    subscription = world.buy(world.customer("Anna", "anna@example.com"), domain="anna.example")
    await sweep(world)
    world.stripe.mark_unpaid(subscription)
    await sweep(world)
    world.panel.resume_by_hand(world.service(subscription)["panel_subscription_id"])
    world.stripe.forbid("/v1/disputes")
    counts = await sweep(world)
    assert counts["parkedRetried"] == 1
    assert world.panel.subscriptions[world.service(subscription)["panel_subscription_id"]].suspended_by is not None
    (row,) = world.sql("SELECT errors, finished_at FROM sweeps ORDER BY id DESC LIMIT 1")
    assert row["finished_at"] is not None
    assert set(row["errors"]) == {"disputes"}
    world.stripe.clear_faults()
    await sweep(world)
    assert world.sql("SELECT errors FROM sweeps ORDER BY id DESC LIMIT 1") == [{"errors": {}}]


@pytest.mark.parametrize("query", [{}, {"delivery_success": "false"}], ids=["events", "undelivered"])
async def test_events_that_could_not_be_read_are_read_by_the_next_sweep(world: World, query: dict[str, str]) -> None:
    """A sweep that failed at the events does not move the window of the next one."""
    await sweep(world)
    world.sql("UPDATE sweeps SET started_at = now() - interval '10 days'")
    customer = world.customer()
    world.stripe.update_customer(customer, created=world.stripe.now() - 9 * DAY, name="Later")
    event = world.stripe.events_of("customer.updated")[0]
    world.stripe.mark_delivered(event)  # so that only the window finds it
    async with world.bridge() as manager:
        real = manager.stripe.get

        async def refused(path: str, **parameters: Any) -> Any:
            if path == "/v1/events" and query.items() <= parameters.items():
                raise Refused(Reason.STRIPE_REFUSED, "not allowed")
            return await real(path, **parameters)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(manager.stripe, "get", refused)
            assert (await manager.sweep(deadline=time.monotonic() + 300)).finished
    world.sql("DELETE FROM events")
    await sweep(world)
    assert event["id"] in {row["event_id"] for row in world.sql("SELECT event_id FROM events")}


async def test_an_outage_keeps_its_place_and_then_stops_nothing(world: World) -> None:
    """While the panel is away the sweep waits where it is; after some tries it leaves that out and goes on."""
    world.buy(world.customer())
    await sweep(world)
    world.panel.down = True
    for _ in range(1 + TRIES):
        async with world.bridge() as manager:
            report = await manager.sweep(deadline=time.monotonic() + 300)
        assert (report.finished, set(report.errors)) == (False, {"orgs"})
        assert report.stopped is not None
        (row,) = world.sql("SELECT phase, errors FROM sweeps WHERE finished_at IS NULL")
        assert (row["phase"], set(row["errors"])) == ("orgs", {"orgs"})
    asked = len(world.stripe.calls)
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert (report.finished, set(report.errors)) == (False, {"orgs", "websites"})
    world.panel.down = False
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert (report.finished, set(report.errors)) == (True, {"orgs"})
    assert report.counts["websites"] == 1
    assert len(world.stripe.calls) == asked


async def test_a_page_that_ends_the_process_each_time_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kills the process at one page, the sweep comes to its end, and says which part it left out."""
    world.buy(world.customer())
    await sweep(world)
    deaths = 0

    async def dies(*_: Any) -> None:
        nonlocal deaths
        deaths += 1
        raise Killed

    monkeypatch.setattr(StripeClient, "subscriptions_page", dies)
    report = None
    while report is None:
        with contextlib.suppress(Killed):
            async with world.bridge() as manager:
                report = await manager.sweep(deadline=time.monotonic() + 300)
    assert deaths == 1 + TRIES
    assert (report.finished, set(report.errors)) == (True, {"subscriptions"})
    assert report.counts["websites"] == 1


async def test_an_answer_of_an_unknown_shape_is_no_crash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops the sweep at its place with a reason, like an outage."""

    async def strange(*_: Any) -> Any:
        raise KeyError("id")

    monkeypatch.setattr(StripeClient, "subscriptions_page", strange)
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert report.stopped == "subscriptions: KeyError: 'id'"
    monkeypatch.undo()
    await sweep(world)
    assert world.sql("SELECT errors FROM sweeps") == [{"errors": {}}]


@pytest.mark.parametrize(
    ("phase", "counted"), [("subscriptions", {"subscriptions": 200}), ("orgs", {"orgs": 500}), ("websites", {})]
)
async def test_what_was_met_and_is_lost_is_met_again(world: World, phase: str, counted: dict[str, int]) -> None:
    """The table of what a sweep has met is empty after a crash of the database: nobody is taken for missing."""
    await remembered(world, 600)
    await sweep(world)
    await kill_at(world, phase, **counted)
    world.sql("TRUNCATE sweep_seen")
    counts = await sweep(world)
    assert counts.get("marked", 0) == 0
    assert [counts[kind] for kind in ("subscriptions", "orgs", "websites")] == [600, 600, 600]
    assert world.sql("SELECT count(*) AS n FROM services WHERE website_gone") == [{"n": 0}]
    assert world.sql("SELECT count(*) AS n FROM customers WHERE org_gone") == [{"n": 0}]


@pytest.mark.parametrize("list_", ["subscriptions_page", "orgs_page", "websites_page"])
async def test_a_sweeper_that_was_overtaken_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, list_: str
) -> None:
    """It stood still on the last page of a list while another one finished the sweep: nobody is taken for missing."""
    await remembered(world, 120)
    await sweep(world)
    gate, reached = asyncio.Event(), asyncio.Event()
    async with world.bridge() as one, world.bridge() as other:
        side: Any = one.stripe if list_ == "subscriptions_page" else one.enhance
        real = getattr(side, list_)

        async def slow(*arguments: Any) -> Any:
            page = await real(*arguments)
            if page[-1] is None:
                reached.set()
                await gate.wait()
            return page

        monkeypatch.setattr(side, list_, slow)
        first = asyncio.create_task(one.sweep(deadline=time.monotonic() + 300))
        await reached.wait()
        world.sql("UPDATE leases SET leased_until = now() - interval '1 second'")
        assert (await other.sweep(deadline=time.monotonic() + 300)).finished
        before, sweeps_before = world.dump(), world.sql("SELECT * FROM sweeps ORDER BY id")
        gate.set()
        report = await first
    assert (report.finished, report.elsewhere) == (False, True)
    assert world.due() == []
    assert (world.dump(), world.sql("SELECT * FROM sweeps ORDER BY id")) == (before, sweeps_before)
    assert world.sql("SELECT * FROM sweep_seen") == []


async def test_a_page_that_failed_while_it_was_read_ahead_stops_the_sweep_where_it_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page before it is compared and written down; the next run begins with the one that failed, and finds all."""
    subscriptions = await remembered(world, 250)
    for subscription in (subscriptions[0], subscriptions[-1]):
        world.stripe.set(subscription, status="unpaid")
    real, read = StripeClient.subscriptions_page, []

    async def breaks(self: StripeClient, after: str | None = None) -> Any:
        read.append(after)
        if len(read) == 2:
            raise BridgeError("the line was cut")
        return await real(self, after)

    monkeypatch.setattr(StripeClient, "subscriptions_page", breaks)
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
        assert (report.finished, report.counts["subscriptions"], report.counts["marked"]) == (False, 100, 1)
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert (report.finished, report.counts["subscriptions"], report.counts["marked"]) == (True, 250, 2)
    assert read[1] == read[2] is not None, "the place was kept"
    assert len(read) == 4


# --- lists that move while they are walked ----------------------------------------------------------------------------


async def test_rows_that_move_up_are_not_taken_for_missing(world: World) -> None:
    """Websites wiped between two pages move the others up: only the wiped ones are gone, and nobody was asked for."""
    await remembered(world, 1000)
    await sweep(world)
    wiped = list(world.panel.websites)[:3]

    def look(phase: str, counts: Mapping[str, int]) -> None:
        if phase == "websites" and counts.get("websites", 0) == 500:
            for site in wiped:
                world.panel.delete_by_hand(site, force=True)

    world.panel.forget_calls()
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300, progress=look)
    gone = {str(row["website_id"]) for row in world.sql("SELECT website_id FROM services WHERE website_gone")}
    assert gone == set()  # they were still listed; the next sweep misses them
    assert report.counts["marked"] == 0
    assert {call.path.rsplit("/", 1)[1] for call in world.panel.calls} == LISTS_OF_THE_PANEL
    counts = await sweep(world)
    gone = {str(row["website_id"]) for row in world.sql("SELECT website_id FROM services WHERE website_gone")}
    assert gone == set(wiped)
    assert (counts["marked"], counts["websitesAskedFor"]) == (3, 3)


@pytest.mark.parametrize("list_", ["orgs_page", "websites_page"])
async def test_what_a_list_leaves_out_is_asked_for_before_it_counts_as_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, list_: str
) -> None:
    """A list without stable order drops rows that exist: they are found by their ids, compared, and not flagged."""
    await remembered(world, 60)
    await sweep(world)
    site = list(world.panel.websites.values())[20]
    org = list(world.panel.orgs.values())[20]
    real = getattr(EnhanceClient, list_)

    async def lossy(self: EnhanceClient, offset: int) -> Any:
        rows, after = await real(self, offset)
        return rows[:15] + rows[25:], after

    monkeypatch.setattr(EnhanceClient, list_, lossy)
    counts = await sweep(world)
    assert counts["marked"] == 0
    assert counts[f"{list_.removesuffix('_page')}AskedFor"] == 10
    if list_ == "orgs_page":
        world.panel.delete_by_hand(org.id, force=True)
    else:
        world.panel.suspend_by_hand(site.id)
    counts = await sweep(world)
    assert counts["marked"] == (2 if list_ == "orgs_page" else 1)  # an organisation is gone together with its website
    flagged = world.sql("SELECT org_id::text AS id FROM customers WHERE org_gone")
    assert flagged == ([{"id": org.id}] if list_ == "orgs_page" else [])


async def test_only_so_many_are_asked_for_in_one_sweep(world: World) -> None:
    """Of very many that are gone at once, each sweep confirms its share, and none is flagged unconfirmed."""
    await remembered(world, 130)
    await sweep(world)
    for site in list(world.panel.websites)[:120]:
        world.panel.delete_by_hand(site, force=True)
    for confirmed in (100, 120):
        async with world.bridge() as manager:
            report = await manager.sweep(deadline=time.monotonic() + 300)
        assert report.errors == {}
        assert world.sql("SELECT count(*) AS n FROM services WHERE website_gone") == [{"n": confirmed}]


async def test_what_the_panel_would_not_tell_costs_one_pass(world: World) -> None:
    """A refusal where a missing website is asked for proves nothing: its customer is looked at, nothing flagged."""
    await remembered(world, 3)
    await sweep(world)
    site = next(iter(world.panel.websites))
    world.panel.delete_by_hand(site, force=True)
    world.panel.fail_next("GET", f"/websites/{site}$", 400, code="bad_request")
    counts = await sweep(world)
    assert counts["marked"] == 1
    assert world.sql("SELECT 1 FROM services WHERE website_gone") == []
    assert (await sweep(world))["marked"] == 1
    assert len(world.sql("SELECT 1 FROM services WHERE website_gone")) == 1


# --- events -----------------------------------------------------------------------------------------------------------


async def test_missed_events_are_written_once(world: World) -> None:
    """What Stripe lists and the inbox lacks is stored as found by the sweep; what was delivered stays as it came."""
    world.buy(world.customer())
    async with world.functions() as client:
        delivered = world.stripe.events_of("customer.subscription.created")[0]
        await world.deliver(client, delivered)
    counts = await sweep(world)
    rows = world.sql("SELECT event_id, source, outcome FROM events")
    assert {row["event_id"] for row in rows if row["source"] == "webhook"} == {delivered["id"]}
    assert counts["eventsMissed"] == sum(row["source"] == "sweep" for row in rows) > 0
    assert {row["outcome"] for row in rows} == {"accepted"}
    again = await sweep(world)
    assert again["events"] == counts["events"]
    assert again["eventsMissed"] == 0
    assert world.sql("SELECT event_id, source, outcome FROM events") == rows


async def test_renewals_that_were_told_are_not_missed(world: World) -> None:
    """What the endpoint is not to be sent is no missed event: a month's renewals make nobody due a second time."""
    subscription = world.buy(world.customer())
    await sweep(world)
    async with world.functions() as client:
        world.stripe.renew(subscription)
        for event in world.stripe.undelivered():
            if event["type"] in SUBSCRIBE_TO:
                await world.deliver(client, event)
                world.stripe.mark_delivered(event)
    before = world.sql("SELECT event_id FROM events")
    counts = await sweep(world)
    assert (counts["eventsMissed"], counts.get("marked", 0)) == (0, 0)
    assert world.sql("SELECT event_id FROM events") == before
    assert world.due() == []


async def test_older_events_are_found_when_they_were_never_delivered(world: World) -> None:
    """Beyond the window of the last sweep, Stripe is asked for undelivered events only."""
    customer = world.customer()
    world.buy(customer)
    await sweep(world)
    then = world.stripe.now() - 10 * DAY
    world.stripe.update_customer(customer, created=then, name="Told")
    world.stripe.update_customer(customer, created=then, name="Untold")
    told, untold = world.stripe.events_of("customer.updated")
    world.stripe.mark_delivered(told)
    counts = await sweep(world)
    assert counts["eventsMissed"] == 1
    assert world.sql("SELECT event_id FROM events WHERE type = 'customer.updated'") == [{"event_id": untold["id"]}]
    assert [org.name for org in world.panel.orgs.values()] == ["Untold"]


async def test_old_events_are_pruned(world: World) -> None:
    """Events beyond `EVENT_RETENTION_DAYS` go, however many they are; younger ones stay."""
    world.sql(
        "INSERT INTO events (event_id, type, outcome, body, received_at)"
        " SELECT 'evt_old_' || n, 'invoice.paid', 'accepted', '{}', now() - interval '91 days'"
        " FROM generate_series(1, 5001) AS n"
    )
    world.sql(
        "INSERT INTO events (event_id, type, outcome, body, received_at)"
        " VALUES ('evt_young', 'invoice.paid', 'accepted', '{}', now() - interval '89 days')"
    )
    counts = await sweep(world)
    assert counts["eventsPruned"] == 5001
    assert world.sql("SELECT event_id FROM events") == [{"event_id": "evt_young"}]


# --- what nobody answers for, and who is parked -----------------------------------------------------------------------


async def test_orphans_are_reported_and_never_deleted(world: World) -> None:
    """An organisation with a customer's mark that we don't remember is shown; what has no mark is not ours at all."""
    orphan = world.panel.add_customer("Somebody [cus_ghost]", "ghost@example.com")
    world.panel.add_customer("A customer made by hand", "hand@example.com")
    before = world.panel.world()
    for _ in range(2):
        counts = await sweep(world)
        assert counts["orphans"] == 1
    assert world.sql("SELECT orphans FROM sweeps ORDER BY id DESC LIMIT 1") == [
        {"orphans": [{"org": orphan, "mark": "cus_ghost"}]}
    ]
    assert world.panel.world() == before
    assert {call.method for call in world.panel.calls} == {"GET"}


async def test_an_organisation_that_is_just_being_made_is_no_orphan(world: World) -> None:
    """Made, and the answer lost: the customer's next pass finds it by its mark, so nobody needs to look."""
    customer = world.customer()
    world.buy(customer)
    world.panel.drop_next("POST", "/customers$", when="after")
    await world.sync(customer)
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert report.counts["orgs"] == 1
    assert report.counts.get("orphans", 0) == 0
    await world.come_to_rest()
    assert world.panel.world()["orgs"] == 1
    assert (await sweep(world)).get("orphans", 0) == 0


async def test_an_organisation_of_somebody_in_the_queue_is_no_orphan_yet(world: World) -> None:
    """Whoever is due may be having it made at this moment; who is parked, or waits for a date, is not."""
    world.panel.add_customer("Ada [cus_ada]")
    world.sql("INSERT INTO due (kind, key, due_at) VALUES ('customer', 'cus_ada', now() + interval '1 hour')")
    assert (await sweep(world)).get("orphans", 0) == 0
    world.sql("UPDATE due SET waits_for = 'retention'")
    assert (await sweep(world))["orphans"] == 1
    world.sql("UPDATE due SET due_at = NULL, waits_for = NULL, parked_reason = 'ambiguous_org', parked_at = now()")
    assert (await sweep(world))["orphans"] == 1


async def test_the_parked_get_one_try_each_sweep(world: World) -> None:
    """Each sweep tries once, quietly, and it runs by itself as soon as the obstacle is gone."""
    world.panel.prohibit("shop.example")
    customer = world.customer()
    world.buy(customer)
    await sweep(world)
    (first,) = world.due()
    assert (first["parked_reason"], first["due_at"]) == ("domain_prohibited", None)
    for _ in range(2):
        world.stripe.calls.clear()
        counts = await sweep(world)
        assert counts["parkedRetried"] == 1
        assert sum(call.query.get("customer") == customer for call in world.stripe.calls) == 1
    (parked,) = world.due()
    assert (parked["parked_reason"], parked["parked_at"]) == (first["parked_reason"], first["parked_at"])
    assert world.ledger("noted") == ["parked"]
    world.panel.state.prohibited.clear()
    await sweep(world)
    assert world.panel.world()["websites"] == 1
    assert world.due() == []


async def test_a_drain_between_two_pages_gives_the_parked_no_second_try(world: World) -> None:
    """Who is parked gets exactly one try in a sweep, also when its pages and the drains take turns."""
    customer = world.customer()
    world.buy(customer, domain=None)
    world.stripe.fail_next("GET", "/v1/checkout/sessions", 503, times=100_000)
    await sweep(world)
    world.sql("UPDATE due SET attempts = 50, retry_at = NULL, due_at = now()")
    await world.drain()
    assert [row["parked_reason"] for row in world.due()] == ["gave_up"]
    world.stripe.tables["event"] = Table()
    for _ in range(2):
        tries, finished = 0, False
        while not finished:
            with contextlib.suppress(Killed):
                async with world.bridge() as manager:
                    report = await manager.sweep(deadline=time.monotonic() + 300, progress=dies_before_prune)
                    finished = report.finished
            tries += (await world.drain()).passes
        assert tries == 1
        assert [row["parked_reason"] for row in world.due()] == ["gave_up"]


async def test_who_is_parked_while_a_sweep_runs_has_had_their_try(world: World) -> None:
    """Found by the sweep, parked by the drain behind that page: the end of the same sweep does not try again."""
    world.panel.prohibit("shop.example")
    world.buy(world.customer())
    await kill_at(world, "websites")
    await world.drain()
    assert [row["parked_reason"] for row in world.due()] == ["domain_prohibited"]
    counts = await sweep(world)
    assert counts["parkedRetried"] == 0
    assert (await sweep(world))["parkedRetried"] == 1


async def test_what_stripe_has_forgotten_is_parked_and_kept(world: World) -> None:
    """A subscription that no list shows any more is asked for, parks its customer, and is not touched."""
    subscription = world.buy(world.customer())
    world.stripe.subscribe(world.customer("Bob"), ["price_basic_monthly"], status="incomplete")
    await sweep(world)
    world.stripe.subscriptions.drop(subscription)
    before = world.panel.world()
    for _ in range(2):
        await sweep(world)
        (row,) = world.due()
        assert row["parked_reason"] == "unknown_subscription"
    assert world.panel.world() == before
    assert world.only_subscription().suspended_by is None


# --- hosting without a website ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True], ids=["deleted", "wiped"])
async def test_hosting_deleted_by_hand_is_found_without_a_website(world: World, force: bool) -> None:
    """The panel's count for the organisation tells, at no further call; its restoration tells in the same way."""
    world.buy(world.customer(), domain=None)
    for _ in range(3):
        counts = await sweep(world)
    assert counts.get("marked", 0) == 0
    hosting = world.only_subscription().id
    world.panel.delete_by_hand(hosting, force=force)
    assert (await sweep(world))["marked"] == 1
    assert [row["parked_reason"] for row in world.due()] == ["panel_deleted"]
    world.panel.forget_calls()
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 300)
    assert report.counts["marked"] == 0
    assert {call.path.rsplit("/", 1)[1] for call in world.panel.calls} == LISTS_OF_THE_PANEL
    if not force:
        world.panel.restore_by_hand(hosting)
        await sweep(world)
        assert world.due() == []
        assert (await sweep(world))["marked"] == 0


async def test_hosting_that_was_gone_before_the_first_look_is_found(world: World) -> None:
    """Fewer hosting subscriptions than we answer for tell at first sight."""
    customer = world.customer()
    world.buy(customer, domain=None)
    await world.sync(customer)
    world.panel.delete_by_hand(world.only_subscription().id, force=True)
    await sweep(world)
    assert [row["parked_reason"] for row in world.due()] == ["panel_deleted"]


async def test_what_we_add_and_what_others_have_there_differs_from_nothing(world: World) -> None:
    """A second purchase, hosting that we do not answer for, and our own soft deletion mark nobody."""
    settings = {"RETENTION_DAYS": "30"}
    customer = world.customer()
    first = world.buy(customer, domain=None)
    await world.sync(customer, **settings)
    org = next(iter(world.panel.orgs))
    foreign = world.panel.add_subscription(org, world.plan_id)
    await sweep(world, **settings)
    world.buy(customer, price="price_big_monthly", domain=None)
    await world.sync(customer, **settings)
    world.stripe.tables["event"] = Table()
    assert (await sweep(world, **settings)).get("marked", 0) == 0
    world.stripe.cancel(first, created=world.stripe.now() - 100 * DAY)
    await world.sync(customer, **settings)
    assert world.service(first)["state"] == "terminated"
    world.stripe.tables["event"] = Table()
    assert (await sweep(world, **settings)).get("marked", 0) == 0
    world.panel.delete_by_hand(foreign)
    assert (await sweep(world, **settings))["marked"] == 1  # somebody else's: looked at once
    assert (await sweep(world, **settings))["marked"] == 0


# --- disputes and refunds ---------------------------------------------------------------------------------------------


async def test_a_sweep_learns_of_disputes_and_refunds(world: World) -> None:
    """Money that went back without a word holds its service after one sweep, its return lifts it, then all is still."""
    one, two = world.customer("Anna", "anna@example.com"), world.customer("Ben", "ben@example.com")
    disputed, refunded = world.buy(one, domain="one.example"), world.buy(two, domain="two.example")
    settings = {"ON_REFUND": "suspend"}
    await sweep(world, **settings)
    dispute = world.stripe.dispute(disputed)["id"]
    refund = world.stripe.refund(refunded)["id"]
    world.stripe.tables["event"] = Table()  # as after 30 days
    await sweep(world, **settings)
    assert [world.service(one)["holds"] for one in (disputed, refunded)] == [["dispute"], ["refund"]]
    assert (await sweep(world, **settings)).get("marked", 0) == 0
    world.stripe.close_dispute(dispute, "won")
    world.stripe.fail_refund(refund)
    world.stripe.tables["event"] = Table()
    await sweep(world, **settings)
    assert [world.service(one)["holds"] for one in (disputed, refunded)] == [[], []]
    assert all(one.suspended_by is None for one in world.panel.subscriptions.values())
    assert (await sweep(world, **settings)).get("marked", 0) == 0


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_that_lists_show_no_more_is_asked_for_until_it_is_decided(world: World, outcome: Any) -> None:
    """Open for longer than the lists go back, its end told by no event: the next sweep learns of it, once."""
    subscription = world.buy(world.customer())
    await sweep(world)
    dispute = world.stripe.dispute(subscription)["id"]
    world.stripe.set(dispute, created=world.stripe.now() - 100 * DAY)
    await sweep(world)
    assert world.service(subscription)["holds"] == ["dispute"]
    world.stripe.tables["event"] = Table()
    await sweep(world)
    assert world.service(subscription)["holds"] == ["dispute"]
    world.stripe.close_dispute(dispute, outcome)
    world.stripe.tables["event"] = Table()
    await sweep(world)
    assert world.service(subscription)["holds"] == ([] if outcome == "won" else ["dispute"])
    assert world.sql("SELECT status FROM disputes") == [{"status": outcome}]
    assert (await sweep(world))["marked"] == 0


async def test_a_refund_that_lists_show_no_more_is_asked_for_until_it_is_decided(world: World) -> None:
    """Pending for longer than the lists go back, then failed without a word: it holds its service no longer."""
    settings = {"ON_REFUND": "suspend"}
    subscription = world.buy(world.customer())
    await sweep(world, **settings)
    refund = world.stripe.refund(subscription)["id"]
    world.stripe.set(refund, created=world.stripe.now() - 100 * DAY, status="pending")
    await sweep(world, **settings)
    assert world.service(subscription)["holds"] == ["refund"]
    world.stripe.fail_refund(refund)
    world.stripe.tables["event"] = Table()
    await sweep(world, **settings)
    assert world.service(subscription)["holds"] == []
    assert (await sweep(world, **settings))["marked"] == 0


async def test_a_waived_dispute_is_asked_for_no_more(world: World) -> None:
    """Somebody decided it by hand, so how Stripe decides is of no interest."""
    subscription = world.buy(world.customer())
    await sweep(world)
    dispute = world.stripe.dispute(subscription)["id"]
    world.stripe.set(dispute, created=world.stripe.now() - 100 * DAY)
    await sweep(world)
    world.sql("UPDATE disputes SET waived = true")
    assert (await sweep(world))["marked"] == 0


async def test_a_refund_without_a_charge_is_asked_about_once(world: World) -> None:
    """It leads to nobody, is remembered all the same, and the next sweep marks nothing."""
    refund = world.stripe.refund(world.buy(world.customer()))
    world.stripe.set(refund["id"], charge=None, payment_intent=None)
    await sweep(world)
    assert world.sql("SELECT refund_id, customer_id FROM refunds") == [{"refund_id": refund["id"], "customer_id": None}]
    assert (await sweep(world)).get("marked", 0) == 0
    assert world.due() == []
