"""Reading what another side answered: what a decision needs is there and of its kind, or nothing is decided.

A missing, empty or unknown answer is never a fact. Every reader here raises `Incomplete` with the object and the
field that it lacks, so that a pass is repeated, and nothing is written for what was not read. Text is cleaned on its
way in: a name may hold what neither the database nor the panel takes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from lib.errors import Incomplete

_SURROGATE = re.compile("[\ud800-\udfff]")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

I32 = 2**31 - 1
"""The panel's integer ids, and the database's columns for them."""

_ABSENT = object()


def clean(text: str) -> str:
    """`text` from outside without NUL, which no text column holds, and with U+FFFD for lone halves of a character."""
    return _SURROGATE.sub("\ufffd", text.replace("\x00", ""))


class Answer:
    """One object of an answer.

    Args:
        raw: as it was decoded; anything but an object is refused.
        what: how messages call it ("Stripe's subscription sub_1").
    """

    __slots__ = ("_raw", "what")

    def __init__(self, raw: object, what: str) -> None:
        if not isinstance(raw, Mapping):
            raise Incomplete(f"{what} is no object: the answer can't be read")
        self._raw: Mapping[str, Any] = raw
        self.what = what

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    # --- what must be there ---

    def text(self, name: str, *, empty: bool = False) -> str:
        """A text with something in it, unless it may be empty."""
        found = clean(self._of(name, str))
        if not found and not empty:
            raise self.lacks(name)
        return found

    def number(self, name: str) -> int:
        """A whole number."""
        value = self._of(name, int | float)
        if isinstance(value, bool) or value != value or value in (float("inf"), float("-inf")) or value != int(value):
            raise self.odd(name)
        return int(value)

    def count(self, name: str) -> int:
        """A whole number that is an id or an amount of things: from 0, and no larger than such a column holds."""
        value = self.number(name)
        if not 0 <= value <= I32:
            raise self.odd(name)
        return value

    def flag(self, name: str) -> bool:
        """Yes or no."""
        return bool(self._of(name, bool))

    def time(self, name: str) -> datetime:
        """Unix seconds, as an aware datetime."""
        try:
            return datetime.fromtimestamp(self.number(name), UTC)
        except (OverflowError, ValueError, OSError):
            raise self.odd(name) from None

    def one_of(self, name: str, known: Collection[str]) -> str:
        """One of the words that we know the meaning of."""
        value = self.text(name)
        if value not in known:
            raise Incomplete(f"{self.what}: {name} {value!r} is new to us; nothing is decided on it")
        return value

    def uuid(self, name: str) -> str:
        """An id in the form of a UUID, in lower case."""
        value = self.text(name)
        if not _UUID.fullmatch(value):
            raise self.odd(name)
        return value.lower()

    def inner(self, name: str) -> Answer:
        """An object within."""
        return Answer(self._of(name, Mapping), f"{name} of {self.what}")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A list of objects, which may be empty."""
        found = self._of(name, list)
        if not all(isinstance(row, dict) for row in found):
            raise self.odd(name)
        return list(found)

    def reference(self, name: str) -> str:
        """The id of another object: by itself, or of the object in its place."""
        value = self._raw.get(name)
        return self.inner(name).text("id") if isinstance(value, Mapping) else self.text(name)

    # --- what must be said, and may be nothing ---

    def said(self, name: str) -> bool:
        """Whether there is something; the field itself must be there, with null for nothing."""
        if name not in self._raw:
            raise self.lacks(name)
        return self._raw[name] is not None

    def text_or_none(self, name: str) -> str | None:
        """A text; `None` for null, and for one in which nothing is left."""
        return (clean(self._of(name, str)) or None) if self.said(name) else None

    def time_or_none(self, name: str) -> datetime | None:
        """Unix seconds, or `None` for null."""
        return self.time(name) if self.said(name) else None

    def reference_or_none(self, name: str) -> str | None:
        """The id of another object, or `None` for null."""
        return self.reference(name) if self.said(name) else None

    def object_or_none(self, name: str) -> Answer | None:
        """An object within, or `None` for null."""
        return self.inner(name) if self.said(name) else None

    # --- what need not be there ---

    def maybe(self, name: str) -> bool:
        """Whether an optional field says something: the panel leaves such a field out, or shows it as null."""
        return self._raw.get(name) is not None

    def plain(self, name: str) -> object:
        """As it came."""
        return self._raw.get(name)

    def _of(self, name: str, kind: Any) -> Any:
        value = self._raw.get(name, _ABSENT)
        if value is _ABSENT or value is None:
            raise self.lacks(name)
        if not isinstance(value, kind):
            raise self.odd(name)
        return value

    def lacks(self, name: str) -> Incomplete:
        """What to raise when a field is missing, or holds nothing where there must be something."""
        return Incomplete(f"{self.what} lacks {name}; nothing is decided without it")

    def odd(self, name: str) -> Incomplete:
        """What to raise when a field is of another kind."""
        return Incomplete(f"{self.what} has an unusable {name}: {str(self._raw.get(name))[:80]!r}")
