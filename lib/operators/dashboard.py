"""How everything stands, for the operators: services, queue, brake, mode, sweeps, and what calls for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from lib.database import brake, dashboard_numbers, due, latest_version, notices, overview, schema_version, sweeps
from lib.database.lists import orders
from lib.model import Hold, ServiceState
from lib.model.notice import Written
from lib.model.reason import remedy
from lib.operators import events, verdict
from lib.operators.views import overview as views
from lib.operators.views.outgoing import OutgoingNumbers
from lib.policy.currencies import digits, shown

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.config import Settings

SAMPLE = 20
"""Mails that are shown of those that were not sent."""

NEWS = timedelta(days=7)
"""For how long it is an alert that a mail was not sent, or that money came late; the lists keep it longer."""

SWEEP_TAKES = timedelta(hours=2)
"""Longer than any sweep needs; one that is still unfinished then does not come on."""


class _Found(NamedTuple):
    """What is read for the dashboard."""

    now: datetime
    counts: Mapping[str, Any]
    load: due.Load
    stopped: Mapping[brake.Counts, brake.Brake]
    newest: sweeps.Sweep | None
    """The newest sweep."""
    ended: sweeps.Sweep | None
    """The newest one that has ended."""
    money: Mapping[str, Any]
    unsent: int
    newest_unsent: Sequence[Written]
    outgoing: OutgoingNumbers | None
    overview: overview.Overview

    @property
    def parked(self) -> int:
        return sum(self.counts["parked"].values())


async def _read(bridge: Bridge) -> _Found:
    unsent, newest_unsent = await notices.trouble(bridge.db, SAMPLE)
    return _Found(
        now=await bridge.db.now(),
        counts=await dashboard_numbers.read(bridge.db),
        load=await due.load(bridge.db),
        stopped=await brake.read(bridge.db),
        newest=await sweeps.newest(bridge.db),
        ended=await sweeps.newest(bridge.db, ended=True),
        money=await orders.numbers(bridge.db),
        unsent=unsent,
        newest_unsent=newest_unsent,
        outgoing=await _outgoing(bridge),
        overview=await overview.read(bridge.db),
    )


async def show(bridge: Bridge) -> views.Dashboard:
    """How everything stands, as the dashboard answers it."""
    found = await _read(bridge)
    counts, services = found.counts, found.counts["services"]
    alerts = _alerts(bridge.settings, found)
    return views.Dashboard(
        verdict=_verdict(found, alerts),
        mode=bridge.settings.provisioning_mode,
        version=bridge.settings.app_version,
        migration=views.Migration(applied=await schema_version(bridge.db), wanted=latest_version()),
        alerts=alerts,
        customers=counts["customers"],
        services={state.value: services.get(state.value, 0) for state in ServiceState},
        holds={hold.value: counts["holds"].get(hold.value, 0) for hold in Hold},
        suspended_in_panel=counts["panel_suspended"],
        organisations_suspended_in_panel=counts["orgs_suspended"],
        websites_gone=_refs(counts["websites_gone"], counts["websites_gone_from"]),
        domains_differ=_refs(counts["domains_differ"], counts["domains_differ_of"]),
        queue=_queue(counts, found.load, found.overview),
        brake=_brakes(bridge.settings, found.stopped),
        shadow=_shadow(counts),
        sweep=_sweep(found.newest) if found.newest else None,
        events=await _events(bridge, counts),
        outgoing=found.outgoing,
        orders=_orders(found.money),
        actions_last_day=counts["actions_day"],
        notices_not_sent=_notices(found.unsent, found.newest_unsent),
        paid_to_live=views.PaidToLive(**found.overview.paid_to_live) if found.overview.paid_to_live["count"] else None,
        charts=_charts(found.overview),
        links=_links(bridge.settings),
    )


def _orders(money: Mapping[str, Any]) -> views.OrderNumbers:
    exponents = {currency: digits(currency) for currency in {**money["missing"], **money["to_return"]}}
    named = {name: money[name] for name in views.OrderNumbers.__struct_fields__ if name != "exponents"}
    return views.OrderNumbers(**named, exponents=exponents)


def _verdict(found: _Found, alerts: Sequence[views.Alert]) -> views.Verdict:
    receivers = found.outgoing.endpoints if found.outgoing else ()
    needs = verdict.Needs(
        parked=found.parked,
        braked=sum(stopped.waiting for stopped in found.stopped.values()),
        receivers=sum(one.state in ("failing", "disabled") for one in receivers),
        disputes=found.overview.disputes,
        to_return=found.money["orders_to_return"],
        part_paid=found.money["overdue_in_part"],
    )
    busy = found.counts["due"] + found.counts["working"]
    return verdict.of(needs, busy, [alert.code for alert in alerts])


def _charts(found: overview.Overview) -> views.Charts:
    return views.Charts(
        events_per_hour=[
            views.EventsOfHour(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in found.events
        ],
        sweeps=[views.SweepPoint(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in found.sweeps],
    )


def _links(settings: Settings) -> views.Links:
    stripe = "https://dashboard.stripe.com"
    return views.Links(
        stripe=stripe if settings.livemode else f"{stripe}/test", panel=settings.enhance_api_url.removesuffix("/api")
    )


def _alerts(settings: Settings, found: _Found) -> list[views.Alert]:
    """What calls for a person."""
    return [
        *_brake_alerts(found.stopped),
        *_work_alerts(settings, found.parked, found.load),
        *_sweep_alerts(found.newest, found.ended, found.now),
        *_orphan_alerts(found.newest),
        *_outgoing_alerts(found.outgoing),
        *_order_alerts(found.money),
        *_notice_alerts(found.newest_unsent),
    ]


def _notices(unsent: int, newest: Sequence[Written]) -> views.NoticeNumbers:
    return views.NoticeNumbers(total=unsent, newest=[views.NoticeView.of_written(written) for written in newest])


async def _events(bridge: Bridge, counts: Mapping[str, Any]) -> views.EventNumbers:
    undone, newest_undone = await events.not_done(bridge)
    return views.EventNumbers(
        last_day=counts["events_day"],
        newest_webhook_at=counts["newest_webhook"],
        not_done=undone,
        newest_not_done=newest_undone,
    )


async def _outgoing(bridge: Bridge) -> OutgoingNumbers | None:
    """What goes to the operator's own systems; nothing is read where there are none."""
    if not bridge.settings.outbox:
        return None
    from lib.operators import outgoing

    return await outgoing.numbers(bridge)


def _outgoing_alerts(found: OutgoingNumbers | None) -> list[views.Alert]:
    """Which of the operator's own systems take nothing any more."""
    remedy = "Mend the receiver, then enable it: POST /api/admin/events. Nothing is lost."
    alerts = []
    for one in found.endpoints if found else ():
        if one.state in ("failing", "disabled"):
            does = "is disabled" if one.state == "disabled" else "fails"
            detail = f"{one.url} {does}, and {one.waiting} events wait: {one.error}"
            alerts.append(views.Alert(code=f"endpoint_{one.state}", detail=detail, remedy=remedy))
    return alerts


def _queue(counts: Mapping[str, Any], load: due.Load, found: overview.Overview) -> views.QueueView:
    groups = [
        views.ParkedGroup(
            reason=one["reason"],
            count=one["count"],
            oldest_at=datetime.fromisoformat(one["oldest_at"]),
            remedy=remedy(one["reason"]),
        )
        for one in found.groups
    ]
    return views.QueueView(
        due=counts["due"],
        oldest_seconds=round(load.oldest_seconds, 1),
        oldest_due_at=found.oldest_due_at,
        working=counts["working"],
        waiting=counts["waiting"],
        parked=views.Parked(total=sum(counts["parked"].values()), by_reason=counts["parked"], groups=groups),
    )


def _brakes(settings: Settings, stopped: Mapping[brake.Counts, brake.Brake]) -> views.BrakeView:
    return views.BrakeView.of(
        _brake(stopped["suspensions"]),
        max=settings.brake_max,
        percent=settings.brake_percent,
        moves=_brake(stopped["moves"]),
    )


def _shadow(counts: Mapping[str, Any]) -> views.ShadowView:
    return views.ShadowView(
        customers=counts["shadow_customers"],
        actions=counts["shadow_actions"],
        plans=[views.ShadowPlan(**plan) for plan in counts["shadow_plans"]],
    )


def _refs(total: int, services: list[dict[str, Any]]) -> views.ServiceRefs:
    return views.ServiceRefs(total=total, services=[views.ServiceRef(**service) for service in services])


def _sweep(sweep: sweeps.Sweep) -> views.SweepView:
    return views.SweepView.of(sweep, phase=None if sweep.finished_at else sweep.phase)


def _work_alerts(settings: Settings, parked: int, load: due.Load) -> Iterator[views.Alert]:
    """What of the queue calls for a person."""
    if parked:
        yield views.Alert(code="parked", detail=f"{parked} wait for a person", remedy="See /api/admin/work.")
    if settings.provisioning_mode != "live":
        detail = f"PROVISIONING_MODE is {settings.provisioning_mode}"
        yield views.Alert(code="mode", detail=detail, remedy="Set it to live once the plans look right.")
    if load.oldest_seconds > settings.health_max_lag and settings.provisioning_mode != "paused":
        detail = f"due work waits for {round(load.oldest_seconds)} s"
        yield views.Alert(code="stuck", detail=detail, remedy="Check that the drain cron or the worker runs.")


def _orphan_alerts(newest: sweeps.Sweep | None) -> Iterator[views.Alert]:
    """Organisations of ours that the last sweep found and that nobody is remembered for."""
    if newest and newest.orphans:
        count = newest.counts.get("orphans", len(newest.orphans))
        detail = f"{count} organisations carry our mark and belong to nobody"
        yield views.Alert(code="orphans", detail=detail, remedy="Look at them in the panel; nothing deletes them.")


def _order_alerts(money: Mapping[str, Any]) -> Iterator[views.Alert]:
    """What of the money side calls for a person."""
    if count := money["long_not_live"]:
        detail = f"{count} orders were paid more than 15 minutes ago, and nothing runs for them"
        yield views.Alert(code="paid_not_live", detail=detail, remedy="See /api/admin/orders?notLive=true.")
    if money["to_return"]:
        sums = ", ".join(shown(amount, currency) for currency, amount in sorted(money["to_return"].items()))
        detail = f"{sums} came too much, too late or for an order that was given up, and is to be returned"
        remedy = "See /api/admin/orders?overpaid=true: give it back, and write that down with the action return."
        yield views.Alert(code="to_return", detail=detail, remedy=remedy)
    if count := money["overdue_in_part"]:
        detail = f"{count} orders are past their date with a part of their money come"
        remedy = "See /api/admin/orders?overdue=true&state=paying: collect the rest, or cancel, and return the part."
        yield views.Alert(code="part_paid", detail=detail, remedy=remedy)
    if count := money["newly_paid_late"]:
        detail = f"{count} orders that had expired or were cancelled were paid after all in the last {NEWS.days} days"
        remedy = "See /api/admin/orders?paidLate=true: what is not wanted any more is refunded."
        yield views.Alert(code="paid_late", detail=detail, remedy=remedy)


NOTICES = "noticesNotSent has the newest: correct the address in Stripe, then send resendNotice to /api/admin/events."
"""What is done about mails that were refused."""


def _notice_alerts(unsent: Sequence[Written]) -> Iterator[views.Alert]:
    """Mails to customers of the last days that were refused, or of which nobody knows."""
    if unsent and unsent[0].ended_at is not None and unsent[0].ended_at > unsent[0].at - NEWS:
        detail = "mails to customers were refused for good, or their answer was lost"
        yield views.Alert(code="notices", detail=detail, remedy=NOTICES)


def _brake_alerts(stopped: Mapping[brake.Counts, brake.Brake]) -> list[views.Alert]:
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
        views.Alert(code=code, detail=stopped[counts].reason or "the brake is on", remedy=remedy)
        for counts, code, remedy in told
        if stopped[counts].engaged_at
    ]


def _brake(found: brake.Brake) -> views.BrakeCount:
    return views.BrakeCount.of(
        found,
        engaged=found.engaged_at is not None,
        waiting=views.Waiting(total=found.waiting, services=[views.Braked(**one) for one in found.services]),
    )


def _sweep_alerts(newest: sweeps.Sweep | None, ended: sweeps.Sweep | None, now: datetime) -> list[views.Alert]:
    """What the last finished sweep left out, and that the one under way does not come on."""
    alerts: list[views.Alert] = []
    if ended and ended.errors:
        remedy = "What it names is not compared. ./scripts/doctor examines the keys; the next sweep tries again."
        alerts.append(views.Alert(code="sweep", detail=f"the sweep left out {_named(ended.errors)}", remedy=remedy))
    if newest and newest.finished_at is None and now - newest.started_at > SWEEP_TAKES:
        detail = f"a sweep has been at {newest.phase} since {newest.updated_at:%Y-%m-%d %H:%M} UTC"
        detail += f": {newest.errors[newest.phase]}" if newest.phase in newest.errors else ""
        remedy = "Check that the drain cron or the worker runs."
        alerts.append(views.Alert(code="sweep", detail=detail, remedy=remedy))
    return alerts


def _named(errors: dict[str, str]) -> str:
    return "; ".join(f"{phase} ({error})" for phase, error in errors.items())
