"""What acts on many were shown to be about, so that each is done to exactly those, or not at all.

A digest says whether a set is still the same one: that as many match is not enough, when one has left and another come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from lib.database.connection import Connection

KEPT = timedelta(days=1)
"""How long what was shown can be done."""


def digest(keys: Iterable[str]) -> str:
    """Of a set of keys, in whatever order they come."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def digest_of(column: str) -> str:
    """An expression of SQL, an aggregate: the digest of a set of texts which is too long to be fetched.

    The database's own hash of each, added up: a sum needs no order.
    """
    return f"count({column}) || ':' || coalesce(sum(hashtextextended({column}, 0)), 0)"


async def keep(connection: Connection, as_of: datetime, actor: str, act: Mapping[str, Any], found: str) -> None:
    """Remember what was shown, and forget what was shown long ago.

    Args:
        found: the digest of those whom it would be about.
    """
    await connection.execute(
        """
        WITH old AS (DELETE FROM previews WHERE as_of < now() - %(kept)s::interval)
        INSERT INTO previews (as_of, actor, act, digest) VALUES (%(as_of)s, %(actor)s, %(act)s, %(digest)s)
        """,
        {"kept": KEPT, "as_of": as_of, "actor": actor, "act": Jsonb(dict(act)), "digest": found},
    )


async def shown(connection: Connection, as_of: datetime, act: Mapping[str, Any]) -> set[str]:
    """The digests of those whom this act was shown to be about then; several, where two asked at the same moment."""
    cursor = await connection.execute(
        "SELECT digest FROM previews WHERE as_of = %(as_of)s AND act = %(act)s",
        {"as_of": as_of, "act": Jsonb(dict(act))},
    )
    return {row["digest"] for row in await cursor.fetchall()}
