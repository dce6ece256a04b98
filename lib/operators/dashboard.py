"""How everything stands, for the operators: services, queue, brake, mode, sweeps, and what calls for a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lib.database import brake, due, latest_version, schema_version, sweeps
from lib.database import dashboard as counted
from lib.model import Hold, ServiceState

if TYPE_CHECKING:
    from lib.subscription_manager.manager import SubscriptionManager

SWEEP_TAKES = timedelta(hours=2)
"""Longer than any sweep needs; one that is still unfinished then does not come on."""


async def show(bridge: SubscriptionManager) -> dict[str, Any]:
    """How everything stands, as the dashboard answers it."""
    numbers = await counted.numbers(bridge.db)
    load = await due.load(bridge.db)
    stopped = await brake.read(bridge.db)
    newest = await sweeps.newest(bridge.db)
    ended = await sweeps.newest(bridge.db, ended=True)
    services = numbers["services"]
    parked = sum(numbers["parked"].values())
    alerts = _brake_alerts(stopped)
    if parked:
        alerts.append({"code": "parked", "detail": f"{parked} wait for a person", "remedy": "See /api/admin/work."})
    if bridge.settings.provisioning_mode != "live":
        detail = f"PROVISIONING_MODE is {bridge.settings.provisioning_mode}"
        alerts.append({"code": "mode", "detail": detail, "remedy": "Set it to live once the plans look right."})
    if load.oldest_seconds > bridge.settings.health_max_lag and bridge.settings.provisioning_mode != "paused":
        detail = f"due work waits for {round(load.oldest_seconds)} s"
        alerts.append({"code": "stuck", "detail": detail, "remedy": "Check that the drain cron or the worker runs."})
    alerts += _sweep_alerts(newest, ended, await bridge.db.now())
    if newest and newest.orphans:
        detail = (
            f"{newest.counts.get('orphans', len(newest.orphans))} organisations carry our mark and belong to nobody"
        )
        alerts.append(
            {"code": "orphans", "detail": detail, "remedy": "Look at them in the panel; nothing deletes them."}
        )
    return {
        "mode": bridge.settings.provisioning_mode,
        "version": bridge.settings.app_version,
        "migration": {"applied": await schema_version(bridge.db), "wanted": latest_version()},
        "alerts": alerts,
        "customers": numbers["customers"],
        "services": {state.value: services.get(state.value, 0) for state in ServiceState},
        "holds": {hold.value: numbers["holds"].get(hold.value, 0) for hold in Hold},
        "suspendedInPanel": numbers["panel_suspended"],
        "organisationsSuspendedInPanel": numbers["orgs_suspended"],
        "websitesGone": {"total": numbers["websites_gone"], "services": numbers["websites_gone_from"]},
        "domainsDiffer": {"total": numbers["domains_differ"], "services": numbers["domains_differ_of"]},
        "queue": {
            "due": numbers["due"],
            "oldestSeconds": round(load.oldest_seconds, 1),
            "working": numbers["working"],
            "waiting": numbers["waiting"],
            "parked": {"total": parked, "byReason": numbers["parked"]},
        },
        "brake": {
            **_brake_json(stopped["suspensions"]),
            "max": bridge.settings.brake_max,
            "percent": bridge.settings.brake_percent,
            "moves": _brake_json(stopped["moves"]),
        },
        "shadow": {
            "customers": numbers["shadow_customers"],
            "actions": numbers["shadow_actions"],
            "plans": numbers["shadow_plans"],
        },
        "sweep": sweeps.as_json(newest) if newest else None,
        "events": {"lastDay": numbers["events_day"], "newestWebhookAt": numbers["newest_webhook"]},
        "actionsLastDay": numbers["actions_day"],
    }


def _brake_alerts(stopped: Mapping[brake.Counts, brake.Brake]) -> list[dict[str, Any]]:
    """That the brake is on, and for what."""
    told: list[tuple[brake.Counts, str, str]] = [
        ("suspensions", "brake", "Look at who waits, then releaseBrake."),
        (
            "moves",
            "brake_moves",
            "Put plan_mappings and plan_rules right, or let those who wait be moved: releaseBrake.",
        ),
    ]
    return [
        {"code": code, "detail": stopped[counts].reason, "remedy": remedy}
        for counts, code, remedy in told
        if stopped[counts].engaged_at
    ]


def _brake_json(found: brake.Brake) -> dict[str, Any]:
    return {
        "engaged": found.engaged_at is not None,
        "engagedAt": found.engaged_at,
        "reason": found.reason,
        "releasedAt": found.released_at,
        "releasedBy": found.released_by,
        "waiting": {"total": found.waiting, "services": found.services},
    }


def _sweep_alerts(newest: sweeps.Sweep | None, ended: sweeps.Sweep | None, now: datetime) -> list[dict[str, Any]]:
    """What the last finished sweep left out, and that the one under way does not come on."""
    alerts = []
    if ended and ended.errors:
        remedy = "What it names is not compared. ./scripts/doctor examines the keys; the next sweep tries again."
        alerts.append({"code": "sweep", "detail": f"the sweep left out {_named(ended.errors)}", "remedy": remedy})
    if newest and newest.finished_at is None and now - newest.started_at > SWEEP_TAKES:
        detail = f"a sweep has been at {newest.phase} since {newest.updated_at:%Y-%m-%d %H:%M} UTC"
        detail += f": {newest.errors[newest.phase]}" if newest.phase in newest.errors else ""
        remedy = "Check that the drain cron or the worker runs."
        alerts.append({"code": "sweep", "detail": detail, "remedy": remedy})
    return alerts


def _named(errors: dict[str, str]) -> str:
    return "; ".join(f"{phase} ({error})" for phase, error in errors.items())
