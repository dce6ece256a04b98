"""Coming to rest: what was sent is delivered, what nobody told of is swept up, and every wait comes to its end.

Waits of the product are by the database's clock, up to ten hours for what failed often. They are not sat out:
everything that the database remembers becomes older by as much, which is the same to whoever reads it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import psycopg

from scripts.chaos_world import ChaosError
from scripts.chaos_world.post import Post
from scripts.chaos_world.shop import Shop
from scripts.chaos_world.stage import Stage

PATIENCE = 180.0
"""Seconds for one step of it."""

STEP, STEPS = 900, 60
"""Seconds that pass at a time, and how often: fifteen hours."""

SOON = "CASE WHEN attempts > 0 THEN interval '13 hours' ELSE interval '1 hour' END"
"""What is due within it is waited for: of what failed the longest wait of a retry. Other dates may be Stripe's, whose
clock goes on as always: a page for paying is open for a day, an open dispute is looked at daily, grace lasts a week."""

LEFT = f"""
    SELECT count(*) FILTER (WHERE due_at <= now() OR lease_id IS NOT NULL),
        count(*) FILTER (WHERE due_at < now() + {SOON}) FROM due
"""  # noqa: S608 - ours

# Part of a key can't be moved row by row, and what is counted by the hour says nothing of when something is due.
AGED = """
    SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'timestamptz'::regtype AND a.attgenerated = ''
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey))
    GROUP BY c.relname
"""


def come_to_rest(stage: Stage, post: Post, shop: Shop) -> int:
    """Wait for the end of everything; how many seconds had to pass for it by the database's clock.

    Raises:
        ChaosError: it has none.
    """
    _until(shop.quiet, "buyers wait for their page")
    _until(post.empty, "Stripe's events are not taken")
    passed = 0
    with psycopg.connect(stage.database_url, autocommit=True) as database:
        for _ in range(STEPS):
            _sweep(stage)
            _until(lambda: _drained(stage, database), "there is always something due")
            if not _left(database)[1]:
                return passed
            if _let_pass(database, STEP):
                passed += STEP
    raise ChaosError(f"it does not come to rest within {STEP * STEPS // 3600} hours")


def _sweep(stage: Stage) -> None:
    """Compare both sides from beginning to end, as the hourly cron does."""

    def finished() -> bool:
        report = _cron(stage, "sweep")
        return bool(report.get("finished")) and not report.get("elsewhere")

    _until(finished, "the sweep does not end")


def _drained(stage: Stage, database: psycopg.Connection[Any]) -> bool:
    """Whether nothing is due; where there are no workers, the cron does it."""
    if _left(database)[0] and not stage.workers:
        _cron(stage, "drain")
    return not _left(database)[0]


def _cron(stage: Stage, job: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {stage.environ['CRON_SECRET']}"}
    with suppress(httpx.TransportError):
        answer = httpx.get(f"{stage.base}/api/cron/{job}", headers=headers, timeout=PATIENCE)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
    return {}


def _left(database: psycopg.Connection[Any]) -> tuple[int, int]:
    row = database.execute(LEFT.encode()).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _let_pass(database: psycopg.Connection[Any], seconds: int) -> bool:
    """Let so many seconds pass, unless somebody is in the middle of something."""
    with database.transaction(), database.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger, which would take it for a change
        cursor.execute("LOCK TABLE due, leases IN ACCESS EXCLUSIVE MODE")
        if _left(database)[0]:
            return False
        for table, columns in cursor.execute(AGED.encode()).fetchall():
            changes = psycopg.sql.SQL(", ").join(
                psycopg.sql.SQL("{0} = {0} - {1}").format(psycopg.sql.Identifier(column), timedelta(seconds=seconds))
                for column in columns
            )
            cursor.execute(psycopg.sql.SQL("UPDATE {} SET {}").format(psycopg.sql.Identifier(table), changes))
    return True


def _until(reached: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise ChaosError(f"{otherwise} within {PATIENCE:.0f} s; the product's log says why")
        time.sleep(0.1)
