"""Everything that can go wrong, in two families: worth trying again, and waiting for a person.

::

    BridgeError
    ├── SettingsError            the environment is wrong; nothing runs until it is right
    ├── Declined                 what a caller asks for is wrong, or can't be done as things stand
    ├── Retryable                try again later, with growing delay
    │   ├── Unavailable          the other side said no for now, or could not be reached: nothing happened
    │   │   ├── DatabaseUnavailable   ... of our own database: nothing can be remembered, so nothing may be done
    │   │   │   ├── DatabaseUnfit     ... it answers, and can't be used as it is: a person must mend it
    │   │   │   ├── NoAnswer          a statement took too long: somebody holds a lock, or the database is busy
    │   │   │   └── Conflicted        two transactions were in each other's way, and this one was undone whole
    │   │   ├── Denied                ... to our key, token or address: a matter of the settings, not of a customer
    │   │   ├── Limited               ... to so many requests at one time: it goes on a little later, and nothing failed
    │   │   └── Incomplete            ... it answered, and left out what a decision needs
    │   ├── OutcomeUnknown       the answer was lost: it may have happened, look before doing it again
    │   ├── LeaseLost            another process holds this customer now; this pass must not touch anything more
    │   └── SchemaOutdated       the database waits for its migrations
    └── Refused                  a person must act; parked with ``reason``
        ├── NotFound             the object does not exist on the other side
        └── Conflict             it exists already
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from lib.model.reason import Reason, SettingsFault

FOREIGN_TEXT_LIMIT = 500
"""Foreign text is untrusted: long enough to hold a panel message, short enough to never flood a log line or a row."""


def foreign(text: str) -> str:
    """`text` from outside, fit for a log line or a row: no control characters, at most `FOREIGN_TEXT_LIMIT` long."""
    clean = text[: FOREIGN_TEXT_LIMIT * 2]
    if not clean.isprintable():
        clean = "".join(character if character.isprintable() else " " for character in clean)
    return clean if len(clean) <= FOREIGN_TEXT_LIMIT else clean[: FOREIGN_TEXT_LIMIT - 1] + "…"


class BridgeError(Exception):
    """Root of every error this project raises on purpose."""


class SettingsError(BridgeError):
    """The environment is incomplete or wrong; `problems` names every setting and its remedy at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            "these settings are missing or wrong (set them in the environment, or in .env):\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )


class Fault(Struct, frozen=True):
    """One thing that is wrong with a request: which field (dotted path), a stable code, and a sentence for people."""

    field: str
    code: Literal["missing", "invalid", "unknown"]
    detail: str


class Declined(BridgeError):
    """What somebody asks for is wrong, or can't be done just now. `code` is stable, `detail` names the remedy.

    The verbs know no HTTP: `lib.web.problem` says which status a code has, and the command line says the same words.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        faults: tuple[Fault, ...] = (),
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.code, self.detail, self.field, self.faults = code, detail, field, faults
        self.about = about or {}
        """What a program needs besides: names and values, told beside `code`."""
        super().__init__(detail)


class Retryable(BridgeError):
    """Worth another try; `after` is the other side's own wish (``Retry-After``), when it named one."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        self.after = after
        super().__init__(foreign(message))


class Unavailable(Retryable):
    """Nothing happened on the other side: it could not be reached or declined to work just now."""


class DatabaseUnavailable(Unavailable):
    """Our own database is away: the work stops where it stands, and its lease runs out by itself."""


class DatabaseUnfit(DatabaseUnavailable):
    """It answers and can't be used: its encoding, what this role may do, or other tables of our names in it."""


class NoAnswer(DatabaseUnavailable):
    """A statement was given up because it took too long; it may wait for a lock that somebody holds."""


class Conflicted(DatabaseUnavailable):
    """Another transaction was in the way (a deadlock, a serialization failure): undone whole, and worth repeating."""


class Denied(Unavailable):
    """Our key, token or address is refused: nobody's own matter, so it is tried again until the settings are right."""

    def __init__(self, reason: SettingsFault, message: str, *, status: int | None = None) -> None:
        self.reason, self.status = reason, status
        super().__init__(f"{reason}: {message}")


class Limited(Unavailable):
    """More was asked than the other side takes at one time. `limit`: which one, in its words, if it says so."""

    def __init__(self, message: str, *, limit: str = "", after: timedelta | None = None) -> None:
        self.limit = limit
        super().__init__(message, after=after)


class Incomplete(Unavailable):
    """An answer came and lacks what a decision needs, or says it in words that we don't know: it is no fact."""


class OutcomeUnknown(Retryable):
    """The call may have taken effect. `answered`: the other side did answer, with a server error."""

    def __init__(self, message: str, *, answered: bool = False, after: timedelta | None = None) -> None:
        self.answered = answered
        super().__init__(message, after=after)


class LeaseLost(Retryable):
    """The lease of this pass ran out or was taken over."""


class SchemaOutdated(Retryable):
    """The database is older than this code; the drain cron migrates it."""


class Refused(BridgeError):
    """The other side decided against it: a person must act. `reason` is stable, `message` is for people."""

    def __init__(self, reason: Reason, message: str, *, status: int | None = None, param: str | None = None) -> None:
        self.reason, self.status, self.param = reason, status, param
        """`param`: which part of the request it is about, where the other side says so."""
        super().__init__(foreign(message))


class NotFound(Refused):
    """The object does not exist on the other side (a real, JSON ``not_found``)."""


class Conflict(Refused):
    """The object exists already."""
