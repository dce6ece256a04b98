"""The Stripe client: the truth in as few calls as it takes, in any shape that Stripe may send it."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx
import stripe

from lib.config import Secret
from lib.errors import Denied, Incomplete, Limited, NotFound, Refused, Unavailable
from lib.stripe_client import StripeClient
from lib.stripe_client import transport as stripe_transport
from lib.stripe_client.shapes import read_subscription
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

NOW = 1_794_000_000
DAY = 86_400
BASE = "https://stripe.test"
KEY = "sk_test_fake_key"
GONE = object()
"""Stands for a field that is not there."""


def when(seconds: int) -> datetime:
    """A Stripe time."""
    return datetime.fromtimestamp(seconds, UTC)


@pytest.fixture
def sim() -> StripeSim:
    """An account with a clock that stands still."""
    sim = StripeSim(secret_key=KEY, clock=lambda: NOW)
    sim.create_price("price_basic_monthly")
    sim.create_price("price_big_monthly", amount=4900)
    return sim


@pytest.fixture
async def client(sim: StripeSim) -> AsyncIterator[StripeClient]:
    """Our client of that account, over real HTTP."""
    with serve(sim.app) as url:
        opened = StripeClient(Secret(KEY), url)
        yield opened
        await opened.close()


@pytest.fixture
async def lone() -> AsyncIterator[StripeClient]:
    """A client of an address that only answers what a test says."""
    opened = StripeClient(Secret(KEY), BASE)
    yield opened
    await opened.close()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    """What that address answers."""
    with respx.mock(base_url=BASE) as router:
        yield router


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The SDK's pauses between its tries, which are written down instead of waited for."""
    noted: list[float] = []

    async def nap(_: object, seconds: float) -> None:
        noted.append(seconds)

    monkeypatch.setattr(stripe.HTTPXClient, "sleep_async", nap)
    return noted


def buyer(sim: StripeSim, **options: Any) -> tuple[str, str]:
    """A new customer with one subscription."""
    customer = str(sim.create_customer("ada@example.com", "Ada")["id"])
    return customer, str(sim.subscribe(customer, ["price_basic_monthly"], **options)["id"])


# --- the truth ------------------------------------------------------------------------------------


async def test_a_payer_is_one_call(sim: StripeSim, client: StripeClient) -> None:
    """The customer, every subscription in any status and its latest invoice come with a single list."""
    customer, first = buyer(sim, metadata={"domain": "shop.example"})
    ended = str(sim.subscribe(customer, ["price_big_monthly"])["id"])
    sim.cancel(ended)
    sim.calls.clear()
    payer = await client.payer(customer, {first, ended})
    assert sim.count() == 1
    assert (payer.id, payer.email, payer.name, payer.deleted) == (customer, "ada@example.com", "Ada", False)
    assert {s.id: s.status for s in payer.subscriptions} == {first: "active", ended: "canceled"}
    found = next(s for s in payer.subscriptions if s.id == first)
    assert (found.domain, [i.price_id for i in found.items]) == ("shop.example", ["price_basic_monthly"])
    assert found.latest_invoice is not None
    assert found.latest_invoice.status == "paid"


async def test_every_page_is_read(sim: StripeSim, client: StripeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many subscriptions there are and however small the pages, each is found once."""
    monkeypatch.setattr(stripe_transport, "PAGE", 2)
    customer, first = buyer(sim)
    made = {first} | {str(sim.subscribe(customer, ["price_basic_monthly"])["id"]) for _ in range(4)}
    buyer(sim)
    sim.calls.clear()
    payer = await client.payer(customer)
    assert sorted(s.id for s in payer.subscriptions) == sorted(made)
    assert sim.count("GET", "/v1/subscriptions") == 3


async def test_more_items_than_stripe_embeds_are_read(sim: StripeSim, client: StripeClient) -> None:
    """A subscription whose embedded list goes on is read to its end; no service may be missed."""
    customer = str(sim.create_customer("ada@example.com", "Ada")["id"])
    prices = [str(sim.create_price(f"price_{n}")["id"]) for n in range(25)]
    sim.subscribe(customer, prices)
    (found,) = (await client.payer(customer)).subscriptions
    assert sorted(item.price_id for item in found.items) == sorted(prices)


async def test_all_invoices_of_a_subscription_are_one_call(sim: StripeSim, client: StripeClient) -> None:
    """Newest first, each with its status, since when it is owed, when it was paid, and what its lines are for."""
    customer, subscription = buyer(sim, created=NOW - 70 * DAY)
    sim.renew(subscription, "failed", created=NOW - 40 * DAY)
    sim.change_items(subscription, price="price_big_monthly", invoice="open", created=NOW - 25 * DAY)
    sim.renew(subscription, "draft", created=NOW - 9 * DAY)
    (found,) = (await client.payer(customer)).subscriptions
    assert (found.status, found.invoices) == ("past_due", None)
    sim.calls.clear()
    draft, change, renewal, first = await client.invoices(subscription)
    assert sim.count() == 1
    assert [i.status for i in (draft, change, renewal, first)] == ["draft", "open", "open", "paid"]
    assert (renewal.owed_since, renewal.total, renewal.paid_at) == (when(NOW - 40 * DAY), 1900, None)
    assert (first.paid_at, first.amount_paid, first.currency) == (when(NOW - 70 * DAY), 1900, "eur")
    assert change.lines is not None and renewal.lines is not None
    assert [(line.price_id, line.amount > 0, line.proration) for line in change.lines] == [
        ("price_basic_monthly", False, True),
        ("price_big_monthly", True, True),
    ]
    (line,) = renewal.lines
    assert (line.price_id, line.amount, line.proration) == ("price_basic_monthly", 1900, False)
    assert line.start == when(NOW - 40 * DAY)


async def test_an_invoice_of_many_lines_is_read_to_its_end(
    api: respx.MockRouter, lone: StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe embeds ten lines; the price that matters may be the eleventh."""
    lines = {"object": "list", "data": [LINE], "has_more": True}
    api.get("/v1/invoices").mock(return_value=listed(invoice(lines=lines)))
    more = api.get("/v1/invoices/in_1/lines").mock(return_value=listed(LINE, LINE, LINE))
    (found,) = await lone.invoices("sub_1")
    assert more.called
    assert found.lines is not None and len(found.lines) == 3


LINE = {
    "id": "il_1", "amount": 5, "quantity": 1, "period": {"start": NOW, "end": NOW + DAY},
    "pricing": {"price_details": {"price": "price_1"}},
    "parent": {"type": "subscription_item_details", "subscription_item_details": {"proration": False}},
}  # fmt: skip


@pytest.mark.parametrize("value", [GONE, None, [], "x", {}, True])
@pytest.mark.parametrize("field", ["id", "status", "created", "amount_due", "total", "status_transitions", "lines"])
async def test_an_invoice_that_lacks_what_decisions_need_is_no_fact(
    api: respx.MockRouter, lone: StripeClient, field: str, value: Any
) -> None:
    """Whatever is missing from it, nobody decides on the rest; it is asked for again later."""
    if (field, value) == ("id", "x"):
        return
    thing = {**invoice(lines={"data": [LINE], "has_more": False}), field: value}
    if value is GONE:
        del thing[field]
    api.get("/v1/invoices").mock(return_value=listed(thing))
    with pytest.raises(Incomplete):
        await lone.invoices("sub_1")


@pytest.mark.parametrize("value", [GONE, [], "x", {}, True])
@pytest.mark.parametrize("field", ["id", "amount", "quantity", "period", "pricing", "parent"])
async def test_a_line_that_lacks_what_decisions_need_is_no_fact(
    api: respx.MockRouter, lone: StripeClient, field: str, value: Any
) -> None:
    """Which price it bills, how much and for when: of a line that does not say it nothing is believed."""
    if (field, value) in (("id", "x"), ("pricing", {})):  # an amount that somebody typed has no price
        return
    line = {**LINE, field: value}
    if value is GONE:
        del line[field]
    api.get("/v1/invoices").mock(return_value=listed(invoice(lines={"data": [line], "has_more": False})))
    with pytest.raises(Incomplete):
        await lone.invoices("sub_1")


@pytest.mark.parametrize("lines", [GONE, None, {}, {"data": [LINE]}, {"data": [{"id": "il_1"}], "has_more": False}])
def test_a_latest_invoice_whose_lines_are_not_told_has_none(lines: Any) -> None:
    """Nobody needs them but who asks for all invoices by themselves, so that no customer waits over them."""
    thing = invoice(lines=lines)
    if lines is GONE:
        del thing["lines"]
    found = read_subscription(subscription(latest_invoice=thing), [item()]).latest_invoice
    assert found is not None
    assert found.lines is None


def test_a_paid_invoice_without_a_date_was_paid_when_it_was_owed() -> None:
    """Stripe says when it was paid; where it says that there is no such date, it counts from when it was asked for."""
    thing = invoice(status_transitions={"paid_at": None, "finalized_at": NOW - 5})
    found = read_subscription(subscription(latest_invoice=thing), [item()]).latest_invoice
    assert found is not None
    assert found.paid_at == when(NOW - 5)


async def test_how_a_payment_stands(sim: StripeSim, client: StripeClient) -> None:
    """Of a bank debit that is under way, of one that failed, and of an invoice without any payment."""
    customer, subscription = buyer(sim, payment="processing")
    invoice = str(sim.subscriptions[subscription]["latest_invoice"])
    assert await client.payment_of(invoice) == "processing"
    sim.pay_invoice(invoice, "failed")
    assert await client.payment_of(invoice) == "requires_payment_method"
    trial = str(sim.subscribe(customer, ["price_basic_monthly"], "trialing")["latest_invoice"])
    assert await client.payment_of(trial) == "none"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": [], "has_more": True},
        {"data": [{"id": "inpay_1"}], "has_more": False},
        *(
            {"data": [{"id": "inpay_1", "payment": payment}], "has_more": False}
            for payment in (
                {},
                {"type": "payment_intent"},
                {"type": "payment_intent", "payment_intent": "pi_1"},
                {"type": "payment_intent", "payment_intent": {"id": "pi_1"}},
            )
        ),
    ],
)
async def test_a_payment_that_is_not_told_is_no_fact(api: respx.MockRouter, lone: StripeClient, answer: Any) -> None:
    """No list, no payment, no intent, no status: nothing is known of it."""
    api.get("/v1/invoice_payments").respond(json=answer)
    with pytest.raises(Incomplete):
        await lone.payment_of("in_1")


@pytest.mark.parametrize("remembered", [(), ("sub_unknown",)])
async def test_somebody_unknown_is_no_customer_without_anything(
    client: StripeClient, remembered: tuple[str, ...]
) -> None:
    """A customer that Stripe never had is told from one who has nothing, whatever the list says."""
    with pytest.raises(NotFound):
        await client.payer("cus_unknown", remembered)


async def test_with_nothing_to_remember_an_empty_list_is_answer_enough(sim: StripeSim, client: StripeClient) -> None:
    """A customer of whom we know nothing and who has bought nothing costs one call."""
    customer = str(sim.create_customer("ada@example.com", "Ada")["id"])
    sim.calls.clear()
    assert (await client.payer(customer, known=False)).subscriptions == ()
    assert sim.count() == 1
    assert (await client.payer(customer)).name == "Ada"


async def test_a_deleted_customer_is_seen_with_what_they_had(sim: StripeSim, client: StripeClient) -> None:
    """Deletion cancels at Stripe; what we answer for is found although the customer is gone."""
    customer, subscription = buyer(sim)
    sim.delete_customer(customer)
    payer = await client.payer(customer, {subscription})
    assert payer.deleted
    assert [(s.id, s.status) for s in payer.subscriptions] == [(subscription, "canceled")]


async def test_a_subscription_of_somebody_else_is_not_theirs(sim: StripeSim, client: StripeClient) -> None:
    """A remembered id that belongs to another customer by now is left out."""
    customer, subscription = buyer(sim)
    _, other = buyer(sim)
    payer = await client.payer(customer, {subscription, other})
    assert [s.id for s in payer.subscriptions] == [subscription]


# --- shapes ---------------------------------------------------------------------------------------


def item(**more: Any) -> dict[str, Any]:
    """An item in today's shape."""
    price = {"id": "price_1", "recurring": {"usage_type": "licensed"}}
    return {"id": "si_1", "quantity": 1, "price": price, "current_period_end": NOW + DAY, **more}


def subscription(**more: Any) -> dict[str, Any]:
    """A subscription in today's shape, as far as anything is read of it."""
    return {
        "id": "sub_1",
        "status": "active",
        "customer": "cus_1",
        "created": NOW,
        "latest_invoice": "in_1",
        "ended_at": None,
        "trial_end": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "pause_collection": None,
        "items": {"data": [item()], "has_more": False},
        "metadata": {},
        **more,
    }


def invoice(**more: Any) -> dict[str, Any]:
    """An invoice in today's shape, as far as anything is read of it."""
    return {
        "id": "in_1",
        "status": "paid",
        "created": NOW,
        "due_date": None,
        "status_transitions": {"finalized_at": None, "paid_at": NOW},
        "billing_reason": "subscription_cycle",
        "amount_due": 100,
        "amount_paid": 100,
        "total": 100,
        "currency": "eur",
        **more,
    }


def listed(*data: Any) -> httpx.Response:
    """A list of one page."""
    return httpx.Response(200, json={"object": "list", "data": list(data), "has_more": False})


async def test_expansion_that_was_not_honoured_is_looked_up(api: respx.MockRouter, lone: StripeClient) -> None:
    """Where customer and invoice arrive as ids only, they are asked for, and the outcome is the same."""
    api.get("/v1/subscriptions").mock(return_value=listed(subscription()))
    api.get("/v1/customers/cus_1").respond(json={"id": "cus_1", "email": "ada@example.com", "name": None})
    api.get("/v1/invoices/in_1").respond(json=invoice())
    payer = await lone.payer("cus_1")
    assert (payer.email, payer.name) == ("ada@example.com", None)
    assert payer.subscriptions[0].latest_invoice is not None
    assert payer.subscriptions[0].latest_invoice.status == "paid"


async def test_a_deleted_customer_is_one_without_a_name(api: respx.MockRouter, lone: StripeClient) -> None:
    """The stub that stands for a deleted customer is understood, expanded or looked up."""
    stub = {"id": "cus_1", "object": "customer", "deleted": True}
    api.get("/v1/subscriptions").mock(
        side_effect=[
            listed(subscription(customer=stub, latest_invoice=None)),
            listed(subscription(latest_invoice=None)),
        ]
    )
    api.get("/v1/customers/cus_1").respond(json=stub)
    for _ in range(2):
        payer = await lone.payer("cus_1")
        assert (payer.deleted, payer.email, payer.name) == (True, None, None)


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ({"cancel_at_period_end": True}, "cancel_at", when(NOW + DAY)),
        ({"cancel_at": NOW + 5}, "cancel_at", when(NOW + 5)),
        ({"cancel_at_period_end": False}, "cancel_at", None),
        ({"pause_collection": {"behavior": "void"}}, "collection_paused", True),
        ({"pause_collection": None}, "collection_paused", False),
        ({"metadata": {}}, "domain", None),
        ({"metadata": {"domain": ""}}, "domain", None),
        ({"metadata": {"domain": "a\x00.ex\ud800ample"}}, "domain", "a.ex\ufffdample"),
        ({"latest_invoice": None}, "latest_invoice", None),
        ({"trial_end": NOW, "status": "trialing"}, "trial_end", when(NOW)),
        ({"ended_at": NOW, "status": "canceled"}, "ended_at", when(NOW)),
        ({"status": "of_tomorrow"}, "status", "of_tomorrow"),
    ],
)
def test_what_is_said_is_read(more: dict[str, Any], field: str, value: Any) -> None:
    """Nulls, both ways to end, and unknown states are read as what they mean."""
    thing = subscription(**{"latest_invoice": None, **more})
    assert getattr(read_subscription(thing, thing["items"]["data"]), field) == value


METERED = {"id": "price_metered", "recurring": {"usage_type": "metered"}}


@pytest.mark.parametrize(
    ("line", "price", "quantity"),
    [
        ({"quantity": 3}, "price_1", 3),
        ({"price": "price_1", "quantity": 0}, "price_1", 0),
        ({"price": METERED, "quantity": None}, "price_metered", 1),
        ({"price": METERED, "quantity": 4}, "price_metered", 4),
    ],
)
def test_an_item_is_a_price_and_a_quantity(line: dict[str, Any], price: str, quantity: int) -> None:
    """Prices as ids, metered prices without a quantity, and a quantity of nothing."""
    (found,) = read_subscription(subscription(latest_invoice=None), [item(**line)]).items
    assert (found.price_id, found.quantity) == (price, quantity)


@pytest.mark.parametrize(
    ("more", "created"),
    [
        ({}, NOW),
        ({"status_transitions": {"finalized_at": NOW + 5}}, NOW + 5),
        ({"status_transitions": {"finalized_at": NOW + 5}, "due_date": NOW + 9}, NOW + 9),
    ],
)
def test_an_invoice_is_owed_from_its_due_date(more: dict[str, Any], created: int) -> None:
    """Its due date, else when it was finalized, else when it was made."""
    thing = subscription(latest_invoice=invoice(status="open", **more))
    found = read_subscription(thing, [item()]).latest_invoice
    assert found is not None
    assert (found.owed_since, found.amount_due) == (when(created), 100)


@pytest.mark.parametrize("value", [GONE, None, [], 7, "", 1e30])
@pytest.mark.parametrize("field", [
    "id", "status", "customer", "created", "latest_invoice", "ended_at", "trial_end", "cancel_at",
    "cancel_at_period_end", "pause_collection", "items", "metadata",
])  # fmt: skip
async def test_a_subscription_that_says_too_little_is_not_read(
    api: respx.MockRouter, lone: StripeClient, field: str, value: Any
) -> None:
    """Whichever field is missing or of another kind, the error names it, in the customer's list as in everybody's."""
    allowed = {
        None: ("latest_invoice", "ended_at", "trial_end", "cancel_at", "pause_collection"),
        7: ("created", "ended_at", "trial_end", "cancel_at"),
    }
    if not isinstance(value, list) and field in allowed.get(value, ()):
        return
    thing = subscription(latest_invoice=invoice(), customer={"id": "cus_1", "email": None, "name": None})
    thing = {**thing, field: value}
    if value is GONE:
        del thing[field]
    api.get("/v1/subscriptions").mock(return_value=listed(thing))
    with pytest.raises(Incomplete, match=field):
        await lone.payer("cus_1")
    if field == "id":
        return
    found, unread, end = await lone.subscriptions_page()
    assert (found, end) == ([], None)
    assert field in unread["sub_1"]


@pytest.mark.parametrize("value", [GONE, None, [], "", True, 1e30])
@pytest.mark.parametrize("field", [
    "id", "status", "created", "due_date", "status_transitions", "billing_reason", "amount_due", "amount_paid", "total",
    "currency",
])  # fmt: skip
def test_an_invoice_that_says_too_little_is_not_read(field: str, value: Any) -> None:
    """A status is one that we know, and a date is there or said not to be."""
    told = {None: ("due_date", "billing_reason"), "": ("billing_reason",), 1e30: ("amount_due", "amount_paid", "total")}
    if not isinstance(value, list) and field in told.get(value, ()):
        return
    thing = {**invoice(), field: value}
    if value is GONE:
        del thing[field]
    with pytest.raises(Incomplete, match=field):
        read_subscription(subscription(latest_invoice=thing), [item()])


@pytest.mark.parametrize("change", [
    {"id": GONE}, {"id": ""}, {"price": GONE}, {"price": None}, {"price": {}}, {"quantity": GONE}, {"quantity": None},
    {"quantity": "3"}, {"quantity": 1.5}, {"quantity": None, "price": "price_1"},
    {"quantity": None, "price": {"id": "price_1", "recurring": None}},
])  # fmt: skip
def test_an_item_that_says_too_little_is_not_read(change: dict[str, Any]) -> None:
    """How often something was bought is never guessed, but for a metered price."""
    line = {name: value for name, value in item(**change).items() if value is not GONE}
    with pytest.raises(Incomplete):
        read_subscription(subscription(latest_invoice=None), [line])


@pytest.mark.parametrize("items", [
    None, [], {}, {"data": []}, {"data": None, "has_more": False}, {"data": [], "has_more": False},
    {"data": [], "has_more": True}, {"data": ["si_1"], "has_more": False}, {"data": [{}], "has_more": False},
])  # fmt: skip
async def test_nobody_subscribes_to_nothing(api: respx.MockRouter, lone: StripeClient, items: Any) -> None:
    """A subscription that runs and shows no items is not read; who has paid must not lose hosting over it."""
    person = {"id": "cus_1", "email": None, "name": None}
    thing = subscription(items=items, latest_invoice=None, customer=person)
    api.get("/v1/subscriptions").mock(return_value=listed(thing))
    with pytest.raises(Incomplete, match="items"):
        await lone.payer("cus_1")


@pytest.mark.parametrize("page", [
    {}, {"data": None, "has_more": False}, {"data": {}, "has_more": False}, {"data": []}, {"has_more": False},
    {"data": [], "has_more": True}, {"data": [], "has_more": None}, {"data": ["x"], "has_more": False},
    {"data": [{"object": "subscription"}], "has_more": False}, [], None, "ok", 7,
])  # fmt: skip
async def test_a_list_must_have_its_list(api: respx.MockRouter, lone: StripeClient, page: Any) -> None:
    """What is no list, or one cut short, is never a customer or an account without anything."""
    api.get(url__startswith=BASE).mock(return_value=httpx.Response(200, text=json.dumps(page)))
    for read in (
        lone.payer("cus_1"),
        lone.subscriptions_page(),
        lone.events_page(when(NOW)),
        lone.statuses_page("dispute", when(NOW)),
        lone.checkout_domain("sub_1"),
        lone.check(),
    ):
        with pytest.raises(Incomplete):
            await read


async def test_a_list_that_does_not_go_on_is_no_list(api: respx.MockRouter, lone: StripeClient) -> None:
    """The same page over and over ends with an error, not never."""
    page = {"data": [subscription(latest_invoice=None)], "has_more": True}
    api.get("/v1/subscriptions").mock(return_value=httpx.Response(200, json=page))
    with pytest.raises(Incomplete, match="does not go on"):
        await lone.payer("cus_1")


async def test_a_list_of_others_is_not_theirs(api: respx.MockRouter, lone: StripeClient) -> None:
    """Somebody else's subscription in a customer's list is no purchase of theirs."""
    api.get("/v1/subscriptions").mock(return_value=listed(subscription(customer="cus_other", latest_invoice=None)))
    with pytest.raises(Incomplete, match="cus_other"):
        await lone.payer("cus_1")


@pytest.mark.parametrize("answer", [{}, {"id": "other"}, {"id": None}, [], "ok"])
async def test_a_retrieve_must_have_the_id_that_was_asked_for(
    api: respx.MockRouter, lone: StripeClient, answer: Any
) -> None:
    """Another object, or none, is no answer."""
    api.get(url__startswith=BASE).mock(return_value=httpx.Response(200, json=answer))
    for read in (
        lone.knows("cus_1"),
        lone.customer_of("subscription", "sub_1"),
        lone.customer_of("invoice", "in_1"),
        lone.dispute("dp_1"),
        lone.refund("re_1"),
        lone.refunds_of("ch_1"),
    ):
        with pytest.raises(Incomplete):
            await read


@pytest.mark.parametrize("field", ["charge", "status", "reason", "amount", "currency", "created"])
async def test_a_dispute_that_says_too_little_is_not_read(
    api: respx.MockRouter, lone: StripeClient, field: str
) -> None:
    """A dispute is remembered as a whole or not at all."""
    dispute: dict[str, Any] = {
        "id": "dp_1",
        "charge": "ch_1",
        "payment_intent": None,
        "status": "won",
        "reason": "fraudulent",
    }
    dispute |= {"amount": 5, "currency": "eur", "created": NOW}
    charge = {"id": "ch_1", "customer": None, "payment_intent": None, "refunded": False}
    api.get("/v1/charges/ch_1").respond(json=charge)
    api.get("/v1/disputes/dp_1").respond(json=dispute)
    assert (await lone.dispute("dp_1")).status == "won"
    api.get("/v1/disputes/dp_1").respond(json={k: v for k, v in dispute.items() if k != field})
    with pytest.raises(Incomplete, match=field):
        await lone.dispute("dp_1")
    api.get("/v1/disputes/dp_1").respond(json={**dispute, "status": "of_tomorrow"})
    with pytest.raises(Incomplete, match="of_tomorrow"):
        await lone.dispute("dp_1")


@pytest.mark.parametrize("field", ["customer", "payment_intent", "refunded", "charge", "status", "amount", "currency"])
async def test_a_refund_that_says_too_little_is_not_read(api: respx.MockRouter, lone: StripeClient, field: str) -> None:
    """Whether the money went back in full is never guessed."""
    charge = {"id": "ch_1", "customer": "cus_1", "payment_intent": None, "refunded": True}
    refund = {"id": "re_1", "charge": "ch_1", "status": "succeeded", "amount": 5, "currency": "eur", "created": NOW}
    for thing in (charge, refund):
        thing.pop(field, None)
    api.get("/v1/charges/ch_1").respond(json=charge)
    if "payment_intent" in charge and "customer" in charge:
        api.get("/v1/refunds").mock(return_value=listed(refund))
    with pytest.raises(Incomplete, match=field):
        await lone.refunds_of("ch_1")


@pytest.mark.parametrize(
    ("session", "domain"),
    [
        ({"custom_fields": [{"key": "domain", "type": "text", "text": {"value": "a.example"}}]}, "a.example"),
        ({"custom_fields": [{"key": "other", "type": "text", "text": {"value": "a.example"}}]}, None),
        ({"custom_fields": [{"key": "domain", "type": "text", "text": None}], "metadata": {"domain": "b.example"}},
         "b.example"),
        ({}, None),
        ({"metadata": {"domain": "b.example"}}, "b.example"),
        ({"custom_fields": [{"key": "domain", "type": "text", "text": {"value": "a\x00.example"}}]}, "a.example"),
        (None, None),
    ],
)  # fmt: skip
async def test_the_domain_is_what_the_buyer_typed(
    api: respx.MockRouter, lone: StripeClient, session: Any, domain: str | None
) -> None:
    """The custom field goes before the session's metadata; an empty one counts as none."""
    api.get("/v1/checkout/sessions").mock(
        return_value=listed(
            *([] if session is None else [{"id": "cs_1", "custom_fields": [], "metadata": {}, **session}])
        )
    )
    assert await lone.checkout_domain("sub_1") == domain


@pytest.mark.parametrize(
    ("kind", "answer", "customer"),
    [
        ("subscription", {"customer": "cus_1"}, "cus_1"),
        ("invoice", {"customer": {"id": "cus_1"}}, "cus_1"),
        ("checkout_session", {"customer": None}, None),
    ],
)
async def test_an_object_leads_to_its_customer(
    api: respx.MockRouter, lone: StripeClient, kind: str, answer: Any, customer: str | None
) -> None:
    """As an id or expanded; a guest's payment leads to nobody."""
    api.get(url__regex=rf"{BASE}/v1/.*/x_1$").respond(json={"id": "x_1", **answer})
    assert await lone.customer_of(kind, "x_1") == customer


@pytest.mark.parametrize(
    ("kind", "answer"), [("subscription", {"customer": None}), ("subscription", {}), ("checkout_session", {})]
)
async def test_what_names_no_customer_is_not_nobodys(
    api: respx.MockRouter, lone: StripeClient, kind: str, answer: Any
) -> None:
    """A subscription is somebody's (some accounts show `customer_account` beside it), and any object says whose."""
    api.get(url__regex=rf"{BASE}/v1/.*/x_1$").respond(json={"id": "x_1", "customer_account": "acct_1", **answer})
    with pytest.raises(Incomplete, match="customer"):
        await lone.customer_of(kind, "x_1")


async def test_an_unknown_object_leads_to_nobody(client: StripeClient) -> None:
    """What Stripe does not know has no customer."""
    for kind in ("subscription", "invoice", "checkout_session"):
        assert await client.customer_of(kind, "x_unknown") is None


# --- errors ---------------------------------------------------------------------------------------


def refusal(kind: str, code: str | None = None, message: str = "no") -> dict[str, Any]:
    """Stripe's error body."""
    return {"error": {"type": kind, "code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (400, refusal("invalid_request_error", "parameter_unknown"), Refused, "stripe_refused"),
        (400, refusal("invalid_request_error", "resource_missing"), NotFound, "stripe_not_found"),
        (401, refusal("invalid_request_error"), Denied, "stripe_key"),
        (402, refusal("card_error", "card_declined"), Refused, "stripe_refused"),
        (403, refusal("invalid_request_error"), Denied, "stripe_key"),
        (404, refusal("invalid_request_error", "resource_missing"), NotFound, "stripe_not_found"),
        (409, refusal("api_error"), Unavailable, None),
        (429, refusal("invalid_request_error", "rate_limit"), Limited, None),
        (429, refusal("invalid_request_error", "lock_timeout"), Unavailable, None),
        (500, refusal("api_error"), Unavailable, None),
        (503, refusal("api_error"), Unavailable, None),
    ],
)
async def test_errors_are_ours(
    api: respx.MockRouter, lone: StripeClient, status: int, body: Any, expected: type[Exception], reason: str | None
) -> None:
    """Each of Stripe's errors is one of two kinds: for later, or for a person; a wrong key is never 'not found'."""
    api.get("/v1/customers/cus_1").respond(status, json=body)
    with pytest.raises(expected) as raised:
        await lone.get("/v1/customers/cus_1")
    assert type(raised.value) is expected
    assert getattr(raised.value, "reason", None) == reason
    assert KEY not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize(("status", "text"), [(200, "<html>"), (200, ""), (404, "<html>"), (502, "<html>"), (302, "")])
async def test_what_is_no_json_is_for_later(api: respx.MockRouter, lone: StripeClient, status: int, text: str) -> None:
    """An answer that is not Stripe's says nothing about a customer, a 404 of a proxy least of all."""
    api.get("/v1/customers/cus_1").respond(status, text=text)
    with pytest.raises(Unavailable):
        await lone.get("/v1/customers/cus_1")


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_a_connection_that_fails_is_for_later(
    api: respx.MockRouter, lone: StripeClient, failure: type[Exception], naps: list[float]
) -> None:
    """Two quick repetitions are made; then it is the queue's business."""
    asked = api.get("/v1/customers/cus_1").mock(side_effect=failure)
    with pytest.raises(Unavailable):
        await lone.get("/v1/customers/cus_1")
    assert (asked.call_count, len(naps)) == (3, 2)


async def test_a_blip_is_not_noticed(sim: StripeSim, client: StripeClient) -> None:
    """A dropped connection and a 500 in a row are behind us after two quick repetitions."""
    customer, _ = buyer(sim)
    sim.fail_next("GET", "/v1/subscriptions", "drop_before")
    sim.fail_next("GET", "/v1/subscriptions", 500)
    assert len((await client.payer(customer)).subscriptions) == 1


@pytest.mark.parametrize(
    ("header", "after"),
    [("7", timedelta(seconds=7)), (None, None), ("soon", None), ("²", None), ("9" * 30, timedelta(hours=1))],
)
async def test_a_limit_says_when(
    api: respx.MockRouter, lone: StripeClient, header: str | None, after: timedelta | None
) -> None:
    """Retry-After comes along with the error, never as more than an hour; nonsense is no wish."""
    headers = [] if header is None else [(b"Retry-After", header.encode("latin-1"))]
    answer = httpx.Response(429, json=refusal("invalid_request_error", "rate_limit"), headers=headers)
    api.get("/v1/customers/cus_1").mock(return_value=answer)
    with pytest.raises(Unavailable) as raised:
        await lone.get("/v1/customers/cus_1")
    assert raised.value.after == after


@pytest.mark.parametrize(("status", "expected"), [(401, Denied), (403, Denied), (429, Unavailable), (500, Unavailable)])
async def test_trouble_is_never_an_empty_list(
    sim: StripeSim, client: StripeClient, status: int, expected: type[Exception]
) -> None:
    """No failure may look like a customer who has no subscriptions, on the first page or a later call."""
    customer, subscription = buyer(sim)
    sim.fail_next("GET", "/v1/subscriptions", status, times=9)
    with pytest.raises(expected):
        await client.payer(customer, {subscription})
    sim.clear_faults()
    sim.fail_next("GET", "/v1/subscriptions/sub_other", status, times=9)
    with pytest.raises(expected):
        await client.payer(customer, {"sub_other"})


async def test_the_key_is_shown_nowhere(sim: StripeSim) -> None:
    """A key that Stripe refuses stands in no message, and the client prints without it."""
    with serve(sim.app) as url:
        wrong = StripeClient(Secret("sk_test_fake_wrong_key"), url)
        with pytest.raises(Denied) as raised:
            await wrong.check()
        await wrong.close()
    assert raised.value.reason == "stripe_key"
    assert "sk_test_fake_wrong_key" not in f"{raised.value!r} {raised.value.__cause__!r} {wrong!r} {vars(wrong)!r}"


async def test_a_closed_client_opens_again(sim: StripeSim, client: StripeClient) -> None:
    """Closing is the end of connections, not of the client."""
    await client.check()
    await client.close()
    await client.close()
    await client.check()
    assert sim.count() == 2
