"""Take in a bank statement: preview first; an exact reference with an exact amount is collected, the rest is listed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts._console import actor, bridge, confirmed, finish, table

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.model.money import Order
    from lib.policy.statement import StatementLine

Fit = tuple["StatementLine", "Order"]
Rest = tuple["StatementLine", str, str]


def main() -> None:
    """Preview, or collect with --apply; the exit code says whether anything is left for a person."""
    parser = argparse.ArgumentParser(
        prog="scripts/collect",
        description="Reads a bank statement (CAMT.053 or CSV) and collects the orders that its lines pay: the order's "
        "reference stands in the line, and the amount is exactly what the order waits for. Everything else is listed "
        "with why. Without --apply it only shows that. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="A line counts once, however often its file is read. Exit code: 0 nothing is left for a person, "
        "1 something is, 2 it could not be done, 130 Ctrl-C.",
    )
    parser.add_argument("file", metavar="FILE", help="the statement; - reads standard input")
    parser.add_argument("--apply", action="store_true", help="collect, after you have typed yes")
    parser.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="a column of a CSV file by its own name: id, date, amount, currency, text or payer",
    )
    parser.add_argument("--currency", default="eur", help="of a CSV file that names none (default: eur)")
    parser.add_argument("--actor", help="the name in the orders' log (default: $USER)")
    options = parser.parse_args()
    columns = dict(given.partition("=")[::2] for given in options.column)
    if unknown := set(columns) - {"id", "date", "amount", "currency", "text", "payer"}:
        parser.error(f"--column takes id, date, amount, currency, text and payer, not {', '.join(sorted(unknown))}")

    try:
        raw = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        parser.error(f"{options.file} can't be read: {error.strerror}")
    finish(
        lambda: _collect(options, raw, columns),
        "It could not be done",
        "Each line is taken in whole or not at all; run this again.",
    )


async def _collect(options: argparse.Namespace, raw: bytes, columns: dict[str, str]) -> int:
    from scripts._statement import read

    statement = read(options.file, raw, columns=columns, currency=options.currency)
    async with bridge() as manager:
        await manager.ensure_schema(migrates=False)
        fits, rest, before = await _lay_on(manager, statement.lines)
        if fits:
            print("To be collected")
            print(table(("REFERENCE", "AMOUNT", "DATE", "PAYER", "ORDER"), [_fit(line, order) for line, order in fits]))
        _show_rest(rest, statement.unread)
        print(
            f"\nLines: {len(fits)} to be collected, {len(rest) + len(statement.unread)} left for a person,"
            f" {before} taken in before, {statement.passed_over} that bring no money."
        )
        if not options.apply:
            if fits:
                print("This is a preview: nothing was written. Add --apply to collect.")
        elif fits and (options.yes or confirmed("\nThey are collected as shown.")):
            rest += await _take(manager, fits, actor(options.actor))
        elif fits:
            print("Nothing was written.")
        return 1 if rest or statement.unread else 0


async def _lay_on(manager: Bridge, lines: Sequence[StatementLine]) -> tuple[list[Fit], list[Rest], int]:
    """The lines that pay an order exactly, the others with why, and how many were taken in before."""
    from lib.database import offline_money, orders
    from lib.model.provider import Provider
    from lib.policy.statement import Unmatched, candidates, match, other_money

    taken = await offline_money.taken(manager.db, Provider.BANK_TRANSFER, [line.id for line in lines])
    fits: list[Fit] = []
    rest: list[Rest] = []
    for line in lines:
        asked = {"references": list(candidates(line)), "provider": Provider.BANK_TRANSFER}
        found = await orders.select(
            manager.db, "WHERE reference = ANY(%(references)s) AND provider = %(provider)s", asked
        )
        before = taken.get(line.id)
        fit = other_money(line, before, found) if before else match(line, found, {order.id for _, order in fits})
        match fit:
            case None:
                continue
            case Unmatched(why, detail):
                rest.append((line, why, detail))
            case order:
                fits.append((line, order))
    return fits, rest, len(lines) - len(fits) - len(rest)


async def _take(manager: Bridge, fits: Sequence[Fit], who: str) -> list[Rest]:
    """Collect; what was refused after all."""
    from lib.checkout.collecting import Money, collect
    from lib.checkout.till import Till
    from lib.errors import Declined

    till, refused = Till(manager.settings, manager.db, who), list[Rest]()
    for line, order in fits:
        try:
            money = Money(line.amount, line.currency, line.id, line.at, exact=True)
            await collect(till, order.id, money, manager.stripe)
        except Declined as declined:
            refused.append((line, declined.code, str(declined)))
    print(f"\nCollected: {len(fits) - len(refused)}. Who has paid is due: the next pass looks at each.")
    if refused:
        _show_rest(refused, [])
    return refused


def _fit(line: StatementLine, order: Order) -> tuple[object, ...]:
    from lib.policy import references
    from lib.policy.currencies import shown

    day = line.at.date() if line.at else None
    return references.printed(order.reference or ""), shown(line.amount, line.currency), day, line.payer, order.id


def _show_rest(rest: Sequence[Rest], unread: Sequence[str]) -> None:
    from lib.policy.currencies import shown

    if rest:
        print("\nLeft for a person")
        rows = [(shown(line.amount, line.currency), line.payer, line.text, why, said) for line, why, said in rest]
        print(table(("AMOUNT", "PAYER", "TEXT", "REASON", "WHAT TO DO"), rows))
    for said in unread:
        print(f"\nNot understood: {said}")
