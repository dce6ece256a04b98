"""One word about one cause, as its receiver takes it: a chat, PagerDuty, a program, or a mailbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct
from msgspec.structs import asdict

from lib.config import Alarm, Mail, Secret
from lib.messages.mail import AnswerLost, NotNow, NotTaken, Server, ServerFails, blank
from lib.messages.sender import Sender
from lib.model.alert import Receives, Severity, What

SUMMARY = 1024
"""Characters of PagerDuty's summary."""

SOURCE = "hosting bridge"
"""Who tells it, for receivers that hear others, too."""

_BEGINS: Mapping[What, str] = {"open": "", "reminder": "Still: ", "over": "Over: "}


class Word(Struct, frozen=True):
    """What is told."""

    cause: str
    code: str
    what: What
    title: str
    detail: str
    remedy: str
    severity: Severity
    opened_at: datetime
    at: datetime

    @property
    def heading(self) -> str:
        """The title, with what is told of it."""
        return _BEGINS[self.what] + self.title


class Answer(Struct, frozen=True):
    """What became of it."""

    error: str | None = None
    """`None`: it was taken."""
    retry_after: timedelta | None = None


def slack(word: Word, _: Alarm) -> dict[str, Any]:
    """A message of an incoming webhook, which Mattermost and Rocket.Chat take, too."""
    lines = [f"*{_plain(word.heading)}*"]
    if word.what != "over":
        lines += [_plain(word.detail), _plain(word.remedy)]
    return {"text": "\n".join(lines)}


def _plain(text: str) -> str:
    """Words of other people in Slack's markup: nothing of them is a link or calls a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(word: Word, alarm: Alarm) -> dict[str, Any]:
    """An event of PagerDuty's Events API v2: the same cause is the same incident, and ends it."""
    key = alarm.routing_key.reveal() if alarm.routing_key else ""
    named = {"routing_key": key, "dedup_key": word.cause}
    if word.what == "over":
        return {**named, "event_action": "resolve"}
    payload = {
        "summary": f"{word.title}: {word.detail}"[:SUMMARY],
        "source": SOURCE,
        "severity": word.severity,
        "timestamp": word.opened_at.isoformat(),
        "class": word.code,
        "custom_details": {"detail": word.detail, "remedy": word.remedy},
    }
    return {**named, "event_action": "trigger", "payload": payload}


def as_json(word: Word, _: Alarm) -> dict[str, Any]:
    """Everything, for a program."""
    plain = asdict(word)
    dates = {"openedAt": plain.pop("opened_at").isoformat(), "at": plain.pop("at").isoformat()}
    return {**plain, **dates}


_FORMATS: Mapping[str, Callable[[Word, Alarm], dict[str, Any]]] = {
    "slack": slack,
    "pagerduty": pagerduty,
    "json": as_json,
}


async def tell(alarm: Alarm, receiver: Receives, word: Word) -> Answer:
    """Hand a word over to one of those who are told; what became of it. Nothing is raised but for a cancellation."""
    if receiver == "mail":
        return await asyncio.to_thread(_mail, alarm, word)
    assert alarm.url is not None
    return await _post(alarm, alarm.url, word)


async def _post(alarm: Alarm, url: Secret, word: Word) -> Answer:
    body = json.dumps(_FORMATS[alarm.format](word, alarm)).encode()
    async with Sender(url.reveal(), allow_private=alarm.allow_private) as sender:
        attempt = await sender.post(body, {"user-agent": "alerts"})
    return Answer(attempt.error and f"{alarm.host}: {attempt.error}", attempt.retry_after)


def _mail(alarm: Alarm, word: Word) -> Answer:
    assert alarm.mail is not None
    assert alarm.email is not None
    server = Server(alarm.mail)
    try:
        server.open(alarm.email)
        server.hand_over(letter(alarm.mail, alarm.email, word))
    except AnswerLost:  # most likely it was taken; a second copy has the same id
        return Answer("the mail server took it and its answer was lost")
    except (ServerFails, NotNow, NotTaken) as error:
        return Answer(f"{alarm.mail.host}: {error}")
    finally:
        server.close()
    return Answer()


def letter(mail: Mail, recipient: str, word: Word) -> EmailMessage:
    """The mail. It has the same id however often it is sent within a day, so that a second copy is known."""
    message = blank()
    name = uuid5(NAMESPACE_URL, f"{word.cause} {word.opened_at} {word.what} {word.at:%Y-%m-%d}")
    message["From"] = Address(mail.name, addr_spec=mail.address)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = " ".join(word.heading.split())
    message["Date"] = format_datetime(word.at)
    message["Message-ID"] = f"<alert-{name}@{mail.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [f"Since {word.opened_at:%Y-%m-%d %H:%M} UTC.", f"Cause: {word.cause}"]
    if word.what != "over":
        lines = [word.detail, "", word.remedy, "", *lines]
    message.set_content("\n".join(lines) + "\n")
    return message
