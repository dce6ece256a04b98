"""How everything stands and what comes: status, upcoming, what-if, the brake, sweeps; and the ledger as it grows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import LOOK, PATIENCE, asks, confirm, customer_id, example, filled, reason, yes
from scripts.ctl_commands.connection import REFUSED, USAGE, Connection, Failed

EVERY = 2.0
"""Seconds between two looks at the ledger."""


@click.command(epilog=example("status", "status --json | jq .queue.parked"))
@asks
def status(connection: Connection, as_json: bool) -> None:
    """Is it healthy, who waits, and what needs you. Exit code 1 when something does."""
    board = connection.get("admin/dashboard")
    if as_json:
        show.as_json(board)
    else:
        _tell(board)
    if board["verdict"]["state"] in ("attention", "stuck"):
        raise SystemExit(REFUSED)


def _tell(board: Mapping[str, Any]) -> None:
    verdict, queue, sweep = board["verdict"], board["queue"], board["sweep"]
    show.line(f"{verdict['state']}: {verdict['detail']}")
    live = board["paidToLive"]
    show.pairs(
        [
            ("mode", f"{board['mode']}, version {board['version']}"),
            ("customers", board["customers"]),
            ("services", show.counts(board["services"])),
            ("held", show.counts(board["holds"])),
            (
                "queue",
                f"{queue['due']} due, {queue['working']} under way, oldest {show.ago(queue['oldestDueAt']) or '-'}",
            ),
            ("waiting", show.counts(queue["waiting"])),
            (
                "paid to live",
                f"{live['p50Seconds']:.0f} s, 95 of 100 within {live['p95Seconds']:.0f} s" if live else "",
            ),
            ("last sweep", _sweep(sweep) if sweep else "none yet"),
        ]
    )
    for name, brake in (("suspensions", board["brake"]), ("moves", board["brake"]["moves"])):
        if brake["engaged"]:
            show.heading(f"The brake is on ({name}), {brake['waiting']['total']} wait: {brake['reason']}")
            show.line("  -> ./scripts/ctl brake show, then ./scripts/ctl brake release")
    if queue["parked"]["groups"]:
        show.heading(f"Parked: {queue['parked']['total']}")
        rows = [
            (one["reason"], one["count"], show.ago(one["oldestAt"]), one["remedy"]) for one in queue["parked"]["groups"]
        ]
        show.table(("reason", "how many", "oldest", "what to do"), rows, empty="")
    if board["openAlerts"]:
        show.heading("Alerts")
        alerts = [("Over: " * one["over"] + one["title"], one["detail"], one["remedy"]) for one in board["openAlerts"]]
        show.table(("alert", "what", "what to do"), alerts, empty="")
    for error in sorted({one["deliveryError"] for one in board["openAlerts"] if one["deliveryError"]}):
        show.line(f"Not everybody hears of alerts: the receiver said {error}")


def _sweep(sweep: Mapping[str, Any]) -> str:
    if sweep["finishedAt"] is None:
        return f"under way ({sweep['phase']}), since {show.ago(sweep['startedAt'])}"
    parts = f", not compared: {', '.join(sweep['errors'])}" if sweep["errors"] else ""
    return f"{show.ago(sweep['finishedAt'])}, made {sweep['counts'].get('marked', 0)} due{parts}"


@click.command(epilog=example("upcoming", "upcoming --days 30 --csv > month.csv", "upcoming --ics > dates.ics"))
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="How far ahead.")
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@click.option("--ics", is_flag=True, help="Print it as a calendar.")
@asks
def upcoming(connection: Connection, days: int, as_csv: bool, ics: bool, as_json: bool) -> None:
    """Who is suspended or deleted when, unless something comes in between."""
    if as_csv or ics:
        form = {"accept": "text/csv"} if as_csv else {"accept": "text/calendar", "format": "ics"}
        click.echo(connection.text("admin/work", **form, view="upcoming", days=days), nl=False)
        return
    page = connection.get("admin/work", view="upcoming", days=days, limit=200)
    if as_json:
        show.as_json(page)
        return
    rows = [
        (show.when(one["at"]), one["what"], one["email"] or one["customerId"], one["domain"], one["service"],
         one["reason"], show.money(one["amount"], one))
        for one in page["data"]
    ]  # fmt: skip
    heads = ("when (UTC)", "what", "who", "domain", "service", "because", "amount")
    show.table(heads, rows, empty=f"Nobody within {days} days.")
    if page["nextCursor"]:
        show.line("There are more: --csv has all of them.")


@click.command("what-if", epilog=example("what-if GRACE_DAYS=3", "what-if RETENTION_DAYS=30 ON_DISPUTE=ignore"))
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@asks
def what_if(connection: Connection, settings: tuple[str, ...], as_json: bool) -> None:
    """What other settings would change now; nothing is changed."""
    pairs = [text.partition("=") for text in settings]
    if any(not sign for _, sign, _ in pairs):
        raise Failed("Settings are written NAME=VALUE, such as GRACE_DAYS=3.", USAGE)
    given = {name.strip().upper(): value for name, _, value in pairs}
    found = connection.post("admin/dashboard", {"action": "whatIf", "settings": given})
    if as_json:
        show.as_json(found)
        return
    for name in ("suspended", "deleted", "resumed", "sooner", "later"):
        _effects(name, found[name])
    if found["braked"]:
        show.line(f"of these the brake would keep {found['braked']} for your word")
    if found["notKnown"]:
        show.line(f"not known: {found['notKnown']}, which depend on what only Stripe knows")


def _effects(name: str, effect: Mapping[str, Any]) -> None:
    some = [str(one.get("domain") or one.get("service") or one.get("customerId")) if isinstance(one, dict) else str(one)
            for one in effect["sample"]]  # fmt: skip
    more = " ..." if effect["total"] > len(some) else ""
    show.line(f"{name}: {effect['total']}{f'  ({chr(44).join(some)}{more})' if some else ''}")


@click.group()
def brake() -> None:
    """What stops mass suspensions: who waits, and letting them go on."""


@brake.command("show", epilog=example("brake show"))
@asks
def show_brake(connection: Connection, as_json: bool) -> None:
    """Whether it is on, why, and whom it has stopped."""
    found = connection.get("admin/dashboard")["brake"]
    if as_json:
        show.as_json(found)
        return
    for name, part in (("suspensions", found), ("moves", found["moves"])):
        since = f"on since {show.when(part['engagedAt'])}, {part['reason']}" if part["engaged"] else "off"
        show.line(f"{name}: {since}")
        if part["waiting"]["total"]:
            rows = [(o["customerId"], o["subscriptionId"], o["kind"], o["plan"]) for o in part["waiting"]["services"]]
            show.table(("customer", "subscription", "what", "plan"), rows, empty="")
            show.line(f"{part['waiting']['total']} wait in all")


GO_ON = {"suspensions": "be suspended or deleted", "moves": "be moved to another plan"}


@brake.command(
    "release", epilog=example("brake release", "brake release moves", "brake release --yes --reason 'the bank is back'")
)
@click.argument("counts", type=click.Choice([*GO_ON]), required=False)
@reason
@yes
@asks
def release_brake(connection: Connection, counts: str | None, reason: str | None, yes: bool, as_json: bool) -> None:
    """Let everybody whom one of the two brakes has stopped go on, and nobody who was not shown.

    Which one, has to be said only where both are on.
    """
    found = connection.get("admin/dashboard")["brake"]
    engaged = {name: part for name, part in (("suspensions", found), ("moves", found["moves"])) if part["engaged"]}
    if not engaged or (counts and counts not in engaged):
        off = f"The brake of {counts}" if counts and engaged else "The brake"
        raise Failed(f"{off} is off: there is nothing to release.")
    if counts is None and len(engaged) > 1:
        raise Failed("Both brakes are on: say brake release suspensions, or brake release moves.", USAGE)
    name = counts or next(iter(engaged))
    waiting = engaged[name]["waiting"]
    confirm(f"Release the brake of {name}, and let {waiting['total']} services {GO_ON[name]}?", said_yes=yes)
    shown = {"counts": name, "expected": waiting["total"], "digest": waiting["digest"]}
    done = connection.post("admin/work", {"action": "releaseBrake", **shown, **filled(reason=reason)})
    show.as_json(done) if as_json else show.line(f"Released: {done['released']} customers go on.")


@click.command(epilog=example("sweep", "sweep --no-wait"))
@click.option("--no-wait", is_flag=True, help="Begin it, and do not wait for its end.")
@asks
def sweep(connection: Connection, no_wait: bool, as_json: bool) -> None:
    """Compare both sides as a whole, and give everybody a pass. Exit code 1 when a part could not be compared."""
    begun = connection.post("admin/sync", {"all": True})
    found: dict[str, Any] = begun
    if not no_wait:
        if not as_json:
            show.line(f"Sweep {begun['sweep']} has begun; {begun['customers']} customers are due ...")
        found = _wait(connection, begun["sweep"])
    if as_json:
        show.as_json(found)
    elif no_wait or found["finishedAt"] is None:
        show.line(f"Sweep {begun['sweep']} is under way: ./scripts/ctl status")
    else:
        show.line(f"Compared: {show.counts(found['counts'])}")
        for part, error in found["errors"].items():
            show.line(f"not compared: {part}: {error}")
    if found.get("errors"):
        raise SystemExit(REFUSED)


def _wait(connection: Connection, number: int) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while True:
        found: dict[str, Any] = connection.look("admin/dashboard")["sweep"]
        if found["id"] > number or (found["id"] == number and found["finishedAt"]) or time.monotonic() > end:
            return found
        time.sleep(LOOK)


@click.command(
    epilog=example("tail", "tail --customer ada@example.com", "tail --kind suspend --json", "tail -n 50 --once")
)
@click.option("--customer", metavar="WHO", help="Only of one customer.")
@click.option("--kind", help="Only of this kind, such as suspend.")
@click.option("--actor", help="Only by this person, or by bridge.")
@click.option("--state", help="Only in this state, such as failed.")
@click.option(
    "-n", "number", type=click.IntRange(0, 200), default=10, show_default=True, help="Begin with so many lines."
)
@click.option("--once", is_flag=True, help="End after these.")
@asks
def tail(
    connection: Connection,
    customer: str | None,
    kind: str | None,
    actor: str | None,
    state: str | None,
    number: int,
    once: bool,
    as_json: bool,
) -> None:
    """The ledger as it grows: what was done, to whom, why and by whom. Ctrl-C ends it."""
    whose = customer_id(connection, customer) if customer else None
    wanted = {"direction": "ledger", "customer": whose, "kind": kind, "actor": actor, "state": state}
    tell = show.as_json_line if as_json else _tell_line
    try:
        newest = connection.get("admin/events", **wanted, limit=max(number, 1))["data"][::-1]
        for one in newest[-number:] if number else []:
            tell(one)
        if not once:
            _go_on(connection, wanted, newest, tell)
    except KeyboardInterrupt:
        return


def _go_on(connection: Connection, wanted: Mapping[str, Any], newest: list[dict[str, Any]], tell: Any) -> None:
    after = str(max((one["id"] for one in newest), default=0))
    seen = {one["id"] for one in newest}
    while True:
        time.sleep(EVERY)
        while True:
            grown = connection.look("admin/events", **wanted, after=after, limit=200)
            fresh = [one for one in grown["data"] if one["id"] not in seen]
            for one in fresh:
                tell(one)
            after = grown["nextCursor"]
            seen = {one for one in seen if one > int(after)} | {one["id"] for one in grown["data"]}
            if not fresh or len(grown["data"]) < 200:
                break


def _tell_line(one: Mapping[str, Any]) -> None:
    about = f"{one['customerId']} {one['service'] or ''}".rstrip()
    why = one["error"] or one["rule"] or ""
    by = "" if one["actor"] == "bridge" else f"  by {one['actor']}"
    show.line(f"{show.when(one['at'])}  {one['state']:<9} {one['kind']:<20} {about}  {why}{by}")
