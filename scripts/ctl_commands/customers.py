"""Finding customers, and everything about one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import asks, customer_id, example, limit, who, whom
from scripts.ctl_commands.connection import Connection


@click.group()
def customers() -> None:
    """Who there is."""


@customers.command(
    epilog=example(
        "customers find ada@example.com", "customers find --domain shop", "customers find --hold unpaid --json",
        "customers find --csv > all.csv",
    )
)  # fmt: skip
@click.argument("text", required=False)
@click.option("--email", help="Their e-mail address, or its beginning.")
@click.option("--name", help="Their name, or its beginning.")
@click.option("--domain", help="A domain of theirs, or its beginning.")
@click.option("--identifier", help="An id of Stripe's, or of the panel's organisation.")
@click.option("--state", type=click.Choice(["pending", "live", "suspended", "terminated"]), help="Of a service.")
@click.option(
    "--hold", type=click.Choice(["unpaid", "paused", "ended", "dispute", "refund", "admin"]), help="Held by it."
)
@click.option("--reason", help="Parked for it, such as unmapped_price.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all of them as CSV.")
@limit
@asks
def find(
    connection: Connection, text: str | None, as_csv: bool, limit: int, as_json: bool, **fields: str | None
) -> None:
    """List customers by what is known of them. TEXT is an e-mail address, an id or a domain."""
    if text:
        fields["identifier" if "_" in text and "." not in text else "email" if "@" in text else "domain"] = text
    if as_csv:
        click.echo(connection.text("admin/customers", "text/csv", **fields), nl=False)
        return
    page = connection.get("admin/customers", **fields, limit=limit)
    if as_json:
        show.as_json(page)
        return
    rows = [
        (one["customerId"], one["email"], one["name"], show.counts(one["services"]), one["holds"], one["domains"],
         one["reason"] or one["lastError"])
        for one in page["data"]
    ]  # fmt: skip
    heads = ("customer", "e-mail", "name", "services", "holds", "domains", "trouble")
    none = "Nobody matches. Texts match from their beginning, in any case. Who never paid is at Stripe alone:"
    show.table(heads, rows, empty=f"{none} ./scripts/explain takes their e-mail address.")
    if page["nextCursor"]:
        show.line(f"There are more than {limit}: --limit, or --csv for all.")


@click.group()
def customer() -> None:
    """One customer."""


@customer.command(
    "show",
    epilog=example(
        "customer show cus_...", "customer show shop.example --live", "customer show ada@example.com --json"
    ),
)
@who
@click.option("--live", is_flag=True, help="Ask Stripe and the panel what they say just now.")
@click.option("--planned", is_flag=True, help="Also what shadow mode would have done.")
@click.option(
    "-n", "number", type=click.IntRange(1, 200), default=30, show_default=True, help="So many lines of the timeline."
)
@asks
def show_customer(connection: Connection, who: str, live: bool, planned: bool, number: int, as_json: bool) -> None:
    """What they have, why it is as it is, and what happened."""
    flags = {"live": live or None, "planned": planned or None}
    found = connection.get("admin/customers", id=customer_id(connection, who), limit=number, **flags)
    if as_json:
        show.as_json(found)
        return
    panel = found["panel"]
    show.pairs(
        [
            ("customer", found["customerId"]), ("name", found["name"]), ("e-mail", found["email"]),
            ("organisation", f"{panel['orgName']}  {panel['orgId']}" if panel["orgId"] else "none yet"),
        ]
    )  # fmt: skip
    _services(found["services"])
    _queue(found["queue"])
    if found["explanation"]:
        show.heading("Both sides just now")
        show.as_json(found["explanation"])
    _timeline(found["timeline"])
    if found["orders"]:
        show.heading("Orders")
        rows = [
            (one["id"], one["state"], show.money(one["amount"], one), one["domain"], show.when(one["createdAt"]))
            for one in found["orders"]
        ]
        show.table(("order", "state", "amount", "domain", "since (UTC)"), rows, empty="")


def _services(services: list[dict[str, Any]]) -> None:
    show.heading("Services")
    rows = [
        (one["service"], one["state"], one["holds"] + (["panel"] if one["panelSuspended"] else []), one["domain"],
         one["plan"], _dates(one), one["waitsFor"])
        for one in services
    ]  # fmt: skip
    heads = ("service", "state", "holds", "domain", "plan", "dates (UTC)", "waits for")
    show.table(heads, rows, empty="none")


def _dates(service: Mapping[str, Any]) -> list[str]:
    names = (("grace until", "graceUntil"), ("ends", "endsAt"), ("deleted on", "retainUntil"))
    return [f"{name} {show.when(service[field])}" for name, field in names if service.get(field)]


def _queue(queue: Mapping[str, Any] | None) -> None:
    if queue is None:
        show.line("At rest: both sides were equal when they were last looked at.")
        return
    show.heading(f"{queue['state']}: {queue['reason'] or queue['waitsFor'] or queue['lastError'] or ''}".rstrip(": "))
    show.pairs(
        [("next try (UTC)", show.when(queue["dueAt"])), ("tries", queue["attempts"]), ("error", queue["lastError"])]
    )
    for problem in queue["problems"]:
        show.line(f"  {problem['reason']}: {problem['detail']}")
        show.line(f"    -> {problem['remedy']}")
    if queue["lastError"] and not queue["problems"]:
        show.line(f"  -> {queue['remedy']}")


def _timeline(timeline: Mapping[str, Any]) -> None:
    show.heading("Timeline, newest first")
    rows = [
        (show.when(one["at"]), one["kind"], one["service"], one["state"], one["rule"], one["actor"], _facts(one))
        for one in timeline["data"]
    ]
    heads = ("when (UTC)", "what", "service", "state", "because", "by", "facts")
    show.table(heads, rows, empty="Nothing has happened yet.")


def _facts(one: Mapping[str, Any]) -> str:
    errors = [step["error"] for step in one["steps"] if step["error"]]
    return errors[-1] if errors else json.dumps(one["facts"], ensure_ascii=False) if one["facts"] else ""


@click.command(epilog=example("login shop.example"))
@who
@asks
def login(connection: Connection, who: str, as_json: bool) -> None:
    """Print a link that logs you in to the panel as the customer. It is for one use: treat it as a password."""
    about = whom(connection, customer_id(connection, who))
    answer = connection.post("admin/customers", {"action": "login", **about.field})
    click.echo(show.clean(f"As {about}:"), err=True)
    show.as_json(answer) if as_json else click.echo(answer["url"])
