"""What takes an act of a person back, where something does and it is still in effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from lib.database.lists.timeline import Happened
from lib.model import Hold, Memory, ServiceKey
from lib.model.grace import Promise
from lib.model.reason import Rule
from lib.operators.views.undo import Undo

WORK: Final = "/api/admin/work"
PLANS: Final = "/api/admin/plans"

Row = Mapping[str, Any]
"""A mapping, by its columns."""


class Inverse(Struct, frozen=True):
    """What an act is taken back by: the services that it changed and that are as it left them, and no other."""

    kind: Literal["hold", "lift", "grace"]
    services: Mapping[ServiceKey, Promise]
    """Each with the date that it had before, and gets again by a `grace`."""

    @property
    def label(self) -> str:
        """What it does, for people."""
        several = f" of {len(self.services)} services" if len(self.services) > 1 else ""
        if self.kind == "hold":
            return f"Hold {len(self.services)} services again" if several else "Hold again"
        if self.kind == "lift":
            return f"Lift this hold{several}"
        dates = {promise.until for promise in self.services.values()}
        if dates == {None}:
            return f"Take this date back{several}"
        if len(dates) > 1:
            return f"Set the dates{several} back"
        (date,) = dates
        assert date is not None
        return f"Set the date{several} back to {date:%Y-%m-%d}"


def inverse(happened: Happened, memory: Memory) -> Inverse | None:
    """The inverse of an act on a customer, as they are remembered now.

    `None`: it has none, or nothing is any more as it left it, or its line of the ledger does not say what it changed.
    """
    if happened.source != "action" or happened.rule != Rule.BY_HAND:
        return None
    changed = {
        ServiceKey(one["subscription_id"], one["slot"]): one for one in (happened.before or {}).get("services", ())
    }
    stand: dict[ServiceKey, Promise] = {}
    for service in memory.services:
        line = changed.get(service.key)
        if line is None:
            continue
        before, now = Promise.read(line), Promise(service.grace_override, amnesty=service.amnesty)
        match happened.kind:
            case "hold" | "lift":
                as_left = (Hold.ADMIN in service.holds) is (happened.kind == "hold")
            case "grace":  # who has paid since has none again
                as_left = now == _left(happened.facts, line) and now != before
            case _:
                as_left = False
        if as_left:
            stand[service.key] = before
    if not stand:
        return None
    kinds: Mapping[str, Literal["hold", "lift", "grace"]] = {"hold": "lift", "lift": "hold", "grace": "grace"}
    return Inverse(kinds[happened.kind], stand)


def _left(facts: Mapping[str, Any], line: Mapping[str, Any]) -> Promise:
    """The date that a `grace` gave a service: its own where one was taken back, else the one for all."""
    if line.get("to") is not None:
        return Promise.read(line["to"])
    by_many = "subscriptions" in facts
    return Promise.read({"until": facts.get("until"), "amnesty": by_many and facts.get("until") is not None})


def of_happened(happened: Happened, memory: Memory) -> Undo | None:
    """What an entry of the timeline offers: the request that takes it back, while it is in effect."""
    found = inverse(happened, memory)
    if found is None:
        return None
    services = [str(key) for key in found.services]
    body = {"action": "undo", "customerId": str(memory.key), "actionId": happened.id, "services": services}
    return Undo(route=WORK, method="POST", body=body, label=found.label)


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
