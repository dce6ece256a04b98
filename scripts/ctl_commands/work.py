"""Who waits, and what only a person may decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import (
    Whom,
    asks,
    confirm,
    customer_id,
    example,
    filled,
    limit,
    on_many,
    reason,
    tell_pass,
    who,
    whom,
    yes,
)
from scripts.ctl_commands.connection import USAGE, Connection, Failed

STATES = ["parked", "due", "waiting", "working", "failing", "braked"]
ROUTE = "admin/work"


@click.command(epilog=example("work", "work --state due", "work --reason unmapped_price", "work --csv > waiting.csv"))
@click.option(
    "--state", type=click.Choice([*STATES, "all"]), default=None, help="Which tab; parked, if nothing is said."
)
@click.option("--reason", help="Only for this reason.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all of them as CSV.")
@limit
@asks
def work(
    connection: Connection, state: str | None, reason: str | None, as_csv: bool, limit: int, as_json: bool
) -> None:
    """Who waits, for what, since when, and what to do."""
    tab = None if state == "all" or (reason and not state) else state or "parked"
    if as_csv:
        click.echo(connection.text(ROUTE, "text/csv", state=tab, reason=reason), nl=False)
        return
    page = connection.get(ROUTE, state=tab, reason=reason, limit=limit)
    if as_json:
        show.as_json(page)
        return
    queue = connection.get("admin/dashboard")["queue"]
    waiting = sum(queue["waiting"].values())
    parked = queue["parked"]["total"]
    show.line(f"parked {parked}, due {queue['due']}, waiting {waiting}, working {queue['working']}")
    rows = [
        (one["key"], one["email"], one["state"], one["reason"] or one["waitsFor"] or one["lastError"],
         one["attempts"] or "", show.when(one["dueAt"]), show.ago(one["parkedAt"]), one["remedy"])
        for one in page["data"]
    ]  # fmt: skip
    heads = ("who or what", "e-mail", "state", "why", "tries", "next try (UTC)", "parked", "what to do")
    show.table(heads, rows, empty=f"Nobody is {tab or 'there'}{f' for {reason}' if reason else ''}.")
    if page["nextCursor"]:
        show.line(f"There are more than {limit}: --limit, or --csv for all.")


def _one_or_all(connection: Connection, who: str | None, many: bool, filters: dict[str, Any]) -> Whom | None:
    """The one who is named, or None for all that match; refuses both and neither."""
    if (who is None) == (not many):
        raise Failed("Name somebody, or say --all (with --state, --reason ...).", USAGE)
    if who is not None and any(filters.values()):
        raise Failed("Filters go with --all.", USAGE)
    return whom(connection, who) if who is not None else None


def _many(command: Any) -> Any:
    """The options of an act that may go to all that match."""
    for option in (
        click.option("--all", "many", is_flag=True, help="Everybody who matches; how many is shown first."),
        click.option("--state", type=click.Choice(STATES), help="With --all: only in this state."),
        click.option("--for", "parked_for", metavar="REASON", help="With --all: only parked for this reason."),
        click.option("--hold", "held_by", metavar="HOLD", help="With --all: only held by this cause."),
        click.option("--upcoming", is_flag=True, help="With --all: in a grace that runs; beside --hold, either."),
    ):
        command = option(command)
    return command


def _act(
    connection: Connection, name: str, what: str, *, who: str | None, many: bool, filters: dict[str, Any],
    body: dict[str, Any], yes: bool, as_json: bool, asks_first: bool = False,
) -> None:  # fmt: skip
    one = _one_or_all(connection, who, many, filters)
    wanted = {"action": name, **body}
    if one is None:
        chosen = {field: value for field, value in filters.items() if value}
        on_many(connection, ROUTE, {**wanted, "filter": chosen}, what, said_yes=yes, as_json=as_json)
        return
    if asks_first:
        confirm(f"{what} {'' if one.subscription else 'everything of '}{one}?", said_yes=yes)
    done = connection.post(ROUTE, wanted | one.field)
    show.as_json(done) if as_json else tell_pass(done, one)


@click.command(
    epilog=example("retry ada@example.com", "retry --all --state parked", "retry --all --for unmapped_price")
)
@click.argument("who", required=False)
@_many
@reason
@yes
@asks
def retry(connection: Connection, who: str | None, **given: Any) -> None:
    """Run the pass now: of one customer, or of all that match."""
    _spread(connection, "retry", "Run the passes of", who, given)


@click.command(epilog=example("release sub_... --reason 'I know them'", "release --all --for quantity_unusual"))
@click.argument("who", required=False)
@_many
@reason
@yes
@asks
def release(connection: Connection, who: str | None, **given: Any) -> None:
    """Let pass what waits for a person's word: a strange quantity, a second purchase, what was never paid."""
    _spread(connection, "release", "Let pass", who, given)


@click.command(epilog=example("hold shop.example --reason 'a question about the content'"))
@click.argument("who", required=False)
@_many
@reason
@yes
@asks
def hold(connection: Connection, who: str | None, **given: Any) -> None:
    """Suspend until it is lifted. sub_...: that one alone; else everything of the customer."""
    _spread(connection, "hold", "Suspend", who, given, asks_first=True)


@click.command(epilog=example("lift shop.example", "lift sub_... --cause dispute"))
@click.argument("who", required=False)
@click.option(
    "--cause", type=click.Choice(["admin", "dispute", "refund", "unpaid"]), default="admin", show_default=True,
    help="Which hold.",
)  # fmt: skip
@_many
@reason
@yes
@asks
def lift(connection: Connection, who: str | None, cause: str, **given: Any) -> None:
    """Lift a hold: your own, or the present dispute, refund or written-off debt."""
    _spread(connection, "lift", "Lift the hold of", who, given, hold=cause)


@click.command(
    epilog=example("grace ada@example.com --until 2026-12-24", "grace sub_... --days 14", "grace sub_... --end")
)
@click.argument("who", required=False)
@click.option("--until", metavar="DATE", help="ISO 8601; without a zone in UTC.")
@click.option("--days", type=click.IntRange(1, 3650), help="So many days from now.")
@click.option("--end", is_flag=True, help="Take the date back.")
@_many
@reason
@yes
@asks
def grace(
    connection: Connection, who: str | None, until: str | None, days: int | None, end: bool, **given: Any
) -> None:
    """Keep on what is unpaid, until a date."""
    if sum((until is not None, days is not None, end)) != 1:
        raise Failed("Say one of --until, --days and --end.", USAGE)
    date = None if end else _date(until, days)
    _spread(connection, "grace", "Change the grace of", who, given, until=date)


@click.command(epilog=example("amnesty --days 3 --reason 'the bank is down'", "amnesty --until 2026-12-27T12:00"))
@click.option("--until", metavar="DATE", help="ISO 8601; without a zone in UTC.")
@click.option("--days", type=click.IntRange(1, 3650), help="So many days from now.")
@reason
@yes
@asks
def amnesty(
    connection: Connection, until: str | None, days: int | None, reason: str | None, yes: bool, as_json: bool
) -> None:
    """Give everybody who is held for a debt, or about to be, grace until a date. It ends by itself then."""
    if (until is None) == (days is None):
        raise Failed("Say one of --until and --days.", USAGE)
    body = {"action": "grace", "filter": {"hold": "unpaid", "upcoming": True}, "until": _date(until, days)}
    if reason:
        body["reason"] = reason
    on_many(connection, ROUTE, body, f"Give grace until {body['until']} to", said_yes=yes, as_json=as_json)


@click.command(epilog=example("recreate sub_..."))
@who
@reason
@yes
@asks
def recreate(connection: Connection, who: str, reason: str | None, yes: bool, as_json: bool) -> None:
    """Make anew what was deleted in the panel by hand."""
    one = whom(connection, who)
    confirm(f"Make anew what {one} has lost in the panel?", said_yes=yes)
    done = connection.post(ROUTE, {"action": "recreate", **one.field, **filled(reason=reason)})
    show.as_json(done) if as_json else tell_pass(done, one)


@click.command(epilog=example("undo shop.example", "undo sub_... --yes"))
@who
@yes
@asks
def undo(connection: Connection, who: str, yes: bool, as_json: bool) -> None:
    """Take back a person's newest act that can be taken back: a hold, a lift, a date. sub_...: of that one only."""
    theirs = connection.get("admin/customers", id=customer_id(connection, who), limit=200)
    acts = [one for one in theirs["timeline"]["data"] if one["undo"]]
    found = next(iter(_of_one(acts, who) if who.startswith("sub_") else acts), None)
    if found is None:
        alone = " alone" if acts else ""
        raise Failed(f"Nothing that was done to {who}{alone} can be taken back: ./scripts/ctl customer show {who}")
    act = found["undo"]
    when = f"{found['kind']} by {found['actor']}, {show.ago(found['at'])}"
    about = Whom(theirs["customerId"], theirs["email"], ", ".join(act["body"]["services"]))
    confirm(f"{act['label']} ({when}): {about}?", said_yes=yes)
    done = connection.send(act["method"], act["route"].removeprefix("/api/"), body=act["body"])
    show.as_json(done) if as_json else tell_pass(done, about)


def _of_one(acts: list[dict[str, Any]], subscription: str) -> list[dict[str, Any]]:
    """The acts on one subscription, unless a newer act on it and on others is what is in effect by now."""
    found, on_several = [], set()
    for act in acts:
        reached = {service.partition("/")[0] for service in act["undo"]["body"]["services"]}
        if subscription in reached and len(reached) > 1:
            on_several.add(act["kind"])
        elif subscription in reached and act["kind"] not in on_several:
            found.append(act)
    return found


@click.command(epilog=example("sync cus_...", "sync shop.example --dry-run"))
@who
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@asks
def sync(connection: Connection, who: str, dry_run: bool, as_json: bool) -> None:
    """Run a customer's pass now, and say what it did."""
    one = whom(connection, who)
    done = connection.post("admin/sync", {**one.field, "dryRun": dry_run})
    show.as_json(done) if as_json else tell_pass(done, one)


def _date(until: str | None, days: int | None) -> str:
    if until is not None:
        return until
    return (datetime.now(UTC) + timedelta(days=days or 0)).replace(microsecond=0).isoformat()


def _spread(
    connection: Connection, name: str, what: str, who: str | None, given: dict[str, Any], *, asks_first: bool = False,
    **body: Any,
) -> None:  # fmt: skip
    filters = {
        "state": given["state"], "reason": given["parked_for"], "hold": given["held_by"],
        "upcoming": given["upcoming"],
    }  # fmt: skip
    if given["reason"]:
        body["reason"] = given["reason"]
    _act(
        connection, name, what, who=who, many=given["many"], filters=filters, body=body, yes=given["yes"],
        as_json=given["as_json"], asks_first=asks_first,
    )  # fmt: skip
