"""Less is known than is needed: whatever a side leaves out, nothing is written from it, and nothing is silent.

One table: each entry takes a piece of what a decision reads out of the answers of one side. Against each entry stand
the worlds in which that piece decides something, and the ways in which it is read: a pass, a dry run, a sweep.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lib.model import Failed
from lib.subscription_manager.sweep import TRIES
from scripts.sim.stripe_sim import Obj
from tests.world import World

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Less:
    """One thing that an answer does not tell."""

    name: str
    side: str
    path: str
    change: Change
    method: str = "GET"
    when: tuple[str, ...] = ("settled",)
    """In which worlds it is read."""
    ways: tuple[bool, ...] = (True, False)
    """Whether a dry run reads it, and that a pass does."""


def _without(thing: Obj, *fields: str) -> Obj:
    return {key: value for key, value in thing.items() if key not in fields}


def _rows(change: Callable[[Obj], Any], name: str = "data") -> Change:
    def changed(page: Obj) -> Obj:
        return {**page, name: [change(row) for row in page[name]]}

    return changed


def _each(field: str, *values: Any) -> list[tuple[str, Callable[[Obj], Obj]]]:
    """A field that is gone, and one that holds something else."""
    gone: list[tuple[str, Callable[[Obj], Obj]]] = [(f"no {field}", lambda row: _without(row, field))]
    return gone + [(f"{field}={value!r}", lambda row, v=value: {**row, field: v}) for value in values]


def _items(change: Callable[[Obj], Any]) -> Callable[[Obj], Obj]:
    return lambda row: {**row, "items": change(row["items"])}


def _item(change: Callable[[Obj], Obj]) -> Callable[[Obj], Obj]:
    return _items(lambda items: {**items, "data": [change(line) for line in items["data"]]})


def _invoice(change: Callable[[Obj], Obj]) -> Callable[[Obj], Obj]:
    return lambda row: {**row, "latest_invoice": row["latest_invoice"] and change(row["latest_invoice"])}


def _customer(change: Callable[[Obj], Any]) -> Callable[[Obj], Obj]:
    def changed(row: Obj) -> Obj:
        return {**row, "customer": change(row["customer"])} if isinstance(row["customer"], dict) else row

    return changed


SUBSCRIPTIONS = "/v1/subscriptions$"
HOSTED = ("settled", "unpaid", "ended", "lost hosting")
ALL = ("new", "settled", "unpaid", "ended")

_OF_SUBSCRIPTION: list[tuple[str, Callable[[Obj], Obj]]] = [
    *_each("status", None, "", 7),
    *_each("created", None, "today", 1e30),
    *_each("customer", None, "", {}),
    *_each("latest_invoice", 7, [], {}),
    *_each("ended_at", "today"),
    *_each("trial_end", "today"),
    *_each("cancel_at", "today"),
    *_each("cancel_at_period_end", None),
    *_each("pause_collection", True, []),
    *_each("metadata", None, []),
    *_each("items", None, {}, []),
    ("items without data", _items(lambda items: _without(items, "data"))),
    ("items without has_more", _items(lambda items: _without(items, "has_more"))),
    ("items cut short", _items(lambda items: {**items, "data": [], "has_more": True})),
    *((f"item: {name}", _item(change)) for name, change in _each("id", None)),
    *((f"item: {name}", _item(change)) for name, change in _each("price", None, {})),
    *((f"item: {name}", _item(change)) for name, change in _each("quantity", None, "1")),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("id", None)),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("status", None, "of_tomorrow")),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("created", None)),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("due_date", "soon")),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("status_transitions", None)),
    *((f"invoice: {name}", _invoice(change)) for name, change in _each("billing_reason", 7)),
    *(
        (f"invoice: {name}", _invoice(change))
        for field in ("amount_due", "amount_paid", "total", "currency")
        for name, change in _each(field, None)
    ),
]

INVOICES = "/v1/invoices$"
OWED = ("unpaid", "to move")


def _line_of(change: Callable[[Obj], Any]) -> Callable[[Obj], Obj]:
    return lambda row: {**row, "lines": {**row["lines"], "data": [change(line) for line in row["lines"]["data"]]}}


_OF_INVOICE: list[tuple[str, Callable[[Obj], Obj]]] = [
    *_each("status", None, "of_tomorrow"),
    *_each("created", None, "today"),
    *_each("due_date", "soon"),
    *_each("status_transitions", None, {}),
    *_each("billing_reason", 7),
    *_each("amount_due", None, "5"),
    *_each("total", None, "5"),
    *_each("amount_paid", None),
    *_each("currency", None),
    *_each("lines", None, {}, []),
    ("lines without data", lambda row: {**row, "lines": _without(row["lines"], "data")}),
    ("lines without has_more", lambda row: {**row, "lines": _without(row["lines"], "has_more")}),
    *((f"line: {name}", _line_of(change)) for name, change in _each("id", None)),
    *((f"line: {name}", _line_of(change)) for name, change in _each("amount", None)),
    *((f"line: {name}", _line_of(change)) for name, change in _each("period", None, {})),
    *((f"line: {name}", _line_of(change)) for name, change in _each("pricing", 7)),
    *((f"line: {name}", _line_of(change)) for name, change in _each("quantity", "1", {})),
    *((f"line: {name}", _line_of(change)) for name, change in _each("parent", 7, {})),
]

_OF_PAYMENT: list[tuple[str, Callable[[Obj], Obj]]] = [
    *_each("payment", None, {}),
    ("payment_intent=pi_1", lambda row: {**row, "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}),
    ("no status", lambda row: {**row, "payment": {"type": "payment_intent", "payment_intent": {"id": "pi_1"}}}),
]

_PAGES: list[tuple[str, Change]] = [
    ("{}", lambda _: {}),
    ("[]", lambda _: []),
    ("null", lambda _: None),
    ("another body", lambda _: b"<html>welcome</html>"),
    ("no data", lambda page: _without(page, "data")),
    ("data=null", lambda page: {**page, "data": None}),
    ("no has_more", lambda page: _without(page, "has_more")),
    ("cut short", lambda page: {**page, "data": [], "has_more": True}),
    ("rows without id", _rows(lambda row: _without(row, "id"))),
]

_LISTS: list[tuple[str, Change]] = [
    ("{}", lambda _: {}),
    ("[]", lambda _: []),
    ("another body", lambda _: b"<html>welcome</html>"),
    ("no items", lambda page: _without(page, "items")),
    ("items=null", lambda page: {**page, "items": None}),
    ("counts more than it shows", lambda _: {"items": [], "total": 1}),
]

_HOSTING: list[tuple[str, Callable[[Obj], Obj]]] = [
    *_each("id", None),
    *_each("planId", None, "4"),
    *_each("planName", None),
    ("no friendlyName", lambda row: _without(row, "friendlyName")),
    *_each("status", None, "of_tomorrow"),
    *_each("resources", None),
    ("suspendedBy=7", lambda row: {**row, "suspendedBy": 7}),
    ("no usage", lambda row: {**row, "resources": [{"name": "websites", "total": 1}]}),
]

TABLE = [
    *(Less(f"a subscription with {name}", "stripe", SUBSCRIPTIONS, _rows(c), when=ALL) for name, c in _OF_SUBSCRIPTION),
    *(Less(f"subscriptions: {name}", "stripe", SUBSCRIPTIONS, change, when=ALL) for name, change in _PAGES),
    *(
        Less(f"a customer with {name}", "stripe", SUBSCRIPTIONS, _rows(_customer(change)), when=("new", "settled"))
        for name, change in [*_each("id", None, "cus_other"), *_each("name", 7), *_each("email", 7)]
    ),
    *(Less(f"invoices: {name}", "stripe", INVOICES, change, when=OWED) for name, change in _PAGES),
    *(Less(f"one of all invoices with {name}", "stripe", INVOICES, _rows(c), when=OWED) for name, c in _OF_INVOICE),
    *(
        Less(f"payments of an invoice: {name}", "stripe", "/v1/invoice_payments$", change, when=("debit under way",))
        for name, change in _PAGES
    ),
    *(
        Less(f"payment with {name}", "stripe", "/v1/invoice_payments$", _rows(change), when=("debit under way",))
        for name, change in _OF_PAYMENT
    ),
    Less("all invoices without the latest", "stripe", INVOICES, lambda page: {**page, "data": []}, when=OWED),
    *(
        Less(f"hosting: {name}", "panel", "/customers/[^/]+/subscriptions$", change, when=HOSTED)
        for name, change in _LISTS
    ),
    *(
        Less(f"hosting with {name}", "panel", "/customers/[^/]+/subscriptions$", _rows(change, "items"),
             when=HOSTED)
        for name, change in _HOSTING
    ),
    *(
        Less(f"organisations: {name}", "panel", "/customers$", change, when=("lost organisation",), ways=(False,))
        for name, change in _LISTS
    ),
    *(
        Less(f"an organisation with {name}", "panel", "/customers$", _rows(change, "items"),
             when=("lost organisation",), ways=(False,))
        for name, change in [*_each("id", None), *_each("name", None), *_each("status", None, "of_tomorrow")]
    ),
    *(Less(f"plans: {name}", "panel", "/plans$", change, when=("to move",)) for name, change in _LISTS),
    *(
        Less(f"a plan with {name}", "panel", "/plans$", _rows(change, "items"), when=("to move",))
        for name, change in [*_each("id", None), *_each("name", None), *_each("resources", None)]
    ),
    *(
        Less(f"usage: {name}", "panel", "/calculate-resource-usage$", change, "PUT", ("to move",), (False,))
        for name, change in [
            ("{}", lambda _: {}), ("[]", lambda _: []), ("items=null", lambda _: {"items": None}),
            ("nothing counted", lambda _: {"items": []}),
            ("no usage", _rows(lambda row: _without(row, "usage"), "items")),
            ("one left out", lambda said: {"items": [r for r in said["items"] if r["name"] != "mailboxes"]}),
        ]
    ),
    *(
        Less(f"domain check: {name}", "panel", "/domains/check$", change, "POST", ("no website",), (False,))
        for name, change in [
            ("{}", lambda _: {}), ("[]", lambda _: []), ("status of tomorrow", lambda _: {"status": "of_tomorrow"}),
            ("no website named", lambda _: {"status": "inUseCurrentOrg"}),
        ]
    ),
]  # fmt: skip


async def swept(world: World) -> None:
    """Let sweeps find everything there is, until the last one finds nothing."""
    for _ in range(3):
        async with world.bridge() as manager:
            report = await manager.sweep(deadline=time.monotonic() + 120)
            await manager.drain(deadline=time.monotonic() + 120)
    assert (report.finished, report.errors, report.counts.get("marked", 0), world.due()) == (True, {}, 0, [])


async def begin(world: World, kind: str, site: str = "shop.example") -> str:
    """A customer in one of the worlds; whatever came before is done, and what comes next hangs on the reads."""
    customer = world.customer()
    if kind == "lost organisation":
        world.buy(customer)
        world.panel.drop_next("POST", r"/customers$", "after")
        await world.sync(customer)
        world.age_intents()
        return customer
    if kind == "lost hosting":
        world.buy(customer)
        world.panel.drop_next("POST", r"/customers/[^/]+/subscriptions$", "after")
        await world.sync(customer)
        world.age_intents()
        return customer
    if kind == "new":
        world.buy(customer)
        return customer
    if kind == "debit under way":
        world.sql("UPDATE plan_mappings SET activate_on = 'processing'")
        world.buy(customer, payment="processing")
        return customer
    domain = None if kind == "no website" else site
    subscription = world.buy(customer, "price_big_monthly" if kind == "to move" else "price_basic_monthly", domain)
    await world.sync(customer)
    if kind == "unpaid":
        world.stripe.renew(subscription, "failed")
        await world.sync(customer)
    if kind == "ended":
        world.stripe.cancel(subscription)
        await world.sync(customer)
    if kind == "no website":
        metadata = {"domain": "shop.example"}
        thing = world.stripe.get(subscription)
        world.stripe.edit(thing, world.stripe.now(), "customer.subscription.updated", metadata=metadata)
    if kind == "to move":
        world.panel.plans[world.big_plan_id].resources.update(websites=5, mailboxes=50)
        world.panel.plans[world.plan_id].resources.update(websites=1, mailboxes=5)
        world.stripe.change_items(subscription, price="price_basic_monthly")
    return customer


WORLDS = list(dict.fromkeys(kind for less in TABLE for kind in less.when))


@pytest.mark.parametrize("kind", WORLDS)
async def test_nothing_is_written_from_what_was_not_read(world: World, kind: str) -> None:
    """By no pass and no dry run: panel and memory stay, the outcome says what is missing, and nobody is parked.

    Once the answers are whole again, the same customer comes to rest as if nothing had been.
    """
    customer = await begin(world, kind)
    table = [less for less in TABLE if kind in less.when]
    wrong: list[str] = []
    before: tuple[Any, Any] | None = None
    async with world.bridge() as manager:
        for less in table:
            says = world.stripe_says if less.side == "stripe" else world.panel_says
            says.tamper(less.method, less.path, less.change)
            manager.enhance.forget()
            reports = [await manager.reconcile(customer, dry_run=dry) for dry in less.ways]
            if says.changed == 0:
                wrong.append(f"{less.name}: it was not read")
            says.honest()
            for report in reports:
                if not (isinstance(report.outcome, Failed) and report.outcome.error):
                    wrong.append(f"{less.name}: {report.outcome}")
                if report.actions:
                    wrong.append(f"{less.name}: {report.actions}")
            after = world.panel.world(), world.dump()
            if before is not None and after != before:
                wrong.append(f"{less.name}: something was written")
            before = after
            wrong += [
                f"{less.name}: {row['parked_reason']} {row['last_error']}"
                for row in world.due()
                if row["parked_reason"] is not None or not row["last_error"]
            ]
    assert wrong == [], "\n".join(wrong)
    left = [] if kind == "unpaid" else await world.come_to_rest()  # whose grace has an end to wait for
    assert left == []
    hosting = world.only_subscription()
    assert (hosting.suspended_by is not None) == (kind == "ended")


LISTS = {
    "events": ("stripe", "/v1/events$"),
    "undelivered": ("stripe", "/v1/events$"),
    "subscriptions": ("stripe", "/v1/subscriptions$"),
    "disputes": ("stripe", "/v1/disputes$"),
    "refunds": ("stripe", "/v1/refunds$"),
    "orgs": ("panel", "/customers$"),
    "websites": ("panel", "/websites$"),
}


@pytest.mark.parametrize("phase", LISTS)
async def test_no_sweep_takes_less_for_a_fact(world: World, phase: str) -> None:
    """A list that is no list marks nobody, changes nothing that is remembered, and is named among the errors."""
    await begin(world, "settled")
    await begin(world, "ended", "bob.example")
    await swept(world)
    before = world.dump()
    side, path = LISTS[phase]
    says = world.stripe_says if side == "stripe" else world.panel_says
    for name, change in (_PAGES[0], *_PAGES[-3:-1]) if side == "stripe" else (_LISTS[0], _LISTS[-1]):
        says.tamper("GET", path, change)
        async with world.bridge() as manager:
            for _ in range(2 * TRIES + 2):  # it is tried again, and then left out
                report = await manager.sweep(deadline=time.monotonic() + 120)
                if report.finished:
                    break
        assert report.finished, name
        assert phase in report.errors, name
        assert report.counts.get("marked", 0) == 0, name
        says.honest()
        assert world.due() == [], name
        assert world.dump() == before, name
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 120)
    assert (report.finished, report.errors) == (True, {})


async def test_one_subscription_that_says_too_little_hides_no_other(world: World) -> None:
    """The sweep compares the rest of the list, says which one it could not, and takes it for missing by no means."""
    first = world.buy(world.customer())
    second = world.buy(world.customer("Bob", "bob@example.com"), domain="bob.example")
    await swept(world)
    world.stripe.cancel(second)
    unknown = _rows(lambda row: _without(row, "customer") if row["id"] == first else row)
    world.stripe_says.tamper("GET", SUBSCRIPTIONS, unknown)
    world.stripe_says.tamper("GET", "/v1/events$", lambda page: {**page, "data": [], "has_more": False})
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 120)
    assert report.finished
    assert first in report.errors["subscriptions"]
    assert "customer" in report.errors["subscriptions"]
    assert report.counts["subscriptionsUnread"] == 1
    assert [row["key"] for row in world.due()] == [world.stripe.get(second)["customer"]]


async def test_an_account_without_any_subscription_marks_nobody(world: World) -> None:
    """A key of another account lists nothing at all: that is said once, and is nobody's end."""
    await begin(world, "settled")
    await swept(world)
    world.stripe_says.tamper("GET", SUBSCRIPTIONS, lambda page: {**page, "data": [], "has_more": False})
    async with world.bridge() as manager:
        report = await manager.sweep(deadline=time.monotonic() + 120)
    assert report.finished
    assert report.errors["subscriptions"].startswith("stripe_key")
    assert world.due() == []
