"""Answers in JSON: what was asked for, or an RFC 9457 problem document with a stable `code`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lib.errors import Fault
from lib.web.response import Response

STATUS: Mapping[str, int] = {
    "bad_signature": 400,
    "client_gone": 400,
    "invalid_form": 400,
    "invalid_json": 400,
    "packed_body": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "checkout_off": 404,
    "not_found": 404,
    "portal_off": 404,
    "unknown_customer": 404,
    "unknown_dispute": 404,
    "unknown_order": 404,
    "unknown_plan": 404,
    "unknown_price": 404,
    "unknown_session": 404,
    "unknown_subscription": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "checkout_refused": 422,
    "confirmation_needed": 422,
    "invalid_field": 422,
    "too_many_requests": 429,
}
"""The HTTP status of what is declined, by its code. Every other code means 409: not as things stand just now."""


def status_of(code: str) -> int:
    """The HTTP status for the code of something declined."""
    return STATUS.get(code, 409)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    errors: Sequence[Fault] = (),
    about: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document.

    Args:
        field: the one field that it is about.
        errors: every fault of the request, where there may be several.
        about: what a program needs besides.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
    }
    body |= about or {}
    if field:
        body["field"] = field
    if errors:
        body["errors"] = [{"field": fault.field, "code": fault.code, "detail": fault.detail} for fault in errors]
    return Response(_encode(body), status_code=status, headers=headers, media_type="application/problem+json")


def answer(body: Any, status: int = 200, **more: Any) -> Response:
    """A JSON answer."""
    return Response(_encode(body), status_code=status, media_type="application/json", **more)


def _told(value: object) -> str:
    """What JSON does not know: a time as ISO 8601 in UTC, anything else as text."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_told).encode
"""One for all: making one costs as much as a short answer."""
