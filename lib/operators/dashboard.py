"""How everything stands, for the operators: services, queue, brake, mode, sweeps, and what calls for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lib.database import (
    alert_facts,
    brake,
    dashboard_numbers,
    latest_version,
    notices,
    overview,
    sweeps,
    tallies,
)
from lib.database import alerts as told
from lib.database.connection import Reading
from lib.database.lists import events as lists
from lib.database.lists import orders
from lib.database.schema import reading_version
from lib.model import Hold, ServiceState
from lib.model.alert import AlertRow, Cause
from lib.model.notice import Written
from lib.model.reason import remedy
from lib.operators import events, verdict
from lib.operators.views import overview as views
from lib.operators.views.events import EventView
from lib.operators.views.outgoing import OutgoingNumbers
from lib.policy.alerts import causes
from lib.policy.currencies import digits

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.config import Settings
    from lib.database.lists.outgoing import EndpointRow

SAMPLE = 20
"""Mails that are shown of those that were not sent."""


class _Found(NamedTuple):
    """What is read for the dashboard."""

    counts: Mapping[str, Any]
    stopped: Mapping[brake.Counts, brake.Brake]
    newest: sweeps.Sweep | None
    """The newest sweep."""
    money: Mapping[str, Any]
    unsent: int
    newest_unsent: Sequence[Written]
    undone: int
    newest_undone: Sequence[EventView]
    outgoing: OutgoingNumbers | None
    overview: overview.Overview
    oldest_seconds: float
    """How long the oldest row that was asked for waits."""
    causes: Sequence[Cause]
    """What calls for a person."""
    told: Mapping[str, AlertRow]
    """What was told of it."""
    migration: int

    @property
    def parked(self) -> int:
        return sum(group["count"] for group in self.counts["parked"])


async def _read(bridge: Bridge) -> _Found:
    """All of it in one round trip, and in another one how the queue stands with the newest events without effect."""
    settings = bridge.settings
    readings: dict[str, Reading[Any]] = {
        "folded": tallies.folding(),
        "counts": dashboard_numbers.reading(),
        "stopped": brake.reading(),
        "newest": sweeps.reading_newest(),
        "money": orders.reading_numbers(),
        "mails": notices.reading_trouble(SAMPLE),
        "not_done": lists.reading_not_done(SAMPLE),
        "overview": overview.reading(),
        "facts": alert_facts.reading(settings),
        "told": told.reading_every(),
        "migration": reading_version(),
    }
    if settings.outbox:  # nothing is read where there are none
        from lib.database.lists.outgoing import reading_endpoints

        readings["endpoints"] = reading_endpoints()
    found = await bridge.db.read_all(readings)
    undone, newest_undone = found["not_done"]
    return _Found(
        counts=found["counts"],
        stopped=found["stopped"],
        newest=found["newest"],
        money=found["money"],
        unsent=found["mails"][0],
        newest_unsent=found["mails"][1],
        undone=undone,
        newest_undone=await events.views_of(bridge, newest_undone),
        outgoing=_outgoing(bridge, found.get("endpoints")),
        overview=found["overview"],
        oldest_seconds=found["facts"].oldest_seconds,
        causes=causes(found["facts"], alert_facts.limits(settings)),
        told=found["told"],
        migration=found["migration"],
    )


async def show(bridge: Bridge) -> views.Dashboard:
    """How everything stands, as the dashboard answers it."""
    found = await _read(bridge)
    counts, services = found.counts, found.counts["services"]
    alerts = [views.Alert(code=one.code, detail=one.detail, remedy=one.remedy) for one in found.causes]
    return views.Dashboard(
        verdict=_verdict(found, alerts),
        mode=bridge.settings.provisioning_mode,
        version=bridge.settings.app_version,
        migration=views.Migration(applied=found.migration, wanted=latest_version()),
        alerts=alerts,
        open_alerts=[*(_open(one, found) for one in found.causes), *_over(found)],
        customers=counts["customers"],
        services={state.value: services.get(state.value, 0) for state in ServiceState},
        holds={hold.value: counts["holds"].get(hold.value, 0) for hold in Hold},
        suspended_in_panel=counts["panel_suspended"],
        organisations_suspended_in_panel=counts["orgs_suspended"],
        websites_gone=_refs(counts["websites_gone"], counts["websites_gone_from"]),
        domains_differ=_refs(counts["domains_differ"], counts["domains_differ_of"]),
        queue=_queue(found),
        brake=_brakes(bridge.settings, found.stopped),
        shadow=_shadow(counts),
        sweep=_sweep(found.newest) if found.newest else None,
        events=_events(found),
        outgoing=found.outgoing,
        orders=_orders(found.money, kept=bridge.settings.keeps_orders),
        actions_last_day=counts["actions_day"],
        notices_not_sent=_notices(found.unsent, found.newest_unsent),
        paid_to_live=views.PaidToLive(**found.overview.paid_to_live) if found.overview.paid_to_live["count"] else None,
        charts=_charts(found.overview),
        links=_links(bridge.settings),
    )


def _orders(money: Mapping[str, Any], *, kept: bool) -> views.OrderNumbers:
    exponents = {currency: digits(currency) for currency in {**money["missing"], **money["to_return"]}}
    told = {**money, "kept": kept, "exponents": exponents}
    return views.OrderNumbers(**{name: told[name] for name in views.OrderNumbers.__struct_fields__})


def _verdict(found: _Found, alerts: Sequence[views.Alert]) -> views.Verdict:
    receivers = found.outgoing.endpoints if found.outgoing else ()
    needs = verdict.Needs(
        parked=found.parked,
        braked=sum(stopped.waiting for stopped in found.stopped.values()),
        receivers=sum(one.state in ("failing", "disabled") for one in receivers),
        disputes=found.counts["disputes"],
        to_return=found.money["orders_to_return"],
        part_paid=found.money["overdue_in_part"],
    )
    busy = found.counts["due"] + found.counts["working"]
    failing = found.counts["waiting"].get("retry", 0)
    return verdict.of(needs, busy, [alert.code for alert in alerts], failing)


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


def _open(cause: Cause, found: _Found) -> views.OpenAlert:
    """A cause, and what was told of it."""
    row = found.told.get(cause.cause)
    known = [at for at in (cause.since, row.opened_at if row else None) if at is not None]
    return views.OpenAlert(
        cause=cause.cause,
        title=cause.title,
        detail=cause.detail,
        remedy=cause.remedy,
        opened_at=min(known, default=None),
        last_told_at=row.told_at if row else None,
        delivery_error=row.delivery_error if row else None,
    )


def _over(found: _Found) -> list[views.OpenAlert]:
    """What is over, and a receiver refuses to hear it: else nobody would look at the receiver."""
    names = {one.cause for one in found.causes}
    return [
        views.OpenAlert(
            cause=row.cause,
            title=row.title,
            detail=row.detail,
            remedy=row.remedy,
            opened_at=row.opened_at,
            last_told_at=row.told_at,
            delivery_error=row.delivery_error,
            over=True,
        )
        for row in found.told.values()
        if row.cause not in names and row.delivery_error is not None
    ]


def _notices(unsent: int, newest: Sequence[Written]) -> views.NoticeNumbers:
    return views.NoticeNumbers(total=unsent, newest=[views.NoticeView.of_written(written) for written in newest])


def _events(found: _Found) -> views.EventNumbers:
    return views.EventNumbers(
        last_day=found.counts["events_day"],
        newest_webhook_at=found.counts["newest_webhook"],
        not_done=found.undone,
        newest_not_done=list(found.newest_undone),
    )


def _outgoing(bridge: Bridge, endpoints: Sequence[EndpointRow] | None) -> OutgoingNumbers | None:
    """What goes to the operator's own systems."""
    if endpoints is None:
        return None
    from lib.operators import outgoing

    return outgoing.numbers(bridge, endpoints)


def _queue(found: _Found) -> views.QueueView:
    groups = [
        views.ParkedGroup(
            reason=one["reason"],
            count=one["count"],
            oldest_at=datetime.fromisoformat(one["oldest_at"]),
            remedy=remedy(one["reason"]),
        )
        for one in found.counts["parked"]
    ]
    return views.QueueView(
        due=found.counts["due"],
        oldest_seconds=round(found.oldest_seconds, 1),
        oldest_due_at=found.overview.oldest_due_at,
        working=found.counts["working"],
        waiting=found.counts["waiting"],
        parked=views.Parked(
            total=found.parked, by_reason={group.reason: group.count for group in groups}, groups=groups
        ),
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


def _brake(found: brake.Brake) -> views.BrakeCount:
    return views.BrakeCount.of(
        found,
        engaged=found.engaged_at is not None,
        waiting=views.Waiting(
            total=found.waiting, digest=found.digest, services=[views.Braked(**one) for one in found.services]
        ),
    )
