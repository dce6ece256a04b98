"""How anything is asked of Stripe: the official SDK's `raw_request_async`, with plain dictionaries as answers.

The SDK's authentication, retries and errors, without its objects (a page of 100 subscriptions costs 8 ms instead of
70). It is imported on first use, since webhooks never need it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lib import outside_calls
from lib.config import Secret
from lib.errors import Denied, Incomplete, Limited, NotFound, Refused, Retryable, Unavailable
from lib.model.reason import Reason, SettingsFault
from lib.reading import Answer
from lib.stripe_client.pace import Pace, endpoint_of

if TYPE_CHECKING:
    import stripe

TIMEOUT = 20.0
"""Seconds for one attempt; the SDK's own default of 80 would outlive most functions."""

RETRIES = 2
"""Quick retries inside the SDK: connection errors, 409, 5xx and lock timeouts, all safe for what we send."""

PAGE = 100
"""Stripe's largest page."""

STRIPE = "https://api.stripe.com"

PATIENCE, REFUSALS = 10.0, 5
"""Seconds that a request waits for its turn, and how often it may be refused one, before its pass goes back to the
queue."""

nap = asyncio.sleep

Json = Mapping[str, Any]


class Transport:
    """Requests to one Stripe account, for one event loop.

    Every method raises `Unavailable` when Stripe can't be reached or limits us, `NotFound` for an unknown id, and
    `Denied` (`stripe_key`) when the key is wrong or lacks a permission.
    """

    def __init__(self, key: Secret, base: str = STRIPE) -> None:
        self._key = key
        self._base = base
        self._sdk: stripe.StripeClient | None = None
        self.as_of: datetime | None = None
        """Stripe's clock at its last answer."""
        self.pulse = outside_calls.Pulse()
        self.pace = Pace(limited=base == STRIPE)
        """The turns of reads: below the limits of Stripe itself, and below whatever another address refuses."""

    async def retrieve(self, path: str, object_id: str, **parameters: Any) -> Json:
        """One object by its id: that one and no other."""
        thing = await self.get(f"{path}/{quote(object_id, safe='')}", **parameters)
        if thing.get("id") != object_id:
            raise Incomplete(f"Stripe: GET {path}/{object_id}: the answer is not that object")
        return thing

    async def get(self, path: str, **parameters: Any) -> Json:
        """One GET request; the answer as plain dictionaries."""
        await outside_calls.precede()
        with self.pulse.watch():
            response = await self._in_turn(path, parameters)
        self.as_of = _header_time(response.headers) or self.as_of
        data: object = response.data
        if not isinstance(data, dict):
            raise Incomplete(f"Stripe: GET {path}: the answer is no object")
        return data

    async def _in_turn(self, path: str, parameters: Json) -> Any:
        """Ask when it is this request's turn, and again where that was too early.

        Raises:
            Limited: it waits too long. Everything else as `get`.
        """
        endpoint, end, refusals = endpoint_of(path), time.monotonic() + PATIENCE, 0
        while True:
            delay = self.pace.turn(endpoint)
            if time.monotonic() + delay > end:
                raise Limited(f"Stripe: GET {path}: too much is asked just now")
            if delay:
                await nap(delay)
            try:
                answer = await self._ask(path, parameters)
            except Limited as error:
                self.pace.refused(endpoint, error.limit)
                refusals += 1
                if refusals >= REFUSALS or (error.after or timedelta()).total_seconds() > PATIENCE:
                    raise
            else:
                self.pace.accepted(endpoint)
                return answer

    async def _ask(self, path: str, parameters: Json) -> Any:
        import stripe

        outside_calls.count("stripe")
        try:
            return await self._client().raw_request_async("get", path, **parameters)
        except stripe.StripeError as error:
            raise translated(error) from error

    async def page(self, path: str, **parameters: Any) -> tuple[list[dict[str, Any]], str | None]:
        """A page of any list, and behind which id the next one begins; `None` when Stripe says that this is all."""
        data, more = page_of(await self.get(path, **parameters), f"Stripe's list {path}")
        end = data[-1]["id"] if more else None
        if end is not None and end == parameters.get("starting_after"):
            raise Incomplete(f"Stripe's list {path} does not go on behind {end}")
        return data, end

    async def each(self, path: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """Every object of a list, page by page."""
        after: str | None = None
        while True:
            more = {"starting_after": after} if after else {}
            data, after = await self.page(path, limit=PAGE, **more, **parameters)
            for thing in data:
                yield thing
            if after is None:
                return

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        if self._sdk is not None:
            self._sdk = None
            await self._http.close_async()

    def _client(self) -> stripe.StripeClient:
        if self._sdk is None:
            import stripe

            stripe.enable_telemetry = False
            self._http: Any = stripe.HTTPXClient(timeout=TIMEOUT)
            self._sdk = stripe.StripeClient(
                self._key.reveal(),
                http_client=self._http,
                base_addresses={"api": self._base},
                max_network_retries=RETRIES,
            )
        return self._sdk


def page_of(raw: object, what: str) -> tuple[list[dict[str, Any]], bool]:
    """The rows of one page of a list, each with its id, and whether more follow."""
    page = Answer(raw, what)
    data, more = page.rows("data"), page.flag("has_more")
    for row in data:
        Answer(row, f"a row of {what}").text("id")
    if more and not data:
        raise Incomplete(f"{what} goes on, and shows nothing")
    return data, more


def _header_time(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None


def translated(error: stripe.StripeError) -> Retryable | Refused:
    """An SDK error in our words (https://docs.stripe.com/error-handling)."""
    import stripe

    message = f"Stripe: {error}"
    headers = error.headers or {}
    wish = str(headers.get("retry-after") or headers.get("Retry-After") or "")
    after = timedelta(seconds=min(int(wish[:9]), 3600)) if wish.isdecimal() else None
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Denied(SettingsFault.STRIPE_KEY, message, status=error.http_status)
        case stripe.RateLimitError() if getattr(error.error, "code", None) != "lock_timeout":  # that is one object's
            return Limited(message, limit=headers.get("stripe-rate-limited-reason", ""), after=after)
        case stripe.InvalidRequestError() if "Unrecognized request URL" in message:
            # A wrong STRIPE_API_BASE must not look like customers who are gone.
            return Unavailable(message)
        case stripe.InvalidRequestError() if error.http_status == 404 or error.code == "resource_missing":
            return NotFound(Reason.STRIPE_NOT_FOUND, message, status=404)
        case stripe.InvalidRequestError() | stripe.IdempotencyError() | stripe.CardError():
            return Refused(
                Reason.STRIPE_REFUSED, message, status=error.http_status, param=getattr(error, "param", None)
            )
        case _:
            return Unavailable(message, after=after)
