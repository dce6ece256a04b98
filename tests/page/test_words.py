"""What the page makes of numbers, times and what somebody types: the modules themselves, in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.desk import World

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def call(browser: Browser, world: World) -> Iterator[Any]:
    """Call what a module of the page exports: (module, name, arguments) -> its answer."""
    script = "([path, name, given]) => import(path).then((module) => module[name](...given))"
    with browser.new_context(base_url=world.stage.base) as context:
        page = context.new_page()
        page.goto("/")
        yield lambda module, name, *given: page.evaluate(script, [f"/app/{module}.js", name, given])


def test_a_time_is_so_many_whole_days_away(call: Any) -> None:
    """No word of the calendar for a length: what is 47 hours away is neither yesterday nor tomorrow."""
    now = 1_800_000_000_000  # ms
    away = [0, -59, -47 * 3600, 47 * 3600, 48 * 3600]
    told = [call("format", "ago", now + seconds * 1000, now) for seconds in away]
    assert told == ["now", "59 sec. ago", "1 day ago", "in 1 day", "in 2 days"]


def test_the_year_is_told_where_it_is_another_one_than_here(browser: Browser, world: World) -> None:
    """New Year comes at another time to who reads than to UTC; the year is left out where it is theirs."""
    script = "(given) => import('/app/format.js').then(({ time }) => time(...given))"
    with browser.new_context(base_url=world.stage.base, timezone_id="America/New_York") as context:
        page = context.new_page()
        page.clock.install(time="2027-06-01T00:00:00Z")
        page.goto("/")
        told = {how: page.evaluate(script, ["2027-01-01T03:00:00Z", how]) for how in ("local", "utc")}
    assert told == {"local": "31 Dec 2026, 22:00:00", "utc": "01 Jan, 03:00:00 UTC"}


def test_what_was_typed_is_no_time(call: Any) -> None:
    """A reason or a name may look like a date that there is not."""
    words = ["2026-05-01T10:00:00Z", "2026-99-99T10:00:00Z", "2026-05-01Tomorrow", "2026-05-01T10:00 or so", "1", None]
    assert [call("format", "isTime", word) for word in words] == [True, False, False, False, False, False]


def test_a_large_number_is_short_where_there_is_little_room(call: Any) -> None:
    """Up to three digits as they are."""
    assert [call("format", "shortCount", number) for number in (7, 950, 1500, 123_456)] == ["7", "950", "1.5K", "123K"]


def test_an_amount_is_written_by_the_exponent_that_was_sent(call: Any) -> None:
    """Digits are never guessed from the currency: without an exponent the minor units are shown as what they are."""
    written = [
        call("format", "money", *given)
        for given in ((1900, "eur", 2), (1900, "jpy", 0), (1234500, "kwd", 3), (5, "eur", 2), (1900, "eur", None))
    ]
    assert written == ["19.00 EUR", "1,900 JPY", "1,234.500 KWD", "0.05 EUR", "1,900 EUR (minor units)"]
    assert call("format", "money", None, "eur", 2) == ""


@pytest.mark.parametrize(
    ("typed", "exponent", "minor"),
    [("19.00", 2, 1900), ("19", 2, 1900), ("19.5", 2, 1950), ("500", 0, 500), (" 1.005 ", 3, 1005)]
    + [(wrong, 2, None) for wrong in ("19.005", "19,00", "-1", "", "1e3", "one")]
    + [("500.0", 0, None)],
)
def test_a_typed_amount_is_exact_or_none(call: Any, typed: str, exponent: int, minor: int | None) -> None:
    """What somebody types is taken to the last digit, and refused where it says more than the currency can."""
    assert call("format", "minorUnits", typed, exponent) == minor


def test_lengths_of_time_are_short(call: Any) -> None:
    """A length of time is told in the unit that one thinks in."""
    told = [call("format", "duration", seconds) for seconds in (0.64, 48, 200, 7500, 7200, 400_000)]
    assert told == ["0.6 s", "48 s", "3 min", "2 h 5 min", "2 h", "4 d"]


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [
        ("cus_1Aa", {"view": "customer", "id": "cus_1Aa"}),
        ("bank_transfer:K-1001", {"view": "customer", "id": "bank_transfer:K-1001"}),
        ("sub_1Aa", {"view": "customers", "identifier": "sub_1Aa"}),
        ("ada@", {"view": "customers", "email": "ada@"}),
        ("shop.example", {"view": "customers", "domain": "shop.example"}),
        ("Ada Example", {"view": "customers", "name": "Ada Example"}),
    ],
)
def test_a_search_leads_to_what_was_typed(call: Any, typed: str, leads_to: dict[str, str]) -> None:
    """An id opens what it names; an address, a domain and a name find whom they belong to."""
    assert call("parts/frame", "meant", typed) == leads_to


def test_an_address_carries_what_is_set_and_nothing_else(call: Any) -> None:
    """What is empty stands in no address, and what has a sign of its own is written so that it is read again."""
    assert call("router", "href", {"view": "work", "state": "", "reason": None, "email": "a+b@x.example"}) == (
        "/?view=work&email=a%2Bb%40x.example"
    )
    assert call("router", "href", {"view": None}) == "/"
