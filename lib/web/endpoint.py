"""One ASGI app for each function file: the guard first, then the request as a typed value, one verb, an answer."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from logging import DEBUG
from typing import Any, Generic, TypeVar

from msgspec import Struct, to_builtins

from lib import environment, loaded
from lib.config import KeyScope
from lib.errors import (
    BridgeError,
    DatabaseUnavailable,
    Declined,
    Denied,
    Refused,
    Retryable,
    SchemaOutdated,
    SettingsError,
)
from lib.log import bound, get_logger
from lib.web.body import MAX_BODY, read_body, refuse_packed
from lib.web.guard import Guard, beyond
from lib.web.problem import answer, problem, status_of
from lib.web.promptness import answer_at_once
from lib.web.request import ClientGone, Receive, Request, Scope, Send
from lib.web.response import Background, Response, Streamed

log = get_logger()

T = TypeVar("T")


class Ask(Struct, Generic[T], frozen=True):
    """A request that the guard let in."""

    request: Request
    actor: str
    """The name behind the bearer key; empty for a stranger."""
    given: T
    """The typed query or body; `None` where the route takes neither."""
    scope: KeyScope = KeyScope.ALL
    """How far the key reaches."""


class Answer(Struct, frozen=True):
    """A typed answer with another status than 200, or with work to do once it is sent."""

    body: Any
    status: int = 200
    background: Background | None = None


Handler = Callable[[Ask[Any]], Awaitable[Any]]

Dress = Callable[[Request, Response], Response]

FORM = "application/x-www-form-urlencoded"


_WITH = {"unauthorized": {"WWW-Authenticate": "Bearer"}, "too_many_requests": {"Retry-After": "600"}}
"""Headers that a problem has by its code."""


class Verb(Struct, frozen=True):
    """What a route does for one method, and in which shapes: the OpenAPI document is made from these."""

    handler: Handler
    query: Any = None
    """The struct of its query parameters."""
    body: Any = None
    """The struct of its JSON body, or a union of structs told apart by a tag."""
    answers: Mapping[int, Any] | None = None
    """Status -> struct of the answer."""
    csv: bool = False
    """Whether ``Accept: text/csv`` gives the whole filter."""
    plain: bool = False
    """Whether a parameter of its own makes it answer in plain text."""
    form: bool = False
    """Whether the body may also be a posted HTML form with the same fields."""
    limit: int = MAX_BODY
    """Bytes of the body."""
    collects: Callable[[Any], bool] | None = None
    """Whether a key that only collects may ask for what was given; `None`: for nothing of this. Of which orders, the
    handler sees to (`Ask.scope`)."""
    bounces: Callable[[Any], bool] | None = None
    """The same, for a key that only tells which mails came back."""


def endpoint(
    *, guard: Guard, dress: Dress | None = None, **verbs: Verb | Handler
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI app for one function file: ``app = endpoint(guard=admin, GET=show, POST=change)``.

    A file that names no guard does not start. Errors become problem documents; every answer carries a request id and is
    never cached. The app tells its `guard` and `verbs` to whoever documents or tests it.

    Args:
        dress: how an answer looks in the end: a page in place of a problem document, headers for other sites' scripts.
    """
    loaded()  # a function's file ends with this
    table = {method: verb if isinstance(verb, Verb) else Verb(verb) for method, verb in verbs.items()}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected {scope['type']} connection")
        answer_at_once(receive)
        request = Request(scope, receive)
        request_id = _id_of(scope)
        began = time.monotonic()
        with bound(request_id=request_id, path=scope["path"]):
            response = await _answer(request, guard, table)
            if dress is not None:
                response = dress(request, response)
            _finish(response, request_id)
            if log.is_enabled_for(DEBUG):  # else nothing of it need be worked out
                log.debug("answered", status=response.status_code, ms=round((time.monotonic() - began) * 1000, 1))
            try:
                await response(scope, receive, send)
            except BridgeError as error:  # it has begun and can't become another one: the server ends the connection
                log.error("answer_cut_off", error=str(error))
            except Exception:
                log.exception("answer_cut_off")
                raise

    app.guard = guard  # type: ignore[attr-defined]
    app.verbs = table  # type: ignore[attr-defined]
    return app


def _id_of(scope: Scope) -> str:
    """The request's id: Vercel's, that of a proxy before us, or one of our own."""
    found = b""
    for name, value in scope["headers"]:
        if name == b"x-vercel-id" and value:
            found = value
            break
        if name == b"x-request-id":
            found = value
    # It has to be rare and not to be secret.
    return found.decode("ascii", "replace")[:200] if found else f"{random.getrandbits(128):032x}"


def _finish(response: Response, request_id: str) -> None:
    """What every answer has."""
    headers = response.raw_headers  # each look at `headers` decodes all of them
    headers.append((b"x-request-id", request_id.encode("ascii", "replace")))
    if b"cache-control" not in [name for name, _ in headers]:
        headers.append((b"cache-control", b"no-store"))


def is_form(request: Request) -> bool:
    """Whether a browser posted a plain HTML form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


async def _answer(request: Request, guard: Guard, verbs: Mapping[str, Verb]) -> Response:
    try:
        actor = guard.check(request, environment.current)
        if isinstance(actor, Response):
            return actor
        verb = verbs.get("GET" if request.method == "HEAD" else request.method)
        if verb is None:
            allowed = ", ".join(sorted(verbs))
            return problem(405, "method_not_allowed", f"this route takes {allowed}", headers={"Allow": allowed})
        scope = guard.scope(actor, environment.current) if actor else KeyScope.ALL
        given = await _within(request, verb, actor or "", scope)
        found = await verb.handler(Ask(request, actor or "", given, scope))
        if isinstance(found, Streamed):
            await found.begin()
        return found if isinstance(found, Response) else _response(found)
    except Exception as error:  # noqa: BLE001 - told to the caller, and logged where it was not foreseen
        return _failed(error)


async def _within(request: Request, verb: Verb, name: str, scope: KeyScope) -> Any:
    """What was given, if the key of this name reaches so far; of one that does not, no body is read.

    Raises:
        Declined: 403.
    """
    if scope is KeyScope.READ and request.method not in ("GET", "HEAD"):
        raise beyond(name, scope)
    if scope in (KeyScope.ALL, KeyScope.READ):
        return await _given(request, verb)
    reaches = verb.bounces if scope is KeyScope.BOUNCE else verb.collects
    if reaches is None:
        raise beyond(name, scope)
    given = await _given(request, verb)
    if not reaches(given):
        raise beyond(name, scope)
    return given


async def _given(request: Request, verb: Verb) -> Any:
    if verb.body is None and verb.query is None:
        return None
    from lib.web import typed  # not on the bill of a webhook

    if verb.body is not None:
        refuse_packed(request)
        body = await read_body(request, verb.limit)
        return typed.read_form(body, verb.body) if verb.form and is_form(request) else typed.read_json(body, verb.body)
    return typed.read_query(request.query, verb.query)


def _response(found: Any) -> Response:
    given = found if isinstance(found, Answer) else Answer(found)
    # msgspec writes a time in its own zone, which is that of the database's session.
    plain = to_builtins(given.body, builtin_types=(datetime,))
    return answer(plain, given.status, background=given.background)


def _failed(error: Exception) -> Response:
    match error:
        case Declined():
            return problem(
                status_of(error.code),
                error.code,
                error.detail,
                field=error.field,
                errors=error.faults,
                about=error.about,
                headers=_WITH.get(error.code),
            )
        case SettingsError():
            log.error("settings_wrong", problems=error.problems)
            detail = "the environment of this deployment is not complete: " + "; ".join(error.problems)
            return problem(503, "not_configured", detail)
        case SchemaOutdated():
            log.error("schema_outdated", error=str(error))
            return problem(503, "schema_outdated", str(error), headers={"Retry-After": "60"})
        case Denied():
            log.error("denied", reason=error.reason, error=str(error))
            return problem(502, error.reason, str(error))
        case DatabaseUnavailable():
            log.error("unavailable", error=str(error))  # names host and user, which are nobody's business
            detail = "the database can't be used just now; the log, or health with the bearer, says why"
            return problem(503, "unavailable", detail, headers={"Retry-After": "10"})
        case Retryable():
            log.error("unavailable", error=str(error))
            return problem(503, "unavailable", str(error), headers={"Retry-After": "10"})
        case Refused():
            return problem(502, error.reason, str(error))
        case ClientGone():
            return problem(400, "client_gone", "the request ended before its body did")
        case _:
            log.error("request_crashed", exc_info=error)
            return problem(500, "internal_error", "something unforeseen happened; the log has the request id")
