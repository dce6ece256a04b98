"""The operator's own systems that outgoing events go to: whether they can be reached, and what waits for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from scripts.doctor_checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from lib.config import Settings
    from lib.database import Database
    from lib.database.lists.outgoing import EndpointRow


async def check_outgoing(settings: Settings, database: Database | None) -> AsyncIterator[Finding]:
    """Each address of OUTBOX_URL: connected to, and sent nothing.

    Args:
        database: what is remembered of them; `None` where it can't be read.
    """
    from lib.database.lists.outgoing import endpoints
    from lib.messages.sender import reach

    outlet = settings.outbox
    known = {row.endpoint: row for row in await endpoints(database)} if database is not None and outlet else {}
    for endpoint in outlet.endpoints:
        error = await reach(endpoint.url, allow_private=outlet.allow_private)
        if error is not None:
            yield fail(f"{endpoint.shown} can't be reached: {error}", "Correct OUTBOX_URL, or mend the receiver.")
        else:
            yield ok(f"{endpoint.shown} can be reached; a test is sent by POST /api/admin/events (docs/events.md)")
        row = known.get(endpoint.id)
        if row is not None and (row.disabled_at or row.failing_since):
            yield _failing(row)


def _failing(row: EndpointRow) -> Finding:
    does = "is disabled" if row.disabled_at else "fails"
    remedy = "Mend the receiver, then enable it by POST /api/admin/events (docs/events.md); nothing is lost."
    return warn(f"{row.url} {does}, and {row.waiting} events wait for it: {row.last_error}", remedy)
