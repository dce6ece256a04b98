"""What came of it: the ledger as it grows, and how Stripe, the panel and the bridge stand afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.demo_world import DemoError
from scripts.demo_world.courier import told
from scripts.demo_world.people import charges_of, disputes_of, invoices_of
from scripts.demo_world.say import day, money
from scripts.demo_world.stage import LOOK, PATIENCE, Stage
from scripts.sim.enhance_sim.world import Subscription as Hosting
from scripts.sim.stripe_sim import Obj

WORDS = {
    "create_org": "organisation created",
    "create_login": "login created",
    "add_owner": "login made the owner",
    "create_subscription": "hosting subscription created",
    "create_website": "website created",
    "move_website": "website moved to the new hosting subscription",
    "send_welcome": "set-password mail asked for",
    "rename_org": "organisation got its clean name",
    "suspend": "hosting suspended",
    "resume": "hosting live again",
    "change_plan": "plan changed",
    "terminate": "hosting deleted (the panel keeps it for a while)",
}


def word(kind: str) -> str:
    """A kind of action in the past tense."""
    return WORDS.get(kind, kind.replace("_", " "))


# --- as it happens ----------------------------------------------------------------------------------------------------


def deliver(stage: Stage, events: Iterable[Obj]) -> Iterator[str]:
    """Deliver these events; the functions answer at once and work then."""
    for line in told(stage.courier.deliver(events)):
        yield f"   {line}"


def follow(stage: Stage, began: float, until: Sequence[str] = ()) -> Iterator[str]:
    """Tell each change in the panel as the ledger gets it, until all of `until` were seen and all work has settled."""
    missing = set(until)
    end = time.monotonic() + PATIENCE
    while missing or busy(stage):
        if time.monotonic() > end:
            raise DemoError(f"nothing came of {', '.join(sorted(missing)) or 'the last pass'} within {PATIENCE:.0f} s")
        yield from _news(stage, began, missing)
        time.sleep(LOOK)
    yield from _news(stage, began, missing)


def newest_change(stage: Stage) -> int:
    """The newest row of the ledger."""
    return int(_row(stage, "SELECT coalesce(max(id), 0) FROM actions")[0])


def busy(stage: Stage) -> bool:
    """Whether a pass is running or could."""
    return bool(_row(stage, "SELECT EXISTS (SELECT FROM due WHERE due_at <= now() OR leased_until > now()) AS busy")[0])


def _news(stage: Stage, began: float, missing: set[str]) -> Iterator[str]:
    rows = stage.database.execute(
        "SELECT id, kind, coalesce(after ->> 'domain', '') FROM actions"
        " WHERE id > %s AND state = 'applied' ORDER BY id",
        (stage.told,),
    ).fetchall()
    for number, kind, domain in rows:
        stage.told = number
        missing.discard(kind)
        yield f"   {time.monotonic() - began:5.1f} s  {word(kind)}{': ' + domain if domain else ''}"


# --- as it is ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How one subscription stands on each side, in words."""

    stripe: str
    panel: str
    bridge: Sequence[str]
    """What the bridge holds it for or waits for; nothing when all is said."""
    problems: Sequence[tuple[str, str]]
    """What the bridge is parked with, and the remedy."""


def standing(stage: Stage, sub: Obj) -> Standing:
    """How a subscription stands now."""
    return Standing(
        _at_stripe(stage, sub), _in_panel(stage, sub), list(_in_bridge(stage, sub)), list(_problems(stage, sub))
    )


def grace_until(stage: Stage, subscription_id: str) -> datetime:
    """When the grace of an overdue subscription ends."""
    found = _row(stage, "SELECT grace_until FROM services WHERE subscription_id = %s", subscription_id)[0]
    if not isinstance(found, datetime):
        raise DemoError(f"{subscription_id} is overdue and has no grace")
    return found


def _at_stripe(stage: Stage, sub: Obj) -> str:
    stripe = stage.stripe
    said = [sub["status"]]
    if sub["status"] in ("active", "trialing"):
        end = max(item["current_period_end"] for item in sub["items"]["data"])
        said.append(f"ends on {day(sub['cancel_at'])}" if sub["cancel_at"] else f"paid until {day(end)}")
    invoices = invoices_of(stripe, sub)
    owed = sum(one["amount_remaining"] for one in invoices if one["status"] == "open")
    if owed:
        said.append(f"{money(owed, sub['currency'])} open")
    charges = charges_of(stripe, sub)
    refunded = sum(one["amount_refunded"] for one in charges)
    if refunded:
        said.append(f"{money(refunded, sub['currency'])} refunded")
    said += [f"dispute {one['status']}" for one in disputes_of(stripe, [charge["id"] for charge in charges])]
    return ", ".join(said)


def _in_panel(stage: Stage, sub: Obj) -> str:
    """What the panel itself has, whatever the bridge believes: found by the mark in its name."""
    panel = stage.panel
    with panel.state.lock:
        found = [one for one in panel.subscriptions.values() if sub["id"] in one.friendly_name]
        return "; ".join(_hosting(stage, one) for one in found) or "nothing"


def _hosting(stage: Stage, hosting: Hosting) -> str:
    world = stage.panel.state
    sites = [site for site in world.websites.values() if site.subscription_id == hosting.id]
    names = (
        ", ".join(site.domain for site in sites if world.website_status(site) != "deleted")
        or "hosting without a website,"
    )
    gone, off = world.subscription_gone(hosting), hosting.suspended_by
    state = "deleted" if gone else "suspended" if off else "live"
    return f"{names} {state}, {world.plans[hosting.plan_id].name} ({world.orgs[hosting.org_id].name})"


def _in_bridge(stage: Stage, sub: Obj) -> Iterator[str]:
    holds, grace, retain = _row(
        stage,
        "SELECT array_agg(DISTINCT hold), min(grace_until), min(retain_until)"
        " FROM services LEFT JOIN unnest(holds) AS hold ON true WHERE subscription_id = %s",
        sub["id"],
    )
    named = [hold for hold in holds or () if hold]
    if named:
        yield f"held because of: {', '.join(sorted(named))}"
    if grace is not None and "unpaid" not in named:
        yield f"in grace: suspended on {day(grace)} unless it is paid before"
    if retain is not None:
        yield f"deleted on {day(retain)}"
    attempts, due_at, error, waits_for = _row(
        stage,
        "SELECT attempts, due_at, last_error, waits_for FROM due WHERE kind = 'customer' AND key = %s",
        sub["customer"],
    )
    if attempts and due_at is not None:
        again = max(0.0, (due_at - datetime.now(UTC)).total_seconds())
        tried = "once" if attempts == 1 else f"{attempts} times"
        yield f"tried {tried}, again in {again:.0f} s: {error or f'it waits for {waits_for}'}"


def _problems(stage: Stage, sub: Obj) -> Iterator[tuple[str, str]]:
    """Those of this subscription, and those of the customer as such."""
    from lib.model.reason import remedy

    found = _row(stage, "SELECT problems FROM due WHERE kind = 'customer' AND key = %s", sub["customer"])[0]
    for problem in found or ():
        subject = str(problem.get("subject") or "")
        if not subject.startswith("sub_") or subject.partition("/")[0] == sub["id"]:
            yield f"{problem['reason']}: {problem['detail']}", remedy(problem["reason"])


def _row(stage: Stage, query: Any, *values: object) -> tuple[Any, ...]:
    """The first row; nothing but NULL where there is none."""
    cursor = stage.database.execute(query, values)
    row = cursor.fetchone()
    return row if row is not None else (None,) * len(cursor.description or ())
