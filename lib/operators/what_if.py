"""What other settings would change now; nothing is changed, and Stripe is not asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lib.config import Policy, Settings
from lib.database.lists import at_stake
from lib.errors import Fault
from lib.model import ServiceKey
from lib.operators.views.what_if import Affected, AffectedService, WhatIf
from lib.policy.goal import OPEN_DISPUTE
from lib.policy.what_if import Change, change
from lib.structs import replace
from lib.web.typed import declined

if TYPE_CHECKING:
    from lib.bridge import Bridge

ASKED = (
    "GRACE_DAYS", "RETENTION_DAYS", "ON_DISPUTE", "ON_DISPUTE_LOST", "PAUSE_COLLECTION", "ON_REFUND", "SUSPEND_WINDOW",
    "BRAKE_MAX", "BRAKE_PERCENT",
)  # fmt: skip
"""The settings about which can be asked."""

LOOKED_AT = 10_000
"""Services in trouble that are looked at: a second or two. The rest counts as not known."""

SAMPLE = 20
LIVE_FOR_PERCENT = 100


def read(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings as they are typed in an environment, by the names of their fields.

    Raises:
        Declined: 422 with every fault at once.
    """
    known = {setting.env: (field, setting) for field, setting in Settings.each() if setting.env in ASKED}
    faults, values = [], {}
    for name, typed in given.items():
        if name not in known:
            detail = f"settings.{name} is none of {', '.join(ASKED)}"
            faults.append(Fault(f"settings.{name}", "unknown", detail))
            continue
        field, setting = known[name]
        try:
            value = typed.strip()
            values[field] = setting.parse(value) if value else setting.default
        except ValueError as error:
            faults.append(Fault(f"settings.{name}", "invalid", f"settings.{name} {error}"))
    if not given:
        faults.append(Fault("settings", "missing", f"name one of {', '.join(ASKED)}"))
    if faults:
        raise declined(faults)
    return values


async def look(bridge: Bridge, values: Mapping[str, Any]) -> WhatIf:
    """What these settings would change, for whom."""
    before = bridge.settings.policy
    names = Policy.__struct_fields__
    after = replace(before, **{name: value for name, value in values.items() if name in names})
    now = await bridge.db.now()
    ends = (before.retention_days, before.suspend_window) != (after.retention_days, after.suspend_window)
    refunds = before.on_refund != after.on_refund
    found, total = await at_stake.concerned(
        bridge.db, sorted(OPEN_DISPUTE), ended=ends, refunds=refunds, limit=LOOKED_AT
    )
    changed: dict[Change, list[AffectedService]] = {}
    for whom, one in found:
        effect = change(one, before, after, now)
        if effect is not None:
            key: ServiceKey = one.service.key
            changed.setdefault(effect, []).append(
                AffectedService(
                    customer_id=str(whom),
                    subscription_id=key.subscription_id,
                    service=str(key),
                    domain=one.service.domain,
                )
            )
    not_known = len(changed.get("not_known", ())) + total - len(found)
    if (before.pause_collection, after.pause_collection) == ("keep", "suspend"):
        # Of what runs nobody remembers whose collection is paused; what would be suspended anyway is counted as that.
        not_known += await at_stake.live(bridge.db) - len(changed.get("suspended", ()))
    off = len(changed.get("suspended", ())) + len(changed.get("deleted", ()))
    return WhatIf(
        suspended=_affected(changed, "suspended"),
        resumed=_affected(changed, "resumed"),
        deleted=_affected(changed, "deleted"),
        later=_affected(changed, "later"),
        sooner=_affected(changed, "sooner"),
        braked=max(0, off - await _limit(bridge, values)),
        not_known=not_known,
        as_of=now,
    )


async def _limit(bridge: Bridge, values: Mapping[str, Any]) -> int:
    """How many suspensions and deletions the brake would let happen within an hour."""
    most: int = values.get("brake_max", bridge.settings.brake_max)
    percent: int = values.get("brake_percent", bridge.settings.brake_percent)
    running = await at_stake.live(bridge.db)
    return min(most, running * percent // 100) if running >= LIVE_FOR_PERCENT else most


def _affected(changed: Mapping[Change, list[AffectedService]], effect: Change) -> Affected:
    services = changed.get(effect, [])
    return Affected(total=len(services), sample=services[:SAMPLE])
