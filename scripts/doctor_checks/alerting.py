"""Who is told of alerts, whether they can be reached, and a test where it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scripts.doctor_checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Alarm, Settings
    from lib.database import Database


async def check_alerting(settings: Settings, database: Database | None, *, test: bool) -> AsyncIterator[Finding]:
    """The receiver of alerts, the address of error reports, and what was not told.

    Args:
        database: what is remembered of alerts; `None` where it can't be read.
        test: whether a test is sent.
    """
    alarm = settings.alarm
    if alarm is None and test:
        yield fail("nobody is told of alerts, so there is none to test", "Set ALERT_WEBHOOK_URL or ALERT_EMAIL.")
    if alarm is not None:
        yield await _tell(alarm) if test else await _reach(alarm)
        if database is not None:
            async for finding in _untold(database):
                yield finding
    if settings.sentry_dsn is not None:
        yield await _sentry(settings)


async def _tell(alarm: Alarm) -> Finding:
    from lib.messages.alarm import Word, tell

    now = datetime.now(UTC)
    said, remedy = "A test of the alerts", "Nothing is to be done: somebody asked for a test."
    errors = []
    for receiver in alarm.receivers:
        for what in ("open", "over"):
            word = Word("test", "test", what, said, "Alerts arrive here.", remedy, "warning", now, now)
            answer = await tell(alarm, receiver, word)
            if answer.error is not None:
                errors.append(answer.error)
                break
    if errors:
        return fail(f"the test was not taken: {'; '.join(errors)}", "Correct ALERT_WEBHOOK_URL or ALERT_EMAIL.")
    return ok(f"{alarm.shown} took a test alert and its end; look whether they arrived")


async def _reach(alarm: Alarm) -> Finding:
    from lib.messages.sender import reach

    if alarm.url is None:
        return ok(f"{alarm.email} is told by mail; --alert-test sends a test")
    error = await reach(alarm.url.reveal(), allow_private=alarm.allow_private)
    if error is not None:
        return fail(f"{alarm.shown} can't be reached: {error}", "Correct ALERT_WEBHOOK_URL; nobody is told meanwhile.")
    return ok(f"{alarm.shown} can be reached and is told of alerts; --alert-test sends a test")


async def _untold(database: Database) -> AsyncIterator[Finding]:
    from lib.database import alerts

    for row in (await alerts.every(database)).values():
        if row.delivery_error is not None:
            yield warn(f"{row.cause} was not told: {row.delivery_error}", "It is tried again; mend the receiver.")


async def _sentry(settings: Settings) -> Finding:
    from urllib.parse import urlsplit

    from lib.messages.sender import reach

    assert settings.sentry_dsn is not None
    parts = urlsplit(settings.sentry_dsn.reveal())
    error = await reach(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", allow_private=True)
    if error is not None:
        return fail(f"SENTRY_DSN, {parts.hostname}: {error}", "Correct SENTRY_DSN, or unset it.")
    return ok(f"unforeseen errors are reported to {parts.hostname}")
