"""Mails to customers for operators: what was refused or came back, and is sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

from lib.database import ledger, notices, orders
from lib.database.connection import Connection
from lib.errors import Declined
from lib.log import get_logger
from lib.model.money import Step, StepKind, StepState
from lib.model.notice import TROUBLE, NoticeStatus, Written
from lib.model.reason import Rule
from lib.operators.views.overview import NoticeReported, NoticeView, ReportOutcome
from lib.structs import replace

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.messages.bounce import Bounce

log = get_logger()

_MEANS: Mapping[ReportOutcome, str] = {
    "bounced": "the mail came back: correct the address in Stripe, then send it again",
    "delayed": "the mail is still tried; that is noted",
    "unchanged": "this was known, or the mail has not been handed over since it was to be sent again",
    "unknown": "no mail that is kept fits it",
    "ambiguous": "several mails to this address fit it, and it names none of them: nothing is marked",
}

DAYS_OF_A_REPORT = 10
"""A mail server gives up after five at most places; a report that names an address alone is about no older mail."""


async def resend(bridge: Bridge, actor: str, notice_id: str) -> NoticeView:
    """Let a mail that was refused, came back, or of which nobody knows, go out once more, if it still is true by then.

    It is the same row and the same mail, so that two who ask for it send one. Who asked, and what had been answered
    before, stands in the customer's ledger, or in the order's log where there is no customer.

    Raises:
        Declined: there is none, it arrived as far as is known, or nobody is written to.
    """
    if bridge.settings.mail is None:
        raise Declined("mail_off", "nobody is written to: set MAIL_URL and MAIL_FROM, then ask again")

    async def again(connection: Connection) -> Written:
        found = await notices.stands(connection, notice_id)
        if found is None:
            raise Declined("not_found", f"no mail {notice_id} is kept", field="noticeId")
        _refuse(found)
        await _note(connection, found, actor, "notice_resent")
        await notices.resend(connection, notice_id)
        return found

    found = await bridge.db.transact(again)
    log.info("notice_resent", notice=found.notice.kind.value, actor=actor)
    now = await notices.find(bridge.db, notice_id)
    return NoticeView.of_written(now or found)


async def reported(bridge: Bridge, actor: str, read: Callable[[], Bounce]) -> NoticeReported:
    """Take in that a mail to a customer came back, or takes its time.

    It is found by the Message-ID that it was sent with; by its address where only one mail fits. What is reported is
    not proven: it marks a mail, and does nothing else. The same report twice is one.

    Args:
        read: what the report says; raises NotRecognised.
    """
    from lib.messages.bounce import NotRecognised

    try:
        bounce = read()
    except NotRecognised as error:
        log.warning("bounce_not_recognised", why=str(error))
        return NoticeReported(outcome="not_recognised", detail=str(error), notice=None)
    outcome, found = await bridge.db.transact(lambda connection: _report(connection, bounce, actor))
    log.info("notice_reported", outcome=outcome, notice=found.notice.kind.value if found else None, actor=actor)
    now = await notices.find(bridge.db, found.id) if found else None
    shown = NoticeView.of_written(now) if now else None
    return NoticeReported(outcome=outcome, detail=_MEANS[outcome], notice=shown)


async def _report(connection: Connection, bounce: Bounce, actor: str) -> tuple[ReportOutcome, Written | None]:
    """Write down what a report says of the mail that it is about."""
    notice_id = bounce.notice_id
    if notice_id is None and bounce.address is not None:
        fitting = await notices.sent_to(connection, _forms(bounce.address), DAYS_OF_A_REPORT)
        if len(fitting) > 1:
            return "ambiguous", None
        notice_id = fitting[0] if fitting else None
    found = await notices.stands(connection, notice_id) if notice_id is not None else None
    if found is None or found.erased or found.recipient is None:
        return "unknown", None
    arrived = found.status in (NoticeStatus.SENT, NoticeStatus.UNSURE)
    if not arrived or (bounce.digest is not None and bounce.digest == found.report):
        return "unchanged", found
    if not bounce.failed and bounce.said == found.reported:
        return "unchanged", found
    await notices.report(connection, found.id, bounce.said, bounce.digest, bounced=bounce.failed)
    if bounce.failed:
        await _note(connection, replace(found, reported=bounce.said), actor, "notice_bounced")
    return ("bounced" if bounce.failed else "delayed"), found


def _forms(address: str) -> list[str]:
    """An address as it was told, and as it is written to."""
    from lib.messages.mail import NotTaken, address_of

    try:
        return [address, address_of(address)]
    except NotTaken:
        return [address]


def _refuse(found: Written) -> None:
    """What can't be sent again, with the reason.

    Raises:
        Declined: it was taken, it waits already, it was no longer true, or its customer was erased.
    """
    if found.erased:
        raise Declined("erased", "its customer was erased: nobody knows to whom it went", field="noticeId")
    if found.status not in TROUBLE:
        wanted = " or ".join(status.value for status in TROUBLE)
        detail = f"it is {found.status.value}: only what is {wanted} is sent again"
        raise Declined("not_refused", detail, field="noticeId")


async def _note(connection: Connection, found: Written, actor: str, kind: str) -> None:
    """Write down who asked for it or reported it, and what was known of it."""
    notice = found.notice
    facts = {"notice": notice.kind.value, "notice_id": found.id, "status": found.status.value}
    if notice.customer is not None:
        words = {"answer": found.answer, "reported": found.reported}
        said = {**facts, **{name: text for name, text in words.items() if text}}
        whose = str(notice.customer)
        entry = ledger.Entry(str(uuid4()), "noted", kind, whose, notice.service, Rule.BY_HAND, facts=said, actor=actor)
        await ledger.add(connection, [entry])
    elif notice.order_id is not None:
        step = Step(StepKind.ORDER, StepState.PENDING, f"admin:{actor}", fact=kind, subject=found.id, detail=facts)
        await orders.log(connection, notice.order_id, step)
