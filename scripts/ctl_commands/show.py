"""Answers for people: tables, times, amounts; and for programs, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 2000
"""Columns where nobody's terminal says otherwise: nothing is cut for a program that reads on."""

STYLES = {
    "live": "green", "equal": "green", "verified": "green", "applied": "green", "paid": "green", "ok": "green",
    "attention": "yellow", "suspended": "yellow", "waiting": "yellow", "failing": "red", "parked": "red",
    "stuck": "red", "failed": "red", "unknown": "red",
}  # fmt: skip
"""Words that are seen at a glance."""


def console() -> Console:
    """Where people read; without colours where they don't."""
    plain = not sys.stdout.isatty()
    return Console(width=WIDE if plain else None, highlight=False, markup=False, emoji=False, no_color=plain or None)


def line(text: str = "") -> None:
    """One line."""
    print(clean(text), flush=True)


def heading(text: str) -> None:
    """What follows."""
    print()
    console().print(Text(clean(text), style="bold"))


def as_json(answer: Any) -> None:
    """The answer as the deployment sent it."""
    print(json.dumps(answer, indent=2, ensure_ascii=False), flush=True)


def as_json_line(answer: Any) -> None:
    """The same in one line, for what does not end."""
    print(json.dumps(answer, ensure_ascii=False), flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows below their heads; `empty` says so, and what to do next."""
    listed = list(rows)
    if not listed:
        line(empty)
        return
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in listed:
        made.add_row(*(_cell(value) for value in row))
    _print(made)


def pairs(rows: Iterable[tuple[str, Any]]) -> None:
    """Names and what they are, below each other; what is nothing is left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "", [], {}):
            made.add_row(Text(name), _cell(value))
    _print(made)


def _print(made: Table) -> None:
    """Below each other; without the blanks at the ends of lines where a program reads on."""
    where = console()
    if sys.stdout.isatty():
        where.print(made)
        return
    with where.capture() as drawn:
        where.print(made)
    for text in drawn.get().splitlines():
        print(text.rstrip(), flush=True)


def _cell(value: Any) -> Text:
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    text = clean(", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value))
    return Text(text or "-", style=STYLES.get(text, ""))


def clean(text: str) -> str:
    """Without what could move the cursor or hide something: names and errors come from anybody."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def when(text: str | None) -> str:
    """A time of the API as people read it, in UTC."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(text: str | None) -> str:
    """How long ago, or ahead."""
    if not text:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    said = lasting(abs(seconds))
    return f"{said} ago" if seconds >= 0 else f"in {said}"


def lasting(seconds: float) -> str:
    """A duration by its greatest unit."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def money(amount: int | None, of: Mapping[str, Any]) -> str:
    """An amount in the currency of what it belongs to, by the exponent that came with it."""
    if amount is None:
        return ""
    exponent, currency = of.get("exponent"), str(of.get("currency") or "").upper()
    if exponent is None:
        return f"{amount} minor units {currency}".rstrip()
    return f"{amount / 10**exponent:.{exponent}f} {currency}".rstrip()


def counts(found: Mapping[str, int]) -> str:
    """`live 3, suspended 1`; what there is none of is left out."""
    return ", ".join(f"{name} {number}" for name, number in found.items() if number)
