"""When suspensions for debts and deletions may happen: any other moment is moved to the next one that may be.

A window is one of the wall clock. Where a clock goes forward, hours that it leaves out are no part of any window; where
it goes back, the hour that comes twice is part of it twice. The last moment of a span is none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from lib.config import Span, Window

_DAY = timedelta(days=1)

_FURTHEST = 366 * 30
"""Days in which every window opens that a setting can name: a leap day, on the weekday of its span."""


def moved(at: datetime, window: Window | None) -> datetime:
    """The first moment from `at` on that is in the window; `at` itself where there is none.

    Args:
        at: aware.
    """
    if window is None or is_open(at, window):
        return at
    zone = _zone(window.zone)
    first = at.astimezone(zone).date() - _DAY  # a span over midnight may still be under way
    for number in range(_FURTHEST):
        found = [when for when in _edges(first + number * _DAY, window, zone) if when > at and is_open(when, window)]
        if found:
            return min(found).astimezone(at.tzinfo)
    raise ValueError(f"{window} never opens")


def is_open(at: datetime, window: Window) -> bool:
    """Whether a moment is in the window."""
    local = at.astimezone(_zone(window.zone))
    today, clock = local.date(), timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    clock += timedelta(microseconds=local.microsecond)
    if window.is_holiday(today):
        return False
    yesterday = today - _DAY
    return any(_covers(span, today, clock) for span in window.spans) or (
        not window.is_holiday(yesterday) and any(_covers(span, yesterday, clock + _DAY) for span in window.spans)
    )


def _covers(span: Span, day: date, clock: timedelta) -> bool:
    """Whether the span that begins on a day covers so much time after its midnight, by the clock on the wall."""
    return day.weekday() in span.days and span.begins <= clock < span.ends


def _edges(day: date, window: Window, zone: tzinfo) -> Iterator[datetime]:
    """Moments of a day at which the window may open: its spans begin, or the clock is changed."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)  # what is added is added to the clock on the wall
    for span in window.spans:
        if day.weekday() in span.days:
            for fold in (0, 1):
                yield (midnight + span.begins).replace(fold=fold).astimezone(UTC)
    begins, ends = ((midnight + n * _DAY).astimezone(UTC) for n in (0, 1))
    if begins.astimezone(zone).utcoffset() != ends.astimezone(zone).utcoffset():
        yield _change(begins, ends, zone)


def _change(begins: datetime, ends: datetime, zone: tzinfo) -> datetime:
    """When between two moments the clock is changed: to the second, as zones are written down."""
    before = begins.astimezone(zone).utcoffset()
    while ends - begins > timedelta(seconds=1):
        middle = begins + timedelta(seconds=(ends - begins).total_seconds() // 2)
        if middle.astimezone(zone).utcoffset() == before:
            begins = middle
        else:
            ends = middle
    return ends


@lru_cache(maxsize=4)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # only who sets a window pays for it

    return ZoneInfo(name)
