"""Settings from a file `.env`, for the scripts; on Vercel they come from the project's settings."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load_env_file(path: Path = ROOT / ".env") -> None:
    """Add what the file says to the environment. What is set there already wins."""
    if path.exists():
        for name, value in parse(path.read_text(encoding="utf-8")):
            os.environ.setdefault(name, value)


def parse(text: str) -> Iterator[tuple[str, str]]:
    """Read `NAME=value` lines: comments, blank lines, `export` and quotes as a shell would take them."""
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.startswith("#"):
            continue
        value = value.strip()
        if value[:1] in ("'", '"') and value[:1] in value[1:]:
            value = value[1:].split(value[0])[0]
        else:
            value = value.split(" #")[0].rstrip()
        yield name.strip(), value
