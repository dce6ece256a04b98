"""Payment references: ISO 11649 creditor references (``RF18 5390 0754 7034``), made, checked and found again.

Two check digits (ISO 7064, modulo 97) catch every single wrong digit and nearly every swap. They do not catch the
reference of somebody else, so that money is only taken by an exact match.
"""

from __future__ import annotations

import re

_BODY = re.compile(r"[A-Z0-9]{1,21}", re.ASCII)
_WRITTEN = re.compile(r"RF[0-9]{2}[A-Z0-9]{1,21}", re.ASCII)
_PRINTED = re.compile(r"RF[0-9]{2}(?: ?[A-Z0-9]){1,21}(?![A-Z0-9])", re.ASCII)
"""In a free text, perhaps in groups of four."""

BODY_DIGITS = 15
"""Digits of our own references: short enough to type; in a million orders no two are alike, 1,999 times of 2,000."""

LONGEST = 140
"""Of a reference that an operator makes up: what a bank transfer's free text holds."""


class InvalidReference(ValueError):
    """No reference can be made of this."""


def normalise(typed: str) -> str:
    """One spelling for a reference, as it is stored and compared: capitals, and in an RF reference no blanks."""
    text = " ".join(typed.upper().split())
    close = re.sub(r"[\s-]", "", text)
    return close if is_creditor_reference(close) else text


def make(body: str) -> str:
    """The creditor reference with this body.

    Raises:
        InvalidReference: the body is not 1 to 21 letters and digits.
    """
    clean = re.sub(r"[\s-]", "", body).upper()
    if not _BODY.fullmatch(clean):
        raise InvalidReference(f"{body[:40]!r} is not 1 to 21 letters and digits")
    return f"RF{98 - _remainder(clean + 'RF00'):02d}{clean}"


def of_order(order_id: str) -> str:
    """The reference of an order: digits out of its id (a UUID), so that it can be typed anywhere."""
    return make(f"{int(order_id.replace('-', ''), 16) % 10**BODY_DIGITS:0{BODY_DIGITS}d}")


def is_creditor_reference(text: str) -> bool:
    """Whether it is an RF reference, written closely, whose check digits are right."""
    return bool(_WRITTEN.fullmatch(text)) and text[2:4] not in ("00", "01", "99") and _is_right(text)


def printed(reference: str) -> str:
    """As it stands on paper: an RF reference in groups of four."""
    if not is_creditor_reference(reference):
        return reference
    return " ".join(reference[i : i + 4] for i in range(0, len(reference), 4))


def found_in(text: str) -> tuple[str, ...]:
    """Every valid RF reference in a bank line's free text, each once.

    What follows a reference in the line may look like its next group: every reading whose check digits are right is
    there, and the caller knows which of them it gave out.
    """
    line = " ".join(text.upper().split())
    found: dict[str, None] = {}
    for start in re.finditer(r"(?<![A-Z0-9])RF[0-9]{2}", line, re.ASCII):
        match = _PRINTED.match(line, start.start())
        words = match.group().split(" ") if match else []
        for count in range(len(words), 0, -1):
            candidate = "".join(words[:count])
            if is_creditor_reference(candidate):
                found[candidate] = None
    return tuple(found)


def _is_right(text: str) -> bool:
    return _remainder(text[4:] + text[:4]) == 1


def _remainder(text: str) -> int:
    return int("".join(str(int(character, 36)) for character in text)) % 97
