"""A bank statement as lines: CAMT.053 (any version) and CSV. Only what came in; reversals are left to a person."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.parsers import expat

from lib.errors import BridgeError
from lib.policy.currencies import InvalidAmount, currency_of, digits, minor_units
from lib.policy.statement import StatementLine

NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "external_id", "transaction id", "transactionid"),
    "date": ("date", "booking date", "bookingdate", "buchungstag", "datum", "buchungsdatum", "wertstellung", "valuta"),
    "amount": ("amount", "betrag", "umsatz"),
    "currency": ("currency", "waehrung", "währung"),
    "text": ("text", "reference", "purpose", "verwendungszweck", "remittance information"),
    "payer": ("payer", "name", "debtor", "auftraggeber"),
}
"""Names of columns that are understood; others are told with `--column`."""

_NO_ID = {"", "NOTPROVIDED", "NONREF"}


class BadStatementError(BridgeError):
    """The file is no statement that can be read; nothing was done."""


@dataclass(slots=True)
class Statement:
    """What a file says."""

    lines: list[StatementLine] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Lines that can't be understood, with why."""
    passed_over: int = 0
    """What went out, was taken back, or is not booked yet."""
    _seen: Counter[str] = field(default_factory=Counter)

    def add(self, line: StatementLine, account: str) -> None:
        """Take in a line; one without an id of the bank's gets one from all that it says."""
        if line.id.upper() in _NO_ID:
            said = repr((account, line.amount, line.currency, line.at, " ".join(line.text.split()), line.payer))
            digest = hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
            self._seen[digest] += 1  # two that are quite the same are two; each file has them in the same order
            line_id = f"sum:{digest}:{self._seen[digest]}"
        else:
            line_id = f"{account}:{line.id}" if account else line.id
        self.lines.append(StatementLine(line_id, line.amount, line.currency, line.at, line.text, line.payer))


def read(name: str, raw: bytes, *, columns: Mapping[str, str], currency: str) -> Statement:
    """The lines of a file, whichever of the two kinds it is.

    Args:
        columns: our names of columns -> those of the file.
        currency: of a CSV file that names none.

    Raises:
        BadStatementError: it is neither.
    """
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _camt(name, raw)
    return _csv(name, _text(raw), columns, currency)


# --- CAMT.053 ---------------------------------------------------------------------------------------------------------


def _parse(name: str, raw: bytes) -> ElementTree.Element:
    """The tree of a document without a document type: so it has no entities that could grow or name other files."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise BadStatementError(f"{name}: it declares a document type, which no bank statement does; it was not read")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag.rpartition(":")[2], attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag.rpartition(":")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise BadStatementError(f"{name}: it is not XML that can be read: {error}") from None
    return builder.close()


def _camt(name: str, raw: bytes) -> Statement:
    root, found = _parse(name, raw), Statement()
    statements = [*root.iter("Stmt"), *root.iter("Ntfctn")]
    if not statements:
        raise BadStatementError(f"{name}: it has no Stmt: save the statement as CAMT.053")
    for statement in statements:
        account = statement.findtext("Acct/Id/IBAN") or statement.findtext("Acct/Id/Othr/Id") or ""
        for number, entry in enumerate(statement.iter("Ntry"), 1):
            status = (entry.findtext("Sts/Cd") or entry.findtext("Sts") or "BOOK").strip()
            taken_back = (entry.findtext("RvslInd") or "").strip().lower() == "true"
            if (entry.findtext("CdtDbtInd") or "").strip() != "CRDT" or taken_back or status != "BOOK":
                found.passed_over += 1
                continue
            try:
                _entry(found, entry, account)
            except (InvalidAmount, ValueError) as error:
                found.unread.append(f"entry {number}: {error}")
    return found


def _entry(found: Statement, entry: ElementTree.Element, account: str) -> None:
    """One booking: a single payment, or a batch of them with an amount each."""
    booked = entry.findtext("BookgDt/Dt") or entry.findtext("BookgDt/DtTm") or entry.findtext("ValDt/Dt")
    at = _when(booked) if booked else None
    own = _first(entry, "AcctSvcrRef")  # not NtryRef: with many banks it only counts the lines of one statement
    details = list(entry.iter("TxDtls"))
    if len(details) <= 1:
        detail = details[0] if details else entry
        line_id = own or _first(detail, "Refs/AcctSvcrRef", "Refs/TxId")
        found.add(_line(line_id, entry.find("Amt"), detail, at), account)
        return
    for number, detail in enumerate(details, 1):
        if (detail.findtext("CdtDbtInd") or "CRDT").strip() != "CRDT":  # the bank's fee within a batch, say
            found.passed_over += 1
            continue
        amount = detail.find("Amt") if detail.find("Amt") is not None else detail.find("AmtDtls/TxAmt/Amt")
        line_id = _first(detail, "Refs/AcctSvcrRef", "Refs/TxId") or (own and f"{own}/{number}")
        found.add(_line(line_id, amount, detail, at), account)


def _line(
    line_id: str, amount: ElementTree.Element | None, detail: ElementTree.Element, at: datetime | None
) -> StatementLine:
    if amount is None or amount.text is None:
        raise ValueError("it names no amount")
    currency = currency_of(amount.get("Ccy", ""))
    texts = [*detail.findall("RmtInf/Strd/CdtrRefInf/Ref"), *detail.findall("RmtInf/Ustrd")]
    text = " ".join(part.text.strip() for part in texts if part.text) or _first(detail, "Refs/EndToEndId")
    payer = _first(detail, "RltdPties/Dbtr/Nm", "RltdPties/Dbtr/Pty/Nm")
    return StatementLine(line_id, minor_units(amount.text, currency), currency, at, text, payer or None)


def _first(thing: ElementTree.Element, *paths: str) -> str:
    found = ((thing.findtext(path) or "").strip() for path in paths)
    return next((text for text in found if text.upper() not in _NO_ID), "")


# --- CSV --------------------------------------------------------------------------------------------------------------


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")  # what banks' exports are otherwise


def _csv(name: str, text: str, columns: Mapping[str, str], currency: str) -> Statement:
    found, head = Statement(), text.splitlines()[0] if text.strip() else ""
    rows = csv.DictReader(text.splitlines(), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        for row in _rows(name, rows, columns):
            try:
                line = _csv_line(row, currency)
            except (InvalidAmount, ValueError) as error:
                found.unread.append(f"line {rows.line_num}: {error}")
                continue
            if line.amount > 0:
                found.add(line, "")
            else:
                found.passed_over += 1
    except csv.Error as error:
        raise BadStatementError(f"{name}: line {rows.line_num + 1}: {error}") from None
    return found


def _rows(name: str, rows: csv.DictReader[str], columns: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The lines by our names of their columns."""
    heads = {(head or "").strip().lower(): head for head in rows.fieldnames or []}
    ours = {}
    for column, known in NAMES.items():
        wanted = (columns[column].strip().lower(),) if column in columns else known
        ours[column] = [heads[one] for one in wanted if one in heads]
    missing = [column for column in ("amount", "text") if not ours[column]]
    if missing:
        detail = f"no column is known as {' and '.join(missing)}; say which, such as --column {missing[0]}=Betrag"
        raise BadStatementError(f"{name}: {detail}")
    if not ours["id"] and not ours["date"] and "date" not in columns:
        detail = "neither an id nor a date is known, and who pays the same again would be passed over; say which column"
        raise BadStatementError(f"{name}: {detail} it is, such as --column date=Datum (date=none: there is none)")
    for row in rows:
        yield {column: " ".join((row.get(one) or "").strip() for one in found) for column, found in ours.items()}


def _csv_line(row: Mapping[str, str], currency: str) -> StatementLine:
    money = currency_of(row["currency"] or currency)
    at = _when(row["date"]) if row["date"] else None
    return StatementLine(row["id"], _amount(row["amount"], money), money, at, row["text"], row["payer"] or None)


def _amount(typed: str, currency: str) -> int:
    """An amount as a bank writes it: 1.234,56 or 1,234.56. What could be either is no amount."""
    text = re.sub(r"[\s\u00a0']", "", typed).lstrip("+")
    if marks := re.findall(r"[.,]", text):
        part = text[max(text.rfind("."), text.rfind(",")) + 1 :]
        whole = re.sub(r"[.,]", "", text[: -len(part) - 1])
        if len(part) != 3 or digits(currency) == 3:
            text = f"{whole}.{part}"
        elif len(marks) > 1 and len(set(marks)) == 1:
            text = whole + part
        else:
            raise InvalidAmount(f"{typed!r} may be thousands or parts: write it with two digits behind the point")
    return minor_units(text, currency)


def _when(typed: str) -> datetime:
    """A day, as ISO has it or with points."""
    text = typed.strip()
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{2}|\d{4})", text):
        day, month, year = found.groups()
        text = f"{'20' if len(year) == 2 else ''}{year}-{int(month):02d}-{int(day):02d}"
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
