"""Speaking to the person at the terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def say_all(lines: Iterable[str]) -> None:
    """Each line as soon as it comes."""
    for line in lines:
        say(line)


def bold(text: str) -> str:
    """A heading."""
    return _styled("1", text)


def dim(text: str) -> str:
    """What matters less."""
    return _styled("2", text)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows with their columns below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def count(number: int, noun: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(text: str) -> str:
    """A long id by its beginning."""
    return text if len(text) <= 24 else text[:20] + "..."


def money(amount: int | None, currency: str | None) -> str:
    """An amount in minor units; the demo sells in currencies of two decimals only."""
    return f"{(amount or 0) / 100:.2f} {(currency or '').upper()}"


def day(at: datetime | float) -> str:
    """A date, of a time or of unix seconds."""
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%B %Y}"


def shown(path: Path) -> str:
    """A path as it can be typed in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def typed(path: Path) -> str:
    """The same for a shell, whatever it is called."""
    known = shown(path)
    return shlex.quote(known if "/" in known else f"./{known}")


def _styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
