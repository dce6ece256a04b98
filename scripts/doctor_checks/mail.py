"""Mails to customers: the server takes them over an encrypted connection, and every template can be filled in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from scripts.doctor_checks.finding import Finding, fail, ok

if TYPE_CHECKING:
    from lib.config import Settings


REMEDY = (
    "Correct host, port, user and password in MAIL_URL (docs/notices.md); the server's certificate must be valid for "
    "that host. What waits is kept, and goes out then."
)


async def check_mail(settings: Settings) -> AsyncIterator[Finding]:
    """Whether customers can be written to; nothing where they are not."""
    mail = settings.mail
    if mail is None:
        return
    from lib.messages.mail import Server, ServerFails
    from lib.messages.templates import TemplateError, Templates
    from lib.model.notice import NoticeKind
    from scripts._notice import made_up

    server = Server(mail)
    try:
        await asyncio.to_thread(server.check)
    except ServerFails as error:
        yield fail(f"MAIL_URL, {mail.host}:{mail.port}: {error}", REMEDY)
    else:
        who = "takes the login" if mail.user else "answers"
        yield ok(f"{mail.host}:{mail.port} {who}, encrypted and verified")
    finally:
        await asyncio.to_thread(server.close)
    templates = Templates.of(mail.templates)
    try:
        for language in templates.languages:
            for kind in NoticeKind:
                templates.text(kind, language, made_up(kind), mail.name or mail.address)
    except TemplateError as error:
        yield fail(f"templates of mails: {error}", "Put it right; ./scripts/notice preview shows them all.")
    else:
        yield ok(f"mails in {', '.join(templates.languages)}; every template can be filled in")
