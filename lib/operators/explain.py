"""Everything that is known of one customer: truth, memory, desired, actual, what comes next, and the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from lib.database import customer_memory, ledger
from lib.database.lists import queue
from lib.database.lists.queue import WorkRow
from lib.errors import Refused, Retryable
from lib.model import (
    Actual,
    CustomerKey,
    Facts,
    Goal,
    Memory,
    PanelSubscription,
    Payer,
    Service,
    ServiceKey,
    Settled,
    Subscription,
    Wanted,
)
from lib.model.reason import means
from lib.model.report import PassReport
from lib.operators.views.customers import Queued
from lib.operators.views.passes import PassView
from lib.policy import desired
from lib.policy.currencies import digits
from lib.structs import replace
from lib.subscription_manager.panel import Panel
from lib.subscription_manager.truth import informed, truth_of
from lib.web.typed import View

if TYPE_CHECKING:
    from lib.bridge import Bridge

Side = Literal["stripe", "panel"]


class Explanation(Struct, frozen=True):
    """What a person needs in order to see why one customer's hosting is as it is."""

    customer_id: str
    mode: str
    payer: Payer | None
    """`None` while Stripe is away, and for somebody whom it does not know."""
    memory: Memory
    report: PassReport
    """Of a dry run: what should be, and what would be done next."""
    actual: Actual | None
    """`None` while the panel is away."""
    queued: WorkRow | None
    timeline: Sequence[Mapping[str, Any]]
    """The newest facts of the ledger, oldest first, with its columns as keys."""
    away: Mapping[Side, str]
    """Which side could not be read, and why."""

    def service_of(self, found: PanelSubscription) -> Service | None:
        """Which service a panel subscription is remembered as."""
        return next((s for s in self.memory.services if s.panel_subscription_id == found.id), None)

    def as_json(self) -> dict[str, Any]:
        """camelCase; times are still datetimes."""
        report = _plain(PassView.of_report(self.report))
        return {
            "customerId": self.customer_id,
            "mode": self.mode,
            "away": {"stripe": self.away.get("stripe"), "panel": self.away.get("panel")},
            "truth": _truth(self.payer) if self.payer is not None else None,
            "remembered": [_remembered(service) for service in self.memory.services],
            "desired": [
                {
                    **said,
                    "means": means(goal.rule),
                    "wakeAt": goal.wake_at,
                    "changesTo": goal.plan if goal.service.plan not in (None, goal.plan) else None,
                }
                for said, goal in zip(report["services"], self.report.goals, strict=True)
            ],
            "actual": self._actual(self.actual) if self.actual is not None else None,
            "next": {
                "actions": report["actions"],
                "outcome": {"problems": [], **report["outcome"]},
            },
            "queue": _plain(Queued.of_row(self.queued)) if self.queued else None,
            "timeline": [_fact(row) for row in self.timeline],
        }

    def _actual(self, actual: Actual) -> dict[str, Any]:
        return {
            "orgId": self.memory.org_id,
            "loginId": self.memory.login_id,
            "orgGone": actual.org_gone,
            "subscriptions": [
                {
                    "panelSubscriptionId": found.id,
                    "service": str(service.key) if service else None,
                    "planId": found.plan_id,
                    "plan": found.plan_name,
                    "state": state(found),
                    "suspendedBy": found.suspended_by,
                    "suspendedByBridge": suspended_by_us(found, service),
                    "websiteId": service.website_id if service else None,
                }
                for found in actual.subscriptions
                for service in [self.service_of(found)]
            ],
        }


def _plain(view: View) -> dict[str, Any]:
    """A view as plain JSON objects; times are still datetimes."""
    plain: dict[str, Any] = msgspec.to_builtins(view, builtin_types=(datetime,))
    return plain


def state(found: PanelSubscription) -> str:
    """deleted, suspended or on."""
    return "deleted" if found.deleted else "suspended" if found.suspended_by else "on"


def suspended_by_us(found: PanelSubscription, service: Service | None) -> bool:
    """Whether its suspension is one that this bridge made, and may lift."""
    return service is not None and service.suspension_is_ours(found.suspended_by)


def service_key(fact: Mapping[str, Any]) -> str | None:
    """Which service a row of the ledger is about."""
    return str(ServiceKey(fact["subscription_id"], fact["slot"])) if fact["slot"] is not None else None


async def explain(bridge: Bridge, customer_id: str, *, facts: int) -> Explanation:
    """What a pass would see and do, and what stands in the database; writes nothing.

    Neither side is asked anything that the pass knows. What it did not come to, because the other side is away, is
    asked for; what can't be read is named in `away`, and the rest is told.

    Args:
        facts: how many of the newest facts of the ledger.
    """
    report = await bridge.reconcile(customer_id, dry_run=True)
    whom = CustomerKey.read(customer_id)
    seen, away = report.seen, dict[Side, str]()
    memory = seen.memory if seen is not None else (await customer_memory.load(bridge.db, whom))[0]
    actual: Actual | None = seen.actual if seen is not None else Actual()
    if not report.looked and not isinstance(report.outcome, Settled):
        away["stripe" if seen is None else "panel"] = report.said
        if seen is None:
            actual = await _without_stripe(bridge, memory, away)
        else:
            report, actual = replace(report, goals=await _without_panel(bridge, seen, away)), None
    return Explanation(
        customer_id=customer_id,
        mode=bridge.settings.provisioning_mode,
        payer=seen.payer if seen is not None else None,
        memory=memory,
        report=report,
        actual=actual,
        queued=await queue.row_of(bridge.db, whom),
        timeline=await ledger.timeline(bridge.db, whom, limit=facts),
        away=away,
    )


async def _without_stripe(bridge: Bridge, memory: Memory, away: dict[Side, str]) -> Actual | None:
    """What the panel has while Stripe is away: the pass did not come to it."""
    try:
        return await Panel(bridge.db, bridge.enhance).look(memory, doubt=True)
    except (Refused, Retryable) as error:
        away["panel"] = str(error)
        return None


async def _without_panel(bridge: Bridge, seen: Facts, away: dict[Side, str]) -> tuple[Goal, ...]:
    """What should be while the panel is away: the pass got no further, and the rules need only Stripe."""
    now = seen.payer.as_of or await bridge.db.now()

    def want(payer: Payer) -> Wanted:
        return desired(payer, seen.memory, seen.catalogue, bridge.settings.policy, now)

    try:
        truth = truth_of(seen.memory, bridge.db, bridge.stripe)
        return want(await informed(truth, seen.payer, want)).goals
    except (Refused, Retryable) as error:
        away["stripe"] = str(error)
        return ()


def _truth(payer: Payer) -> dict[str, Any]:
    return {
        "email": payer.email,
        "name": payer.name,
        "deleted": payer.deleted,
        "subscriptions": [_subscription(said) for said in payer.subscriptions],
    }


def _subscription(said: Subscription) -> dict[str, Any]:
    invoice = said.latest_invoice
    return {
        "id": said.id,
        "status": said.status,
        "items": [{"id": item.id, "priceId": item.price_id, "quantity": item.quantity} for item in said.items],
        "latestInvoice": {"id": invoice.id, "status": invoice.status} if invoice else None,
        "openInvoices": [
            {"id": i.id, "since": i.owed_since, "due": i.amount_due, **_currency(i.currency)}
            for i in said.invoices or ()
            if i.status == "open"
        ],
        "trialEnd": said.trial_end,
        "cancelAt": said.cancel_at,
        "endedAt": said.ended_at,
        "collectionPaused": said.collection_paused,
        "disputes": list(said.disputes),
        "refunded": sorted(i.id for i in said.known_invoices if i.id in said.refunded),
        "domain": said.domain,
    }


def _currency(code: str | None) -> dict[str, Any]:
    return {"currency": code, "exponent": digits(code) if code else None}


def _remembered(service: Service) -> dict[str, Any]:
    return {
        "service": str(service.key),
        "state": service.state.value,
        "plan": service.plan,
        "panelSubscriptionId": service.panel_subscription_id,
        "domain": service.domain,
        "holds": sorted(service.holds),
        "panelSuspended": service.panel_suspended,
        "unpaidSince": service.unpaid_since,
        "graceUntil": service.grace_until,
        "endsAt": service.ends_at,
        "waitsFor": service.wait_reason,
    }


def _fact(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": row["at"],
        "kind": row["kind"],
        "state": row["state"],
        "service": service_key(row),
        "rule": row["rule"],
        "actor": row["actor"],
        "before": row["before"],
        "after": row["after"],
        "facts": row["facts"],
        "error": row["error"],
        "passId": row["pass_id"],
    }
