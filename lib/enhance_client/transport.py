"""One request to the panel: allow-listed, timed, and repeated at once only where that is safe."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import tenacity
from msgspec import Struct

from lib import outside_calls
from lib.config import Secret
from lib.enhance_client.answers import read_answer
from lib.errors import Denied, NotFound, OutcomeUnknown, Refused, Retryable, Unavailable

READ_TIMEOUT = 30.0
"""Seconds; what other integrations use for ordinary calls."""

WEBSITE_TIMEOUT = 90.0
"""Seconds for the one slow call. Panels were seen to need more than 30 under load."""

ATTEMPTS = 3
"""For what may be repeated: a blip is over within two quick tries, an outage is the queue's business."""

PATIENCE = 5.0
"""Seconds that a call waits inside a pass for `Retry-After`; longer wishes go back to the queue."""

_UUID = r"[0-9a-f-]{36}"
ALLOWED = tuple(
    (method, re.compile(pattern.replace("{id}", _UUID).replace("{n}", r"\d+")))
    for method, pattern in (
        ("GET", "/version"),
        ("GET", "/status"),
        ("GET", "/orgs/{id}"),
        ("PATCH", "/orgs/{id}"),
        ("GET", "/orgs/{id}/customers"),
        ("POST", "/orgs/{id}/customers"),
        ("GET", "/orgs/{id}/access_tokens"),
        ("GET", "/orgs/{id}/plans"),
        ("GET", "/orgs/{id}/members"),
        ("POST", "/orgs/{id}/members"),
        ("GET", "/orgs/{id}/members/{id}/sso"),
        ("GET", "/logins"),
        ("POST", "/logins"),
        ("GET", "/v2/orgs/{id}/customers/logins"),
        ("PUT", "/login/password-recovery"),
        ("GET", "/orgs/{id}/customers/{id}/subscriptions"),
        ("POST", "/orgs/{id}/customers/{id}/subscriptions"),
        ("GET", "/orgs/{id}/subscriptions/{n}"),
        ("PATCH", "/orgs/{id}/subscriptions/{n}"),
        ("DELETE", "/orgs/{id}/subscriptions/{n}"),
        ("PUT", "/orgs/{id}/subscriptions/{n}/calculate-resource-usage"),
        ("POST", "/orgs/{id}/domains/check"),
        ("GET", "/orgs/{id}/websites"),
        ("POST", "/orgs/{id}/websites"),
        ("GET", "/orgs/{id}/websites/{id}"),
        ("PATCH", "/orgs/{id}/websites/{id}"),
    )
)
"""Every route this project may ever call. The token could do far more, so a bug must not be able to."""


class Handling(Struct, frozen=True):
    """How one request is to be handled, where that is not as usual."""

    patience: float = READ_TIMEOUT
    """Seconds to wait for the answer."""
    repeat: bool = True
    """Whether quick repetition is wanted where it is safe; not for a mail."""
    repeat_lost: bool = True
    """Also after no answer came, when the first try may still be under way in the panel; not for what somebody may have
    undone before that one lands."""
    wipe: bool = False
    """An admin confirmed that the data shall be gone for good (`force=true`)."""

    def allows(self, error: BaseException) -> bool:
        """Whether a failed request may be repeated at once, as far as this says."""
        lost = isinstance(error, OutcomeUnknown) and not error.answered
        return self.repeat and (self.repeat_lost or not lost)


ORDINARY = Handling()


class Transport:
    """Requests to one panel with one token, for one event loop."""

    def __init__(self, url: str, token: Secret) -> None:
        self._url = url
        self._token = token
        self._http: httpx.AsyncClient | None = None
        self.pulse = outside_calls.Pulse()

    async def request(
        self,
        method: str,
        route: str,
        *,
        body: Any = None,
        query: dict[str, str | int] | None = None,
        handling: Handling = ORDINARY,
    ) -> Any:
        """Send one request; the decoded answer.

        Quick repetition is for what is safe to repeat: anything but a POST, and a POST that never left.

        Raises:
            Unavailable, OutcomeUnknown, NotFound, Conflict, Refused: see `answers.read_answer`. What a later try says
                proves nothing about an earlier one whose answer was lost: then it is OutcomeUnknown.
        """
        _insist_on_allowed(method, route, query, handling)
        await outside_calls.precede()
        lost: OutcomeUnknown | None = None

        def again(error: BaseException) -> bool:
            nonlocal lost
            if isinstance(error, OutcomeUnknown):
                lost = error
            return handling.allows(error) and _worth_repeating(method, error)

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception(again),
            reraise=True,
        )
        try:
            return await retrying(self._once, method, route, body, query, handling.patience)
        except (Refused, Unavailable) as error:
            if lost is None or (method == "DELETE" and isinstance(error, NotFound)):  # the proof that it is gone
                raise
            after = error.after if isinstance(error, Retryable) else None
            raise OutcomeUnknown(f"{lost}; then {error}", answered=lost.answered, after=after) from error

    async def close(self) -> None:
        """Close the connections; the transport may be used again."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.aclose()

    async def _once(
        self, method: str, route: str, body: Any, query: dict[str, str | int] | None, patience: float
    ) -> Any:
        outside_calls.count("panel")
        with self.pulse.watch():
            return await self._answered(method, route, body, query, patience)

    async def _answered(
        self, method: str, route: str, body: Any, query: dict[str, str | int] | None, patience: float
    ) -> Any:
        try:
            async with asyncio.timeout(patience + 10):  # httpx limits each read, this limits a trickle
                response = await self._client().request(
                    method, self._url + route, json=body, params=query, timeout=httpx.Timeout(patience, connect=10.0)
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unavailable(f"{method} {route}: the panel can't be reached: {type(error).__name__}") from error
        except (httpx.HTTPError, TimeoutError) as error:
            said = f"{method} {route}: no answer: {type(error).__name__}"
            raise (Unavailable(said) if method == "GET" else OutcomeUnknown(said)) from error
        return read_answer(method, route, response.status_code, response.headers, response.content)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                headers={"Authorization": f"Bearer {self._token.reveal()}", "Accept": "application/json"},
                follow_redirects=False,
            )
        return self._http


def _insist_on_allowed(method: str, route: str, query: dict[str, str | int] | None, handling: Handling) -> None:
    """Stop what no part of this project may ever ask for."""
    if not any(allowed == method and pattern.fullmatch(route) for allowed, pattern in ALLOWED):
        raise AssertionError(f"{method} {route} is not an allowed route")
    if query and "force" in query and not handling.wipe:
        raise AssertionError("force deletes data for good and is no part of any pass")


def _worth_repeating(method: str, error: BaseException) -> bool:
    match error:
        case Denied():  # the settings do not change within seconds
            return False
        case Unavailable():
            pass
        case OutcomeUnknown() if method != "POST":  # the rest sets a state, and setting it twice is setting it
            pass
        case _:
            return False
    return error.after is None or error.after.total_seconds() <= PATIENCE


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wish = error.after if isinstance(error, Retryable) else None
    return wish.total_seconds() if wish else 0.25 * 2**state.attempt_number
