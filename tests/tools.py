"""What several test modules need and no fixture has to hold."""

import os
import shutil
from typing import Any, NoReturn

import psycopg
import pytest
from psycopg.rows import tuple_row

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
