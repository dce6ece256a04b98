"""What the doctor says of one thing that it looked at, and how bad it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

SHOWN = 8
"""Names in one line; more would hide the remedy."""


class Verdict(IntEnum):
    """How bad it is; the worst one is the exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    said: str
    remedy: str = ""


def ok(said: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, said)


def warn(said: str, remedy: str) -> Finding:
    """It works, or will, but somebody should look."""
    return Finding(Verdict.WARN, said, remedy)


def fail(said: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, said, remedy)


def listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
