"""What takes an act of a person back, where something does and it is still in effect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from lib.database.lists.timeline import Happened
from lib.model import Hold, Memory, Service
from lib.model.reason import Rule
from lib.operators.views.undo import Undo

WORK: Final = "/api/admin/work"
PLANS: Final = "/api/admin/plans"

Row = Mapping[str, Any]
"""A mapping, by its columns."""


def of_happened(happened: Happened, memory: Memory) -> Undo | None:
    """The inverse of an act on a customer.

    Args:
        memory: as they are remembered now: what has been taken back already offers nothing.
    """
    if happened.source != "action" or happened.rule != Rule.BY_HAND:
        return None
    name = happened.service.subscription_id if happened.service else None
    meant = [s for s in memory.services if name in (None, s.key.subscription_id)]
    body: dict[str, Any] = {"customerId": str(memory.key), **({"subscriptionId": name} if name else {})}
    held = any(Hold.ADMIN in service.holds for service in meant)
    match happened.kind:
        case "hold" if held:
            return _by_work("lift", {**body, "hold": "admin"}, "Lift this hold")
        case "lift" if meant and not held and happened.facts.get("hold") == "admin":
            return _by_work("hold", body, "Hold again")
        case "grace":
            return _of_grace(happened, meant, body)
        case _:
            return None


def _of_grace(happened: Happened, meant: list[Service], body: dict[str, Any]) -> Undo | None:
    """The date before it, or none."""
    dates = {service.grace_override for service in meant}
    until, before = happened.facts.get("until"), (happened.before or {}).get("until")
    if (datetime.fromisoformat(until) if until else None) not in dates or (until is None and before is None):
        return None
    label = f"Set the date back to {before[:10]}" if before else "Take this date back"
    return _by_work("grace", {**body, "until": before}, label)


def _by_work(action: str, body: Mapping[str, Any], label: str) -> Undo:
    return Undo(route=WORK, method="POST", body={"action": action, **body}, label=label)


def of_mapping(before: Row | None, after: Row | None, now: Row | None) -> Undo | None:
    """The inverse of a change to a mapping: the row as it was before, while it is still as it was made.

    A row that was made anew is taken away again; that is a change like any other, and is previewed first.
    """
    if dict(after or {}) != dict(now or {}) or before == after:
        return None
    if before is None:
        assert after is not None
        query = {"billingProvider": after["billing_provider"], "billingPlanId": after["billing_plan_id"]}
        return Undo(route=PLANS, method="DELETE", body=query, label="Take this mapping away")
    method: Literal["POST", "PUT"] = "POST" if after is None else "PUT"
    return Undo(route=PLANS, method=method, body=as_sent(before) or {}, label="Set the mapping back")


def as_sent(row: Row | None) -> dict[str, Any] | None:
    """A row with its columns as the route takes them."""
    return {_camel(name): value for name, value in row.items()} if row is not None else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
