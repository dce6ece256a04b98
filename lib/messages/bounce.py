"""Mails about mails: what a delivery status notification says became of one of ours.

Such a notification is a `multipart/report` (RFC 3464): what happened for people, the same for programs, and the mail
that it is about, or its head alone. Nothing in it is proven, and nobody is asked to believe more than that a mail came
back. Pure: who looks for the mail that is meant stands in `lib.operators.notices`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from email import message_from_bytes, message_from_string
from email.message import Message

from msgspec import Struct

from lib.errors import foreign

LONGEST = 1024 * 1024
"""Bytes that are read: what counts stands before the mail that came back with it."""

_OURS = re.compile(r"\bnotice-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.IGNORECASE)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'@=]{1,320}@[^\s<>()\[\],;:\"'@=]{1,320}")
_TO_PEOPLE = 2000
"""Characters of a diagnostic that are looked at."""

_REPORTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED = ("message/rfc822", "message/global", "message/global-headers", "text/rfc822-headers")


class NotRecognised(Exception):
    """It tells of no mail that did not arrive; why it is taken for none."""


class Bounce(Struct, frozen=True):
    """One mail that did not arrive, or not yet."""

    notice_id: str | None
    """The notice that it names by its Message-ID; `None`: it names none of ours."""
    address: str | None
    """To whom it was."""
    failed: bool
    """For good; else it is still tried."""
    said: str
    """The status code, and the words of the mail server, without addresses."""
    digest: str | None = None
    """Tells this report from others; `None` where there is nothing to tell it by."""


def of_message(raw: bytes) -> Bounce:
    """What a notification says.

    Raises:
        NotRecognised: it is none, or says that nothing failed.
    """
    raw = raw[:LONGEST]
    try:
        message = message_from_bytes(raw)
        return _read(message, hashlib.sha256(raw).hexdigest())
    except (RecursionError, LookupError, ValueError) as error:  # made to break who reads it, or broken on the way
        raise NotRecognised(f"it can't be read: {type(error).__name__}") from error


def of_fields(message_id: str | None, address: str | None, status: str, diagnostic: str | None) -> Bounce:
    """What the webhook of a mail provider says.

    Raises:
        NotRecognised: the status says that it arrived.
    """
    found = _status(status)
    if found.startswith("2"):
        raise NotRecognised("it says that the mail arrived")
    return Bounce(_ours(message_id or ""), address, found.startswith("5"), _said(found, diagnostic or ""))


def _read(message: Message, digest: str) -> Bounce:
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        raise NotRecognised(_why_not(message))
    parts = [part for part in message.get_payload() if isinstance(part, Message)]
    report = next((part for part in parts if part.get_content_type() in _REPORTS), None)
    if report is None:
        kind = str(message.get_param("report-type") or "no type")
        raise NotRecognised(f"it is a report of another kind: {foreign(kind)}")
    recipient = _worst(list(_blocks(report)))
    action = _field(recipient, "Action").lower()
    if action in ("delivered", "relayed", "expanded"):
        raise NotRecognised(f"it says that the mail was {action}")
    status = _status(_field(recipient, "Status"), "4.0.0" if action == "delayed" else "5.0.0")
    return Bounce(
        notice_id=_named(message, parts),
        address=_recipient(recipient),
        failed=action == "failed" or (action != "delayed" and status.startswith("5")),
        said=_said(status, _field(recipient, "Diagnostic-Code")),
        digest=digest,
    )


def _why_not(message: Message) -> str:
    """What it is instead."""
    sender = f"{_field(message, 'From')} {_field(message, 'Return-Path')}".lower()
    if "mailer-daemon" in sender or "postmaster" in sender or "<>" in sender:
        return "it came back without a delivery status for programs: a person has to read it"
    return "it is no delivery status notification"


def _blocks(report: Message) -> Iterator[Message]:
    """The groups of fields: of the whole first, then of each recipient."""
    payload = report.get_payload()
    for part in payload if isinstance(payload, list) else []:
        if not isinstance(part, Message):
            continue
        yield part
        rest = part.get_payload()
        if report.get_content_type() != _REPORTS[0] and isinstance(rest, str):  # the parser takes the others for a body
            yield from (message_from_string(block) for block in re.split(r"\r?\n[ \t]*\r?\n", rest) if block.strip())


_WEIGHT = {"failed": 2, "delayed": 1}


def _worst(blocks: list[Message]) -> Message:
    """The recipient of whom the worst is said: a mail of ours has one, whom a list may have made many."""
    found = [one for one in blocks if one.get("Final-Recipient") or one.get("Original-Recipient")]
    if not found:
        raise NotRecognised("its delivery status names no recipient")
    return max(found, key=lambda one: _WEIGHT.get(_field(one, "Action").lower(), 0))


def _recipient(block: Message) -> str | None:
    """The address as it was written to, where that is told; else the one at which it ended."""
    for name in ("Original-Recipient", "Final-Recipient"):
        kind, _, address = _field(block, name).partition(";")
        if kind.strip().lower() in ("rfc822", "utf-8") and "@" in address:
            return address.strip().strip("<>") or None
    return None


def _named(message: Message, parts: list[Message]) -> str | None:
    """The notice whose Message-ID the report gives back."""
    heads = [part for part in parts if part.get_content_type() in _RETURNED]
    for head in heads:
        payload = head.get_payload()
        if isinstance(payload, list):
            original = payload[0] if payload and isinstance(payload[0], Message) else None
        else:
            decoded = head.get_payload(decode=True)
            original = message_from_bytes(decoded) if isinstance(decoded, bytes) else None
        if original is not None and (found := _ours(_field(original, "Message-ID"))):
            return found
    return _ours(f"{_field(message, 'In-Reply-To')} {_field(message, 'References')}")


def _ours(text: str) -> str | None:
    found = _OURS.search(text)
    return found[1].lower() if found else None


def _status(text: str, otherwise: str = "5.0.0") -> str:
    found = _STATUS.search(text)
    return found[0] if found else otherwise


def _said(status: str, diagnostic: str) -> str:
    """The code and the words, once, in one line."""
    words = _ADDRESS.sub("the address", " ".join(diagnostic[:_TO_PEOPLE].split()))
    return foreign(f"{status} {words}".strip())


def _field(message: Message, name: str) -> str:
    """A field of a head, unfolded; empty where there is none."""
    value = message.get(name)
    return " ".join(str(value).split()) if value is not None else ""
