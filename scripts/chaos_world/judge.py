"""What must be true after a storm: the panel against Stripe, and the ledger against the panel.

Written from what is promised, and from nothing of how it is kept: no module of the product is imported here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from scripts.chaos_world.books import Heard, of_payments, of_purchases, of_what_was_told
from scripts.chaos_world.stage import PLANS
from scripts.demo_world.people import charges_of, disputes_of, invoices_of
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.enhance_sim.world import Subscription as Hosting
from scripts.sim.stripe_sim import Obj, StripeSim

GRACE = 7 * 86_400
"""Seconds, the default of GRACE_DAYS."""

MARK = re.compile(r"\[(sub_\w+)(?:/(\d+))?\]")

AGAINST = ("needs_response", "under_review", "lost")
"""States of a dispute in which the money is gone."""


class Wanted(NamedTuple):
    """What one subscription should have."""

    state: str
    """`on`; `made`: what was made is on, and the first one must be; `off`: nothing of it is on."""
    number: int
    plan: str | None
    """`None`: it is not said."""


def wanted(stripe: StripeSim, subscription: Obj) -> Wanted:
    """What the panel should have for a subscription, from Stripe alone."""
    (item,) = subscription["items"]["data"]
    number, plan = int(item["quantity"]), PLANS[item["price"]["id"]]
    charges = [charge["id"] for charge in charges_of(stripe, subscription)]
    if any(dispute["status"] in AGAINST for dispute in disputes_of(stripe, charges)):
        return Wanted("off", number, None)
    match subscription["status"]:
        case "active" | "trialing":
            return Wanted("on", number, plan)
        case "past_due":
            open_since = min(one["created"] for one in invoices_of(stripe, subscription) if one["status"] == "open")
            return Wanted("made" if stripe.now() < open_since + GRACE else "off", number, None)
    return Wanted("off", number, None)


class Seen(NamedTuple):
    """What others saw of the product while the storm was on."""

    taken: Collection[str] = ()
    """The events that it answered with 200."""
    heard: Heard = ()
    twice: Collection[str] = ()
    """Buyers who were given two pages for one purchase."""


def complaints(stripe: StripeSim, panel: EnhanceSim, database_url: str, seen: Seen) -> list[str]:
    """Everything that is not as promised, a line each."""
    with (
        stripe.lock,
        panel.state.lock,
        psycopg.connect(database_url, row_factory=namedtuple_row) as database,
    ):
        return [
            *_hostings(stripe, panel),
            *_nobody_twice(stripe, panel, database),
            *_explained(panel, database),
            *_kept(database, seen.taken),
            *(f"{buyer} was given two pages for one purchase" for buyer in seen.twice),
            *of_purchases(stripe, database),
            *of_payments(stripe, database),
            *of_what_was_told(database, seen.heard),
            *(f"the panel was asked what it does not know: {one}" for one in dict.fromkeys(panel.violations)),
        ]


def _hostings(stripe: StripeSim, panel: EnhanceSim) -> Iterator[str]:
    """Who paid is on, once each and on what they paid for; who did not is off."""
    there = _by_mark(panel)
    names = {plan.id: plan.name for plan in panel.plans.values()}
    for subscription in stripe.subscriptions.values():
        must, about = wanted(stripe, subscription), f"{subscription['id']} ({subscription['status']})"
        for slot in range(1, max([must.number, *(n for name, n in there if name == subscription["id"])]) + 1):
            found = [one for one in there.get((subscription["id"], slot), []) if not one.deleted]
            on = any(one.suspended_by is None for one in found)
            should = must.state != "off" and slot <= must.number
            if on and not should:
                yield f"{about}: number {slot} is on, and nobody pays for it"
            elif should and not on and (must.state == "on" or slot == 1 or found):
                yield f"{about}: number {slot} is {'suspended' if found else 'not there'}, and it is paid for"
            for one in found if on and must.plan else ():
                if names[one.plan_id] != must.plan:
                    yield f"{about}: number {slot} has plan {names[one.plan_id]} instead of {must.plan}"
        domain = subscription["metadata"].get("domain")
        if domain and must.state == "on":
            yield from _website(panel, about, domain, there.get((subscription["id"], 1), []))


def _website(panel: EnhanceSim, about: str, domain: str, hostings: list[Hosting]) -> Iterator[str]:
    held = [one.subscription_id for one in panel.websites.values() if one.domain == domain and one.status != "deleted"]
    if len(held) != 1 or held[0] not in [one.id for one in hostings]:
        yield f"{about}: {domain} is there {len(held)} times, for {held}"


def _nobody_twice(stripe: StripeSim, panel: EnhanceSim, database: psycopg.Connection[Any]) -> Iterator[str]:
    """Nothing was made twice, and nothing for nobody; what was deleted since counts too."""
    for (subscription, slot), hostings in _by_mark(panel).items():
        if subscription not in stripe.subscriptions:
            yield f"hosting {hostings[0].id} is for {subscription}, which nobody has"
        if len(hostings) > 1:
            yield f"{subscription}/{slot} was made {len(hostings)} times"
    for hosting in panel.subscriptions.values():
        if len(MARK.findall(hosting.friendly_name)) != 1:
            yield f"hosting {hosting.id} is nobody's: {hosting.friendly_name!r}"
    ours = Counter(str(row.org_id) for row in database.execute("SELECT org_id FROM customers WHERE org_id IS NOT NULL"))
    made = [one.id for one in panel.orgs.values() if one.id not in (panel.org_id, panel.state.master_id)]
    yield from (f"organisation {one} belongs to nobody" for one in made if one not in ours)
    yield from (f"organisation {one} is not in the panel" for one in ours if one not in made)
    yield from (f"organisation {one} belongs to {number} customers" for one, number in ours.items() if number > 1)
    people = Counter(one.email.lower() for one in panel.logins.values())
    yield from (f"{email} has {number} logins" for email, number in people.items() if number > 1)


ENDLESS = "SELECT kind, action_id FROM actions GROUP BY kind, action_id HAVING bool_and(state IN ('intent', 'unknown'))"
CAUSELESS = "SELECT kind, action_id FROM actions WHERE state = 'intent' AND (rule IS NULL OR pass_id IS NULL)"
MAKING = """
    SELECT subscription_id, slot, count(DISTINCT action_id) AS made FROM actions
    WHERE kind = 'create_subscription' AND state = 'applied' GROUP BY 1, 2
"""
SWITCHED = """
    SELECT DISTINCT ON (subscription_id, slot) subscription_id, slot, kind FROM actions
    WHERE kind IN ('suspend', 'resume') AND state = 'applied' ORDER BY subscription_id, slot, id DESC
"""


def _explained(panel: EnhanceSim, database: psycopg.Connection[Any]) -> Iterator[str]:
    """Every change stands in the ledger, from its cause to its end, and the last one is how it is now."""
    for row in database.execute(ENDLESS):
        yield f"{row.kind} {row.action_id} was begun, and the ledger does not say how it ended"
    for row in database.execute(CAUSELESS):
        yield f"{row.kind} {row.action_id} has no cause in the ledger"
    made = {(row.subscription_id, row.slot): row.made for row in database.execute(MAKING)}
    last = {(row.subscription_id, row.slot): row.kind for row in database.execute(SWITCHED)}
    for (subscription, slot), hostings in _by_mark(panel).items():
        if made.get((subscription, slot)) != 1:
            yield f"the ledger has {subscription}/{slot} made {made.get((subscription, slot), 0)} times"
        off, told = hostings[0].suspended_by is not None, last.get((subscription, slot))
        if off != (told == "suspend"):
            yield f"{subscription}/{slot} is {'off' if off else 'on'}, and the ledger's last word is {told}"


def _kept(database: psycopg.Connection[Any], taken: Collection[str]) -> Iterator[str]:
    """What was answered with 200 is there, and nothing is left that waits for a person or is stuck."""
    known = {row.event_id for row in database.execute("SELECT event_id FROM events")}
    yield from (f"event {one} was taken, and is not there" for one in taken if one not in known)
    for row in database.execute("SELECT kind, key, parked_reason, last_error FROM due WHERE parked_reason IS NOT NULL"):
        yield f"{row.kind} {row.key} is parked: {row.parked_reason} ({row.last_error})"
    for row in database.execute("SELECT kind, key, attempts, last_error FROM due WHERE attempts > 0"):
        yield f"{row.kind} {row.key} still fails: {row.last_error}"


def _by_mark(panel: EnhanceSim) -> dict[tuple[str, int], list[Hosting]]:
    """Hostings by the subscription and the number within it that they are marked with."""
    found: dict[tuple[str, int], list[Hosting]] = {}
    for hosting in panel.subscriptions.values():
        for subscription, slot in MARK.findall(hosting.friendly_name):
            found.setdefault((subscription, int(slot or 1)), []).append(hosting)
    return found
