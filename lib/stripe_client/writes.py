"""What is asked of Stripe that changes something: a closed list of routes, each request under a key that makes it safe.

A read that fails is asked again; a write that fails may have happened. So that nobody has to guess, a failure here says
which of three it was: nothing happened (`Unavailable`, `Denied`), Stripe decided against it (`Refused`), or nobody
knows (`OutcomeUnknown`). https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lib import outside_calls
from lib.errors import OutcomeUnknown, Refused, Retryable
from lib.stripe_client.transport import Json, Transport, translated

if TYPE_CHECKING:
    import stripe

WRITE_TIMEOUT = 10.0
"""Seconds for one attempt: a buyer is waiting, and the same request can be sent once more."""

WRITE_RETRIES = 1
"""Quick repetitions by the SDK: the same bytes under the same key, so that they are one request to Stripe."""

LONGEST_KEY = 255

SERVER_ERROR = 500

PORTAL = "/v1/billing_portal/sessions"

ALLOWED = (
    re.compile(r"/v1/checkout/sessions"),
    re.compile(r"/v1/checkout/sessions/cs_[A-Za-z0-9_]+/expire"),
    re.compile(PORTAL),
    re.compile(r"/v1/refunds"),
)
"""Everything that is ever written at Stripe."""


class Writes(Transport):
    """Requests that change something."""

    _writer_sdk: stripe.StripeClient | None = None

    async def post(self, path: str, key: str, parameters: Json) -> Json:
        """One POST; the answer as plain dictionaries.

        Args:
            key: the idempotency key. The same one with the same parameters is the same request, for 24 hours.

        Raises:
            OutcomeUnknown: no answer came, or another request under this key runs: the same key may be sent again.
                `answered`: Stripe failed, and may repeat that under this key: look for what was wanted before using
                another one.
            Refused: Stripe decided against it, and says why.
        """
        if not any(route.fullmatch(path) for route in ALLOWED):
            raise ValueError(f"nothing is ever written at {path}")
        if not 0 < len(key) <= LONGEST_KEY:
            raise ValueError("a write needs an idempotency key")
        import stripe

        outside_calls.count("stripe")
        with self.pulse.watch():
            try:
                response = await self._writer().raw_request_async("post", path, idempotency_key=key, **parameters)
            except stripe.StripeError as error:
                raise _write_failed(error) from error
        data: object = response.data
        if not isinstance(data, dict):
            raise OutcomeUnknown(f"Stripe: POST {path}: the answer is no object")
        return data

    async def close(self) -> None:
        if self._writer_sdk is not None:
            self._writer_sdk = None
            await self._writer_http.close_async()
        await super().close()

    def _writer(self) -> stripe.StripeClient:
        if self._writer_sdk is None:
            import stripe

            stripe.enable_telemetry = False
            self._writer_http: Any = _poster()(timeout=WRITE_TIMEOUT)
            self._writer_sdk = stripe.StripeClient(
                self._key.reveal(),
                http_client=self._writer_http,
                base_addresses={"api": self._base},
                max_network_retries=WRITE_RETRIES,
            )
        return self._writer_sdk


def _poster() -> Any:
    """The SDK's HTTP client, which hands httpx a body in a way that it warns of."""
    import stripe

    class Poster(stripe.HTTPXClient):
        def _get_request_args_kwargs(self, *request: Any) -> Any:
            arguments, options = super()._get_request_args_kwargs(*request)
            return arguments, {**{k: v for k, v in options.items() if k != "data"}, "content": options["data"] or None}

    return Poster


def _write_failed(error: stripe.StripeError) -> Retryable | Refused:
    """What a failed write means (https://docs.stripe.com/error-low-level)."""
    import stripe

    message, status = f"Stripe: {error}", error.http_status or 0
    match error:
        case stripe.IdempotencyError():
            # The key stands for other parameters: whatever was made under it is there.
            return OutcomeUnknown(message, answered=True)
        case stripe.APIConnectionError():
            return OutcomeUnknown(message)
        case stripe.APIError():
            return OutcomeUnknown(message, answered=status >= SERVER_ERROR)
        case _:
            return translated(error)
