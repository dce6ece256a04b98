"""The names we give in the panel, and the marks in them by which we find our own things again."""

from __future__ import annotations

import re

from lib.model import Memory, Payer, ServiceKey

NAME_LIMIT = 100
"""The panel's own limit is not documented; no real name is longer."""

_MARK = re.compile(r"\[([A-Za-z]+_[^\s\[\]/]+)(?:/(\d{1,4}))?\]")


def clean_name(payer: Payer, memory: Memory | None = None) -> str:
    """The organisation's name for a payer: their name, else their e-mail, else their id.

    Args:
        memory: what is remembered of them, if anything: a name that was taken out at Stripe is still their name.
    """
    before = (memory.name, memory.email) if memory else (None, None)
    candidates = (payer.name, before[0], payer.email, before[1])
    return next((text for text in map(readable, candidates) if text), payer.id)


def readable(text: str | None) -> str:
    """What of a name people can read, on one line and without the mark's brackets; empty when that is nothing."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    return line.replace("[", "(").replace("]", ")")[:NAME_LIMIT].strip()


def marked_name(payer: Payer, memory: Memory | None = None) -> str:
    """The name an organisation is created with: it carries the customer id until the panel's id is remembered."""
    return f"{clean_name(payer, memory)} [{payer.id}]"


def mark(key: ServiceKey) -> str:
    """Our permanent mark on a panel subscription: ``[sub_1Aa]``, or ``[sub_1Aa/2]`` for its second service."""
    return f"[{key}]"


def friendly_name(key: ServiceKey, domain: str | None) -> str:
    """What the customer reads in the panel for this subscription."""
    return f"{domain or 'Hosting'} {mark(key)}"


def marks(text: str) -> list[tuple[str, int]]:
    """Every mark in a name from the panel, as (id, slot)."""
    return [(found[1], int(found[2] or 1)) for found in _MARK.finditer(text)]
