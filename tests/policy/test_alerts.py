"""What calls for a person, and when it is told."""

from datetime import UTC, datetime, timedelta

import pytest

from lib.model.alert import (
    AlertFacts,
    AlertLimits,
    AlertRow,
    Cause,
    Engaged,
    LateMoney,
    ParkedGroup,
    Receiver,
    SideFault,
    Swept,
    ToAnswer,
    Told,
)
from lib.policy.alerts import causes, next_word, turns_at
from lib.structs import replace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUIET = AlertFacts(at=NOW)
LIVE = AlertLimits("live", 300)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def swept(hours_ago: float, *, ended: bool = True, errors: dict[str, str] | None = None, orphans: int = 0) -> Swept:
    """A sweep that began so long ago."""
    began = NOW - timedelta(hours=hours_ago)
    return Swept(began, began + MINUTE, began + MINUTE if ended else None, "orgs", errors or {}, orphans)


def receiver(minutes: float, *, disabled: bool = False) -> Receiver:
    """One that has been failing for so long."""
    return Receiver(2, "https://app.example.com", disabled, NOW - minutes * MINUTE, 7, "it answered 500")


def away(side: str, minutes: float, last: float = 0.0) -> SideFault:
    """A side whose calls have failed for so long, the last one so many minutes ago."""
    return SideFault(side, "no answer in time", NOW - last * MINUTE, NOW - minutes * MINUTE)


CALLS = [
    ({"parked": (ParkedGroup("unmapped_price", 3, NOW),)}, "parked:unmapped_price"),
    ({"brakes": (Engaged("suspensions", NOW, "too many"),)}, "brake"),
    ({"brakes": (Engaged("moves", NOW, None),)}, "brake_moves"),
    ({"oldest_seconds": 301.0}, "stuck"),
    ({"ended": swept(1, errors={"disputes": "no permission"})}, "sweep_partial"),
    ({"newest": swept(2.1, ended=False)}, "sweep_stale"),
    ({"newest": swept(3.1)}, "sweep_stale"),
    ({"missed": 4, "ended": swept(1)}, "webhook"),
    ({"faults": (SideFault("enhance", "panel_token: 403", NOW),)}, "panel_token"),
    ({"faults": (SideFault("stripe", "stripe_key: 401", NOW),)}, "stripe_key"),
    ({"faults": (away("stripe", 11),)}, "stripe_away"),
    ({"faults": (away("enhance", 60, last=55),)}, "panel_away"),
    ({"faults": (away("mail", 11),)}, "mail_server"),
    ({"token_expires_at": NOW + 13 * DAY}, "token_expires"),
    ({"receivers": (receiver(11),)}, "endpoint:2"),
    ({"receivers": (receiver(1, disabled=True),)}, "endpoint:2"),
    ({"not_live": 2, "not_live_since": NOW}, "paid_not_live"),
    ({"late_money": (LateMoney("cus_1", "sub_1", 1900, "eur", NOW),)}, "paid_after_end:sub_1"),
    ({"to_return": {"eur": 500}}, "to_return"),
    ({"part_paid": 1}, "part_paid"),
    ({"paid_late": 1}, "paid_late"),
    ({"to_answer": (ToAnswer("dp_1", "cus_1", 1900, "eur", NOW + 5 * DAY, NOW),)}, "dispute:dp_1"),
    ({"mails_refused": 1, "mails_refused_at": NOW}, "notices"),
    ({"database_bytes": 410 * 2**20}, "database_allowance"),
]


@pytest.mark.parametrize(("facts", "cause"), CALLS, ids=[cause for _, cause in CALLS])
def test_each_thing_that_calls_for_a_person_has_a_name_and_a_remedy(facts: dict[str, object], cause: str) -> None:
    """One cause, told, with what to do about it, and no blank left in its words."""
    (found,) = causes(replace(QUIET, **facts), replace(LIVE, allowance_bytes=512 * 2**20))  # type: ignore[arg-type]
    assert (found.cause, found.told) == (cause, True)
    assert all(len(words) > 3 and "None" not in words for words in (found.title, found.remedy, found.detail))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"oldest_seconds": 299.0},
        {"newest": swept(2.9), "ended": swept(2.9)},
        {"newest": swept(1.9, ended=False)},
        {"faults": (SideFault("enhance", "no answer in time", NOW),)},
        {"faults": (away("enhance", 9), away("mail", 9))},
        {"faults": (away("stripe", 60, last=56),)},
        {"token_expires_at": NOW + 15 * DAY},
        {"to_return": {}},
        {"database_bytes": 400 * 2**20},
        {"database_bytes": 2**40},
    ],
)
def test_what_is_as_it_should_be_calls_for_nobody(facts: dict[str, object]) -> None:
    """Nor a side that is away for a while, one call that failed long ago, or a size without an allowance."""
    allowance = None if facts.get("database_bytes") == 2**40 else 512 * 2**20
    assert causes(replace(QUIET, **facts), replace(LIVE, allowance_bytes=allowance)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "mode", "code"),
    [
        ({}, "shadow", "mode"),
        ({"newest": swept(1, orphans=2)}, "live", "orphans"),
        ({"receivers": (receiver(5),)}, "live", "endpoint_failing"),
    ],
)
def test_what_was_chosen_or_may_be_over_soon_is_shown_and_not_told(
    facts: dict[str, object], mode: str, code: str
) -> None:
    """The mode, organisations of nobody, and a receiver that has failed for some minutes."""
    (found,) = causes(replace(QUIET, **facts), AlertLimits(mode, 300))  # type: ignore[arg-type]
    assert (found.code, found.told) == (code, False)


def test_time_alone_makes_a_cause_and_the_next_such_date_is_known() -> None:
    """An order that is not live soon, a sweep that does not follow, a token's end, a receiver: the nearest counts."""
    assert turns_at(QUIET) is None
    assert turns_at(replace(QUIET, newest=swept(1))) == NOW + 2 * HOUR
    assert turns_at(replace(QUIET, newest=swept(4))) is None
    assert turns_at(replace(QUIET, newest=swept(1), turns_not_live_at=NOW + MINUTE)) == NOW + MINUTE
    assert turns_at(replace(QUIET, receivers=(receiver(4),))) == NOW + 6 * MINUTE
    assert turns_at(replace(QUIET, faults=(away("enhance", 3),))) == NOW + 7 * MINUTE
    assert turns_at(replace(QUIET, token_expires_at=NOW + 20 * DAY)) == NOW + 6 * DAY


CAUSE = Cause("brake", "brake", "The brake is on", "too many", "Look.")
OPEN = AlertRow("brake", "brake", "The brake is on", "too many", "Look.", "critical", NOW - 2 * DAY)
KNOWS = Told(NOW - HOUR, "The brake is on")


@pytest.mark.parametrize(
    ("told", "clean_since", "found", "becomes"),
    [
        (None, None, CAUSE, "open"),
        (Told(error="it answered 403"), None, CAUSE, "open"),
        (None, None, None, None),
        (Told(error="it answered 403"), NOW - 5 * MINUTE, None, None),
        (KNOWS, None, CAUSE, NOW + 23 * HOUR),
        (replace(KNOWS, at=NOW - DAY), None, CAUSE, "reminder"),
        (KNOWS, None, replace(CAUSE, title="It is worse now"), "open"),
        (KNOWS, None, None, NOW + 5 * MINUTE),
        (KNOWS, NOW - 4 * MINUTE, None, NOW + MINUTE),
        (KNOWS, NOW - 5 * MINUTE, None, "over"),
        (replace(KNOWS, error="it answered 403"), NOW - 9 * MINUTE, None, "over"),
        (KNOWS, NOW - 5 * MINUTE, CAUSE, NOW + 23 * HOUR),
    ],
)
def test_told_once_reminded_daily_and_over_after_two_clean_looks(
    told: Told | None, clean_since: datetime | None, found: Cause | None, becomes: object
) -> None:
    """What was never told is over without a word; what comes back between two looks goes on as if it had stayed."""
    assert next_word(told, replace(OPEN, clean_since=clean_since), found, NOW) == becomes
