"""What is believed of an event: ids and type, whatever else it holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import stripe_events
from lib.model import ReceivedEvent
from lib.stripe_events import SUBSCRIBE_TO, SUBSCRIBE_TO_FOR_ORDERS, read_event, subscribe_to

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def snapshot(kind: str, thing: Any, **more: Any) -> dict[str, Any]:
    """A snapshot event about `thing`."""
    event = {"id": "evt_1", "object": "event", "type": kind, "created": 1_794_000_000, "livemode": False}
    return {**event, "data": {"object": thing}, **more}


def thin(kind: str, related: Any, **more: Any) -> dict[str, Any]:
    """A thin notification about `related`."""
    event = {"id": "evt_2", "object": "v2.core.event", "type": kind, "created": "2026-11-20T10:00:00.000Z"}
    return {**event, "livemode": False, "related_object": related, **more}


def read(event: Any, *, livemode: bool = False) -> ReceivedEvent:
    """The event as it goes into the inbox."""
    return read_event(json.dumps(event).encode(), livemode=livemode)


@pytest.mark.parametrize(
    ("kind", "thing", "nudge"),
    [
        ("customer.updated", {"object": "customer", "id": "cus_1"}, ("customer", "cus_1")),
        ("customer.deleted", {"object": "customer", "id": "cus_1"}, ("customer", "cus_1")),
        ("customer.subscription.created", {"id": "sub_1", "customer": "cus_1"}, ("customer", "cus_1")),
        ("customer.subscription.paused", {"id": "sub_1", "customer": {"id": "cus_1"}}, ("customer", "cus_1")),
        ("customer.subscription.trial_will_end", {"id": "sub_1", "customer": None}, ("subscription", "sub_1")),
        ("customer.subscription.something_new", {"id": "sub_1", "customer": "cus_1"}, ("customer", "cus_1")),
        ("invoice.paid", {"id": "in_1", "customer": "cus_1"}, ("customer", "cus_1")),
        ("invoice.payment_failed", {"id": "in_1", "customer": "cus_1"}, ("customer", "cus_1")),
        ("invoice_payment.paid", {"id": "inpay_1", "invoice": "in_1"}, ("invoice", "in_1")),
        ("checkout.session.completed", {"id": "cs_1", "customer": "cus_1"}, ("customer", "cus_1")),
        ("checkout.session.completed", {"id": "cs_1", "customer": None}, ("checkout_session", "cs_1")),
        ("charge.refunded", {"id": "ch_1", "customer": "cus_1"}, ("charge", "ch_1")),
        ("refund.created", {"id": "re_1", "charge": "ch_1"}, ("refund", "re_1")),
        ("charge.dispute.created", {"id": "dp_1", "charge": "ch_1"}, ("dispute", "dp_1")),
        ("radar.early_fraud_warning.created", {"id": "issfr_1", "charge": "ch_1"}, ("charge", "ch_1")),
    ],
)
def test_an_event_makes_due_whom_it_speaks_of(kind: str, thing: Any, nudge: tuple[str, str]) -> None:
    """The customer where the event names one, else the object that leads to them."""
    event = read(snapshot(kind, thing))
    assert event.nudges == (nudge,)
    assert event.outcome == "accepted"


@pytest.mark.parametrize(
    "kind",
    ["customer.created", "customers.updated", "price.updated", "plan.created", "nonsense", "customer", "invoice"],
)
def test_other_types_make_nobody_due(kind: str) -> None:
    """A type that the table does not list is kept and ignored, also when it only looks similar."""
    event = read(snapshot(kind, {"id": "x_1", "customer": "cus_1"}))
    assert (event.outcome, event.nudges, event.type) == ("ignored", (), kind)


def test_every_subscribed_type_makes_somebody_due() -> None:
    """What we ask Stripe to send has a line in the table, so that nothing is subscribed in vain."""
    thing = {"id": "x_1", "customer": "cus_1", "charge": "ch_1", "object": "x"}
    assert [kind for kind in SUBSCRIBE_TO if not read(snapshot(kind, thing)).nudges] == []
    assert len(SUBSCRIBE_TO) == len(set(SUBSCRIBE_TO))


@pytest.mark.parametrize(
    ("related", "nudge"),
    [
        ({"id": "sub_1", "type": "subscription"}, ("subscription", "sub_1")),
        ({"id": "cus_1", "type": "customer"}, ("customer", "cus_1")),
        ({"id": "cs_1", "type": "checkout.session"}, ("checkout_session", "cs_1")),
        ({"id": "du_1", "type": "dispute"}, ("dispute", "du_1")),
        ({"id": "price_1", "type": "price"}, None),
        ({"id": None, "type": "subscription"}, None),
        ({"id": "sub_1"}, None),
        (None, None),
    ],
)
def test_a_thin_notification_needs_only_its_related_object(related: Any, nudge: tuple[str, str] | None) -> None:
    """Type and id of the related object are all it has, and all that is needed; without them nobody is due."""
    event = read(thin("v1.customer.subscription.updated", related))
    assert event.nudges == ((nudge,) if nudge else ())
    assert event.outcome == ("accepted" if nudge else "ignored")
    assert event.created_at is not None
    assert event.created_at.isoformat() == "2026-11-20T10:00:00+00:00"


@pytest.mark.parametrize("make", [snapshot, thin])
def test_another_mode_or_account_makes_nobody_due(make: Any) -> None:
    """Events of the other mode and of connected accounts are kept as ignored, with the reason."""
    thing = {"id": "cus_1", "object": "customer", "type": "customer"}
    live = read(make("customer.updated", thing, livemode=True))
    test = read(make("customer.updated", thing), livemode=True)
    connected = read(make("customer.updated", thing, account="acct_1"))
    for event, why in ((live, "test mode"), (test, "live mode"), (connected, "connected account")):
        assert (event.outcome, event.nudges) == ("ignored", ())
        assert event.error is not None
        assert why in event.error


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"1", b'"event"', b"[]", b'[{"object": "event"}]', b"{}", b"{", b"\xff\xfe",
        b"\xef\xbb\xbf{}", b"\xed\xa0\x80", b"\x00", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000,
        b"1e999", b"NaN", b"Infinity",
        b'{"object": "event"}', b'{"object": "event", "id": 1, "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_\\u0000", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_\\ud800", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_1", "type": "x\\ny", "data": {"object": {}}}',
        b'{"object": "event", "id": "' + b"e" * 256 + b'", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid"}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid", "data": null}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid", "data": []}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid", "data": {"object": null}}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid", "data": {"object": "in_1"}}',
        b'{"object": "v2.core.event", "id": "evt_1", "type": "x", "related_object": "sub_1"}',
        b'{"object": "v2.core.event", "id": "evt_1", "type": "x", "related_object": ["sub_1"]}',
        b'{"object": "list", "data": []}',
    ],
    ids=lambda body: repr(body[:60]),
)  # fmt: skip
def test_what_is_no_event_is_unreadable(body: bytes) -> None:
    """Signed rubbish becomes a row of its own, always the same one, that says what is wrong and makes nobody due."""
    event = read_event(body, livemode=False)
    assert (event.type, event.outcome, event.nudges) == ("unreadable", "unreadable", ())
    assert event.error
    assert event.event_id == read_event(body, livemode=False).event_id
    assert storable(event)


def storable(event: ReceivedEvent) -> bool:
    """Whether Postgres can hold every text of it."""
    texts = [event.event_id, event.type, event.body, event.error, event.object_id, event.customer_id]
    texts += [part for nudge in event.nudges for part in nudge]
    for text in texts:
        if text is not None:
            text.encode()
            if "\x00" in text:
                return False
    return True


@given(st.one_of(st.binary(max_size=200), anything.map(lambda value: json.dumps(value).encode())))
def test_nothing_signed_can_fail(body: bytes) -> None:
    """Any bytes become a row that the database can hold."""
    assert storable(read_event(body, livemode=False))


@given(
    st.fixed_dictionaries(
        {
            "object": st.sampled_from(["event", "v2.core.event"]),
            "id": st.just("evt_1") | anything,
            "type": st.sampled_from(SUBSCRIBE_TO) | anything,
        },
        optional={
            "created": anything | st.integers(-(10**20), 10**20) | st.datetimes().map(str) | st.text(),
            "livemode": anything,
            "account": anything,
            "related_object": anything | st.fixed_dictionaries({"id": anything, "type": anything}),
            "data": anything | st.fixed_dictionaries({"object": anything})
            | st.fixed_dictionaries({"object": st.fixed_dictionaries({"id": anything, "customer": anything})}),
        },
    )
)  # fmt: skip
def test_nothing_that_looks_like_an_event_can_fail(event: Any) -> None:
    """Every field may hold anything: the event is stored, and only printable ids make somebody due."""
    read_back = read(event)
    assert storable(read_back)
    assert all(0 < len(key) <= 255 and key.isprintable() for _, key in read_back.nudges)


NAMES = {
    name
    for table in (stripe_events.DUE_BY_TYPE, stripe_events.ORDERS_DUE_BY_TYPE)
    for sources in table.values()
    for source in sources
    for _, name in (one.split("=") for one in source.split("|"))
}
ids = st.sampled_from(["cus_1", "sub_1", "in_1", {"id": "ch_1", "object": "charge"}]) | anything
details = st.fixed_dictionaries({"subscription": ids}) | anything
related = st.dictionaries(
    st.sampled_from([*sorted(NAMES), "customer", "subscription", "object", "parent", "lines"]),
    ids | st.just("subscription") | st.fixed_dictionaries({"subscription_details": details}),
)


@given(st.sampled_from(SUBSCRIBE_TO), related, st.booleans())
def test_fields_that_are_passed_over_change_nothing(kind: str, thing: dict[str, Any], orders: bool) -> None:
    """What is read of an event is the same whether all of its fields are read or only those that count."""
    body = json.dumps(snapshot(kind, thing)).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe_events, "_fields", json.loads)
        whole = read_event(body, livemode=False, orders=orders)
    assert read_event(body, livemode=False, orders=orders) == whole


@pytest.mark.parametrize(
    "created",
    [
        10**30,
        -(10**30),
        253_402_300_800,
        True,
        None,
        "",
        "yesterday",
        [],
        1e300,
        "9999-12-31T23:59:59-23:59",
        "0001-01-01",
    ],
)
def test_an_odd_time_is_no_reason_to_lose_an_event(created: Any) -> None:
    """A time that nobody can mean is left out or kept in UTC; the event counts all the same."""
    event = read(snapshot("customer.updated", {"id": "cus_1", "object": "customer"}, created=created))
    assert event.nudges == (("customer", "cus_1"),)
    assert event.created_at is None or event.created_at.utcoffset() is not None


def test_a_time_with_an_odd_offset_is_kept_in_utc() -> None:
    """Databases know no offsets of less than a second, so every time becomes UTC first."""
    event = read(thin("x", {"id": "cus_1", "type": "customer"}, created="2026-11-20T10:00:00+00:00:01.500000"))
    assert event.created_at is not None
    assert str(event.created_at) == "2026-11-20 09:59:58.500000+00:00"


def test_the_text_is_kept_as_it_came() -> None:
    """Spaces, order, escapes and repeated keys stay: the inbox holds what Stripe sent, not what we understood."""
    body = (
        b'{ "object":"event",\n\t"id": "evt_1",  "type": "x", "b": "\\u0000\\u00e9", "b": 1, "data":{"object": {}}}\n'
    )
    event = read_event(body, livemode=False)
    assert event.body.encode() == body
    assert event.outcome == "ignored"


# --- orders and payments ----------------------------------------------------------------------------------------------

MONEY = {
    "checkout.session.completed": (("customer", "cus_1"), ("order", "cs_1")),
    "payment_intent.succeeded": (("payment", "cs_1"),),
    "payment_intent.processing": (("customer", "cus_1"), ("payment", "cs_1")),
    "invoice.paid": (("customer", "cus_1"), ("payment", "cs_1")),
    "invoice.voided": (("customer", "cus_1"),),
    "charge.updated": (("payment", "pi_1"),),
    "charge.refunded": (("charge", "cs_1"),),
}


@pytest.mark.parametrize("kind", MONEY)
def test_what_orders_need_is_due_besides_and_only_where_they_are_kept(kind: str) -> None:
    """The customer as ever; the order and the payment each as a subject of its own."""
    thing = {"id": "cs_1", "object": "thing", "customer": "cus_1", "payment_intent": "pi_1"}
    body = json.dumps(snapshot(kind, thing)).encode()
    assert read_event(body, livemode=False, orders=True).nudges == MONEY[kind]
    without = tuple(nudge for nudge in MONEY[kind] if nudge[0] not in ("order", "payment"))
    assert read_event(body, livemode=False).nudges == without


def test_more_events_are_needed_where_orders_are_kept() -> None:
    """And no more than before where they are not."""
    assert subscribe_to(orders=False) == SUBSCRIBE_TO
    assert set(subscribe_to(orders=True)) == {*SUBSCRIBE_TO, *SUBSCRIBE_TO_FOR_ORDERS}


@pytest.mark.parametrize(
    ("kind", "due"), [("checkout.session", "order"), ("invoice", "payment"), ("payment_intent", "payment")]
)
def test_thin_notifications_make_orders_due(kind: str, due: str) -> None:
    """Type and id of the related object are enough."""
    event = {"id": "evt_1", "object": "v2.core.event", "type": "v1.x", "related_object": {"id": "x_1", "type": kind}}
    found = read_event(json.dumps(event).encode(), livemode=False, orders=True).nudges
    assert (due, "x_1") in found
