"""Unforeseen errors, reported to Sentry where `SENTRY_DSN` is set: where the code broke, and not whom it was about.

What goes out is the error's type, its scrubbed words, and the places in our code: no values of variables, no request,
no body, no secret of the settings, no address. Sentry's package is loaded by the first error, and by nothing else.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from lib.config import Secret, Settings
from lib.vercel import let_in

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event, Hint

PATIENCE = 1.0
"""Seconds that a report may take: a function may be frozen as soon as it has answered, and what waits is lost."""

MOST = 5
WITHIN = 60.0
"""So many reports of one process within so many seconds: an outage must not be made longer by telling of it."""

LONGEST = 300
"""Characters of an error's words."""

_DROPPED = ("request", "user", "extra", "breadcrumbs", "contexts", "modules", "threads")
"""Parts of a report that could hold something of whom it is about."""

_TAGS = ("kind", "pass_id", "request_id", "path", "phase", "check")
"""What of a log line goes along: words and ids of ours."""

_PATTERNS = tuple(
    (re.compile(pattern), stars)
    for pattern, stars in (
        (r"://[^/\s@]+@", "://[secret]@"),
        (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[address]"),
        (r"\b(sk|rk|pk)_(live|test)_\w+", "[secret]"),
        (r"\bwhsec_[\w+/=|]+", "[secret]"),
        (r"(?i)\bbearer\s+\S+", "[secret]"),
    )
)

SHORTEST = 6
"""Characters of a secret that is looked for: a shorter one would star out ordinary words."""

Report = Callable[[BaseException, Mapping[str, Any]], None]


def of(settings: Settings) -> Report | None:
    """What reports an error with its log line; `None` where nobody is told."""
    return Reporter(settings) if settings.sentry_dsn is not None else None


class Reporter:
    """Reports the errors of one process, a few at a time; whatever fails in that is no trouble of whoever reports."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._sent: deque[float] = deque(maxlen=MOST)

    def __call__(self, error: BaseException, line: Mapping[str, Any]) -> None:
        """Report it."""
        now = time.monotonic()
        if len(self._sent) == MOST and now - self._sent[0] < WITHIN:
            return
        self._sent.append(now)
        with contextlib.suppress(Exception):  # the log has the error itself
            self._send(error, line)

    def _send(self, error: BaseException, line: Mapping[str, Any]) -> None:
        let_in("urllib3")
        from sentry_sdk.utils import event_from_exception

        self._client = self._client or _client(self._settings)
        event, hint = event_from_exception(error, client_options=self._client.options)
        event["level"] = "error"
        event["tags"] = {"event": str(line.get("event")), **{n: str(line[n]) for n in _TAGS if n in line}}
        self._client.capture_event(event, hint)
        self._client.flush(timeout=PATIENCE)


def _client(settings: Settings) -> Client:
    from sentry_sdk import Client

    assert settings.sentry_dsn is not None
    secrets = sorted({s for s in _secrets(settings) if len(s) >= SHORTEST}, key=len, reverse=True)

    def before_send(event: Event, _: Hint) -> Event:
        return cast("Event", scrubbed({k: v for k, v in event.items() if k not in _DROPPED}, secrets))

    return Client(  # personal data is off by default (send_default_pii)
        dsn=settings.sentry_dsn.reveal(),
        release=settings.app_version,
        environment="live" if settings.livemode else "test",
        server_name="bridge",
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_client_reports=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=before_send,
    )


def scrubbed(value: Any, secrets: list[str]) -> Any:
    """A report without secrets and addresses, wherever in it they stand, and without long words of others."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, "[secret]")
            for pattern, stars in _PATTERNS:
                value = pattern.sub(stars, value)
            return value[:LONGEST]
        case Mapping():
            return {str(key): scrubbed(part, secrets) for key, part in value.items() if key != "vars"}
        case list() | tuple():
            return [scrubbed(part, secrets) for part in value]
        case _:
            return value


def _secrets(settings: Settings) -> Iterator[str]:
    """Every secret of the settings, and the passwords within addresses, as typed and as meant."""

    def walk(value: Any) -> Iterator[str]:
        match value:
            case Secret():
                text = value.reveal()
                yield text
                password = text.rpartition("@")[0].rpartition(":")[2]
                yield from (password, unquote(password))
            case tuple():
                for part in value:
                    yield from walk(part)

    for field, _ in settings.each():
        yield from walk(getattr(settings, field))
