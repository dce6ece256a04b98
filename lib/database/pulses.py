"""Signs of life over all processes: how the other two sides were found at their last call, and the last pass."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from lib.database.connection import Database

Name = Literal["stripe", "enhance", "passes", "mail"]


class Standing(Struct, frozen=True):
    """One side at its last call."""

    beat_at: datetime | None
    error: str | None
    took_ms: float | None
    fresh: bool
    """Whether that is recent enough to be told."""
    ours: bool
    """Whether this process is the one that asks now."""


async def look(db: Database, name: Name, fresh: timedelta, turn: timedelta) -> Standing:
    """How a side was found last; where that is older than `fresh`, one process gets the turn to ask, for `turn`."""
    row = await db.row(
        """
        WITH taken AS (
            UPDATE pulses SET asked_until = clock_timestamp() + %(turn)s
            WHERE name = %(name)s AND (beat_at IS NULL OR beat_at <= clock_timestamp() - %(fresh)s)
                AND (asked_until IS NULL OR asked_until <= clock_timestamp())
            RETURNING 1
        )
        SELECT beat_at, error, took_ms, coalesce(beat_at > clock_timestamp() - %(fresh)s, false) AS fresh,
            EXISTS (SELECT FROM taken) AS ours
        FROM pulses WHERE name = %(name)s
        """,
        {"name": name, "fresh": fresh, "turn": turn},
    )
    assert row is not None
    return Standing(**row)


async def beats(db: Database) -> dict[str, datetime]:
    """When each last beat was; without those that never were."""
    rows = await db.rows("SELECT name, beat_at FROM pulses WHERE beat_at IS NOT NULL ORDER BY name")
    return {row["name"]: row["beat_at"] for row in rows}


async def age(db: Database, name: Name) -> float | None:
    """Seconds since the last beat; `None` before the first."""
    row = await db.row(
        "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float AS age FROM pulses WHERE name = %(name)s",
        {"name": name},
    )
    return row["age"] if row else None


async def well_again(db: Database, name: Name) -> None:
    """Write down that a side has answered as it should, where it did not before."""
    await db.rows(
        "UPDATE pulses SET beat_at = clock_timestamp(), error = NULL, failing_since = NULL"
        " WHERE name = %(name)s AND error IS NOT NULL",
        {"name": name},
    )


async def token_ends(db: Database, at: datetime | None) -> None:
    """Remember when the panel's token ends; `None`: never, or nobody knows."""
    await db.rows("UPDATE pulses SET expires_at = %(at)s WHERE name = 'enhance'", {"at": at})


class Beat(Struct, frozen=True):
    """A call or a pass that ended `seconds_ago`; `error` is `None` when it was answered as it should be."""

    name: Name
    seconds_ago: float
    error: str | None
    took_ms: float


async def tell(db: Database, beats: Sequence[Beat]) -> None:
    """Write down how calls ended, unless a later one is known."""
    await db.rows(
        """
        WITH told AS (
            SELECT name, clock_timestamp() - make_interval(secs => ago) AS at, error, took
            FROM unnest(%(names)s::text[], %(ago)s::float[], %(errors)s::text[], %(took)s::real[])
                AS t (name, ago, error, took)
        ), locked AS (
            SELECT pulses.name, at, told.error, took FROM pulses JOIN told USING (name)
            ORDER BY 1 FOR UPDATE OF pulses
        )
        UPDATE pulses SET beat_at = at, error = locked.error, took_ms = took, asked_until = NULL,
            failing_since = CASE WHEN locked.error IS NULL THEN NULL WHEN pulses.error IS NULL THEN at
                ELSE coalesce(failing_since, at) END
        FROM locked WHERE pulses.name = locked.name AND (pulses.beat_at IS NULL OR pulses.beat_at < at)
        """,
        {
            "names": [beat.name for beat in beats],
            "ago": [beat.seconds_ago for beat in beats],
            "errors": [beat.error for beat in beats],
            "took": [beat.took_ms for beat in beats],
        },
    )
