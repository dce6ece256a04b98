"""Whether an act on many is done to exactly those whom its preview has shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from msgspec import Struct

from lib.database import previews
from lib.errors import Declined
from lib.web.page import moment

if TYPE_CHECKING:
    from lib.database.connection import Connection
    from lib.operators.views.events import Matches

Done = TypeVar("Done")


class Shown(Struct, frozen=True):
    """What the caller was shown: how many, and as of when."""

    expected: int
    as_of: datetime

    @classmethod
    def of(cls, expected: int | None, as_of: str | None) -> Self | None:
        """What was sent back of a preview; `None`: nothing was.

        Raises:
            Declined: that is no time.
        """
        if expected is None:
            return None
        when = moment("asOf", as_of, datetime.now(UTC))
        assert when is not None  # they are sent together
        return cls(expected, when)


async def insist(connection: Connection, seen: Shown, act: Mapping[str, Any], matches: int, digest: str) -> None:
    """Go on only where the act is about those whom its preview was about, in the transaction that does it.

    Raises:
        Declined: others match by now, or this was never shown; nothing is done.
    """
    if matches != seen.expected:
        detail = f"{matches} match by now, not {seen.expected}: look at the preview again"
        raise Declined("changed_meanwhile", detail, field="expected")
    shown = await previews.shown(connection, seen.as_of, act)
    if not shown:
        raise Declined("not_shown", "no preview of just this act has this asOf: send dryRun again", field="asOf")
    if digest not in shown:
        detail = f"{matches} match as before, but others than were shown: look at the preview again"
        raise Declined("changed_meanwhile", detail, field="asOf")


async def or_show_anew(does: Awaitable[Done], again: Callable[[], Awaitable[Matches]]) -> Done:
    """Do it; where others match by now, the refusal holds the new preview."""
    try:
        return await does
    except Declined as refused:
        if refused.code != "changed_meanwhile":
            raise
        about = {"preview": msgspec.to_builtins(await again())}
        raise Declined(refused.code, refused.detail, field=refused.field, about=about) from None
