"""What is sold: prices and the panel plans that they buy; a change is shown before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import asks, confirm, example, yes
from scripts.ctl_commands.connection import Connection, Failed

ROUTE = "admin/plans"
_KEPT = ("enhancePlanId", "kind", "activateOn", "graceDays", "createWebsite", "serverGroupId")


@click.group()
def plans() -> None:
    """Prices, and the panel plans that they buy."""


@plans.command("list", epilog=example("plans list", "plans list --json | jq .unmapped"))
@asks
def list_plans(connection: Connection, as_json: bool) -> None:
    """What is sold, and on top which prices customers wait for."""
    found = _everything(connection)
    if as_json:
        show.as_json(found)
        return
    if found["unmapped"]:
        show.heading("Without a mapping")
        waiting = [(one["billingPlanId"], one["customers"], _price(one["price"])) for one in found["unmapped"]]
        show.table(("price", "customers wait", "what it is"), waiting, empty="")
        show.line(f"  -> ./scripts/ctl plans map {found['unmapped'][0]['billingPlanId']} PLAN")
    show.heading("Mappings")
    rows = [
        (one["billingPlanId"], one["billingProvider"], _price(one["price"]), one["kind"], one["enhancePlanId"],
         one["plan"]["name"] if one["plan"] else None, one["services"])
        for one in found["data"]
    ]  # fmt: skip
    show.table(("price", "provider", "what it is", "kind", "buys", "in the panel", "services"), rows, empty="none yet")
    show.line(f"Plans of the panel: {', '.join(str(plan['name']) for plan in found['plans'])}")
    for side, error in found["away"].items():
        show.line(f"{side} could not be asked: {error}")


def _everything(connection: Connection) -> dict[str, Any]:
    """The first page with the mappings of all pages."""
    first = page = connection.get(ROUTE, limit=200)
    while page["nextCursor"]:
        page = connection.get(ROUTE, limit=200, cursor=page["nextCursor"])
        first["data"] += page["data"]
    return {**first, "nextCursor": None}


def _price(price: Mapping[str, Any] | None) -> str:
    if price is None:
        return ""
    amount = show.money(price["amount"], price)
    each = f" each {price['interval']}" if price["interval"] else ""
    return f"{price['name'] or ''} {amount}{each}".strip() + ("" if price["active"] else " (archived)")


def _described(command: Any) -> Any:
    """What a mapping is to be."""
    for option in (
        click.argument("plan", required=False),
        click.argument("price"),  # decorators are read from below
        click.option(
            "--provider", default="stripe", show_default=True, help="stripe, bank_transfer or cash_on_delivery."
        ),
        click.option("--kind", type=click.Choice(["service", "addon", "ignore"]), help="What the price is (service)."),
        click.option("--activate-on", type=click.Choice(["paid", "processing"]), help="When it is switched on (paid)."),
        click.option("--grace-days", type=click.IntRange(0, 365), help="Its own grace."),
        click.option("--website/--no-website", "website", default=None, help="Whether a website is made (yes)."),
    ):
        command = option(command)
    return command


@plans.command(epilog=example("plans map price_... basic-hosting-plan", "plans map price_... --kind ignore"))
@_described
@yes
@asks
def map(connection: Connection, yes: bool, as_json: bool, **given: Any) -> None:  # noqa: A001 - the operator's word
    """Say what a price buys. What that would do is shown first, and exactly that is done."""
    method, body = _wanted(connection, given)
    seen = connection.send(method, ROUTE, body={**body, "dryRun": True})
    _apply(seen, yes=yes, as_json=as_json, send=lambda: connection.send(method, ROUTE, body=_as_of(body, seen)))


@plans.command(
    epilog=example("plans preview price_... big-hosting-plan", "plans preview price_... --kind ignore --json")
)
@_described
@asks
def preview(connection: Connection, as_json: bool, **given: Any) -> None:
    """What a mapping would do, and nothing else."""
    method, body = _wanted(connection, given)
    seen = connection.send(method, ROUTE, body={**body, "dryRun": True})
    show.as_json(seen) if as_json else _tell(seen)


@plans.command(epilog=example("plans unmap price_..."))
@click.argument("price")
@click.option("--provider", default="stripe", show_default=True)
@yes
@asks
def unmap(connection: Connection, price: str, provider: str, yes: bool, as_json: bool) -> None:
    """Take a mapping away. Who lives by it is kept as they are, and parked."""
    key = {"billingProvider": provider, "billingPlanId": price}
    seen = connection.send("DELETE", ROUTE, **key, dryRun=True)
    send = lambda: connection.send("DELETE", ROUTE, **key, asOf=seen["asOf"])  # noqa: E731
    _apply(seen, yes=yes, as_json=as_json, send=send)


@plans.command(epilog=example("plans revert", "plans revert price_..."))
@click.argument("price", required=False)
@yes
@asks
def revert(connection: Connection, price: str | None, yes: bool, as_json: bool) -> None:
    """Put back what a mapping was before its last change, as the ledger has it. Without PRICE: list the changes."""
    changes = connection.get(ROUTE, limit=1).get("changes") or []
    if price is None:
        rows = [
            (show.when(one["at"]), one["actor"], one["billingPlanId"], _said(one["before"]), _said(one["after"]))
            for one in changes
        ]
        show.as_json(changes) if as_json else show.table(
            ("when (UTC)", "by", "price", "before", "after"), rows, empty="No mapping was changed yet."
        )
        return
    change = next((one for one in changes if one["billingPlanId"] == price), None)
    if change is None or not change["undo"]:
        raise Failed(f"The ledger has no change of {price} that could be put back: ./scripts/ctl plans revert")
    _put_back(connection, change["undo"], yes=yes, as_json=as_json)


def _put_back(connection: Connection, undo: Mapping[str, Any], *, yes: bool, as_json: bool) -> None:
    body, method = dict(undo["body"]), str(undo.get("method") or "PUT")
    if method == "DELETE":
        seen = connection.send("DELETE", ROUTE, **body, dryRun=True)
        send = lambda: connection.send("DELETE", ROUTE, **body, asOf=seen["asOf"])  # noqa: E731
    else:
        seen = connection.send(method, ROUTE, body={**body, "dryRun": True})
        send = lambda: connection.send(method, ROUTE, body=_as_of(body, seen))  # noqa: E731
    _apply(seen, yes=yes, as_json=as_json, send=send)


def _said(mapping: Mapping[str, Any] | None) -> str:
    if not mapping:
        return "no mapping"
    return str(mapping.get("enhancePlanId") or mapping.get("enhance_plan_id") or mapping.get("kind") or mapping)


def _wanted(connection: Connection, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The verb and the whole mapping: as it is, with what was said changed."""
    key = {"billingProvider": given["provider"], "billingPlanId": given["price"]}
    known = [
        one
        for one in _everything(connection)["data"]
        if (one["billingProvider"], one["billingPlanId"]) == (given["provider"], given["price"])
    ]
    present = {name: known[0][name] for name in _KEPT if known[0][name] is not None} if known else {}
    said = {
        "enhancePlanId": given["plan"], "kind": given["kind"], "activateOn": given["activate_on"],
        "graceDays": given["grace_days"], "createWebsite": given["website"],
    }  # fmt: skip
    body = {**key, **present, **{name: value for name, value in said.items() if value is not None}}
    return ("PUT" if known else "POST"), body


def _as_of(body: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "asOf": seen["asOf"]}


def _apply(seen: Mapping[str, Any], *, yes: bool, as_json: bool, send: Any) -> None:
    if not as_json:
        _tell(seen)
    confirm("Do exactly this?", said_yes=yes)
    done = send()
    if as_json:
        show.as_json(done)
    else:
        show.line("Done." if done["changed"] else "It was so already.")


def _tell(seen: Mapping[str, Any]) -> None:
    moves, suspends, refused, unclear = (seen[name] for name in ("moves", "suspends", "refused", "unclear"))
    show.line(
        f"{seen['customers']} live by it: {len(moves)} move, {len(suspends)} are suspended, {len(refused)} are refused"
    )
    rows = [
        (one["customerId"], one["subscriptionId"], one["action"], one["fromPlan"], one["toPlan"])
        for one in [*moves, *suspends]
    ]
    if rows:
        show.table(("customer", "subscription", "what", "from", "to"), rows, empty="")
    for one in refused:
        for problem in one["problems"]:
            show.line(f"refused: {one['customerId']}: {problem['reason']}: {problem['detail']}")
    for one in unclear:
        show.line(f"not looked at: {one['customerId']}: {one['error']}")
    if seen["lookedAt"] < seen["customers"]:
        show.line(f"Only {seen['lookedAt']} of them were looked at.")
