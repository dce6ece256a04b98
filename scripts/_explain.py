"""Explain one customer: what Stripe says, what should be, what is, what comes next and why, and what was done."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scripts._console import bridge, table, when

if TYPE_CHECKING:
    from lib.database.work import WorkRow
    from lib.enhance_client.client import Org, Website
    from lib.model import Goal, Memory, PanelSubscription, Payer, Service, Subscription
    from lib.subscription_manager import PassReport, SubscriptionManager

SHOWN = 40
"""Facts of the timeline unless more are asked for."""


def main() -> None:
    """Print the explanation; exit code 1 when nobody knows the id."""
    parser = argparse.ArgumentParser(
        prog="scripts/explain",
        description="Says of one customer what Stripe says (truth), what should be and by which rule (desired), what "
        "the panel has (actual), what comes next, what it waits for or is parked for, and what was done so far. "
        "Only reads: nothing is written anywhere. Settings come from the environment or from .env; the environment "
        "wins.",
        epilog="While Stripe or the panel is away, the rest is shown with what is remembered. "
        "Exit code: 0 explained, 1 nobody knows the id, 2 it could not be read, or not all of it.",
    )
    parser.add_argument("id", metavar="CUSTOMER|SUBSCRIPTION", help="a Stripe id: cus_... or sub_...")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument(
        "--last", type=int, default=SHOWN, metavar="N", help="facts of the timeline to show (%(default)s)"
    )
    options = parser.parse_args()

    from lib.errors import BridgeError

    try:
        raise SystemExit(asyncio.run(_explain(options)))
    except BridgeError as error:
        print(f"It could not be read: {error}", file=sys.stderr)
        raise SystemExit(2) from None


async def _explain(options: argparse.Namespace) -> int:
    async with bridge() as manager:
        wanted = str(options.id).strip()
        customer_id = await _customer(manager, wanted)
        if customer_id is None:
            print(
                f"Neither Stripe nor this bridge knows {wanted!r}. Give a customer (cus_...) or a subscription"
                " (sub_...) of the account and mode of STRIPE_SECRET_KEY.",
                file=sys.stderr,
            )
            return 1
        story = await _read(manager, customer_id, max(options.last, 1))
        if options.json:
            print(json.dumps(story.as_json(), indent=2, default=_plain))
        else:
            for title, lines in story.told():
                print(f"{title}\n{lines}\n")
        for side, error in story.away.items():
            print(f"{side} could not be read: {error}", file=sys.stderr)
        return 2 if story.away else 0


async def _customer(manager: SubscriptionManager, wanted: str) -> str | None:
    from lib.database import ledger, work
    from lib.errors import Refused, Retryable

    if not wanted or "/" in wanted or not wanted.isascii() or not wanted.isprintable():
        return None
    try:
        if wanted.startswith("sub_"):
            return await manager.customer_of_subscription(wanted)
        return wanted if await manager.knows_customer(wanted) else None
    except (Refused, Retryable) as error:
        if isinstance(error, Refused) and error.reason == "stripe_refused":  # an id that Stripe can't even read
            return None
        if await work.row_of(manager.db, wanted) or await ledger.timeline(manager.db, wanted, limit=1):
            return wanted
        raise


async def _read(manager: SubscriptionManager, customer_id: str, last: int) -> _Story:
    from lib.database import ledger, work
    from lib.database import memory as memories
    from lib.errors import Refused, Retryable
    from lib.policy import desired, with_money_back

    away: dict[str, str] = {}
    report = await manager.reconcile(customer_id, dry_run=True)
    memory, catalogue = await memories.load(manager.db, customer_id)
    payer: Payer | None = None
    try:
        payer = await manager.stripe.payer(customer_id, {s.key.subscription_id for s in memory.services})
        payer = with_money_back(payer, memory)
    except (Refused, Retryable) as error:
        away["Stripe"] = str(error)
    found = _Found()
    try:
        found = await _panel(manager, memory)
    except (Refused, Retryable) as error:
        away["The panel"] = str(error)
    if payer is not None and "The panel" in away:  # the pass got no further than the panel; the rules need only Stripe
        now = payer.as_of or await manager.db.now()
        report = replace(report, goals=desired(payer, memory, catalogue, manager.settings.policy, now).goals)
    return _Story(
        customer_id=customer_id,
        mode=manager.settings.provisioning_mode,
        payer=payer,
        memory=memory,
        report=report,
        org=found.org,
        subscriptions=found.subscriptions,
        websites=found.websites,
        queued=await work.row_of(manager.db, customer_id),
        timeline=await ledger.timeline(manager.db, customer_id, limit=last),
        away=away,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the panel has of one customer."""

    org: Org | None = None
    subscriptions: Sequence[PanelSubscription] = ()
    websites: Mapping[str, Website] = field(default_factory=dict)


async def _panel(manager: SubscriptionManager, memory: Memory) -> _Found:
    from lib.errors import NotFound

    if memory.org_id is None:
        return _Found()
    try:
        org = await manager.enhance.org(memory.org_id)
        subscriptions = await manager.enhance.subscriptions(memory.org_id)
    except NotFound:
        return _Found()
    websites: dict[str, Website] = {}
    for service in memory.services:
        if service.website_id is not None:
            try:
                websites[service.website_id] = await manager.enhance.website(org.id, service.website_id)
            except NotFound:
                continue
    return _Found(org, subscriptions, websites)


@dataclass(frozen=True, slots=True)
class _Story:
    """Everything that is known of one customer."""

    customer_id: str
    mode: str
    payer: Payer | None
    """`None` while Stripe is away."""
    memory: Memory
    report: PassReport
    org: Org | None
    subscriptions: Sequence[PanelSubscription]
    websites: Mapping[str, Website]
    queued: WorkRow | None
    timeline: Sequence[Mapping[str, Any]]
    away: Mapping[str, str]
    """Which side could not be read, and why."""

    # --- for people ---

    def told(self) -> Iterator[tuple[str, str]]:
        """Title and text of each section."""
        yield f"Customer {self.customer_id}", self._customer()
        if self.away:
            yield "Remembered: as it was when both sides were last seen", self._remembered()
        yield "Truth: what Stripe says", self._truth()
        yield "Desired: what should be, and by which rule", self._desired()
        yield "Actual: what the panel has", self._actual()
        yield "Next", self._next()
        yield "Queue", self._queue()
        yield "Timeline", self._timeline()

    def _customer(self) -> str:
        memory, payer = self.memory, self.payer
        rows = [
            ("Stripe", _joined(payer.name, payer.email, "DELETED" if payer.deleted else None) if payer else "away"),
            ("remembered", "personal data erased" if memory.erased else _joined(memory.name, memory.email)),
            ("organisation", memory.org_id),
            ("login", memory.login_id),
            ("mode", self.mode),
        ]
        return table(("WHAT", ""), rows)

    def _remembered(self) -> str:
        heads = ("SERVICE", "STATE", "PLAN", "HOSTING", "DOMAIN", "HOLDS", "GRACE UNTIL", "WAITS FOR")
        rows = [
            (s.key, s.state.value, s.plan, s.panel_subscription_id, s.domain, ", ".join(sorted(s.holds)),
             when(s.grace_until), s.waits_for)
            for s in self.memory.services
        ]  # fmt: skip
        return table(heads, rows) if rows else "  no service"

    def _truth(self) -> str:
        if self.payer is None:
            return f"  Stripe is away: {self.away['Stripe']}"
        heads = ("SUBSCRIPTION", "STATUS", "ITEMS", "LATEST INVOICE", "OWED SINCE", "ENDS", "DOMAIN", "ALSO")
        rows = [
            (
                s.id,
                s.status,
                ", ".join(f"{item.quantity} x {item.price_id}" for item in s.items),
                f"{s.latest_invoice.id} {s.latest_invoice.status}" if s.latest_invoice else None,
                when(s.unpaid_since),
                when(s.ended_at or s.cancel_at or s.trial_end),
                s.domain,
                ", ".join(_also(s)),
            )
            for s in self.payer.subscriptions
        ]
        return table(heads, rows) if rows else "  no subscription"

    def _desired(self) -> str:
        heads = ("SERVICE", "SHOULD BE", "RULE", "PLAN", "HOLDS", "GRACE UNTIL", "DELETED AT", "AGAIN AT", "WAITS FOR")
        rows = [
            (
                goal.key,
                goal.want.value,
                goal.rule,
                goal.plan or goal.service.plan,
                ", ".join(sorted(goal.service.holds)),
                when(goal.service.grace_until),
                when(goal.service.retain_until),
                when(goal.wake_at),
                goal.service.waits_for,
            )
            for goal in self.report.goals
        ]
        if self.payer is None:
            return "  can't be told without Stripe"
        return table(heads, rows) if rows else "  nothing"

    def _actual(self) -> str:
        if "The panel" in self.away:
            return f"  the panel is away: {self.away['The panel']}"
        if self.memory.org_id is None:
            return "  no organisation is linked to this customer"
        if self.org is None:
            return f"  organisation {self.memory.org_id} is gone"
        said = f"  organisation {self.org.name!r}" + (" DELETED" if self.org.deleted else "")
        said += " suspended" if self.org.suspended_by else ""
        heads = ("HOSTING", "SERVICE", "PLAN", "STATE", "SUSPENDED BY", "WEBSITE", "NAME")
        rows: list[tuple[object, ...]] = [
            (found.id, service and service.key, found.plan_name, _state(found), self._suspender(found, service),
             self._website(service), found.friendly_name)
            for found in self.subscriptions
            for service in [self._service(found)]
        ]  # fmt: skip
        missing = [s for s in self.memory.services if s.made and s.panel_subscription_id not in self._there()]
        rows += [(s.panel_subscription_id, s.key, s.plan, "gone", None, self._website(s), None) for s in missing]
        return f"{said}\n{table(heads, rows)}" if rows else f"{said}, no hosting"

    def _there(self) -> set[int]:
        return {found.id for found in self.subscriptions}

    def _service(self, found: PanelSubscription) -> Service | None:
        return next((s for s in self.memory.services if s.panel_subscription_id == found.id), None)

    @staticmethod
    def _suspender(found: PanelSubscription, service: Service | None) -> str | None:
        if found.suspended_by is None:
            return None
        ours = service is not None and service.suspended_by == found.suspended_by
        return "this bridge" if ours else f"the panel ({found.suspended_by})"

    def _website(self, service: Service | None) -> str | None:
        if service is None or service.website_id is None:
            return None
        website = self.websites.get(service.website_id)
        if website is None or website.deleted:
            return f"{service.domain} gone"
        return website.domain + (" off" if website.off else "")

    def _next(self) -> str:
        from lib.model import Again, Parked, Settled
        from lib.remedies import remedy

        lines = []
        if self.report.actions:
            rows = [
                (number, a.kind.value, a.service or "", a.rule, ", ".join(f"{k}={v}" for k, v in a.details.items()))
                for number, a in enumerate(self.report.actions, 1)
            ]
            lines.append(table(("", "ACTION", "SERVICE", "RULE", "WITH"), rows))
        match self.report.outcome:
            case Settled(wake_at, why) if wake_at is not None:
                lines.append(f"  then it rests until {when(wake_at)} ({why})")
            case Settled():
                lines.append("  then it rests" if lines else "  nothing: both sides are equal")
            case Again(error=error, at=at, why=why):
                until = f" until {when(at)}" if at else ""
                lines.append(f"  then it waits{until}: {why}" if why else f"  it can't be told: {error}")
            case Parked():
                lines.append("  then it is parked:")
        for problem in getattr(self.report.outcome, "problems", ()):
            lines.append(f"  {problem.reason}: {problem.detail}\n    -> {remedy(problem.reason)}")
        if self.mode != "live":
            lines.append(f"  PROVISIONING_MODE is {self.mode}: nothing is changed in the panel")
        return "\n".join(lines)

    def _queue(self) -> str:
        from lib.remedies import remedy

        row = self.queued
        if row is None:
            return "  nothing is due"
        said = f"  {row.state}"
        said += f" since {when(row.parked_at)}" if row.state == "parked" else ""
        said += f", next try at {when(row.due_at)}" if row.due_at else ", no try is planned"
        said += f", waits for {row.waits_for}" if row.waits_for else ""
        lines = [said]
        if row.attempts:
            lines.append(f"  failed {row.attempts} times in a row")
        if row.last_error:
            lines.append(f"  last error: {row.last_error}")
        for problem in row.problems:
            lines.append(f"  {problem['reason']}: {problem['detail']}\n    -> {remedy(problem['reason'])}")
        return "\n".join(lines)

    def _timeline(self) -> str:
        heads = ("AT", "WHAT", "STATE", "SERVICE", "RULE", "BY", "")
        rows = [
            (when(f["at"]), f["kind"], f["state"], _key(f), f["rule"], f["actor"], f["error"] or _facts(f))
            for f in self.timeline
        ]
        return table(heads, rows) if rows else "  nothing was done so far"

    # --- for programs ---

    def as_json(self) -> dict[str, Any]:
        """camelCase, ISO times."""
        from lib.remedies import remedy

        memory, row, report = self.memory, self.queued, self.report.as_json()
        problems = [
            {**problem, "remedy": remedy(problem["reason"])} for problem in report["outcome"].get("problems", [])
        ]
        return {
            "customerId": self.customer_id,
            "mode": self.mode,
            "away": {"stripe": self.away.get("Stripe"), "panel": self.away.get("The panel")},
            "truth": {
                "email": self.payer.email,
                "name": self.payer.name,
                "deleted": self.payer.deleted,
                "subscriptions": [_subscription(s) for s in self.payer.subscriptions],
            }
            if self.payer is not None
            else None,
            "remembered": [_remembered(service) for service in memory.services],
            "desired": [
                {**said, "wakeAt": goal.wake_at, "changesTo": _changes_to(goal)}
                for said, goal in zip(report["services"], self.report.goals, strict=True)
            ],
            "actual": None
            if "The panel" in self.away
            else {
                "orgId": memory.org_id,
                "loginId": memory.login_id,
                "orgGone": memory.org_id is not None and (self.org is None or self.org.deleted),
                "orgSuspended": self.org is not None and self.org.suspended_by is not None,
                "subscriptions": [
                    {
                        "panelSubscriptionId": found.id,
                        "service": str(service.key) if service else None,
                        "planId": found.plan_id,
                        "plan": found.plan_name,
                        "state": _state(found),
                        "suspendedBy": found.suspended_by,
                        "suspendedByBridge": self._suspender(found, service) == "this bridge",
                        "websiteId": service.website_id if service else None,
                    }
                    for found in self.subscriptions
                    for service in [self._service(found)]
                ],
            },
            "next": {"actions": report["actions"], "outcome": {**report["outcome"], "problems": problems}},
            "queue": None
            if row is None
            else {
                "state": row.state,
                "dueAt": row.due_at,
                "attempts": row.attempts,
                "lastError": row.last_error,
                "waitsFor": row.waits_for,
                "reason": row.parked_reason,
                "parkedAt": row.parked_at,
                "problems": [{**problem, "remedy": remedy(problem["reason"])} for problem in row.problems],
            },
            "timeline": [
                {
                    "at": f["at"],
                    "kind": f["kind"],
                    "state": f["state"],
                    "service": _key(f),
                    "rule": f["rule"],
                    "actor": f["actor"],
                    "before": f["before"],
                    "after": f["after"],
                    "facts": f["facts"],
                    "error": f["error"],
                    "passId": f["pass_id"],
                }
                for f in self.timeline
            ],
        }


def _changes_to(goal: Goal) -> str | None:
    return goal.plan if goal.service.plan not in (None, goal.plan) else None


def _also(subscription: Subscription) -> Iterator[str]:
    if subscription.collection_paused:
        yield "collection paused"
    for status in subscription.disputes:
        yield f"dispute {status}"
    if subscription.refunded:
        yield "refunded"


def _state(found: PanelSubscription) -> str:
    return "deleted" if found.deleted else "suspended" if found.suspended_by else "on"


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _key(fact: Mapping[str, Any]) -> str | None:
    from lib.model import ServiceKey

    return str(ServiceKey(fact["subscription_id"], fact["slot"])) if fact["slot"] is not None else None


def _facts(fact: Mapping[str, Any]) -> str:
    """What the ledger says behind a fact, in one line."""
    found = {**(fact["before"] or {}), **(fact["after"] or {}), **(fact["facts"] or {})}
    if isinstance(found.get("problems"), list):
        return "; ".join(str(problem["detail"]) for problem in found["problems"])
    return ", ".join(f"{key}={value}" for key, value in found.items() if value not in (None, [], ""))


def _subscription(said: Subscription) -> dict[str, Any]:
    invoice = said.latest_invoice
    return {
        "id": said.id,
        "status": said.status,
        "items": [{"id": item.id, "priceId": item.price_id, "quantity": item.quantity} for item in said.items],
        "latestInvoice": {"id": invoice.id, "status": invoice.status} if invoice else None,
        "unpaidSince": said.unpaid_since,
        "trialEnd": said.trial_end,
        "cancelAt": said.cancel_at,
        "endedAt": said.ended_at,
        "collectionPaused": said.collection_paused,
        "disputes": list(said.disputes),
        "refunded": said.refunded,
        "domain": said.domain,
    }


def _remembered(service: Service) -> dict[str, Any]:
    return {
        "service": str(service.key),
        "state": service.state.value,
        "plan": service.plan,
        "panelSubscriptionId": service.panel_subscription_id,
        "domain": service.domain,
        "holds": sorted(service.holds),
        "panelSuspended": service.panel_suspended,
        "graceUntil": service.grace_until,
        "waitsFor": service.waits_for,
    }


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
