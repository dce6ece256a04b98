"""Who is to be linked to what, as an operator's CSV file says it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import BridgeError
from scripts._survey import Survey, listed

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.policy.adoption import Row

COLUMNS = ("customer_id", "email", "org_id", "subscription_id", "panel_subscription_id", "website", "domain")


class BadFileError(BridgeError):
    """The file as a whole can't be read."""


class FromFile(Survey):
    """The rows of a file."""

    how = "adopted_from_file"

    def __init__(self, manager: Bridge, name: str, text: str, *, accept_plan_changes: bool) -> None:
        super().__init__(manager, accept_plan_changes=accept_plan_changes)
        self._name, self._text = name, text

    async def rows(self) -> list[Row]:
        """The rows of the file; those that say too little, or nothing that can be read, are refused."""
        from lib.policy.adoption import spelt

        payers: dict[str, set[str]] | None = None
        rows = []
        for number, given in _lines(self._name, self._text):
            customer_id = given.get("customer_id") or None
            if customer_id is None and given.get("email"):
                payers = await self.payers() if payers is None else payers
                customers = payers.get(spelt(given["email"]), set())
                if len(customers) != 1:
                    detail = f"{listed(customers)} have this e-mail" if customers else "nobody who pays has this e-mail"
                    self.refuse(_line(number, given["email"]), "ambiguous_email", f"{detail}; name customer_id")
                    continue
                (customer_id,) = customers
            row = self._row(given, customer_id, _line(number, customer_id))
            if row is not None:
                rows.append(row)
        return rows

    def _row(self, given: dict[str, str], customer_id: str | None, who: str) -> Row | None:
        from lib.policy import InvalidDomain, normalise_domain
        from lib.policy.adoption import Row

        number = given.get("panel_subscription_id", "")
        typed = given.get("domain") or given.get("website") or ""
        if customer_id is None or not given.get("org_id"):
            self.refuse(who, "incomplete", "the row names no customer, or no organisation")
            return None
        if number and not (number.isascii() and number.isdigit() and int(number) < 2**31):
            self.refuse(who, "incomplete", f"panel_subscription_id {number!r} is no number of the panel")
            return None
        try:
            domain = normalise_domain(typed) if typed else None
        except InvalidDomain as error:
            self.refuse(who, "incomplete", str(error))
            return None
        return Row(
            customer_id,
            given["org_id"].lower(),
            given.get("subscription_id") or None,
            int(number) if number else None,
            domain,
            given.get("email") or None,
        )


def read_text(name: str) -> str:
    """The file, with or without the mark that spreadsheets put before it."""
    raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFileError(f"{name}: it is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    if "\0" in text:
        raise BadFileError(f"{name}: line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a NUL byte")
    return text


def _lines(name: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of each line that says anything."""
    lines = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        heads = [head.strip().lower() for head in lines.fieldnames or []]
        wrong = [f"unknown column {head!r}" for head in heads if head not in COLUMNS]
        wrong += [f"column {head!r} stands there twice" for head in heads if heads.count(head) > 1]
        if "org_id" not in heads or not {"customer_id", "email"} & set(heads):
            wrong.append("customer_id or email, and org_id are needed")
        if wrong:
            columns = ", ".join(COLUMNS)
            raise BadFileError(f"{name}: {wrong[0]}; the first line names columns, between commas, from: {columns}")
        lines.fieldnames = heads
        for line in lines:
            given = {key: value.strip() for key, value in line.items() if isinstance(value, str)}
            if any(given.values()):
                yield lines.line_num, given
    except csv.Error as error:
        raise BadFileError(f"{name}: line {lines.line_num + 1}: {error}") from None


def _line(number: int, who: str | None) -> str:
    return f"line {number} {who or ''}".rstrip()
