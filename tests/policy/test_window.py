"""`SUSPEND_WINDOW`: what is typed, which moments are in it, and what waits for it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.config import Policy, Settings, Span, Window
from lib.config.window import suspend_window
from lib.errors import SettingsError
from lib.model import ActionKind, Hold, Service, ServiceState, Subscription
from lib.model.reason import Rule, WaitReason
from lib.policy.window import is_open, moved
from lib.structs import replace
from tests.clients.test_config import GOOD
from tests.policy.test_rows import KEY, LIVE, OPEN, PAID, SUSPENDED, holds, kinds, runs
from tests.policy.worlds import NOW, World, customer, days, payer, service, subscription, world

OFFICE = suspend_window("Mon-Thu 09:00-16:00 Europe/Berlin; not 2026-12-24, 12-25")
MOMENT = timedelta(microseconds=1)


def berlin(text: str, fold: int = 0) -> datetime:
    """A time of Berlin's clocks."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).astimezone(UTC)


# --- as it is typed ---------------------------------------------------------------------------------------------------


def test_days_hours_zone_and_holidays() -> None:
    """Several spans, over the end of the week and over midnight, in any case, with single and yearly holidays."""
    assert (
        Window(
            (Span((0, 1, 2, 3), timedelta(hours=9), timedelta(hours=16)),),
            "Europe/Berlin",
            (date(2026, 12, 24),),
            ((12, 25),),
        )
        == OFFICE
    )
    window = suspend_window("sat-MON 22:30-02:00,  Wed 0:00-24:00 UTC")
    assert window.spans == (
        Span((0, 5, 6), timedelta(hours=22, minutes=30), timedelta(hours=26)),
        Span((2,), timedelta(), timedelta(hours=24)),
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("weekdays", "must be days, hours and a time zone"),
        ("Mon 09:00-16:00", "must be days, hours and a time zone"),
        ("Mon-Fry 09:00-16:00 Europe/Berlin", "part 1 that is none of"),
        ("Mon 09:00-16:00, Tue 25:00-26:00 UTC", "hours in part 2 that no clock shows"),
        ("Mon 09:00-16:60 UTC", "hours in part 1 that no clock shows"),
        ("Mon 09:00-09:00 UTC", "no hours in part 1"),
        ("Mon 09:00-16:00 Europe/Berlino", "time zone that is not known"),
        ("Mon 09:00-16:00 Europe", "time zone that is not known"),
        ("Mon 09:00-16:00 UTC; 2026-12-24", "; not 2026-12-24"),
        ("Mon 09:00-16:00 UTC; not", "; not 2026-12-24"),
        ("Mon 09:00-16:00 UTC; not 2026-12-24, 13-01", "no date as day 2"),
        ("Mon 09:00-16:00 UTC; not " + ", ".join(f"{d:%m-%d}" for d in (date(2028, 1, 1) + timedelta(n)
            for n in range(366))), "never opens"),
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused(typed: str, said: str) -> None:
    """The refusal says what is wrong where."""
    with pytest.raises(ValueError, match=said):
        suspend_window(typed)


def test_all_faults_of_a_window_are_told_together_and_with_those_of_other_settings() -> None:
    """Nobody mends one to be told the next."""
    environ = {**GOOD, "SUSPEND_WINDOW": "Mon 09:00-09:00, Foo 1:00-2:00 Nowhere; not 99-99", "GRACE_DAYS": "x"}
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ)
    (window,) = [problem for problem in refused.value.problems if problem.startswith("SUSPEND_WINDOW")]
    for said in ("no hours in part 1", "in part 2 that is none of", "time zone that is not known", "no date as day 1"):
        assert said in window
    assert any(problem.startswith("GRACE_DAYS") for problem in refused.value.problems)


# --- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("2027-01-11 09:00", "2027-01-11 09:00"),
        ("2027-01-11 15:59:59.999999", "2027-01-11 15:59:59.999999"),
        ("2027-01-11 16:00", "2027-01-12 09:00"),
        ("2027-01-14 16:00", "2027-01-18 09:00"),
        ("2026-12-23 17:00", "2026-12-28 09:00"),  # Thursday is Christmas Eve, and Friday is no day of it
    ],
)
def test_a_moment_outside_goes_to_the_next_beginning(at: str, then: str) -> None:
    """The end is no part of it; nights, weekends and holidays are passed over."""
    assert moved(berlin(at), OFFICE) == berlin(then)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """And stays closed on a holiday, in that holiday's night, and from the holiday's own midnight on."""
    night = suspend_window("Mon 22:00-02:00 Europe/Berlin")
    assert is_open(berlin("2027-01-12 01:59"), night)
    assert moved(berlin("2027-01-12 02:00"), night) == berlin("2027-01-18 22:00")
    assert not is_open(berlin("2027-01-11 01:00"), night)
    begins_on = suspend_window("Mon 22:00-02:00 Europe/Berlin; not 2027-01-11")
    assert moved(berlin("2027-01-12 01:00"), begins_on) == berlin("2027-01-18 22:00")
    goes_into = suspend_window("Mon 22:00-02:00 Europe/Berlin; not 2027-01-12")
    assert is_open(berlin("2027-01-11 23:59"), goes_into)
    assert moved(berlin("2027-01-12 00:00"), goes_into) == berlin("2027-01-18 22:00")


def test_hours_that_a_clock_leaves_out_and_hours_that_it_shows_twice() -> None:
    """On 28 March 2027 Berlin has no 02:30; on 31 October it has two."""
    night = suspend_window("Sun 02:15-04:00 Europe/Berlin")
    assert moved(berlin("2027-03-28 00:00"), night) == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)  # 03:00 in summer
    gone = suspend_window("Sun 02:15-02:45 Europe/Berlin")
    assert moved(berlin("2027-03-28 00:00"), gone) == berlin("2027-04-04 02:15")
    assert moved(berlin("2027-10-31 01:00"), gone) == berlin("2027-10-31 02:15", fold=0)
    assert is_open(berlin("2027-10-31 02:30", fold=1), gone)
    between = datetime(2027, 10, 31, 0, 50, tzinfo=UTC)  # 02:50 in summer, before 02:15 comes a second time
    assert moved(between, gone) == berlin("2027-10-31 02:15", fold=1)


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows of every kind that a setting can name."""
    minute = st.integers(0, 24 * 60 - 1)
    spans = []
    for _ in range(draw(st.integers(1, 3))):
        begins = draw(minute)
        length = draw(st.integers(1, 24 * 60))
        spans.append(
            Span(
                tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1)))),
                timedelta(minutes=begins),
                timedelta(minutes=min(begins + length, begins + 24 * 60 - 1, 48 * 60 - 1)),
            )
        )
    yearly = draw(st.sampled_from([(), ((10, 31),)]))
    holidays = draw(st.sets(st.dates(date(2027, 3, 20), date(2027, 4, 10)), max_size=4))
    return Window(tuple(spans), draw(st.sampled_from(ZONES)), tuple(sorted(holidays)), yearly)


MOMENTS = st.one_of(
    st.integers(0, 33 * 86400).map(lambda n: datetime(2027, 3, 10, tzinfo=UTC) + timedelta(seconds=n)),
    st.integers(0, 21 * 86400).map(lambda n: datetime(2027, 10, 20, tzinfo=UTC) + timedelta(seconds=n)),
)


@settings(max_examples=300, deadline=None)
@given(windows(), MOMENTS, st.timedeltas(timedelta(), timedelta(days=9)))
def test_a_moved_moment_is_in_the_window_never_earlier_and_keeps_the_order(
    window: Window, at: datetime, later: timedelta
) -> None:
    """It is the same moved twice, what is in stays, and nothing overtakes."""
    then = moved(at, window)
    assert then >= at
    assert is_open(then, window)
    assert moved(then, window) == then
    assert (then == at) is is_open(at, window)
    assert moved(at + later, window) >= then


@settings(max_examples=60, deadline=None)
@given(windows(), MOMENTS)
def test_nothing_before_a_moved_moment_is_in_the_window(window: Window, at: datetime) -> None:
    """No opening is passed over, whatever the clocks do."""
    at = at.replace(second=0, microsecond=0)
    then, minute = moved(at, window), timedelta(minutes=1)
    so_many = min(int((then - at) / minute), 3 * 24 * 60)
    assert not any(is_open(at + n * minute, window) for n in range(so_many))


# --- what waits for it ------------------------------------------------------------------------------------------------

NIGHT = berlin("2027-01-15 20:00")
"""A Friday: the office opens again on Monday."""
MONDAY = berlin("2027-01-18 09:00")
WINDOWED = Policy(suspend_window=OFFICE, retention_days=30)


def at(when: datetime, said: Subscription, remembered: Service = LIVE, policy: Policy = WINDOWED) -> World:
    """The end of a world at this time."""
    end = world(payer(said), customer(remembered), policy=policy, now=when)
    end.run()
    return end


def behind(when: datetime, ago: float, status: str = "past_due") -> Subscription:
    """A subscription that was not paid so many days before then."""
    return subscription(status=status, unpaid_days=ago + (NOW - when) / days(1), latest=OPEN)


def test_a_grace_that_ends_at_night_ends_when_the_window_opens() -> None:
    """The date that is shown is that one from the beginning, to the moment; then it is held."""
    for when, on in ((NIGHT, True), (MONDAY - MOMENT, True), (MONDAY, False)):
        end = at(when, behind(when, 7 + (when - NIGHT) / days(1)))
        assert runs(end) is on
        assert end.look().wait is None or not on or end.look().wait.at == MONDAY  # type: ignore[union-attr]
        remembered = end.service(KEY)
        assert remembered is not None
        assert remembered.grace_until == (MONDAY if on else None)
        assert holds(end) == (set() if on else {Hold.UNPAID})


def test_an_end_that_was_missed_in_the_window_waits_for_the_next_one() -> None:
    """Nobody ran on Thursday: nobody is suspended on Friday night for it."""
    end = at(NIGHT, behind(NIGHT, 9))
    assert runs(end)
    assert end.service(KEY).grace_until == MONDAY  # type: ignore[union-attr]
    assert end.look().wait.why == WaitReason.SUSPEND_WINDOW  # type: ignore[union-attr]


def test_an_admins_date_is_moved_too_and_never_forward() -> None:
    """A promise until Saturday keeps it on until Monday."""
    saturday = berlin("2027-01-16 12:00")
    end = at(NIGHT, behind(NIGHT, 20), service(grace_override=saturday))
    assert runs(end)
    assert end.service(KEY).grace_until == MONDAY  # type: ignore[union-attr]
    assert end.service(KEY).grace_override == saturday  # type: ignore[union-attr]


def test_what_stripe_gave_up_at_night_is_held_in_the_morning() -> None:
    """`unpaid` has no grace and waits all the same; what ends because it was not paid does, too."""
    for status in ("unpaid", "canceled"):
        remembered = service(unpaid_since=NIGHT - days(9), grace_until=NIGHT)
        said = replace(behind(NIGHT, 9, status), ended_at=NIGHT if status == "canceled" else None)
        end = at(NIGHT, said, remembered)
        assert runs(end), status
        assert (end.look().wait.at, end.look().wait.why) == (MONDAY, WaitReason.SUSPEND_WINDOW)  # type: ignore[union-attr]
        end = at(MONDAY, said, remembered)
        assert not runs(end), status


@pytest.mark.parametrize(
    ("said", "remembered"),
    [
        (replace(subscription(status="canceled"), ended_at=NOW - days(1)), LIVE),
        (replace(subscription(status="active", latest=PAID), disputes=("needs_response",)), LIVE),
        (subscription(status="active", latest=PAID), service(holds=frozenset({Hold.ADMIN}))),
        (subscription(status="paused"), LIVE),
    ],
    ids=["cancelled by the customer", "dispute", "admin", "paused"],
)
def test_what_is_no_debt_waits_for_no_window(said: Subscription, remembered: Service) -> None:
    """Ends that were chosen, disputes, pauses and an admin's hold are made true at once."""
    assert not runs(at(NIGHT, said, remembered))


def test_who_pays_runs_at_once() -> None:
    """Resuming never waits, and what is held at night stays held."""
    end = at(NIGHT, subscription(status="active", latest=PAID), SUSPENDED)
    assert kinds(end) == [ActionKind.RESUME]
    assert not runs(at(NIGHT, behind(NIGHT, 30), SUSPENDED))


def test_a_deletion_waits_for_the_window_and_shows_its_date() -> None:
    """Retention over at night: deleted when the window opens, and `retain_until` says so; deleted once."""
    ended = NIGHT - days(30)
    remembered = service(
        state=ServiceState.SUSPENDED,
        suspended_by=SUSPENDED.suspended_by,
        holds=frozenset({Hold.ENDED}),
        ended_at=ended,
    )
    said = replace(subscription(status="canceled"), ended_at=ended)
    for when in (ended + days(1), NIGHT, MONDAY - MOMENT):
        end = at(when, said, remembered)
        assert ActionKind.TERMINATE not in kinds(end)
        assert end.service(KEY).retain_until == MONDAY  # type: ignore[union-attr]
    end = at(MONDAY, said, remembered)
    assert kinds(end) == [ActionKind.TERMINATE]
    assert end.done[0].rule == Rule.RETENTION_OVER
    end.now = NIGHT + days(7)
    last = end.run()
    assert (len(end.done), last.wait) == (1, None)
