"""What came in, what goes out, and playing or sending it again."""

from __future__ import annotations

from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import asks, confirm, customer_id, example, limit, on_many, yes
from scripts.ctl_commands.connection import USAGE, Connection, Failed

ROUTE = "admin/events"


@click.group()
def events() -> None:
    """What came in, what came of it, and playing it again."""


def _chosen(command: Any) -> Any:
    """Which events."""
    for option in (
        click.option("--type", "type_", help="Such as invoice.paid, or invoice.* for all of a kind."),
        click.option("--customer", metavar="WHO", help="Only of one customer."),
        click.option("--outcome", type=click.Choice(["accepted", "ignored", "unreadable"]), help="What became of it."),
        click.option("--source", type=click.Choice(["webhook", "sweep"]), help="How it came."),
        click.option("--from", "from_", metavar="TIME", help="ISO 8601, or so long ago: -90m, -2h, -7d."),
        click.option("--to", metavar="TIME", help="The same."),
    ):
        command = option(command)
    return command


def _filter(connection: Connection, given: dict[str, Any]) -> dict[str, Any]:
    found = {
        "type": given["type_"], "outcome": given["outcome"], "source": given["source"], "from": given["from_"],
        "to": given["to"], "customer": customer_id(connection, given["customer"]) if given["customer"] else None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


@events.command(
    "list",
    epilog=example(
        "events list --from=-1h", "events list --type 'invoice.*' --customer shop.example", "events list --out"
    ),
)
@_chosen
@click.option("--out", is_flag=True, help="Those for your own systems.")
@click.option("--state", type=click.Choice(["waiting", "delivered", "skipped"]), help="With --out.")
@limit
@asks
def list_events(connection: Connection, out: bool, state: str | None, limit: int, as_json: bool, **given: Any) -> None:
    """Events, newest first; without --from those of seven days."""
    if state and not out:
        raise Failed("--state goes with --out.", USAGE)
    way = {"direction": "out", "state": state} if out else {}
    page = connection.get(ROUTE, **_filter(connection, given), **way, limit=limit)
    if as_json:
        show.as_json(page)
        return
    rows: list[tuple[Any, ...]]
    if out:
        rows = [
            (show.when(one["createdAt"]), one["eventId"], one["type"], one["customerId"], one["endpoint"], one["state"],
             one["attempts"], one["error"])
            for one in page["data"]
        ]  # fmt: skip
        heads: tuple[str, ...] = (
            "when (UTC)", "event", "type", "customer", "endpoint", "state", "tries", "error",
        )  # fmt: skip
    else:
        rows = [
            (show.when(one["receivedAt"]), one["eventId"], one["type"], one["customerId"], one["outcome"],
             [work["state"] for work in one["work"]], one["error"])
            for one in page["data"]
        ]  # fmt: skip
        heads = ("when (UTC)", "event", "type", "customer", "outcome", "work", "error")
    show.table(heads, rows, empty="None in that time: an earlier --from reaches further back.")
    if page["nextCursor"]:
        show.line(f"There are more than {limit}: --limit, or a shorter time.")


@events.command("show", epilog=example("events show evt_..."))
@click.argument("event")
@click.option("--out", is_flag=True, help="One for your own systems.")
@asks
def show_event(connection: Connection, event: str, out: bool, as_json: bool) -> None:
    """One event with its body."""
    del as_json
    show.as_json(connection.get(ROUTE, id=event, direction="out" if out else None))


@events.command(
    epilog=example(
        "events replay evt_...", "events replay --from=-2h --type 'invoice.*'", "events replay --from=-1d --yes"
    )
)
@click.argument("ids", nargs=-1, metavar="[EVENT...]")
@_chosen
@yes
@asks
def replay(connection: Connection, ids: tuple[str, ...], yes: bool, as_json: bool, **given: Any) -> None:
    """Play events again: these, or all that match. It makes their customers due, and is harmless."""
    chosen = _filter(connection, given)
    if bool(ids) == bool(chosen):
        raise Failed("Name events, or say which by --from, --to, --type ...", USAGE)
    if not ids:
        on_many(connection, ROUTE, {"action": "replay", "filter": chosen}, "Play again", said_yes=yes, as_json=as_json)
        return
    if len(ids) > 1:
        confirm(f"Play {len(ids)} events again?", said_yes=yes)
    done = connection.post(ROUTE, {"action": "replay", "eventIds": list(ids)})
    show.as_json(done) if as_json else show.line(f"Played again: {done['events']}; {done['subjects']} are due.")
