"""Explain one customer: what Stripe says, what should be, what is, what comes next and why, and what was done."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scripts._console import bridge, finish, table, when
from scripts._whose import whose

if TYPE_CHECKING:
    from lib.model import PanelSubscription, Service, Subscription
    from lib.operators.explain import Explanation

SHOWN = 40
"""Facts of the timeline unless more are asked for."""

SIDES = {"stripe": "Stripe", "panel": "The panel"}


def main() -> None:
    """Print the explanation; exit code 1 when it can't be told whose."""
    parser = argparse.ArgumentParser(
        prog="scripts/explain",
        description="Says of one customer what Stripe says (truth), what should be and by which rule (desired), what "
        "the panel has (actual), what comes next, what it waits for or is parked for, and what was done so far. "
        "Only reads: nothing is written anywhere. Settings come from the environment or from .env; the environment "
        "wins.",
        epilog="While Stripe or the panel is away, the rest is shown with what is remembered. "
        "Exit code: 0 explained, 1 nobody is known by it, or several are (they are listed), 2 it could not be read, or"
        " not all of it, 130 Ctrl-C.",
    )
    parser.add_argument(
        "wanted",
        metavar="CUSTOMER|SUBSCRIPTION|E-MAIL|DOMAIN",
        help="a Stripe id (cus_... or sub_...), or a whole e-mail address or domain, in any case",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument(
        "--last", type=int, default=SHOWN, metavar="N", help="facts of the timeline to show (%(default)s)"
    )
    options = parser.parse_args()

    finish(lambda: _explain(options), "It could not be read", "Nothing was written.")


async def _explain(options: argparse.Namespace) -> int:
    from lib.operators.explain import explain

    async with bridge() as manager:
        wanted = str(options.wanted).strip()
        found = await whose(manager, wanted)
        if not found:
            print(
                f"Neither Stripe nor this bridge knows {wanted!r}. Give a customer (cus_...), a subscription (sub_...)"
                " or an e-mail address of the account and mode of STRIPE_SECRET_KEY, or a domain that was hosted.",
                file=sys.stderr,
            )
            return 1
        if len(found) > 1:
            rows = [(person.customer_id, person.name, person.email, ", ".join(person.domains)) for person in found]
            print(f"{len(found)} customers fit {wanted!r}; name one by its id.\n", file=sys.stderr)
            print(table(("CUSTOMER", "NAME", "E-MAIL", "DOMAINS"), rows), file=sys.stderr)
            return 1
        known = await explain(manager, found[0].customer_id, facts=max(options.last, 1))
        if options.json:
            print(json.dumps(known.as_json(), indent=2, default=_plain))
        else:
            for title, lines in _told(known):
                print(f"{title}\n{lines}\n")
        for side, error in known.away.items():
            print(f"{SIDES[side]} could not be read: {error}", file=sys.stderr)
        return 2 if known.away else 0


def _told(known: Explanation) -> Iterator[tuple[str, str]]:
    """Title and text of each section."""
    yield f"Customer {known.customer_id}", _who(known)
    if known.away:
        yield "Remembered: as it was when both sides were last seen", _remembered(known)
    yield "Truth: what Stripe says", _truth(known)
    yield "Desired: what should be, and by which rule", _desired(known)
    yield "Actual: what the panel has", _actual(known)
    yield "Next", _next(known)
    yield "Queue", _queue(known)
    yield "Timeline", _timeline(known)


def _who(known: Explanation) -> str:
    memory, payer = known.memory, known.payer
    rows = [
        ("Stripe", _joined(payer.name, payer.email, "DELETED" if payer.deleted else None) if payer else _silent(known)),
        ("remembered", "personal data erased" if memory.erased else _joined(memory.name, memory.email)),
        ("organisation", memory.org_id),
        ("login", memory.login_id),
        ("mode", known.mode),
    ]
    return table(("WHAT", ""), rows)


def _silent(known: Explanation) -> str:
    """Why there is nothing that Stripe says."""
    return f"Stripe is away: {known.away['stripe']}" if "stripe" in known.away else "Stripe knows nobody of this id"


def _remembered(known: Explanation) -> str:
    heads = ("SERVICE", "STATE", "PLAN", "HOSTING", "DOMAIN", "HOLDS", "GRACE UNTIL", "WAITS FOR")
    rows = [
        (s.key, s.state.value, s.plan, s.panel_subscription_id, s.domain, ", ".join(sorted(s.holds)),
         when(s.grace_until), s.wait_reason)
        for s in known.memory.services
    ]  # fmt: skip
    return table(heads, rows) if rows else "  no service"


def _truth(known: Explanation) -> str:
    if known.payer is None:
        return f"  {_silent(known)}"
    heads = ("SUBSCRIPTION", "STATUS", "ITEMS", "LATEST INVOICE", "OWED SINCE", "ENDS", "DOMAIN", "ALSO")
    rows = [
        (
            s.id,
            s.status,
            ", ".join(f"{item.quantity} x {item.price_id}" for item in s.items),
            f"{s.latest_invoice.id} {s.latest_invoice.status}" if s.latest_invoice else None,
            when(min((i.owed_since for i in s.invoices or () if i.status == "open"), default=None)),
            when(s.ended_at or s.cancel_at or s.trial_end),
            s.domain,
            ", ".join(_also(s)),
        )
        for s in known.payer.subscriptions
    ]
    return table(heads, rows) if rows else "  no subscription"


def _desired(known: Explanation) -> str:
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
            goal.service.wait_reason,
        )
        for goal in known.report.goals
    ]
    if known.payer is None:
        return "  can't be told without Stripe"
    return table(heads, rows) if rows else "  nothing"


def _actual(known: Explanation) -> str:
    from lib.operators.explain import state

    if known.actual is None:
        return f"  the panel is away: {known.away['panel']}"
    if known.memory.org_id is None:
        return "  no organisation is linked to this customer"
    said = f"  organisation {known.memory.org_id}" + (" is gone" if known.actual.org_gone else "")
    heads = ("HOSTING", "SERVICE", "PLAN", "STATE", "SUSPENDED BY", "DOMAIN", "NAME")
    rows: list[tuple[object, ...]] = [
        (found.id, service and service.key, found.plan_name, state(found), _suspender(found, service),
         service and service.domain, found.friendly_name)
        for found in known.actual.subscriptions
        for service in [known.service_of(found)]
    ]  # fmt: skip
    there = {found.id for found in known.actual.subscriptions}
    missing = [s for s in known.memory.services if s.made and s.panel_subscription_id not in there]
    rows += [(s.panel_subscription_id, s.key, s.plan, "gone", None, s.domain, None) for s in missing]
    return f"{said}\n{table(heads, rows)}" if rows else f"{said}, no hosting"


def _suspender(found: PanelSubscription, service: Service | None) -> str | None:
    from lib.operators.explain import suspended_by_us

    if found.suspended_by is None:
        return None
    return "this bridge" if suspended_by_us(found, service) else f"the panel ({found.suspended_by})"


def _next(known: Explanation) -> str:
    from lib.model import Failed, Parked, Settled, Waits
    from lib.model.reason import remedy

    lines = []
    if known.report.actions:
        rows = [
            (number, a.kind.value, a.service or "", a.rule, ", ".join(f"{k}={v}" for k, v in a.details.items()))
            for number, a in enumerate(known.report.actions, 1)
        ]
        lines.append(table(("", "ACTION", "SERVICE", "RULE", "WITH"), rows))
    match known.report.outcome:
        case Settled(wake_at, why) if wake_at is not None:
            lines.append(f"  then it rests until {when(wake_at)} ({why})")
        case Settled():
            lines.append("  then it rests" if lines else "  nothing: both sides are equal")
        case Waits(at, why):
            lines.append(f"  then it waits until {when(at)}: {why}")
        case Failed(error=error, why=why):
            lines.append(f"  then it waits: {why}" if why else f"  it can't be told: {error}")
        case Parked():
            lines.append("  then it is parked:")
    for problem in getattr(known.report.outcome, "problems", ()):
        lines.append(f"  {problem.reason}: {problem.detail}\n    -> {remedy(problem.reason)}")
    if known.mode != "live":
        lines.append(f"  PROVISIONING_MODE is {known.mode}: nothing is changed in the panel")
    return "\n".join(lines)


def _queue(known: Explanation) -> str:
    from lib.model.reason import remedy, what_to_do

    row = known.queued
    if row is None:
        return "  nothing is due"
    said = f"  {row.state}"
    said += f" since {when(row.parked_at)}" if row.state == "parked" else ""
    said += f", next try at {when(row.due_at)}" if row.due_at else ", no try is planned"
    said += f", waits for {row.waits_for}" if row.waits_for else ""
    lines = [said]
    if row.attempts:
        lines.append(f"  failed {'once' if row.attempts == 1 else f'{row.attempts} times in a row'}")
    if row.last_error:
        lines.append(
            f"  last error: {row.last_error}\n    -> {what_to_do(parked=None, waits_for=None, error=row.last_error)}"
        )
    for problem in row.problems:
        lines.append(f"  {problem['reason']}: {problem['detail']}\n    -> {remedy(problem['reason'])}")
    return "\n".join(lines)


def _timeline(known: Explanation) -> str:
    from lib.operators.explain import service_key

    heads = ("AT", "WHAT", "STATE", "SERVICE", "RULE", "BY", "")
    rows = [
        (when(f["at"]), f["kind"], f["state"], service_key(f), f["rule"], f["actor"], f["error"] or _facts(f))
        for f in known.timeline
    ]
    return table(heads, rows) if rows else "  nothing was done so far"


def _also(subscription: Subscription) -> Iterator[str]:
    if subscription.collection_paused:
        yield "collection paused"
    for status in subscription.disputes:
        yield f"dispute {status}"
    if any(invoice.id in subscription.refunded for invoice in subscription.known_invoices):
        yield "refunded"


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _facts(fact: Mapping[str, Any]) -> str:
    """What the ledger says behind a fact, in one line."""
    found = {**(fact["before"] or {}), **(fact["after"] or {}), **(fact["facts"] or {})}
    if isinstance(found.get("problems"), list):
        return "; ".join(str(problem["detail"]) for problem in found["problems"])
    return ", ".join(f"{key}={value}" for key, value in found.items() if value not in (None, [], ""))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
