"""What an operator does to outgoing events by hand: send again, skip, and enable an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from lib.config import Endpoint
from lib.database import due
from lib.database.connection import Connection, Database
from lib.database.previews import digest_of
from lib.model import Priority


class Choice(Struct, frozen=True):
    """Which events an act is about: these, or those of a time."""

    event_ids: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    """Exact, or with ``*`` at its end the beginning of it."""
    customer: str | None = None

    @property
    def where(self) -> str:
        """The condition on rows of `outbox o`."""
        found = ["o.customer <> '-test'"]
        if self.event_ids is not None:
            found.append("o.event_id = ANY(%(event_ids)s)")
        if self.since is not None:
            found.append("o.created_at >= %(since)s")
        if self.until is not None:
            found.append("o.created_at <= %(until)s")
        if self.type is not None:
            found.append("starts_with(o.type, %(stem)s)" if self.type.endswith("*") else "o.type = %(type)s")
        if self.customer is not None:
            found.append("o.customer = %(customer)s")
        return " AND ".join(found)

    def parameters(self, endpoint: str, **more: Any) -> Mapping[str, Any]:
        """What the condition refers to."""
        return {
            "endpoint": endpoint,
            "event_ids": list(self.event_ids or ()),
            "since": self.since,
            "until": self.until,
            "type": self.type,
            "stem": (self.type or "").removesuffix("*"),
            "customer": self.customer,
            **more,
        }


_ENDED = "o.endpoint = %(endpoint)s AND o.state <> 'waiting' AND o.body <> ''"
_MISSING = """
    o.endpoint <> %(endpoint)s AND o.body <> '' AND o.type = ANY(%(types)s) AND NOT EXISTS (
        SELECT FROM outbox there WHERE there.endpoint = %(endpoint)s AND there.event_id = o.event_id)
"""
"""Events that another endpoint got, and this one would have got had it been there."""

_DUE = f"""
    INSERT INTO due (kind, key, lane, priority)
    SELECT DISTINCT 'outbox', %(endpoint)s || ':' || customer, 'out', {Priority.ASKED.value} FROM {{streams}}
    ORDER BY 2 {due.NUDGE}
"""

_AGAIN = f"""
    WITH again AS (
        UPDATE outbox o SET state = 'waiting', ended_at = NULL, attempts = 0, last_error = NULL
        WHERE {_ENDED} AND {{where}} RETURNING customer
    ), marked AS ({_DUE.format(streams="again")} RETURNING 1)
    SELECT count(*) AS n FROM again
"""

_COPY = f"""
    WITH wanted AS (
        SELECT DISTINCT ON (o.event_id) o.event_id, o.customer, o.type, o.body, o.id FROM outbox o
        WHERE {_MISSING} AND {{where}} ORDER BY o.event_id, o.id
    ), known AS (
        INSERT INTO outbox_endpoints (endpoint, url) VALUES (%(endpoint)s, %(url)s) ON CONFLICT DO NOTHING
    ), streams AS (
        INSERT INTO outbox_streams AS s (endpoint, customer, sequence)
        SELECT %(endpoint)s, customer, count(*) FROM wanted GROUP BY customer ORDER BY customer
        ON CONFLICT (endpoint, customer) DO UPDATE SET sequence = s.sequence + excluded.sequence
        RETURNING customer, sequence
    ), numbered AS (
        SELECT customer, event_id, type, body, id, s.sequence - count(*) OVER stream
            + row_number() OVER (stream ORDER BY id) AS sequence
        FROM wanted JOIN streams s USING (customer) WINDOW stream AS (PARTITION BY customer)
    ), copied AS (
        INSERT INTO outbox (endpoint, customer, sequence, event_id, type, body)
        -- Inside a text of JSON no quotation mark follows a comma, so the first one found is the event's own number.
        SELECT %(endpoint)s, customer, sequence, event_id, type,
            regexp_replace(body, ',"sequence":[0-9]+,', ',"sequence":' || sequence || ',')
        FROM numbered ORDER BY id RETURNING customer
    ), marked AS ({_DUE.format(streams="copied")} RETURNING 1)
    SELECT count(*) AS n FROM copied
"""

_SKIP = f"""
    WITH skipped AS (
        UPDATE outbox o SET state = 'skipped', ended_at = clock_timestamp()
        WHERE o.endpoint = %(endpoint)s AND o.state = 'waiting' AND {{where}} RETURNING customer
    ), marked AS ({_DUE.format(streams="skipped")} RETURNING 1)
    SELECT count(*) AS n FROM skipped
"""


class Found(Struct, frozen=True):
    """How many events an act would be about, the digest of them, and some of them."""

    matches: int
    digest: str
    sample: list[str] = field(default_factory=list)


async def to_resend(connection: Connection, endpoint: Endpoint, choice: Choice, sample: int = 0) -> Found:
    """Events that ended at this endpoint, and those of its types that only others were told."""
    about = f"SELECT DISTINCT o.event_id FROM outbox o WHERE ({_ENDED} OR {_MISSING}) AND {choice.where}"
    return await _found(connection, about, choice.parameters(endpoint.id, types=_types(endpoint)), sample)


async def to_skip(connection: Connection, endpoint_id: str, choice: Choice, sample: int = 0) -> Found:
    """Events that wait for this endpoint."""
    about = (
        f"SELECT o.event_id FROM outbox o WHERE o.endpoint = %(endpoint)s AND o.state = 'waiting' AND {choice.where}"
    )
    return await _found(connection, about, choice.parameters(endpoint_id), sample)


async def resend(connection: Connection, endpoint: Endpoint, choice: Choice) -> int:
    """Let events go out to an endpoint once more, with the same bytes, or for the first time; how many.

    What it had keeps its number and goes out before what waits; what it never had is numbered after it.
    """
    parameters = choice.parameters(endpoint.id, types=_types(endpoint), url=endpoint.shown)
    return sum([await _count(connection, text.format(where=choice.where), parameters) for text in (_AGAIN, _COPY)])


async def skip(connection: Connection, endpoint_id: str, choice: Choice) -> int:
    """Send waiting events no more; how many. What follows them goes on."""
    return await _count(connection, _SKIP.format(where=choice.where), choice.parameters(endpoint_id))


async def enable(db: Database, endpoint: Endpoint) -> None:
    """Forget that an endpoint failed or was disabled."""
    await db.rows(
        """
        INSERT INTO outbox_endpoints AS e (endpoint, url) VALUES (%(endpoint)s, %(url)s)
        ON CONFLICT (endpoint) DO UPDATE SET failing_since = NULL, failures = 0, last_failed = NULL, last_error = NULL,
            probing = false, probe = NULL, next_try_at = NULL, disabled_at = NULL, disabled_reason = NULL
        """,
        {"endpoint": endpoint.id, "url": endpoint.shown},
    )


def _types(endpoint: Endpoint) -> list[str]:
    return sorted(endpoint.types)


async def _found(connection: Connection, about: str, parameters: Mapping[str, Any], sample: int) -> Found:
    cursor = await connection.execute(
        f"WITH found AS ({about}), few AS (SELECT event_id FROM found LIMIT %(sample)s)"
        f" SELECT count(*) AS n, {digest_of('event_id')} AS digest,"
        " (SELECT coalesce(array_agg(event_id), '{}') FROM few) AS few FROM found",
        {**parameters, "sample": sample},
    )
    row = await cursor.fetchone()
    assert row is not None
    return Found(row["n"], row["digest"], row["few"])


async def _count(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> int:
    cursor = await connection.execute(statement, parameters)
    row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])
