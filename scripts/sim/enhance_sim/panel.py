"""The simulated Enhance panel: its HTTP front, its faults and its judgement of every request."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from scripts.sim.enhance_sim.ask import Answer, Ask, Knobs, RecoveryMail
from scripts.sim.enhance_sim.contract import I32, UUID, Contract
from scripts.sim.enhance_sim.faults import Call, Fault, Faults, Gate, When
from scripts.sim.enhance_sim.refusal import Refusal, not_allowed, not_found
from scripts.sim.enhance_sim.routes import PUBLIC, ROUTES
from scripts.sim.enhance_sim.staff import Staff
from scripts.sim.enhance_sim.world import Role, World
from scripts.sim.server import ConnectionDropped, drop_connection

PREFIX = "/api"
BODILESS = ("GET", "DELETE", "HEAD")
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
PATTERNS = [
    (method, template, re.compile(re.sub(r"\{(\w+)}", r"(?P<\1>[^/]+)", template))) for method, template in ROUTES
]

Hook = Callable[[When, Call], Awaitable[None]]


class _Dropped(Exception):
    """The connection ends here without an answer."""


class EnhanceSim(Staff):
    """An Enhance panel in memory; `app` is what answers, the rest is for tests and demos."""

    def __init__(
        self,
        token: str = "enhance_fake_token",  # noqa: S107 - a fake by its name
        org_id: str | None = None,
        role: Role = "mo",
        openapi_path: Path | str | None = None,
    ) -> None:
        self.token = token
        self.contract = Contract(openapi_path)
        self.state = World(org_id, role)
        self.actor_id = self.state.uuid()
        self.staff_id = self.state.uuid()
        self.knobs = Knobs(actor=self.actor_id, token=token)
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.ignored_fields: list[str] = []
        self.recovery_mails: list[RecoveryMail] = []
        self.sso_links: list[str] = []
        self.peak: Counter[str] = Counter()
        self.down = False
        self.check_answers = False
        self.allowed_ip: str | None = None
        self._faults = Faults()
        self._hooks: list[Hook] = []
        self._running: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.app = Starlette(routes=[Route("/{path:path}", _Front(self))])

    # --- watching -----------------------------------------------------------------------------

    @property
    def pending_faults(self) -> int:
        """How many ordered faults have not happened yet."""
        return self._faults.pending

    def count(self, method: str, path_regex: str) -> int:
        """How many calls matched."""
        return sum(one.method == method and re.search(path_regex, one.path) is not None for one in self.calls)

    def forget_calls(self) -> None:
        """Start counting anew; the world stays."""
        self.calls.clear()
        self.violations.clear()
        self.peak.clear()

    # --- faults -------------------------------------------------------------------------------

    def fail_next(
        self,
        method: str,
        path_regex: str,
        status: int = 500,
        when: When = "before",
        times: int = 1,
        retry_after: int | str | None = None,
        *,
        code: str | None = None,
        detail: str | None = None,
        message: str | None = None,
    ) -> None:
        """Answer the next matching calls with an error, before they take effect or after; method `*` is any."""
        error = {"code": code, "detail": detail, "message": message} if code else None
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        pattern = re.compile(path_regex)
        self._faults.add(Fault(method, pattern, when, times, "fail", status=status, headers=headers, error=error))

    def drop_next(self, method: str, path_regex: str, when: When = "before", times: int = 1) -> None:
        """Cut the connection of the next matching calls without an answer."""
        self._faults.add(Fault(method, re.compile(path_regex), when, times, "drop"))

    def delay_next(self, method: str, path_regex: str, seconds: float, when: When = "before", times: int = 1) -> None:
        """Keep the next matching calls waiting; a delay after the effect is a slow answer."""
        self._faults.add(Fault(method, re.compile(path_regex), when, times, "delay", seconds=seconds))

    def hold_next(self, method: str, path_regex: str, when: When = "before") -> Gate:
        """Stop the next matching call at a gate that the test opens."""
        gate = Gate()
        self._faults.add(Fault(method, re.compile(path_regex), when, 1, "hold", gate=gate))
        return gate

    def clear_faults(self) -> None:
        """Forget the faults that have not happened."""
        self._faults.clear()

    def on_call(self, hook: Hook) -> Callable[[], None]:
        """Await `hook("before" | "after", call)` around the effect of every call; answers how to stop that."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    # --- answering ----------------------------------------------------------------------------

    async def answer(self, request: Request, raw: bytes) -> Response:
        """One request from arrival to answer; raises when the connection must be cut."""
        path = request.url.path
        inside = path.startswith(PREFIX + "/")
        call = Call(
            request.method,
            path.removeprefix(PREFIX) if inside else path,
            dict(request.query_params),
            _parsed(raw),
        )
        self.calls.append(call)
        template, at = _match(call) if inside else (None, {})
        lane = f"{call.method} {template}"
        self._count(lane, 1)
        try:
            problem = self._judge(request, call, template, raw, inside=inside)
            await self._around("before", call)
            response = await self._faulty("before", call)
            if response is not None:
                return response
            if self.down:
                return _gateway(503)
            response = self._effect(request, call, template, at, problem)
            await self._around("after", call)
            return await self._faulty("after", call) or response
        finally:
            self._count(lane, -1)

    def _count(self, lane: str, step: int) -> None:
        with self._counting:
            for key in ("all", lane):
                self._running[key] += step
                self.peak[key] = max(self.peak[key], self._running[key])

    async def _around(self, when: When, call: Call) -> None:
        for hook in list(self._hooks):
            await hook(when, call)

    async def _faulty(self, when: When, call: Call) -> Response | None:
        for fault in self._faults.take(call, when):
            if fault.kind == "delay":
                await anyio.sleep(fault.seconds)
            elif fault.gate is not None:
                await fault.gate.hold(call)
            elif fault.kind == "drop":
                raise _Dropped
            elif fault.error is not None:
                return JSONResponse(fault.error, fault.status, fault.headers)
            else:
                return _gateway(fault.status, fault.headers)
        return None

    def _judge(self, request: Request, call: Call, template: str | None, raw: bytes, *, inside: bool) -> Refusal | None:
        """Hold a request against the published interface; what is wrong with it is remembered."""
        if template is None:
            known = inside and self.contract.names(call.method, call.path)
            why = "not simulated" if known else "no such operation"
            self.violations.append(f"{call.method} {call.path}: {why}")
            return Refusal(501 if known else 404, "not_simulated" if known else "not_found", text=why)
        query = list(request.query_params.multi_items())
        problems = [
            ("Query deserialize error", one)
            for one in self.contract.query_problems(call.method, template, query, self.knobs.version)
        ]
        schema = self.contract.body_schema(call.method, template)
        if schema is not None:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                problems.append(("Content type error", kind or "missing"))
            elif not raw or isinstance(call.body, _Unreadable):
                wrong = call.body or "EOF while parsing a value at line 1 column 0"
                problems.append(("Json deserialize error", wrong))
            else:
                found = self.contract.body_problems(schema, call.body)
                problems += [("Json deserialize error", one) for one in found]
                ignored = self.contract.unknown_fields(schema, call.body)
                self.ignored_fields += [f"{call.method} {template}: {one}" for one in ignored]
        elif raw and call.method not in BODILESS:
            problems.append(("Body", "this operation takes none"))
        self.violations += [f"{call.method} {call.path}: {label}: {one}" for label, one in problems]
        return Refusal(400, text=": ".join(problems[0])) if problems else None

    def _effect(
        self, request: Request, call: Call, template: str | None, at: dict[str, str], problem: Refusal | None
    ) -> Response:
        try:
            if template is None:
                raise problem or not_found("path")
            if template not in PUBLIC:
                self._admit(request)
            self._check_ids(call, at)
            if problem is not None:
                raise problem
            self.knobs.actor = self.actor_id
            ask = Ask(self.state, self.knobs, self.recovery_mails, self.sso_links, at, call.query, call.body)
            with self.state.lock:
                answer = ROUTES[call.method, template](ask)
        except Refusal as refusal:
            if refusal.text is not None:
                return PlainTextResponse(refusal.text, refusal.status)
            answer = Answer(refusal.status, refusal.body)
        if self.check_answers and template is not None:
            wrong = self.contract.answer_problems(call.method, template, answer.status, answer.payload)
            self.violations += [f"the simulator's answer to {call.method} {template}: {one}" for one in wrong]
        if answer.payload is None:
            return Response(status_code=answer.status)
        return JSONResponse(answer.payload, answer.status)

    def _admit(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "no_session_token")
        if token != self.token:
            raise not_allowed()
        if self.allowed_ip is not None:
            caller = request.client.host if request.client else "unknown"
            if caller != self.allowed_ip:
                raise Refusal(401, "unauthorized", message=f"Access token not allowed for your IP, {caller}")

    def _check_ids(self, call: Call, at: dict[str, str]) -> None:
        for name, value in at.items():
            if name in ("subscription_id", "plan_id"):
                fits = re.fullmatch(r"-?\d+", value) is not None and int(value) in I32
                wrong = f'can not parse "{value}" to a i32'
            else:
                fits = UUID.fullmatch(value) is not None
                wrong = f"UUID parsing failed: invalid character in `{value}`"
            if not fits:
                self.violations.append(f"{call.method} {call.path}: {wrong}")
                raise Refusal(404, text=wrong)


class _Unreadable(str):
    """A body that is not JSON."""

    __slots__ = ()


def _parsed(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        return _Unreadable(f"{error}")


def _match(call: Call) -> tuple[str | None, dict[str, str]]:
    for method, template, pattern in PATTERNS:
        found = pattern.fullmatch(call.path) if method == call.method else None
        if found:
            return template, found.groupdict()
    return None, {}


def _gateway(status: int, headers: dict[str, str] | None = None) -> Response:
    """An error of the web server in front of the panel: HTML, as a client must expect."""
    return Response(GATEWAY_PAGE.format(status), status, headers, "text/html")


class _Front:
    """The ASGI side: reads the request, cuts the connection when told to."""

    def __init__(self, sim: EnhanceSim) -> None:
        self._sim = sim

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._sim.answer(request, await request.body())
        except _Dropped:
            try:
                await drop_connection(scope)
            except ConnectionDropped:
                message = "Server disconnected without sending a response."
                raise httpx.RemoteProtocolError(message) from None
            return
        await response(scope, receive, send)
