"""Settings from a file `.env`, for the scripts; on Vercel they come from the project's settings."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load_env_file(path: Path = ROOT / ".env") -> None:
    """Add what the file says to the environment. What is set there already wins.

    Raises:
        SettingsError: there is a file, and it can't be read.
    """
    from lib.errors import SettingsError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise SettingsError([f"{path} is not UTF-8: save it anew in that encoding"]) from None
    except OSError as error:
        raise SettingsError([f"{path} can't be read: {error.strerror}"]) from None
    for name, value in parse(text):
        os.environ.setdefault(name, value)


def parse(text: str) -> Iterator[tuple[str, str]]:
    """Read `NAME=value` lines: comments, blank lines, `export` and quotes as a shell would take them."""
    for line in text.splitlines():
        name, equals, value = re.sub(r"^export\s+", "", line.strip()).partition("=")
        if not equals or name.startswith("#"):
            continue
        quoted = value.strip()
        if quoted[:1] in ("'", '"') and quoted[:1] in quoted[1:]:
            value = quoted[1:].split(quoted[0])[0]
        else:
            value = re.split(r"\s#", value)[0].strip()
        yield name.strip(), value
