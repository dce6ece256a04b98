"""HTTP in and out: one ASGI app from plain functions, bearer keys, bounded bodies, problem documents (RFC 9457)."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.config import Secret
from lib.errors import Denied, Refused, RequestError, Retryable, SchemaOutdated, SettingsError
from lib.log import bound, configure, get_logger

log = get_logger()

Handler = Callable[[Request], Awaitable[Response]]

MAX_BODY = 1024 * 1024
"""Bytes. Stripe's largest events are far smaller, and Vercel itself ends at 4.5 MB."""

DEFAULT_BUDGET = 50.0
"""Seconds of work after a response where no deadline is known: not on Vercel, which sends one along."""

DEADLINE_MARGIN = 5.0
"""Seconds before the platform's deadline by which everything is settled."""


def endpoint(**handlers: Handler) -> ASGIApp:
    """An ASGI app for one function file: ``app = endpoint(GET=show, POST=change)``.

    Errors become problem documents; every answer carries a request id and is never cached.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected {scope['type']} connection")
        request = Request(scope, receive)
        request_id = request.headers.get("x-vercel-id") or request.headers.get("x-request-id") or str(uuid4())
        began = time.monotonic()
        with bound(request_id=request_id[:200], path=scope["path"]):
            response = await _answer(request, handlers)
            response.headers["X-Request-Id"] = request_id.encode("ascii", "replace").decode()[:200]
            response.headers.setdefault("Cache-Control", "no-store")
            log.debug("answered", status=response.status_code, ms=round((time.monotonic() - began) * 1000, 1))
            await response(scope, receive, send)

    return app


async def _answer(request: Request, handlers: dict[str, Handler]) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    handler = handlers.get(method)
    if handler is None:
        allowed = ", ".join(sorted(handlers))
        return problem(405, "method_not_allowed", f"this route takes {allowed}", headers={"Allow": allowed})
    try:
        return await handler(request)
    except RequestError as error:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return problem(error.status, error.code, error.detail, field=error.field, headers=headers)
    except SettingsError as error:
        configure()
        log.error("settings_wrong", problems=error.problems)
        detail = "the environment of this deployment is not complete: " + "; ".join(error.problems)
        return problem(503, "not_configured", detail)
    except SchemaOutdated as error:
        log.error("schema_outdated", error=str(error))
        return problem(503, "schema_outdated", str(error), headers={"Retry-After": "60"})
    except Denied as error:
        log.error("denied", reason=error.reason, error=str(error))
        return problem(502, error.reason, str(error))
    except Retryable as error:
        log.error("unavailable", error=str(error))
        return problem(503, "unavailable", str(error), headers={"Retry-After": "10"})
    except Refused as error:
        return problem(502, error.reason, str(error))
    except ClientDisconnect:
        return problem(400, "client_gone", "the request ended before its body did")
    except Exception:
        log.exception("request_crashed")
        return problem(500, "internal_error", "something unforeseen happened; the log has the request id")


def problem(
    status: int, code: str, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An RFC 9457 problem document with a stable `code`."""
    body: dict[str, Any] = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code}
    body["detail"] = detail
    if field:
        body["field"] = field
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


def answer(body: Any, status: int = 200, **more: Any) -> Response:
    """A JSON answer."""
    return JSONResponse(jsonable(body), status_code=status, **more)


def jsonable(value: Any) -> Any:
    """`value` with times as ISO 8601 in UTC and everything else as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(part) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The raw body.

    Raises:
        RequestError: 413 above `limit` bytes, however it was sent.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise RequestError(413, "too_large", f"the body is larger than {limit} bytes")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RequestError(413, "too_large", f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one.

    Raises:
        RequestError: 400 when it is no JSON object.
    """
    body = await read_body(request)
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "invalid_json", "the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise RequestError(400, "invalid_json", "the body must be a JSON object")
    return found


def text_field(body: dict[str, Any], name: str, limit: int = 255) -> str | None:
    """The text in `name`, or `None` when it is absent.

    Raises:
        RequestError: 422 when it is something else than a non-empty printable text.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > limit or not value.isprintable():
        raise RequestError(422, "invalid_field", f"{name} must be a text of 1 to {limit} characters", field=name)
    return value.strip()


def id_field(body: dict[str, Any], name: str) -> str | None:
    """The id in `name`, fit to stand in an address, or `None` when it is absent.

    Raises:
        RequestError: 422 when it is something else.
    """
    value = text_field(body, name)
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise RequestError(422, "invalid_field", f"{name} must be an id: letters, digits, _ and -", field=name)
    return value


def flag_field(body: dict[str, Any], name: str) -> bool:
    """The flag in `name`; absent means False.

    Raises:
        RequestError: 422 when it is neither true nor false.
    """
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(422, "invalid_field", f"{name} must be true or false", field=name)
    return value


def limit_param(request: Request, default: int = 50, most: int = 200) -> int:
    """The page length in `limit`.

    Raises:
        RequestError: 422 outside of 1 to `most`.
    """
    value = request.query_params.get("limit", str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 7 and 1 <= int(value) <= most):
        raise RequestError(422, "invalid_field", f"limit must be a whole number from 1 to {most}", field="limit")
    return int(value)


def cursor_param(request: Request) -> tuple[str, str] | None:
    """Where a page begins: what `next_cursor` made of the last row before it.

    Raises:
        RequestError: 422 for anything else.
    """
    value = request.query_params.get("cursor")
    if value is None:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(value.encode("ascii", "strict")))
    except (ValueError, RecursionError):
        found = None
    match found:
        case [str(kind), str(key)] if kind.isprintable() and key.isprintable():
            return kind, key
    raise RequestError(422, "invalid_field", "cursor must be a nextCursor of this list", field="cursor")


def next_cursor(after: tuple[str, str] | None) -> str | None:
    """The cursor of the page after this row; opaque to its reader."""
    return None if after is None else base64.urlsafe_b64encode(json.dumps(after).encode()).decode()


def bearer(request: Request) -> str | None:
    """The bearer token of a request, if it brought one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def actor(request: Request, keys: Sequence[tuple[str, Secret]]) -> str:
    """The name behind the request's bearer key. Compares with every key, in constant time.

    Raises:
        RequestError: 401.
    """
    token = bearer(request)
    names = [name for name, key in keys if token is not None and same(token, key)]
    if not names:
        raise RequestError(401, "unauthorized", "send a valid key as Authorization: Bearer ...")
    return names[0]


def same(token: str, secret: Secret) -> bool:
    """Whether `token`, from a header (bytes read as Latin-1), is the secret, in constant time."""
    return hmac.compare_digest(token.encode("latin-1", "replace"), secret.reveal().encode())


def work_deadline() -> float:
    """Until when (`time.monotonic`) work may go on in this invocation: Vercel's deadline, else a modest budget."""
    try:
        runtime: Any = import_module("vercel_runtime")  # on Vercel only
    except ImportError:
        return time.monotonic() + DEFAULT_BUDGET
    until: datetime | None = runtime.get_deadline()
    if until is None:
        return time.monotonic() + DEFAULT_BUDGET
    return time.monotonic() + max(0.0, (until - datetime.now(UTC)).total_seconds() - DEADLINE_MARGIN)
