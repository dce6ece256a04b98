"""Why a database can't be reached, in words that name the remedy and never repeat a password."""

from __future__ import annotations

import re

import psycopg

from lib.errors import foreign

_CAUSES = (
    (
        r"password authentication failed|no password supplied|SASL|role \".*\" does not exist|no pg_hba\.conf entry",
        "it refuses the user or the password",
        "copy the address anew (Neon: Connect); in a password write % as %25, @ as %40, : as %3A, / as %2F",
    ),
    (
        r"database \".*\" does not exist|no such database",
        "there is no such database",
        "create it (CREATE DATABASE ...), or correct the last part of the address",
    ),
    (
        r"not currently accepting connections|permission denied for database",
        "it lets this user into no such database",
        "GRANT CONNECT ON DATABASE ... TO the user of the address",
    ),
    (
        r"SSL|TLS|certificate|channel binding",
        "no encrypted connection comes about",
        "Neon needs ?sslmode=require at the end of the address; a server without TLS ?sslmode=disable, or none",
    ),
    (
        r"resolve host|translate host name|Name or service not known",
        "its host is known nowhere",
        "correct the host in the address",
    ),
    (
        r"too many (clients|connections)|remaining connection slots|no more connections allowed",
        "it has no connection left",
        "use the pooled address (Neon: -pooler in its host), or raise its limit",
    ),
    (
        r"exceeded the .*quota|quota exceeded",
        "its quota is used up",
        "Neon: choose a larger plan; until then nothing is lost at Stripe for three days",
    ),
    (
        r"Connection refused|timeout|timed out|unreachable|No such file or directory",
        "nobody answers at its address",
        "is it running, does a firewall let this machine in, are host and port right?",
    ),
)
"""What Postgres, a pooler or the driver says, what that means, and what to do. The first that fits counts."""


def why(error: BaseException) -> str:
    """The cause, the server's own words, and the remedy, as one line."""
    if isinstance(error, psycopg.ProgrammingError):
        return _unreadable(str(error))
    words = re.sub(r"^connection (failed|is bad): ", "", str(error)).splitlines()
    said = foreign(words[0] if words else type(error).__name__)
    for pattern, means, remedy in _CAUSES:
        if re.search(pattern, str(error), re.IGNORECASE):
            return f"{means} ({said}); {remedy}"
    return said


def _unreadable(words: str) -> str:
    """The driver repeats the address that it can't read, password and all: only a parameter's name is passed on."""
    parameter = re.match(r'invalid (?:URI query parameter|connection option): "([a-z_]+)"', words.strip())
    if parameter:
        return f"its address has an unknown parameter {parameter[1]!r}; correct or remove it"
    return "its address can't be read; it is postgresql://user:password@host/database"
