"""Bank statements: what is exact is collected, once; everything else is a person's, with the reason."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lib.checkout.offline import cancel
from lib.model.money import Order, OrderState
from lib.policy.currencies import InvalidAmount
from lib.policy.statement import Left, StatementLine, Unmatched, candidates, match
from scripts._collect import _take
from scripts._statement import BadStatementError, _amount, read
from tests.money.goods import offline
from tests.money.till import came, counter, order, sell, states
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

Done = subprocess.CompletedProcess[str]


def run(world: World, *arguments: str | Path, answer: str = "") -> Done:
    """Run collect as an operator does."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "collect", *arguments],
        cwd=ROOT, env={**os.environ, **world.environ, "USER": "anna"}, input=answer, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def entry(amount: str, text: str, ref: str = "", currency: str = "EUR", kind: str = "CRDT", **others: str) -> str:
    """One booking."""
    more = "".join(f"<{name}>{value}</{name}>" for name, value in others.items())
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{kind}</CdtDbtInd>{more}<Sts><Cd>BOOK</Cd></Sts>'
        f"<BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>{ref}</AcctSvcrRef><NtryDtls><TxDtls>"
        f"<RltdPties><Dbtr><Pty><Nm>Ada Example</Nm></Pty></Dbtr></RltdPties>"
        f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )


def camt(*entries: str) -> str:
    """A statement of one account."""
    space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
    account = "<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>"
    return (
        f'{HEAD}<Document xmlns="{space}"><BkToCstmrStmt><Stmt>{account}{"".join(entries)}</Stmt></BkToCstmrStmt>'
        "</Document>"
    )


async def test_the_same_file_read_twice_collects_once(world: World, tmp_path: Path) -> None:
    """A preview writes nothing; applied, what is exact is collected; read once more, nothing is left to do."""
    sell(world)
    one, two, three = [await order(world, domain=f"s{n}.example", customer_id=f"K{n}") for n in range(3)]
    file = tmp_path / "statement.xml"
    file.write_text(
        camt(
            entry("19.00", f"thank you {one.reference} Ada", "B-1"),
            entry("18.00", f"{two.reference}", "B-2"),
            entry("19.00", "for the hosting", "B-3"),
            entry("19.00", f"{three.reference}", "B-4", kind="DBIT"),
            entry("19.00", f"{three.reference}", "B-5", RvslInd="true"),
        )
    )
    shown = run(world, file)
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "1 to be collected, 2 left for a person, 0 taken in before, 2 that bring no money" in shown.stdout
    assert "amount_differs" in shown.stdout and "no_reference" in shown.stdout and "preview" in shown.stdout
    assert {state for _, state in states(world)} == {"pending"}
    assert run(world, file, "--apply", answer="no\n").stdout.count("Nothing was written") == 1
    done = run(world, file, "--apply", answer="yes\n")
    assert (done.returncode, "Collected: 1." in done.stdout) == (1, True)
    assert [row["state"] for row in world.sql("SELECT state FROM orders ORDER BY customer_id")] == [
        "paid", "pending", "pending",
    ]  # fmt: skip
    again = run(world, file, "--apply", "--yes")
    assert "0 to be collected, 2 left for a person, 1 taken in before" in again.stdout
    (line,) = world.sql("SELECT * FROM collections")
    assert (line["external_id"], line["actor"]) == ("DE02120300000000202051:B-1", "anna")
    await world.drain()
    assert world.only_subscription().suspended_by is None


async def test_a_csv_of_any_bank_is_read(world: World, tmp_path: Path) -> None:
    """Other names of columns, points and commas, and no ids: read twice, it still counts once."""
    sell(world)
    made = await order(world, amount=123456)
    file = tmp_path / "umsaetze.csv"
    lines = [
        "Buchungstag;Betrag;Zweck;Name",
        f'20.11.2026;"1.234,56";Rechnung {made.reference};Jürgen',
        "20.11.2026;-5,00;Gebühr;Bank",
    ]
    file.write_bytes("\r\n".join(lines).encode("cp1252"))
    for expected in ("Collected: 1.", "0 to be collected, 0 left for a person, 1 taken in before"):
        done = run(world, file, "--column", "text=Zweck", "--apply", "--yes")
        assert (done.returncode, expected in done.stdout) == (0, True), done.stdout + done.stderr
    assert states(world) == [("admin", "paid")]


async def test_a_file_that_counts_its_lines_hides_nobodys_money(world: World, tmp_path: Path) -> None:
    """Line 1 of the next file is other money: it is listed, and collected where the ids are left out."""
    sell(world)
    one, two = [await order(world, domain=f"s{n}.example", customer_id=f"K{n}") for n in range(2)]
    first, second, third = (tmp_path / f"{name}.csv" for name in ("november", "december", "january"))
    first.write_text(f"id,amount,text\n1,19.00,{one.reference}\n")
    second.write_text(f"id,amount,text\n1,19.00,{two.reference}\n")
    third.write_text("id,amount,text\n1,25.00,for Bob\n")
    assert run(world, first, "--apply", "--yes").returncode == 0
    assert "0 left for a person, 1 taken in before" in run(world, first).stdout
    for file in (second, third):
        shown = run(world, file, "--apply", "--yes")
        assert (shown.returncode, "id_reused" in shown.stdout, "id=none" in shown.stdout) == (1, True, True)
    without = ("--apply", "--yes", "--column", "id=none")
    assert "--column date=" in run(world, second, *without).stderr
    assert run(world, second, *without, "--column", "date=none").returncode == 0
    assert [state for _, state in states(world)] == ["paid", "paid"]


async def test_the_same_money_of_another_month_is_other_money(world: World, tmp_path: Path) -> None:
    """Of a file without ids a line is known by its date, too: who pays once more is listed, and not passed over."""
    sell(world)
    made = await order(world)
    november, december = tmp_path / "november.csv", tmp_path / "december.csv"
    for file, day in ((november, "20.11.2026"), (december, "20.12.2026")):
        file.write_text(f"Datum;Betrag;Verwendungszweck\n{day};19,00;{made.reference}\n")
    assert run(world, november, "--apply", "--yes").returncode == 0
    shown = run(world, december)
    assert (shown.returncode, "paid_already" in shown.stdout) == (1, True), shown.stdout
    undated = tmp_path / "undated.csv"
    undated.write_text(f"Tag;Betrag;Verwendungszweck\n20.12.2026;19,00;{made.reference}\n")
    refused = run(world, undated)
    assert (refused.returncode, "--column date=" in refused.stderr) == (2, True)
    assert "paid_already" in run(world, undated, "--column", "date=Tag").stdout


async def test_a_line_that_pays_what_is_paid_is_listed(world: World, tmp_path: Path) -> None:
    """Somebody paid twice, or was collected by hand before: nothing is taken that would have to be returned."""
    sell(world)
    made = await order(world)
    await came(world, made, 1900)
    file = tmp_path / "statement.csv"
    file.write_text(f"id,amount,text\n1,19.00,{made.reference}\n2,19.00,{made.reference}\n")
    done = run(world, file, "--apply", "--yes")
    assert (done.returncode, done.stdout.count("paid_already")) == (1, 2)


async def test_what_changed_since_the_preview_is_left_for_a_person(world: World) -> None:
    """Cancelled, paid by another line of a second reader, or paid in part: nothing is taken that was not shown."""
    sell(world)
    gone, paid, part = [await order(world, domain=f"s{n}.example") for n in range(3)]
    fits = [
        (StatementLine(f"b{n}", 1900, "eur", None, str(one.reference)), one) for n, one in enumerate((gone, paid, part))
    ]
    async with counter(world) as (bridge, till):
        await cancel(till, gone.id)
        await came(world, paid, 1900)
        await came(world, part, 100)
        left = await _take(bridge, fits, "anna")
        assert [why for _, why, _ in left] == ["order_changed"] * 3
    rows = world.sql("SELECT collected, overpaid FROM orders ORDER BY created_at")
    assert [(row["collected"], row["overpaid"]) for row in rows] == [(0, 0), (1900, 0), (100, 0)]


async def test_two_who_read_one_file_at_one_time_collect_once(world: World) -> None:
    """Each sees the whole file as new; each line of it is there once, and nobody is told of a failure."""
    sell(world)
    made = [await order(world, domain=f"s{n}.example") for n in range(4)]
    fits = [(StatementLine(f"b{n}", 1900, "eur", None, str(one.reference)), one) for n, one in enumerate(made)]
    async with counter(world) as (one, _), counter(world) as (two, _):
        left = await asyncio.gather(_take(one, fits, "anna"), _take(two, fits[::-1], "bob"))
    assert list(left) == [[], []]
    assert world.sql("SELECT DISTINCT collected, overpaid FROM orders") == [{"collected": 1900, "overpaid": 0}]
    assert world.sql("SELECT count(*)::int AS n FROM collections") == [{"n": 4}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><Document/>', "declares a document type"),
        ("<Document><unclosed></Document>", "not XML that can be read"),
        ("<Document/>", "has no Stmt"),
        ("a;b\n1;2\n", "no column is known as amount and text"),
        ("", "no column is known as amount and text"),
    ],
)
def test_what_is_no_statement_is_refused(text: str, said: str) -> None:
    """No entities, half files, or tables of something else: one sentence, and nothing is done."""
    with pytest.raises(BadStatementError, match=said):
        read("file", text.encode(), columns={}, currency="eur")


def test_a_batch_is_its_payments() -> None:
    """One booking of several payments is as many lines, each with its own amount and id."""
    batch = (
        '<Ntry><Amt Ccy="EUR">30.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><AcctSvcrRef>7</AcctSvcrRef>'
        "<NtryDtls>"
        '<TxDtls><Refs><AcctSvcrRef>a</AcctSvcrRef></Refs><Amt Ccy="EUR">10.00</Amt></TxDtls>'
        '<TxDtls><AmtDtls><TxAmt><Amt Ccy="EUR">20.00</Amt></TxAmt></AmtDtls>'
        "<RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>"
        '<TxDtls><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls></NtryDtls></Ntry>'
    )
    found = read("file", camt(batch).encode(), columns={}, currency="eur").lines
    assert [(line.id.rpartition(":")[2], line.amount) for line in found] == [("a", 1000), ("7/2", 2000)]
    assert candidates(found[1]) >= {"RF18539007547034"}


def test_a_number_within_a_statement_is_no_id() -> None:
    """Many banks count the entries of each statement from 1: November's first is not October's."""
    ids = set()
    for amount, day in (("19.00", "2026-10-02"), ("29.00", "2026-11-02")):
        entry = (
            f'<Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>'
            f"<BookgDt><Dt>{day}</Dt></BookgDt></Ntry>"
        )
        ids |= {line.id for line in read("file", camt(entry).encode(), columns={}, currency="eur").lines}
    assert len(ids) == 2


def test_two_equal_lines_without_an_id_are_two() -> None:
    """The same file gives them the same ids again, and they are not taken for one."""
    text = b"amount,date,text\n5.00,2026-11-20,RF18539007547034\n5.00,2026-11-20,RF18539007547034\n"
    once, twice = (read("file", text, columns={}, currency="eur").lines for _ in range(2))
    assert once == twice and len({line.id for line in once}) == 2


@pytest.mark.parametrize(
    ("typed", "currency", "amount"),
    [
        ("1.234,56", "eur", 123456), ("1,234.56", "eur", 123456), ("19", "eur", 1900), ("19,5", "eur", 1950),
        ("1.234.567", "eur", 123456700), ("500", "jpy", 500), ("1.500", "kwd", 1500), ("-5,00", "eur", -500),
        ("1.234", "eur", None), ("1.234,567", "eur", None), ("viel", "eur", None), ("", "eur", None),
    ],
)  # fmt: skip
def test_an_amount_is_certain_or_none(typed: str, currency: str, amount: int | None) -> None:
    """What could be thousands or parts is not guessed."""
    if amount is None:
        with pytest.raises(InvalidAmount):
            _amount(typed, currency)
    else:
        assert _amount(typed, currency) == amount


LINE = StatementLine("1", 1900, "eur", None, "RF18539007547034")


@pytest.mark.parametrize(
    ("found", "line", "why"),
    [
        ([], {"text": "hello"}, Left.NO_REFERENCE),
        ([], {}, Left.UNKNOWN_REFERENCE),
        ([{}, {}], {}, Left.SEVERAL),
        ([{"currency": "usd"}], {}, Left.OTHER_CURRENCY),
        ([{"state": OrderState.PAID, "collected": 1900}], {}, Left.PAID_ALREADY),
        ([{"cancelled": True, "state": OrderState.EXPIRED}], {}, Left.CANCELLED),
        ([{}], {"amount": 1899}, Left.AMOUNT_DIFFERS),
        ([{"collected": 900, "state": OrderState.PAYING}], {}, Left.AMOUNT_DIFFERS),
        ([{"collected": 900, "state": OrderState.PAYING}], {"amount": 1000}, None),
        ([{"state": OrderState.EXPIRED}], {}, None),
        ([{}], {}, None),
    ],
)
def test_only_what_is_exact_is_money(found: list[dict[str, Any]], line: dict[str, Any], why: Left | None) -> None:
    """One order, its currency, all that it waits for: else a person looks."""
    orders: list[Order] = [offline(**one) for one in found]
    result = match(StatementLine(**{**_fields(LINE), **line}), orders)
    assert result == orders[0] if why is None else isinstance(result, Unmatched) and result.why is why
    assert why is not None or isinstance(match(LINE, orders, {orders[0].id}), Unmatched), "no order is paid twice"


def _fields(line: StatementLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in StatementLine.__struct_fields__}
