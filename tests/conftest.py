"""What holds for every test: a real PostgreSQL, a closed network, a clean environment."""

import asyncio
import functools
import itertools
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings

from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import Postgres, start
from tests import tools
from tests.memory import folder_in_memory
from tests.pooler import pooler
from tests.world import World, make_world

ROOT = Path(__file__).resolve().parent.parent

# What the machine and the tools around the tests need. Everything else could be a setting of ours.
KEPT = {"CI", "HOME", "LANG", "PATH", "SHELL", "TERM", "TMPDIR", "USER"}
KEPT_PREFIXES = ("LC_", "NODE_", "NPM_", "PIP_", "PYENV_", "PYTEST_", "PYTHON", "REQUESTS_", "SSL_", "UV_", "npm_")
for _name in list(os.environ):
    if _name not in KEPT and not _name.startswith(KEPT_PREFIXES):
        del os.environ[_name]


# A machine that is busy just then has broken nothing.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


class NetworkClosed(BaseException):
    """A test reached out of this machine; no `except Exception` may swallow that."""


def _refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    if host and host not in ("localhost", "::1") and not host.startswith("127."):
        raise NetworkClosed(host)


# An audit hook, unlike a patched socket class, also sees what is written in C or was imported before.
sys.addaudithook(_refuse_to_leave)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints what could not be tested here, in one of several."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["missing"] = tools.missing


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in what one of several processes could not test."""
    tools.missing.update(getattr(node, "workeroutput", {}).get("missing", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the very end, where it is seen, what could not be tested."""
    for name, package in sorted(tools.missing.items()):
        terminalreporter.write_line(f"NOT TESTED: {name} is missing. Install {package}.", red=True, bold=True)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio, which is what Vercel's runtime uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server of this run's own."""
    with ExitStack() as stack:
        memory = stack.enter_context(folder_in_memory())
        with start((memory or tmp_path_factory.mktemp("postgres")) / "data", durable=False) as server:
            yield server


@pytest.fixture(scope="session")
def template_database(postgres: Postgres) -> str:
    """The name of a database with all migrations in it, to be copied and never used itself."""

    async def fill() -> None:
        database = Database(Secret(postgres.create_database("template_app")))
        await migrate(database)
        await database.close()

    asyncio.run(fill())
    return "template_app"


_numbers = itertools.count(1)


@pytest.fixture
def database_url(postgres: Postgres, template_database: str) -> Iterator[str]:
    """The address of a migrated, empty database that belongs to this test alone."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name, template_database)
    postgres.drop_database(name)


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """The address of a database without any table."""
    name = f"empty_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def pooler_port(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode; skips where it is not installed."""
    with pooler(postgres, tmp_path_factory.mktemp("pgbouncer")) as port:
        yield port


@pytest.fixture
def pooled_url(database_url: str, pooler_port: int) -> str:
    """This test's database as Neon's pooled address would show it."""
    return f"postgresql://postgres@127.0.0.1:{pooler_port}/{database_url.rpartition('/')[2]}"


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to this test's database, to look at the state of the world."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Stripe, the panel, the database and the product, for this test alone."""
    # Both sides speak plain HTTP here: reading the certificates of the world anew for each client is half the time.
    monkeypatch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
    with make_world(database_url) as world:
        yield world
