"""What the operators' programs share: settings, a manager that logs beside the answer, tables and times for people."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from lib.bridge import Bridge

INTERRUPTED = 128 + signal.SIGINT
"""The exit code after Ctrl-C, as shells have it. What runs until Ctrl-C has come to its end with it, and says 0."""

WIDEST = 60
"""Characters of one cell; what is longer is cut, except in the last column."""


@asynccontextmanager
async def bridge() -> AsyncIterator[Bridge]:
    """A manager from the environment or .env; logs only what is wrong, and to stderr."""
    from lib import log
    from lib.bridge import Bridge
    from lib.config import Settings
    from scripts._environment import load_env_file

    load_env_file()
    settings = Settings.load(os.environ)
    log.configure("error", stream=sys.stderr)
    manager = Bridge(settings)
    try:
        yield manager
    finally:
        await manager.close()


def finish(work: Callable[[], Coroutine[Any, Any, int]], failed: str, interrupted: str) -> NoReturn:
    """Run a program to its end: its own exit code, 2 with one sentence for what could not be done, 130 for Ctrl-C.

    Args:
        failed: how the sentence begins, before the reason.
        interrupted: what is left behind after Ctrl-C.
    """
    from lib.errors import BridgeError

    try:
        code = asyncio.run(work())
    except (BridgeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"{failed}: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        code = INTERRUPTED
    raise SystemExit(code)


def actor(given: str | None) -> str:
    """Whose name goes into the ledger: the one that was given, else this account's."""
    return given or os.environ.get("USER") or "script"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns under their heads, for a terminal; empty cells as a dash."""
    cells = [list(heads), *([_cell(value) for value in row] for row in rows)]
    last = len(heads) - 1
    cells = [[text if at == last else _cut(text) for at, text in enumerate(row)] for row in cells]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    lines = ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def when(at: datetime | None) -> str:
    """A time as people read it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def confirmed(question: str) -> bool:
    """Whether the person at the terminal types yes; nobody there is a no."""
    try:
        return input(f"{question} Type yes to go on: ").strip().lower() == "yes"
    except EOFError:
        print()
        return False


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text) or "-"


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
