"""What takes an act of a person back, where something does and it is still in effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from lib.database.lists.timeline import Happened
from lib.model import Hold, Memory, Service, ServiceKey
from lib.model.reason import Rule
from lib.operators.views.undo import Undo

WORK: Final = "/api/admin/work"
PLANS: Final = "/api/admin/plans"

Row = Mapping[str, Any]
"""A mapping, by its columns."""

Changed = Mapping[ServiceKey, Mapping[str, Any]]
"""The services that an act has changed, each as it was before: `until` and `amnesty`."""


def of_happened(happened: Happened, memory: Memory) -> Undo | None:
    """The inverse of an act on a customer: it reaches what the act has changed, and nothing else.

    The request names one subscription. `None` where the act has changed several that stand so still, or where a line of
    the ledger does not say which they were.

    Args:
        memory: as they are remembered now: what has been taken back already offers nothing.
    """
    if happened.source != "action" or happened.rule != Rule.BY_HAND:
        return None
    changed = {
        ServiceKey(one["subscription_id"], one["slot"]): one for one in (happened.before or {}).get("services", ())
    }
    match happened.kind:
        case "hold":
            return _of_hold(changed, memory, held=True)
        case "lift":
            return _of_hold(changed, memory, held=False)
        case "grace":
            return _of_grace(happened.facts.get("until"), changed, memory)
        case _:
            return None


def _of_hold(changed: Changed, memory: Memory, *, held: bool) -> Undo | None:
    """Of a hold that stands, or of one that was lifted and is not there again."""
    stand = [s for s in memory.services if s.key in changed and (Hold.ADMIN in s.holds) is held]
    meant = _one_subscription(stand, memory)
    # Others of the subscription are reached as well: they must be already as they would be made.
    if meant is None or any((Hold.ADMIN in s.holds) is held for s in meant if s.key not in changed):
        return None
    body = _whom(memory, stand[0])
    if held:
        return _by_work("lift", {**body, "hold": "admin"}, "Lift this hold")
    return _by_work("hold", body, "Hold again")


def _of_grace(until: str | None, changed: Changed, memory: Memory) -> Undo | None:
    """The date before it, or none."""
    stand = [s for s in memory.services if s.key in changed and s.grace_override == _date(until)]
    stand = [s for s in stand if s.grace_override != _date(changed[s.key]["until"])]  # paid since: it has none again
    meant = _one_subscription(stand, memory)
    if meant is None:
        return None
    before: str | None = changed[stand[0].key]["until"]
    if any(changed[s.key]["until"] != before for s in stand):
        return None
    if before is not None and any(changed[s.key]["amnesty"] for s in stand):
        return None  # by hand it would be a promise to one, which the end of the amnesty does not take back
    if any(s not in stand and s.grace_override != _date(before) for s in meant):
        return None
    label = f"Set the date back to {before[:10]}" if before else "Take this date back"
    return _by_work("grace", {**_whom(memory, stand[0]), "until": before}, label)


def _one_subscription(stand: Sequence[Service], memory: Memory) -> list[Service] | None:
    """All services of the subscription that these are of; `None`: they are of none, or of several."""
    ids = {s.key.subscription_id for s in stand}
    return [s for s in memory.services if s.key.subscription_id in ids] if len(ids) == 1 else None


def _whom(memory: Memory, service: Service) -> dict[str, Any]:
    return {"customerId": str(memory.key), "subscriptionId": service.key.subscription_id}


def _date(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


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
