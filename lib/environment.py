"""The settings of this process. Everything below is handed them, and knows no environment."""

from __future__ import annotations

import os

from lib.config import Settings

_current: Settings | None = None


def current() -> Settings:
    """The settings of this process, read from its environment on first use.

    Raises:
        SettingsError: naming everything that is missing or wrong; asked again, it looks again.
    """
    global _current
    if _current is None:
        _current = Settings.load(os.environ)
    return _current


def forget() -> None:
    """Read the environment anew on next use."""
    global _current
    _current = None
