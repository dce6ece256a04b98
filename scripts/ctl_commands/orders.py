"""Orders, the money that came for them, and giving it back."""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from scripts.ctl_commands import show
from scripts.ctl_commands.common import asks, confirm, customer_id, example, filled, limit, named, reason, yes
from scripts.ctl_commands.connection import UNREACHABLE, USAGE, Connection, Failed

ROUTE = "admin/orders"
FAULT_OF_THEIRS = 500
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _key(_: click.Context, __: click.Parameter, typed: str | None) -> str:
    """The key that the act is done once under: a new one, if none was typed."""
    if typed is None:
        return str(uuid.uuid4())
    if not typed or not typed.isascii() or not typed.isprintable():
        raise click.BadParameter("write the key as it was printed.")
    return typed


once = click.option(
    "--key", callback=_key, metavar="KEY", help="Printed where no answer came: the same act, and not a second one."
)


@click.group()
def orders() -> None:
    """Orders and payments."""


@orders.command(
    "list",
    epilog=example("orders list --not-live", "orders list --state paying", "orders list --customer ada@example.com"),
)
@click.option("--state", type=click.Choice(["pending", "paying", "paid", "expired", "failed", "refunded"]))
@click.option("--provider", type=click.Choice(["stripe", "bank_transfer", "cash_on_delivery"]))
@click.option("--customer", metavar="WHO", help="Only of one customer.")
@click.option("--email", help="Of who ordered, or its beginning.")
@click.option("--not-live", is_flag=True, help="Paid, and its hosting has never run.")
@click.option("--disputed", is_flag=True, help="With a dispute.")
@click.option("--overpaid", is_flag=True, help="More came than was asked for.")
@click.option("--open-offline", is_flag=True, help="Money is still to come without Stripe.")
@click.option("--from", "from_", metavar="TIME", help="ISO 8601, or so long ago: -90m, -2h, -7d.")
@click.option("--to", metavar="TIME", help="The same.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all of them as CSV.")
@limit
@asks
def list_orders(connection: Connection, as_csv: bool, limit: int, as_json: bool, **given: Any) -> None:
    """Orders, newest first."""
    flags = {"notLive": "not_live", "disputed": "disputed", "overpaid": "overpaid", "openOffline": "open_offline"}
    whose = customer_id(connection, given["customer"]) if given["customer"] else None
    wanted = {
        "state": given["state"], "provider": given["provider"], "customer": whose, "email": given["email"],
        "from": given["from_"], "to": given["to"], **{name: given[field] or None for name, field in flags.items()},
    }  # fmt: skip
    if as_csv:
        click.echo(connection.text(ROUTE, "text/csv", **wanted), nl=False)
        return
    page = connection.get(ROUTE, **wanted, limit=limit)
    if as_json:
        show.as_json(page)
        return
    rows = [
        (show.when(one["createdAt"]), one["id"], one["state"], one["provider"], _email(one), one["domain"],
         show.money(one["amount"], one), _unusual(one))
        for one in page["data"]
    ]  # fmt: skip
    heads = ("since (UTC)", "order", "state", "by", "e-mail", "domain", "amount", "note")
    show.table(heads, rows, empty="No order matches.")
    if page["nextCursor"]:
        show.line(f"There are more than {limit}: --limit, or --csv for all.")


def _unusual(order: Mapping[str, Any]) -> list[str]:
    names = (("missing", "missing"), ("overpaid", "too much"), ("refunded", "refunded"))
    said = [f"{word} {show.money(order[name], order)}" for name, word in names if order[name]]
    return said + (["disputed"] if order["disputed"] else []) + _not_live(order)


def _not_live(order: Mapping[str, Any]) -> list[str]:
    """Which invoice was paid although nothing runs, and why; said where only such orders are asked for, and of one."""
    stopped = order["notLive"]
    if not stopped:
        return []
    paid = stopped["invoiceId"] or stopped["paymentIntentId"]
    return [*([f"paid by {paid}"] if paid else []), stopped["detail"] or stopped["reason"]]


@orders.command(
    "show", epilog=example("orders show 8f14e45f-...", "orders show 'RF18 5390 0754 7034'", "orders show ID --json")
)
@click.argument("order")
@asks
def show_order(connection: Connection, order: str, as_json: bool) -> None:
    """One order, its payments, refunds and steps. ORDER is its id or its payment reference."""
    found = _details(connection, order)
    if as_json:
        show.as_json(found)
        return
    one = found
    names = (
        "id",
        "state",
        "provider",
        "customerId",
        "email",
        "name",
        "billingPlanId",
        "domain",
        "reference",
        "subscriptionId",
    )
    show.pairs([(name, _email(one) if name == "email" else one[name]) for name in names])
    if one["notLive"]:
        show.pairs([("not live", "; ".join([*_not_live(one), one["notLive"]["remedy"]]))])
    amounts = ("amount", "total", "collected", "missing", "overpaid", "returned", "refunded")
    show.pairs([(name, show.money(one[name], one)) for name in amounts if one[name]])
    times = ("createdAt", "dueAt", "paidAt", "servedAt", "periodEnd", "endedAt")
    show.pairs([(name, show.when(one[name])) for name in times])
    _money_of(found)
    _steps_of(found["steps"])


def _money_of(found: Mapping[str, Any]) -> None:
    """What came and what went back, each with its id at Stripe or at the bank; all numbers of each: --json."""
    came = [
        (show.when(one["paidAt"] or one["createdAt"]), one["state"], show.money(one["amount"], one), *_fee(one),
         one["chargeId"] or one["paymentIntentId"] or one["invoiceId"], one["failureMessage"])
        for one in found["payments"]
    ]  # fmt: skip
    _part("Payments", ("when (UTC)", "state", "amount", "fee", "net", "id at Stripe", "why it failed"), came)
    told = [
        (show.when(one["collectedAt"]), show.money(one["amount"], one), one["actor"], one["externalId"])
        for one in found["collections"]
    ]
    _part("Came without Stripe", ("when (UTC)", "amount", "told by", "their own id"), told)
    for name in ("refunds", "disputes"):
        back = [
            (show.when(one["createdAt"]), one["status"], show.money(one["amount"], one), one["reason"], one["actor"],
             show.when(one["dueBy"]), one["id"], one["failure"])
            for one in found[name]
        ]  # fmt: skip
        heads = ("when (UTC)", "state", "amount", "reason", "by", "answer until", "id", "why it failed")
        _part(name.capitalize(), heads, back)


def _fee(payment: Mapping[str, Any]) -> tuple[str, str]:
    """What Stripe took of it and what is left, in the currency of the balance, once they are known."""
    numbers = payment["numbers"]
    if not numbers:
        return "", ""
    of = {"currency": numbers["balanceCurrency"], "exponent": numbers["balanceExponent"]}
    return show.money(numbers["providerFee"], of), show.money(numbers["net"], of)


def _steps_of(steps: Iterable[Mapping[str, Any]]) -> None:
    rows = [
        (show.when(one["at"]), one["kind"], one["fact"], one["toState"] or one["state"], one["cause"], one["subject"],
         one["error"])
        for one in steps
    ]  # fmt: skip
    _part("Steps", ("when (UTC)", "what", "because", "state", "by", "about", "error"), rows)


def _part(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table under its title, without the columns in which nothing stands; nothing where there are no rows."""
    if not rows:
        return
    show.heading(title)
    kept = [at for at in range(len(heads)) if any(row[at] not in (None, "") for row in rows)]
    show.table([heads[at] for at in kept], [[row[at] for at in kept] for row in rows], empty="")


@click.command(
    epilog=example("collect 'RF18 5390 0754 7034' 19.00", "collect RF18539007547034 9.50 --external-id 2026-11-28/17")
)
@click.argument("order")
@click.argument("amount")
@click.option("--external-id", metavar="ID", help="The bank's or the courier's own id of the money: it counts once.")
@click.option("--anyway", is_flag=True, help="Although the same debt is paid, or can be paid, at Stripe.")
@once
@yes
@asks
def collect(
    connection: Connection, order: str, amount: str, external_id: str | None, anyway: bool, key: str, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Take in money that came without Stripe. ORDER is its id or its payment reference."""
    one = _order(connection, order)
    minor = _minor(amount, one)
    confirm(
        f"{show.money(minor, one)} came for the order of {_whose(one)} ({show.money(one['missing'], one)} missing)?",
        said_yes=yes,
    )
    body = {"action": "collect", "orderId": one["id"], "amount": minor, "currency": one["currency"]}
    body |= filled(externalId=external_id, anyway=anyway or None)
    done = _done_once(connection, body, key)
    _tell(done, as_json=as_json)


@click.command(epilog=example("refund 8f14e45f-... --reason 'cancelled within 14 days'", "refund 8f14e45f-... 5.00"))
@click.argument("order")
@click.argument("amount", required=False)
@click.option("--payment", metavar="ID", help="Of which payment; the newest, if nothing is said.")
@reason
@once
@yes
@asks
def refund(
    connection: Connection, order: str, amount: str | None, payment: str | None, reason: str | None, key: str,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Give money back: the whole payment, or AMOUNT. Offline you pay it out yourself."""
    one = _order(connection, order)
    minor = _minor(amount, one) if amount is not None else None
    what = show.money(minor, one) if minor is not None else "all that is left"
    confirm(f"Give {what} back to {_whose(one)}?", said_yes=yes)
    body = {"action": "refund", "orderId": one["id"], **filled(amount=minor, reason=reason, paymentId=payment)}
    done = _done_once(connection, body, key)
    _tell(done, as_json=as_json)


def _done_once(connection: Connection, body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Move money; where it is open whether it was moved, say how to ask for the same again."""
    again = f"Run it again with --key {shlex.quote(key)}: the same act, and not a second one."
    try:
        return connection.post(ROUTE, body, key=key)
    except KeyboardInterrupt:
        click.echo(f"\n{again}", err=True)
        raise
    except Failed as failed:
        if failed.code != UNREACHABLE and int((failed.document or {}).get("status", 0)) < FAULT_OF_THEIRS:
            raise
        raise Failed(f"{failed}\n{again}", failed.code, failed.document) from None


def _whose(order: Mapping[str, Any]) -> str:
    return named(order["customerId"], _email(order)) or "nobody yet"


def _email(order: Mapping[str, Any]) -> str | None:
    """Of who ordered; of an order that was learnt from Stripe, that of its customer."""
    email: str | None = order["email"] or order["customerEmail"]
    return email


def _details(connection: Connection, word: str) -> dict[str, Any]:
    """Everything about the order that a word names: its id, or its payment reference."""
    return connection.get(ROUTE, id=word if UUID.fullmatch(word) else _order(connection, word)["id"])


def _order(connection: Connection, word: str) -> dict[str, Any]:
    """The order itself; by its reference also for a key that may only collect."""
    if UUID.fullmatch(word):
        return connection.get(ROUTE, id=word)
    found = connection.get(ROUTE, reference=word, limit=2)["data"]
    if len(found) != 1:
        none = f"No order has the id or the payment reference {word} (a key that only collects sees open ones)."
        said = f"{word} means several orders." if found else none
        raise Failed(said)
    order: dict[str, Any] = found[0]
    return order


def _minor(typed: str, of: Mapping[str, Any]) -> int:
    """An amount as typed, such as 19 or 19.00, in minor units of the order's currency."""
    exponent = int(of["exponent"])
    found = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,4}))?", typed.strip())
    if not found or len(found[2] or "") > exponent or not (int(found[1]) or int(found[2] or 0)):
        form = "19" if exponent == 0 else f"19 or 19.{'0' * exponent}"
        raise Failed(f"{typed!r} is no amount in {str(of['currency']).upper()}: write it such as {form}.", USAGE)
    whole: int = int(found[1]) * 10**exponent
    return whole + int((found[2] or "").ljust(exponent, "0") or 0)


def _tell(done: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.as_json(done)
        return
    one = done["order"]
    again = " (it had been done before)" if done["repeated"] else ""
    show.line(f"The order of {_whose(one)} is {one['state']}{again}." + "".join(f" {note}." for note in _unusual(one)))
    if done["refund"]:
        show.line(f"Refund: {done['refund'].get('status')}")
