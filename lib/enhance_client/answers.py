"""What an answer of the panel means: a function of method, status, headers and body. No network here."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from lib.errors import Conflict, Denied, NotFound, OutcomeUnknown, Refused, Unavailable, foreign
from lib.model.reason import Reason, SettingsFault

GATEWAY_TIMEOUTS = (504, 522, 524)
"""What stands before the panel gave up waiting for it: the panel may still be at work, as after no answer at all."""

RETRY_AFTER_LIMIT = timedelta(hours=1)
"""No panel has a reason to ask for more; a nonsense header must not park a customer."""


def read_answer(method: str, route: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The decoded body of a success, `None` for an empty one.

    Raises:
        Unavailable: nothing happened; the panel (or what stands before it) declines for now.
        Denied: our token or address.
        OutcomeUnknown: a server error after a write, which may have taken effect all the same.
        NotFound, Conflict, Refused: decided; a repetition would end the same way.
    """
    if 200 <= status < 300:
        if not body.strip():
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return _lost(method, f"{method} {route}: {status} with a body that is not JSON", answered=True)
    code, detail, message = _error(body)
    said = f"{method} {route}: {status} {code or 'no code'} {detail or ''} {message or ''}".strip()
    after = retry_after(headers)
    if status == 429:
        raise Unavailable(said, after=after)
    if status >= 500:
        return _lost(method, said, answered=status not in GATEWAY_TIMEOUTS, after=after)
    if status == 404 and code == "not_found":
        raise NotFound(Reason.PANEL_NOT_FOUND, said, status=status)
    if status == 409:
        raise Conflict(Reason.PANEL_CONFLICT, said, status=status)
    if status == 401 or (status == 403 and code in (None, "unauthorized") and detail is None):
        # One code for a bad token, a missing role and a foreign address: never one customer's fault.
        advice = "check ENHANCE_API_TOKEN: its role, its expiry and its allowed addresses"
        raise Denied(SettingsFault.PANEL_TOKEN, f"{said} ({advice})", status=status)
    if 300 <= status < 400:
        raise Denied(SettingsFault.PANEL_URL, f"{said} (a redirect: check ENHANCE_API_URL)", status=status)
    raise Refused(Reason.PANEL_REFUSED, said, status=status)


def _lost(method: str, said: str, *, answered: bool, after: timedelta | None = None) -> None:
    if method != "GET":
        raise OutcomeUnknown(said, answered=answered, after=after)
    raise Unavailable(said, after=after)


def _error(body: bytes) -> tuple[str | None, str | None, str | None]:
    """(code, detail, message) of the panel's error body; plain text, or the words of a page, become the message."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return None, None, _words(body.decode("utf-8", "replace"))
    values = [found.get(name) for name in ("code", "detail", "message")]
    code, detail, message = (str(value) if value is not None else None for value in values)
    return code, detail, message


def _words(text: str) -> str:
    """Plain text as it is; of the page that a web server before the panel answers its title, else its words."""
    if not text.lstrip().startswith("<"):
        return foreign(text)
    titled = re.search(r"<title[^>]*>([^<]+)</title>", text, re.IGNORECASE)
    bare = re.sub(r"<(style|script)\b.*?</\1\s*>|<[^>]*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    said = html.unescape(titled[1] if titled else bare)
    return f"(a web page: {foreign(' '.join(said.split()))})"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """The ``Retry-After`` header: seconds, or an HTTP date."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return min(timedelta(seconds=int(value[:9])), RETRY_AFTER_LIMIT)
    try:
        until = parsedate_to_datetime(value) - (now or datetime.now(UTC))
    except (ValueError, TypeError, LookupError, ArithmeticError):  # what the date parser raises on nonsense
        return None
    return min(max(until, timedelta()), RETRY_AFTER_LIMIT)
