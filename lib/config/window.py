"""`SUSPEND_WINDOW` as it is typed: ``Mon-Thu 09:00-16:00, Fri 09:00-12:00 Europe/Berlin; not 2026-12-24, 12-25``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

from lib.config.values import Span, Window

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = "must be days, hours and a time zone such as Mon-Thu 09:00-16:00 Europe/Berlin; not 2026-12-24, 12-25"
_SPAN = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?\s+(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.ASCII | re.IGNORECASE)
_CYCLE = 366 * 28
"""Days after which weekdays and leap years come again."""


def suspend_window(value: str) -> Window:
    """A window of the week, with the days on which it stays closed. ValueError names everything that is wrong."""
    hours, semicolon, closed = value.partition(";")
    spans, _, zone = hours.strip().rpartition(" ")
    problems: list[str] = []
    found = tuple(_spans(spans, problems))
    if not spans or not re.match(r"[A-Za-z]", zone):
        raise ValueError(_FORM)
    if not _is_zone(zone):
        problems.append("names a time zone that is not known: write it as Europe/Berlin, or UTC")
    holidays, yearly = _holidays(closed, problems) if semicolon else ((), ())
    window = Window(found, zone, holidays, yearly)
    if not problems and not _opens(window):
        problems.append("never opens: every day of it is one on which it stays closed")
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
    return window


def _spans(text: str, problems: list[str]) -> Iterator[Span]:
    for number, part in enumerate(text.split(","), 1):
        span = _SPAN.fullmatch(part.strip())
        if span is None:
            problems.append(_FORM)
            continue
        first, last = span[1].lower(), (span[2] or span[1]).lower()
        if first not in _DAYS or last not in _DAYS:
            problems.append(f"names a day in part {number} that is none of Mon, Tue, Wed, Thu, Fri, Sat, Sun")
            continue
        begins, ends = (timedelta(hours=int(span[n]), minutes=int(span[n + 1])) for n in (3, 5))
        day = timedelta(days=1)
        if begins >= day or ends > day or int(span[4]) > 59 or int(span[6]) > 59:
            problems.append(f"has hours in part {number} that no clock shows: 00:00 to 24:00")
        elif begins == ends:
            problems.append(f"has no hours in part {number}: it begins when it ends (all day is 00:00-24:00)")
        else:
            so_many = (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
            days = tuple(sorted((_DAYS.index(first) + n) % 7 for n in range(so_many)))
            yield Span(days, begins, ends if ends > begins else ends + day)


def _holidays(text: str, problems: list[str]) -> tuple[tuple[date, ...], tuple[tuple[int, int], ...]]:
    """The days after ``not``: whole dates, and month and day of each year."""
    dates, yearly = [], []
    word, _, rest = text.strip().partition(" ")
    if word.lower() != "not" or not rest.strip():
        problems.append("must name the days on which it stays closed as ; not 2026-12-24, 12-25")
        return (), ()
    for number, part in enumerate((part.strip() for part in rest.split(",")), 1):
        try:
            if re.fullmatch(r"\d\d-\d\d", part, re.ASCII):
                day = date.fromisoformat(f"2028-{part}")  # a leap year
                yearly.append((day.month, day.day))
            else:
                dates.append(date.fromisoformat(part))
        except ValueError:
            problems.append(f"has no date as day {number} after not: write 2026-12-24, or 12-24 for each year")
    return tuple(sorted(set(dates))), tuple(sorted(set(yearly)))


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo  # only who sets a window pays for it

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # also a folder of zones; the last one is ZoneInfoNotFoundError
        return False
    return True


def _opens(window: Window) -> bool:
    """Whether it is open on any day to come. Single dates are few; those of each year may be all."""
    after = max(window.holidays, default=date(2000, 1, 1))
    days = (after + timedelta(days=n) for n in range(1, _CYCLE))
    return any(not window.is_holiday(day) and any(day.weekday() in span.days for span in window.spans) for day in days)
