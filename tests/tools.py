"""What several test modules need and no fixture has to hold."""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable
from typing import Any, NoReturn, TypeVar

import psycopg
import pytest
from psycopg.rows import tuple_row

T = TypeVar("T")

GATE = "pg_advisory_xact_lock_shared(7)"
"""For a statement of `side_by_side`: what it does then waits for all the others."""

missing: dict[str, str] = {}
"""Tools that were looked for in vain: name and the package it comes from, for the summary of the run."""


def require_tool(name: str, package: str) -> str:
    """Return the path of a program, or skip the test loudly; with CI=true its absence is a failure."""
    # Daemons live in a folder that is not on everybody's PATH.
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None:
        unavailable(name, package)
    return path


def unavailable(name: str, package: str) -> NoReturn:
    """Skip, or with CI=true fail, the present test because `package` is not installed."""
    missing[name] = package
    reason = f"{name} is missing: install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def dump(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Every row of every table as text, to show that nothing has changed; signs of life (`pulses`) are no change."""
    tables = (
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'pulses' ORDER BY 1"
    )
    with connection.cursor(row_factory=tuple_row) as cursor:
        names = [name for (name,) in cursor.execute(tables).fetchall()]
        rows = {name: cursor.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall() for name in names}  # noqa: S608
    return {name: [row for (row,) in found] for name, found in rows.items()}


async def side_by_side(url: str, *asked: Awaitable[T]) -> list[T]:
    """Let statements with `GATE` in them pass it when each of them stands there, on a connection of its own."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
    waiting += "(SELECT oid FROM pg_database WHERE datname = current_database())"
    with psycopg.connect(url, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(7)")
        answers = asyncio.gather(*asked)
        while gate.execute(waiting).fetchone() != (len(asked),) and not answers.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return await answers


def until_alone(connection: psycopg.Connection[Any]) -> None:
    """Wait until nobody else is connected: what others have read and written is told with their end."""
    theirs = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while connection.execute(theirs + " AND backend_type = 'client backend'").fetchall():
        time.sleep(0.02)
