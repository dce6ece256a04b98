"""How an act is taken back."""

from __future__ import annotations

from typing import Any, Literal

from lib.web.typed import View


class Undo(View):
    """The request that takes an act back. Of a DELETE `body` is the query."""

    route: Literal["/api/admin/work", "/api/admin/plans"]
    method: Literal["POST", "PUT", "DELETE"]
    body: dict[str, Any]
    label: str
