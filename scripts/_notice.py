"""Read the mails that customers get as they would be sent, send one to yourself, and see to what did not arrive."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scripts._console import actor, bridge, finish, table, when
from scripts._environment import load_env_file

if TYPE_CHECKING:
    from lib.config import Mail, Settings
    from lib.messages.templates import Facts, Text

NOBODY = "Example Hosting"
AGAIN = os.EX_TEMPFAIL
"""What a mail server understands as: not now."""

MOST = 50
"""Mails that `list` shows."""


def main() -> None:
    """Do one of these; exit code 1 when a template can't be filled in, or a mail was not taken or came back."""
    from lib.model.notice import NoticeKind

    kinds = [kind.value for kind in NoticeKind]
    parser = argparse.ArgumentParser(
        prog="scripts/notice",
        description="preview prints the mails to customers with made-up facts, all of them or one kind: "
        f"{', '.join(kinds)}. It needs no settings. test sends one of them to an address of yours over MAIL_URL; "
        "nothing is written down. list names the mails that were refused for good, came back, or whose answer was lost "
        "twice; resend lets one of them go out once more with the next pass, if it still is true. bounce reads a mail "
        "from standard input that says that one of them did not arrive, as a mail server's alias hands it on. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="Exit code: 0 all well, 1 a template or the mail server says no, or a mail did not arrive, 2 it could "
        "not be done, 130 Ctrl-C. Of bounce: 0 also for a mail that says nothing of one of ours, 75 it could "
        "not be done now: the mail server keeps it and tries again.",
    )
    acts = ("preview", "test", "list", "resend", "bounce")
    parser.add_argument("act", choices=acts, metavar="|".join(acts))
    parser.add_argument("what", nargs="?", metavar="KIND|ID", help="one of the above; resend: the id of a mail")
    parser.add_argument("--language", help="such as de (default: NOTICE_LANGUAGE)")
    parser.add_argument("--html", action="store_true", help="print the HTML part instead of the text")
    parser.add_argument("--to", metavar="ADDRESS", help="test: where it is sent")
    parser.add_argument("--actor", help="resend, bounce: the name in the ledger (default: $USER)")
    options = parser.parse_intermixed_args()  # else KIND is not known after an option
    if options.act == "test" and not options.to:
        parser.error("test needs --to: an address of your own")
    if options.act == "resend" and not options.what:
        parser.error("resend needs the id of a mail: list has them")
    if options.act in ("preview", "test") and options.what not in (None, *kinds):
        parser.error(f"there is no mail {options.what}: there are {', '.join(kinds)}")

    async def work() -> int:
        load_env_file()
        if options.act in ("list", "resend", "bounce"):
            return await {"list": _list, "resend": _resend, "bounce": _bounce}[options.act](options)
        return _test(options) if options.act == "test" else _preview(options)

    finish(work, "It could not be done", "A mail that was on its way may have been sent.")


async def _list(_: argparse.Namespace) -> int:
    from lib.database import notices

    async with bridge() as manager:
        await manager.ensure_schema(migrates=False)
        total, newest = await notices.trouble(manager.db, MOST)
    if not newest:
        print("Every mail was taken, or is still to be sent.")
        return 0
    rows = [
        (
            one.id,
            when(one.ended_at),
            one.notice.kind,
            one.notice.customer or one.notice.order_id,
            one.status,
            one.reported or one.answer,
        )
        for one in newest
    ]
    print(table(("MAIL", "SINCE", "KIND", "CUSTOMER OR ORDER", "STATUS", "ANSWER"), rows))
    if total > len(newest):
        print(f"The newest {len(newest)} of {total}.")
    print("Correct the address in Stripe, then: ./scripts/notice resend MAIL")
    return 1


async def _resend(options: argparse.Namespace) -> int:
    from lib.errors import Declined
    from lib.operators import notices

    async with bridge() as manager:
        await manager.ensure_schema(migrates=False)
        try:
            done = await notices.resend(manager, actor(options.actor), options.what)
        except Declined as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{done.id} ({done.kind}) is due: it goes out with the next passes of the functions or of ./scripts/worker.")
    return 0


async def _bounce(options: argparse.Namespace) -> int:
    from lib.errors import BridgeError
    from lib.messages.bounce import LONGEST, of_message
    from lib.operators import notices

    raw = sys.stdin.buffer.read(LONGEST)
    try:
        async with bridge() as manager:
            await manager.ensure_schema(migrates=False)
            done = await notices.reported(manager, actor(options.actor), lambda: of_message(raw))
    except (BridgeError, OSError) as error:
        print(f"It could not be done: {error}", file=sys.stderr)
        return AGAIN
    about = f"{done.notice.id} ({done.notice.kind}): " if done.notice else ""
    print(f"{about}{done.outcome.replace('_', ' ')}: {done.detail}")
    return 0


def _preview(options: argparse.Namespace) -> int:
    from lib.messages.templates import TemplateError
    from lib.model.notice import NoticeKind

    failed = False
    for kind in NoticeKind if options.what is None else [NoticeKind(options.what)]:
        try:
            text, language = _text(kind, options.language, None)
        except TemplateError as error:
            print(f"{kind.value}: {error}", file=sys.stderr)
            failed = True
            continue
        print(f"=== {kind.value} ({language}): {kind.means}\nSubject: {text.subject}\n")
        print(text.html if options.html else text.plain)
    return int(failed)


def _test(options: argparse.Namespace) -> int:
    from lib.config import Settings
    from lib.messages.templates import TemplateError
    from lib.model.notice import NoticeKind

    settings = Settings.load(os.environ)
    mail = settings.mail
    if mail is None:
        print("MAIL_URL and MAIL_FROM are not set: nobody is written to.", file=sys.stderr)
        return 2
    try:
        text, language = _text(NoticeKind(options.what or NoticeKind.PAYMENT_FAILED), options.language, settings)
    except TemplateError as error:
        print(error, file=sys.stderr)
        return 1
    return _send(mail, options.to, text, language)


def _send(mail: Mail, to: str, text: Text, language: str) -> int:
    from uuid import uuid4

    from lib.messages.mail import AnswerLost, NotNow, NotTaken, Server, ServerFails, address_of, letter

    server = Server(mail)
    try:
        recipient = address_of(to)
        message = letter(mail, recipient, text, f"test-{uuid4()}", datetime.now(UTC), language)
        server.open(recipient)
        print(f"{mail.host} has taken it: {server.hand_over(message)}")
    except (AnswerLost, NotNow, NotTaken, ServerFails) as error:
        print(f"{mail.host}: {error}", file=sys.stderr)
        return 1
    finally:
        server.close()
    return 0


def _text(kind: str, language: str | None, settings: Settings | None) -> tuple[Text, str]:
    """A mail with made-up facts, and its language."""
    from lib.messages.templates import Templates
    from lib.model.notice import NoticeKind

    own = settings.notice_templates if settings else os.environ.get("NOTICE_TEMPLATES") or None
    otherwise = settings.notice_language if settings else os.environ.get("NOTICE_LANGUAGE") or "en"
    mail = settings.mail if settings else None
    templates = Templates.of(own)
    found = templates.language([language] if language else [], otherwise)
    sender = (mail.name or mail.address) if mail else NOBODY
    return templates.text(NoticeKind(kind), found, made_up(NoticeKind(kind)), sender), found


def made_up(kind: str) -> Facts:
    """Facts for a mail that nobody gets."""
    from lib.messages.templates import Facts
    from lib.model.notice import NoticeKind

    at = datetime.now(UTC) + timedelta(days=7)
    offline = kind == NoticeKind.RENEWAL_DUE
    return Facts(
        name="Ada Example",
        service="shop.example",
        date=at,
        amount="19.00 EUR",
        reference="RF18 5390 0754 7034" if offline else None,
        url=None if offline else "https://invoice.stripe.com/i/example",
        deletion=at,
    )
