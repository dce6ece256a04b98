"""What calls for a person: facts in, causes out. The page and the messages say the same, because both ask here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from lib.model.alert import AlertFacts, AlertLimits, AlertRow, Cause, Receiver, Severity, Told, What
from lib.model.reason import Reason, SettingsFault, remedy
from lib.policy.currencies import shown

SWEEP_TAKES = timedelta(hours=2)
"""Longer than any sweep needs; one that is still unfinished then does not come on."""

SWEEP_STALE = timedelta(hours=3)
"""After so long without a new sweep there is none: two of the hourly ones have not begun."""

TOKEN_ENDS = timedelta(days=14)
"""So long before the panel's token ends it is told."""

ALLOWANCE = 0.8
"""The share of the database's allowance from which on it is told."""

REMIND = timedelta(days=1)
"""How often it is told again that something is still so."""

CLEAN = timedelta(minutes=5)
"""Between two looks that find nothing any more; after the second one it is over."""

BLIP = timedelta(minutes=10)
"""So long a receiver of events may fail before it is told (the page shows it at once), and another side be away."""

SEEN = timedelta(minutes=5)
"""So long after the first failed call another one has failed where a side is away: one alone says nothing of now."""

_AWAY: dict[str, tuple[str, str, str, Severity]] = {
    "stripe": (
        "stripe_away",
        "Stripe is away",
        "Nothing is lost: it is tried again by itself. See https://status.stripe.com, and what ./scripts/doctor says.",
        "critical",
    ),
    "enhance": (
        "panel_away",
        "The panel is away",
        "Nothing is lost: who waits is tried again by itself. Does it answer in a browser? ./scripts/doctor asks it.",
        "critical",
    ),
    "mail": (
        "mail_server",
        "The mail server takes no mails",
        "What waits is kept, and goes out when it is back. ./scripts/doctor tries MAIL_URL, and says what is wrong.",
        "error",
    ),
}
"""Side -> cause, title, what to do, and how bad it is."""


def causes(facts: AlertFacts, limits: AlertLimits) -> list[Cause]:
    """Everything that calls for a person now, each under its own name."""
    return [
        *_brakes(facts),
        *_parked(facts),
        *_work(facts, limits),
        *_sweeps(facts),
        *_sides(facts),
        *(_receiver(one, facts.at) for one in facts.receivers),
        *_money(facts),
        *_disputes(facts),
        *_mails(facts),
        *_database(facts, limits),
    ]


def turns_at(facts: AlertFacts) -> datetime | None:
    """The next date on which time alone makes a cause of what is none now; `None`: there is none known."""
    dates = [facts.turns_not_live_at]
    if facts.newest is not None:
        dates.append(facts.newest.started_at + (SWEEP_STALE if facts.newest.finished_at else SWEEP_TAKES))
    if facts.token_expires_at is not None:
        dates.append(facts.token_expires_at - TOKEN_ENDS)
    failing = [*(one.since for one in facts.receivers), *(one.since for one in facts.faults)]
    dates += [since + BLIP for since in failing if since is not None]
    return min((date for date in dates if date is not None and date > facts.at), default=None)


def next_word(told: Told | None, row: AlertRow, found: Cause | None, now: datetime) -> What | datetime | None:
    """What one receiver is to be told of a cause after a look; else when to look again; `None`: nothing more.

    Told once, reminded daily while it is found, and over after two looks `CLEAN` apart that did not find it. What has
    become another thing, such as a receiver that was failing and is disabled now, is told anew. What was never told is
    over without a word; and who took that it is over is told anew if it comes back before all others have taken it.

    Args:
        told: what this receiver has taken of it.
    """
    told_at = told.at if told is not None else None
    if found is not None:
        if told is None or told_at is None or told.title != found.title:
            return "open"
        again = told_at + REMIND
        return "reminder" if again <= now else again
    if told_at is None:
        return None
    second = (row.clean_since or now) + CLEAN
    return "over" if second <= now else second


def _brakes(facts: AlertFacts) -> Iterator[Cause]:
    told = {
        "suspensions": ("brake", "The brake is on", "Look at who waits, then releaseBrake."),
        "moves": (
            "brake_moves",
            "The brake for plan changes is on",
            "Put plan_mappings and plan_rules right, or let those who wait be moved: releaseBrake.",
        ),
    }
    for engaged in facts.brakes:
        code, title, what_to_do = told[engaged.counts]
        detail = engaged.reason or "the brake is on"
        yield Cause(code, code, title, detail, what_to_do, "critical", engaged.since)


def _parked(facts: AlertFacts) -> Iterator[Cause]:
    means = {reason.value: reason.means for reason in Reason}
    for group in facts.parked:
        who = f"{group.count} wait for a person" if group.count > 1 else "1 waits for a person"
        detail = f"{who}: {means.get(group.reason, group.reason)}"
        what_to_do = f"{remedy(group.reason)} See /api/admin/work?state=parked&reason={group.reason}."
        yield Cause(
            f"parked:{group.reason}", "parked", f"Parked: {group.reason}", detail, what_to_do, since=group.oldest_at
        )


def _work(facts: AlertFacts, limits: AlertLimits) -> Iterator[Cause]:
    if limits.mode != "live":
        detail = f"PROVISIONING_MODE is {limits.mode}"
        what_to_do = "Set it to live once the plans look right."
        yield Cause("mode", "mode", f"Mode: {limits.mode}", detail, what_to_do, "warning", told=False)
    if facts.oldest_seconds > limits.max_lag and limits.mode != "paused":
        detail = f"due work waits for {round(facts.oldest_seconds)} s"
        what_to_do = "Check that the drain cron or the worker runs."
        yield Cause("stuck", "stuck", "Work stands still", detail, what_to_do, "critical")


def _sweeps(facts: AlertFacts) -> Iterator[Cause]:
    """What the last sweep left out, that the one under way does not come on or none begins, and what it found."""
    newest, ended = facts.newest, facts.ended
    if ended and ended.errors:
        named = "; ".join(f"{phase} ({error})" for phase, error in ended.errors.items())
        what_to_do = "What it names is not compared. ./scripts/doctor examines the keys; the next sweep tries again."
        detail = f"the sweep left out {named}"
        yield Cause("sweep_partial", "sweep", "A sweep left something out", detail, what_to_do, since=ended.finished_at)
    if newest and newest.finished_at is None and facts.at - newest.started_at > SWEEP_TAKES:
        detail = f"a sweep has been at {newest.phase} since {newest.updated_at:%Y-%m-%d %H:%M} UTC"
        detail += f": {newest.errors[newest.phase]}" if newest.phase in newest.errors else ""
        what_to_do = "Check that the drain cron or the worker runs."
        yield Cause("sweep_stale", "sweep", "A sweep does not come on", detail, what_to_do, since=newest.updated_at)
    elif newest and newest.finished_at and facts.at - newest.started_at > SWEEP_STALE:
        detail = f"the last sweep began at {newest.started_at:%Y-%m-%d %H:%M} UTC"
        what_to_do = "Check that the sweep cron or the worker runs: what events did not bring is found by sweeps alone."
        yield Cause("sweep_stale", "sweep", "No sweep begins", detail, what_to_do, since=newest.finished_at)
    if newest and newest.orphans:
        detail = f"{newest.orphans} organisations carry our mark and belong to nobody"
        what_to_do = "Look at them in the panel; nothing deletes them."
        yield Cause("orphans", "orphans", "Organisations of nobody", detail, what_to_do, "warning", told=False)
    if facts.missed and ended:
        detail = f"the last sweep found {facts.missed} events at Stripe that the webhook had not brought"
        what_to_do = "Nothing is lost. ./scripts/doctor --url examines it; Stripe lists its failed deliveries."
        yield Cause(
            "webhook", "webhook", "The webhook misses events", detail, what_to_do, "critical", since=ended.started_at
        )


def _sides(facts: AlertFacts) -> Iterator[Cause]:
    """Keys and addresses that another side refuses, who is away for long, and a token that ends soon."""
    words = {fault.value: fault for fault in SettingsFault}
    for fault in facts.faults:
        known = words.get(fault.error.partition(":")[0])
        if known is not None:
            title = "Stripe refuses our key" if known is SettingsFault.STRIPE_KEY else "The panel refuses us"
            yield Cause(
                known.value, known.value, title, f"{known.means}: {fault.error}", known.remedy, "critical", fault.at
            )
        elif fault.side in _AWAY and fault.since is not None and _lasts(fault.since, fault.at, facts.at):
            code, title, what_to_do, severity = _AWAY[fault.side]
            detail = f"every call has failed since {fault.since:%Y-%m-%d %H:%M} UTC, the last one with: {fault.error}"
            yield Cause(code, code, title, detail, what_to_do, severity, since=fault.since)
    ends = facts.token_expires_at
    if ends is not None and ends - facts.at < TOKEN_ENDS:
        over = ends <= facts.at
        detail = f"the panel's token {'ended' if over else 'ends'} on {ends:%Y-%m-%d %H:%M} UTC"
        what_to_do = "Make a new one, without an end, and set ENHANCE_API_TOKEN. See step 3 of docs/deploy.md."
        yield Cause("token_expires", "token_expires", "The panel's token ends", detail, what_to_do, "critical")


def _lasts(since: datetime, last: datetime, now: datetime) -> bool:
    """Whether a side that fails since then, and did at its last call, is away for long: for a while is no matter."""
    return now - since > BLIP and last - since >= SEEN


def _receiver(one: Receiver, now: datetime) -> Cause:
    state = "disabled" if one.disabled else "failing"
    does = "is disabled" if one.disabled else "fails"
    detail = f"{one.url} {does}, and {one.waiting} events wait: {one.error}"
    what_to_do = "Mend the receiver, then enable it: POST /api/admin/events. Nothing is lost."
    title = f"Receiver {one.number} of your events {does}"
    told = one.disabled or one.since is None or now - one.since > BLIP
    return Cause(f"endpoint:{one.number}", f"endpoint_{state}", title, detail, what_to_do, since=one.since, told=told)


def _money(facts: AlertFacts) -> Iterator[Cause]:
    if facts.not_live:
        detail = f"{facts.not_live} orders were paid more than 15 minutes ago, and nothing runs for them"
        what_to_do = "See /api/admin/orders?notLive=true."
        title = "Paid, and not live"
        yield Cause("paid_not_live", "paid_not_live", title, detail, what_to_do, "critical", since=facts.not_live_since)
    for late in facts.late_money:
        amount = shown(late.amount, late.currency) if late.amount is not None and late.currency else "money"
        detail = f"{late.customer} paid {amount} for {late.subscription}, which had ended"
        what_to_do = "Give the money back in Stripe, or sell a new subscription; this one stays ended."
        cause = f"paid_after_end:{late.subscription}"
        yield Cause(cause, "paid_after_end", "Paid after the end", detail, what_to_do, since=late.at)
    if facts.to_return:
        amounts = ", ".join(shown(amount, currency) for currency, amount in sorted(facts.to_return.items()))
        detail = f"{amounts} came too much, too late or for an order that was given up, and is to be returned"
        what_to_do = "See /api/admin/orders?overpaid=true: give it back, and write that down with the action return."
        yield Cause("to_return", "to_return", "Money to return", detail, what_to_do)
    if facts.part_paid:
        detail = f"{facts.part_paid} orders are past their date with a part of their money come"
        what_to_do = (
            "See /api/admin/orders?overdue=true&state=paying: collect the rest, or cancel, and return the part."
        )
        yield Cause("part_paid", "part_paid", "Paid in part, and late", detail, what_to_do, "warning")
    if facts.paid_late:
        detail = f"{facts.paid_late} orders that had expired or were cancelled were paid after all in the last 7 days"
        what_to_do = "See /api/admin/orders?paidLate=true: what is not wanted any more is refunded."
        yield Cause("paid_late", "paid_late", "Paid after all", detail, what_to_do, "warning")


def _disputes(facts: AlertFacts) -> Iterator[Cause]:
    for one in facts.to_answer:
        amount = shown(one.amount, one.currency)
        detail = f"{one.customer or 'somebody'} disputes {amount}; Stripe takes an answer until "
        detail += f"{one.due_by:%Y-%m-%d %H:%M} UTC"
        what_to_do = f"Answer it in Stripe; /api/admin/orders?dispute={one.dispute} collects what is known."
        title = "A dispute waits for your answer"
        yield Cause(f"dispute:{one.dispute}", "dispute", title, detail, what_to_do, since=one.opened_at)


def _mails(facts: AlertFacts) -> Iterator[Cause]:
    if facts.mails_refused:
        detail = "mails to customers were refused for good, came back, or their answer was lost"
        what_to_do = "noticesNotSent has the newest: correct the address in Stripe, then send resendNotice to"
        what_to_do += " /api/admin/events."
        title = "Mails are refused"
        yield Cause("notices", "notices", title, detail, what_to_do, "warning", since=facts.mails_refused_at)


def _database(facts: AlertFacts, limits: AlertLimits) -> Iterator[Cause]:
    size, allowance = facts.database_bytes, limits.allowance_bytes
    if size is not None and allowance is not None and size >= ALLOWANCE * allowance:
        detail = f"the database has {size / 2**20:.0f} MB, {size / allowance:.0%} of its allowance"
        what_to_do = "Choose a larger plan, or keep events shorter: EVENT_RETENTION_DAYS."
        title = "The database is nearly full"
        yield Cause("database_allowance", "database_allowance", title, detail, what_to_do, "critical")
