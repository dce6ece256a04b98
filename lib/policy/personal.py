"""Personal words in what was written down, and what stands in their place once somebody is erased. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lib.policy.naming import marks

ERASED = "erased"
"""Stands where personal data stood."""

Hide = Callable[[str], str]
"""A text without the words of somebody who is erased."""

_PERSONAL = frozenset({"name", "email", "domain", "awaited", "friendly_name"})
"""Keys of facts that hold nothing else."""

_NO_WORDS = frozenset({"hosting", ERASED})
"""What stands in the same places without being anybody's."""

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")


def words_in(value: Any) -> Iterator[str]:
    """Personal texts in facts, by their keys: they are sought in free texts as well."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("name", "email", "domain") and isinstance(inner, str):
                yield inner
            else:
                yield from words_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words_in(inner)


def hider(words: Iterable[str], *, any_address: bool = True) -> Hide:
    """What replaces these words in a text.

    Args:
        any_address: every e-mail address too, whosever it is: for what is about nobody else.
    """
    cleaned = {_unmarked(word) for word in words}
    found = sorted((word for word in cleaned if word and word.lower() not in _NO_WORDS), key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in found), re.IGNORECASE)

    def hide(text: str) -> str:
        if any_address:
            text = _ADDRESS.sub(ERASED, text)
        return pattern.sub(ERASED, text) if found else text

    return hide


def without(value: Any, hide: Hide, key: str | None = None) -> Any:
    """A text, or facts as JSON, without them; what a personal key holds is gone whatever it is."""
    if isinstance(value, Mapping):
        if value.get("reason") == "invalid_domain" and "detail" in value:
            value = {**value, "detail": ERASED}  # quotes what was typed
        return {inner_key: without(inner, hide, inner_key) for inner_key, inner in value.items()}
    if isinstance(value, list):
        return [without(inner, hide, key) for inner in value]
    if not isinstance(value, str):
        return value
    return ERASED if key in _PERSONAL else hide(value)


def without_words(value: Any, hide: Hide) -> Any:
    """The same where others' data may stand beside it: only the words go."""
    if isinstance(value, Mapping):
        return {key: without_words(inner, hide) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_words(inner, hide) for inner in value]
    return hide(value) if isinstance(value, str) else value


def _unmarked(name: str) -> str:
    """A name without our mark, which is an id."""
    return name.rpartition("[")[0].strip() if marks(name) else name.strip()
