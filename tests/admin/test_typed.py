"""Typed bodies: what is sent is exactly what the route takes, and every fault is named at once."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lib.errors import Declined
from lib.operators import bodies
from lib.web.page import cell, moment, pack_cursor, unpack_cursor
from lib.web.typed import Given, Text, read_form, read_json


class Inner(Given):
    """A body within a body."""

    state: Text | None = None


class Outer(Given):
    """A body with one of its own."""

    first_name: Text
    filter: Inner | None = None


def faults(body: Any, kind: Any) -> list[tuple[str, str]]:
    """(field, code) of every fault that is named."""
    with pytest.raises(Declined) as refused:
        read_json(json.dumps(body).encode(), kind)
    assert refused.value.code == "invalid_field"
    for fault in refused.value.faults:
        assert fault.detail in refused.value.detail
    return [(fault.field, fault.code) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("body", "field", "meant"),
    [
        ({"customerId": "cus_1", "dryrun": True}, "dryrun", "dryRun"),
        ({"customerId": "cus_1", "dry_run": True}, "dry_run", "dryRun"),
        ({"customerId": "cus_1", "subscriptonId": "sub_1"}, "subscriptonId", "subscriptionId"),
        ({"customer": "cus_1"}, "customer", "customerId"),
    ],
)
def test_a_misspelt_field_is_refused_with_what_was_meant(body: Any, field: str, meant: str) -> None:
    """A field that nobody knows may have been meant to limit what is done: nothing is done at all."""
    with pytest.raises(Declined) as refused:
        read_json(json.dumps(body).encode(), bodies.Sync)
    fault = next(fault for fault in refused.value.faults if fault.field == field)
    assert fault.code == "unknown"
    assert f"did you mean {meant}?" in fault.detail


def test_every_fault_is_named_at_once() -> None:
    """Missing, wrong and unknown fields stand in one answer, those of inner objects with their path."""
    assert faults({"filter": {"state": 1, "more": 2}, "Firstname": "x"}, Outer) == [
        ("Firstname", "unknown"),
        ("firstName", "missing"),
        ("filter.more", "unknown"),
        ("filter.state", "invalid"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("action", "missing")]),
        ({"action": "explode"}, [("action", "invalid")]),
        ({"action": "retry"}, [("customerId", "missing")]),
        ({"action": "retry", "customerId": "cus_1", "until": None}, [("until", "unknown")]),
        (
            {"action": "hold", "customerId": "cus 1", "confirm": "x"},
            [("confirm", "unknown"), ("customerId", "invalid")],
        ),
        ({"action": "lift", "customerId": "cus_1", "hold": "paused"}, [("hold", "invalid")]),
        ({"action": "grace", "customerId": "cus_1"}, [("until", "missing")]),
        ({"action": "releaseBrake", "customerId": "cus_1"}, [("customerId", "unknown")]),
    ],
)
def test_an_action_takes_its_own_fields_only(body: Any, expected: list[tuple[str, str]]) -> None:
    """What belongs to another action is a mistake, and is not done by halves."""
    assert faults(body, bodies.Work) == expected


def test_blanks_around_a_pasted_id_are_taken_off() -> None:
    """An id copied with a blank is the id; one with anything else around it is none."""
    assert read_json(b'{"customerId": " cus_1 "}', bodies.Sync).customer_id == "cus_1"
    assert faults({"customerId": "cus_1\n"}, bodies.Sync)[0] == ("customerId", "invalid")


@pytest.mark.parametrize("body", [b'{"firstName": "Ada"}', b' {"url": "https://a.example/?b=c"}', b"[]"])
def test_json_that_came_as_a_form_is_told_how_to_come(body: bytes) -> None:
    """`curl -d` names a form's type by itself: whoever types the documented JSON learns what is missing."""
    with pytest.raises(Declined) as refused:
        read_form(body, Outer)
    assert refused.value.code == "invalid_form" and "Content-Type: application/json" in refused.value.detail


@pytest.mark.parametrize("body", [b"firstName=M%FCller", b"firstName=M\xfcller", b"firstName=%ED%A0%80", b"firstName"])
def test_a_form_in_another_encoding_is_none(body: bytes) -> None:
    """A page in Latin-1 learns that it is to send UTF-8; no name is taken with a hole in it."""
    with pytest.raises(Declined) as refused:
        read_form(body, Outer)
    assert refused.value.code == "invalid_form"
    assert read_form(b"firstName=M%C3%BCller", Outer).first_name == "Müller"


def test_a_cursor_belongs_to_its_list() -> None:
    """A cursor comes back as it was packed, and is refused by every other list."""
    cursor = pack_cursor("events", ["2026-11-27", 5])
    assert unpack_cursor("events", cursor, str, int) == ("2026-11-27", 5)
    with pytest.raises(Declined):
        unpack_cursor("work", cursor, str, int)
    with pytest.raises(Declined):
        unpack_cursor("events", cursor, str, str)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "2026-13-01", "9" * 400, "294277-01-01", "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+14:00"],
)
def test_a_cursor_that_names_no_time_is_refused(text: str) -> None:
    """What the database could not read never gets there."""
    with pytest.raises(Declined) as refused:
        unpack_cursor("events", pack_cursor("events", [text, "evt_1"]), datetime, str)
    assert refused.value.field == "cursor"


def test_a_time_in_a_cursor_is_the_same_to_the_microsecond() -> None:
    """In whatever zone it was written; and the time behind all others stays that."""
    when = datetime(2026, 11, 28, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    for written in (when, when.isoformat(), "2026-11-28 06:30:00.123456+00"):
        assert unpack_cursor("x", pack_cursor("x", [written]), datetime) == (when,)
    assert unpack_cursor("x", pack_cursor("x", ["infinity"]), datetime) == ("infinity",)


@pytest.mark.parametrize(
    "text", ["-1h", "-90m", "-7d", "2026-11-27", "2026-11-27T10:00:00Z", "2026-11-27T12:00:00+02:00"]
)
def test_a_time_in_a_filter_may_be_relative(text: str) -> None:
    """Absolute and relative times are both understood, and aware."""
    when = moment("from", text, datetime(2026, 11, 28, tzinfo=UTC))
    assert when is not None
    assert when.tzinfo is not None
    assert when < datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "-1w", "1h", "", "2026-13-01", "-9999999d"])
def test_another_time_is_refused(text: str) -> None:
    """What is no time is named, and no filter is left out over it."""
    with pytest.raises(Declined) as refused:
        moment("from", text, datetime(2026, 11, 28, tzinfo=UTC))
    assert refused.value.field == "from"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(text: str) -> None:
    """A spreadsheet that opens a list computes nothing of what customers typed."""
    assert cell(text) == "'" + text
