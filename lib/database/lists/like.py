"""Patterns of LIKE from what people type."""

from __future__ import annotations

import re


def prefix(text: str) -> str:
    """A pattern for what begins like this; nothing in it has a meaning of its own."""
    return re.sub(r"([\\%_])", r"\\\1", text) + "%"
