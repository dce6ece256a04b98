"""Lists: where a page begins and ends, times in filters, and a whole list as CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from lib.errors import Fault
from lib.web.request import Request
from lib.web.response import Streamed
from lib.web.typed import Given, Limit, View, declined

Row = TypeVar("Row")

NEVER = "infinity"
"""A time behind all others, as the database writes it."""

CSV_PAGE = 1000
"""Rows read at a time for a whole list as CSV."""


class Listing(Given):
    """The parameters of every list."""

    limit: Limit = 50
    cursor: str | None = None


class Page(View, Generic[Row]):
    """A page of a list."""

    data: list[Row]
    next_cursor: str | None = None
    """Where the next page begins; `null` on the last one."""


def pack_cursor(of: str, key: Sequence[Any]) -> str:
    """Where a page of the list `of` begins, opaque to its reader: behind the row with this key."""
    return base64.urlsafe_b64encode(json.dumps([of, *key], default=str).encode()).decode().rstrip("=")


def unpack_cursor(of: str, text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The key that `pack_cursor` was given, times as datetimes; `None` without a cursor.

    Raises:
        Declined: 422 for anything that is no cursor of this very list.
    """
    if text is None:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        found = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
        if isinstance(found, list) and len(found) == len(kinds) + 1 and found[0] == of:
            key: tuple[Any, ...] = tuple(_part(part, kind) for part, kind in zip(found[1:], kinds, strict=True))
            if "\x00" not in repr(key) and all(part.isprintable() for part in key if isinstance(part, str)):
                return key
    except (ValueError, OverflowError, RecursionError, msgspec.ValidationError):
        pass
    raise declined([Fault("cursor", "invalid", "cursor must be a nextCursor of this list")])


def _part(part: Any, kind: type) -> Any:
    """A part of a key as the database takes it: what is no time, id or number of its kind never gets there."""
    if kind is not datetime or not isinstance(part, str):
        return msgspec.convert(part, kind)
    if part == NEVER:
        return part
    when = datetime.fromisoformat(part)
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


_AGO = re.compile(r"-(\d{1,6})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(field: str, text: str | None, now: datetime) -> datetime | None:
    """A time in a filter: ISO 8601 (UTC without a zone), or so long ago (`-90m`, `-2h`, `-7d`).

    Raises:
        Declined: 422 for anything else.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        # In an address a plus is a blank.
        when = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        detail = f"{field} must be an ISO 8601 time, or so long ago: -90m, -2h, -7d"
        raise declined([Fault(field, "invalid", detail)]) from None


def wants_csv(request: Request) -> bool:
    """Whether the caller asks for the whole list as CSV."""
    return "text/csv" in request.headers.get("accept", "").lower()


def csv_answer(name: str, columns: Sequence[str], rows: AsyncIterator[Sequence[Any]]) -> Streamed:
    """A whole list as CSV, streamed: RFC 4180 in UTF-8, safe to open in a spreadsheet.

    Args:
        name: of the file, without its ending.
    """

    async def lines() -> AsyncGenerator[str, None]:
        yield _line(columns)
        async for row in rows:
            yield _line([cell(value) for value in row])

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Streamed(lines(), headers, "text/csv; charset=utf-8")


async def every(
    read: Callable[[tuple[Any, ...] | None], Awaitable[tuple[Sequence[Row], tuple[Any, ...] | None]]],
) -> AsyncIterator[Row]:
    """Each row of a list, page by page: `read` takes the key behind which a page begins, and tells that of the next."""
    after: tuple[Any, ...] | None = None
    while True:
        page, after = await read(after)
        for row in page:
            yield row
        if after is None:
            return


def cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return cell(json.dumps(value, default=str))
    if isinstance(value, list | tuple | set | frozenset):
        return cell(" ".join(str(part) for part in value))
    text = str(value)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _line(values: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(values)
    return buffer.getvalue()
