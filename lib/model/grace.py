"""Until when an admin keeps on what is unpaid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from msgspec import Struct


class Promise(Struct, frozen=True):
    """The one-off date of a service, or none, and whether it is one of many that got it at once."""

    until: datetime | None
    amnesty: bool = False

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Self:
        """One as the ledger keeps it."""
        until = line.get("until")
        return cls(datetime.fromisoformat(until) if until else None, bool(line.get("amnesty")))

    @property
    def noted(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"until": self.until.isoformat() if self.until else None, "amnesty": self.amnesty}
