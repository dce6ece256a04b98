"""The HTTP face: authentication, idempotency, error bodies, and faults on demand."""

from __future__ import annotations

import base64
import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from scripts.sim.server import drop_connection
from scripts.sim.stripe_sim.delivery import Delivery
from scripts.sim.stripe_sim.expand import expand
from scripts.sim.stripe_sim.limits import Limits
from scripts.sim.stripe_sim.routes import find
from scripts.sim.stripe_sim.store import API_VERSION, ApiError, Obj, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request

Failure = int | Literal["drop_before", "drop_after"]

# Answers that Stripe remembers under an idempotency key although they are failures.
REMEMBERED = (402, 500)
KINDS = {429: "invalid_request_error", 402: "card_error"}
CODES = {429: "rate_limit", 402: "card_declined"}
# First path segment -> middle of the permission's name.
PERMISSIONS = {
    "balance_transactions": "balance_transaction_source",
    "checkout": "checkout_session",
    "billing_portal": "customer_portal",
    "invoice_payments": "invoice",
    "prices": "plan",
    "refunds": "charge",
    "subscription_items": "subscription",
    "webhook_endpoints": "webhook",
}


class Call(NamedTuple):
    """One request as it arrived: query of a GET, form of a POST, both nested as Stripe reads them."""

    method: str
    path: str
    query: Obj


@dataclass
class _Fault:
    method: str
    path: re.Pattern[str]
    failure: Failure
    after: bool
    times: int
    code: str | None
    headers: dict[str, str] = field(default_factory=dict)


class _Remembered(NamedTuple):
    method: str
    path: str
    params: Obj
    status: int
    body: bytes
    request_id: str


class _DroppedAfter(Exception):
    pass


class _Reply(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]
    dropped: bool = False


class StripeSim(Delivery):
    """A Stripe account in memory; `app` is its API, the methods are what happens in the world outside."""

    def __init__(
        self,
        secret_key: str = "sk_test_fake",  # noqa: S107
        webhook_secret: str = "whsec_fake",  # noqa: S107
        livemode: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(secret_key, webhook_secret, livemode, clock)
        self.calls: list[Call] = []
        self.down = False
        self.limits: Limits | None = None
        """How much is taken at one time; `None`: everything."""
        self._faults: list[_Fault] = []
        self._forbidden: list[tuple[re.Pattern[str], str | None]] = []
        self._interruptions: list[tuple[str, re.Pattern[str], Callable[[], object]]] = []
        self._remembered: dict[str, _Remembered] = {}
        self._requests = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "POST", "DELETE"])])

    @locked
    def fail_next(
        self,
        method: str,
        path_regex: str,
        status: Failure = 500,
        *,
        after_commit: bool = False,
        times: int = 1,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Fail the next `times` requests whose path matches (fullmatch): a status, or a dropped connection.

        `after_commit` takes effect first and fails then, as `drop_after` does. A 500 is remembered under the request's
        idempotency key, as Stripe does: a repetition with the same key gets it again. Other 5xx and 429 are not.
        """
        pattern = re.compile(path_regex)
        fault = _Fault(
            method, pattern, status, after_commit or status == "drop_after", times, code, dict(headers or {})
        )
        self._faults.append(fault)

    @locked
    def clear_faults(self) -> None:
        """Forget what `fail_next`, `forbid` and `before` asked for, and be up."""
        self._faults.clear()
        self._forbidden.clear()
        self._interruptions.clear()
        self.down = False

    @locked
    def forbid(self, path_regex: str, permission: str | None = None) -> None:
        """Answer 403 on paths that match, as to a restricted key without the permission, until `clear_faults`."""
        self._forbidden.append((re.compile(path_regex), permission))

    @locked
    def before(self, method: str, path_regex: str, action: Callable[[], object]) -> None:
        """Run `action` (once) just before the next matching request is served: something happens in between."""
        self._interruptions.append((method, re.compile(path_regex), action))

    def count(self, method: str = ".*", path_regex: str = ".*") -> int:
        """How many calls matched so far."""
        return sum(
            re.fullmatch(method, call.method) is not None and re.fullmatch(path_regex, call.path) is not None
            for call in list(self.calls)
        )

    async def _serve(self, request: Request) -> Response:
        body = await request.body()
        reply = self._respond(request.method, request.url.path, request.url.query, request.headers, body)
        if reply.dropped:
            await drop_connection(request.scope)
        return Response(reply.body, reply.status, reply.headers, media_type="application/json")

    @locked
    def _respond(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> _Reply:
        self._requests += 1
        request_id = f"req_1Sim{self._requests:08d}"
        params = read_params(
            [*parse_qsl(query, keep_blank_values=True), *parse_qsl(body.decode(), keep_blank_values=True)]
        )
        self.calls.append(Call(method, path, params))
        for waiting in [each for each in self._interruptions if each[0] == method and each[1].fullmatch(path)]:
            self._interruptions.remove(waiting)
            waiting[2]()
        key = headers.get("idempotency-key") if method == "POST" else None
        answer = {
            "Date": formatdate(self.now(), usegmt=True),
            "Request-Id": request_id,
            "Stripe-Version": headers.get("stripe-version", API_VERSION),
            **({"Idempotency-Key": key} if key else {}),
        }
        fault = self._next_fault(method, path)
        if fault is not None and fault.failure == "drop_before":
            return _Reply(0, b"", {}, dropped=True)
        asked = _Remembered(method, path, params, 0, b"", request_id)
        try:
            self._admit(path, headers)
            self._limit(method, path)
            _fail(fault, after=False)
            known = self._known(key, asked)
            if known is not None:
                answer.update({"Idempotent-Replayed": "true", "Original-Request": known.request_id})
            else:
                with self._requested_by(request_id, key):
                    known = asked._replace(status=200, body=_json(self._execute(method, path, params)))
                if key:
                    self._remembered[key] = known
            _fail(fault, after=True)
        except _DroppedAfter:
            return _Reply(0, b"", {}, dropped=True)
        except ApiError as error:
            known = asked._replace(status=error.status, body=_json(error.body))
            answer.update(error.headers)
            first = key not in self._remembered or (fault is not None and fault.after)
            if key and error.status in REMEMBERED and first:
                self._remembered[key] = known
        return _Reply(known.status, known.body, answer)

    def _known(self, key: str | None, asked: _Remembered) -> _Remembered | None:
        known = self._remembered.get(key) if key else None
        if known is not None and known[:3] != asked[:3]:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
                f" Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise ApiError(400, message, kind="idempotency_error")
        return known

    def _execute(self, method: str, path: str, params: Obj) -> Obj:
        endpoint, obj_id = find(method, path)
        for name in params:
            if name not in endpoint.allowed:
                raise ApiError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        expansions = params.get("expand") or []
        answer = endpoint.run(self, obj_id, params)
        return expand(self, answer, [expansions] if isinstance(expansions, str) else expansions)

    def _limit(self, method: str, path: str) -> None:
        reason = self.limits.refuse(method, path) if self.limits is not None else None
        if reason is not None:
            said = "Request rate limit exceeded. Learn more about rate limits at https://docs.stripe.com/rate-limits."
            raise ApiError(429, said, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": reason})

    def _admit(self, path: str, headers: Mapping[str, str]) -> None:
        if self.down:
            raise ApiError(503, "Stripe is temporarily unavailable.", kind="api_error")
        given = _given_key(headers.get("authorization", ""))
        if not given:
            raise ApiError(401, "You did not provide an API key.")
        if given != self.secret_key:
            raise ApiError(401, f"Invalid API Key provided: {given[:8]}****{given[-4:]}")
        for pattern, permission in self._forbidden:
            if pattern.fullmatch(path):
                resource = path.split("/")[2]
                named = permission or f"rak_{PERMISSIONS.get(resource, resource.removesuffix('s'))}_read"
                message = (
                    "The provided key 'rk_test_****' does not have the required permissions for this endpoint on"
                    f" account '{self.account_id}'. Having the '{named}' permission would allow this request to"
                    " continue."
                )
                raise ApiError(403, message)

    def _next_fault(self, method: str, path: str) -> _Fault | None:
        for fault in self._faults:
            if fault.method == method and fault.path.fullmatch(path):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    @contextmanager
    def _requested_by(self, request_id: str, key: str | None) -> Iterator[None]:
        self.request = {"id": request_id, "idempotency_key": key}
        try:
            yield
        finally:
            self.request = {"id": None, "idempotency_key": None}


def _given_key(authorization: str) -> str:
    """The key of a request: a bearer's, or the user of HTTP basic authentication, whose password stays empty."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[0]
    except ValueError:  # binascii.Error and UnicodeDecodeError are ones
        return ""


def read_params(pairs: list[tuple[str, str]]) -> Obj:
    """Stripe's bracket notation as nested values: `items[0][price]=x`, `created[gte]=1`, `types[]=a`."""
    root: Obj = {}
    for name, value in pairs:
        head, *rest = [part.rstrip("]") for part in name.split("[")]
        node, key = root, head
        for part in rest:
            node = node.setdefault(key, {})
            key = part or str(len(node))
        node[key] = value
    return {key: _typed(key, value) for key, value in root.items()}


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value, value)
    if name == "metadata":
        return value
    typed = {key: _typed(key, inner) for key, inner in value.items()}
    if typed and all(key.isdigit() for key in typed):
        return [typed[key] for key in sorted(typed, key=int)]
    return typed


def _fail(fault: _Fault | None, *, after: bool) -> None:
    """Raise the failure that was asked for at this point, if any."""
    if fault is None or fault.after != after:
        return
    if fault.failure == "drop_after":
        raise _DroppedAfter
    status = int(fault.failure)
    kind = KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    code = fault.code or CODES.get(status)
    raise ApiError(status, f"Simulated failure {status}.", kind=kind, code=code, headers=fault.headers)


def _json(obj: Obj) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()
