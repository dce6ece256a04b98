"""A list of dates as a calendar (RFC 5545), for people who plan their week in one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from lib.operators.views.upcoming import UpcomingItem
from lib.policy.currencies import shown
from lib.web.response import Streamed

LINE = 75
"""Octets of a line, its end not counted; what is longer goes on in the next one behind a blank."""

ENDING = "ending"
"""A cancellation is another event than a debt of the same service."""

LASTS = timedelta(minutes=30)
"""An event without a length is drawn by no calendar."""


def calendar_answer(name: str, items: AsyncIterator[UpcomingItem], made: datetime) -> Streamed:
    """A whole list as text/calendar, streamed.

    Args:
        name: of the file, without its ending.
        made: when this answer is, for DTSTAMP.
    """

    async def lines() -> AsyncGenerator[str, None]:
        yield _written(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//bridge//upcoming//EN", "METHOD:PUBLISH"])
        async for item in items:
            yield _written(_event(item, made))
        yield _written(["END:VCALENDAR"])

    headers = {"Content-Disposition": f'attachment; filename="{name}.ics"'}
    return Streamed(lines(), headers, "text/calendar; charset=utf-8")


def _event(item: UpcomingItem, made: datetime) -> Iterator[str]:
    at_stake = shown(item.amount, item.currency) if item.amount is not None and item.currency else "not known"
    about = item.domain or item.email or item.customer_id
    yield "BEGIN:VEVENT"
    # The same for a service however often it is read, so that a calendar moves the event when its date is moved.
    yield f"UID:{sha256(f'{item.what} {item.reason == ENDING} {item.service}'.encode()).hexdigest()[:32]}@bridge"
    yield f"DTSTAMP:{_time(made)}"
    yield f"DTSTART:{_time(item.at)}"
    yield f"DTEND:{_time(item.at + LASTS)}"
    yield f"SUMMARY:{_text(f'{item.what.title()} {about}')}"
    told = [
        f"Customer: {item.customer_id}" + (f" ({item.email})" if item.email else ""),
        f"Service: {item.service}",
        f"At stake: {at_stake}",
    ]
    yield f"DESCRIPTION:{_text(chr(10).join(told))}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """A text value, escaped (section 3.3.11)."""
    value = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")


def _written(lines: Iterable[str]) -> str:
    return "".join(f"{part}\r\n" for line in lines for part in _folded(line))


def _folded(line: str) -> Iterator[str]:
    """A line in parts of at most 75 octets, never within a character (section 3.1)."""
    part, size = "", 0
    for character in line:
        width = len(character.encode())
        if size + width > LINE:
            yield part
            part, size = " ", 1
        part, size = part + character, size + width
    yield part
