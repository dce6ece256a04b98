"""Mails to customers for operators: what was refused, sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from lib.database import ledger, notices, orders
from lib.database.connection import Connection
from lib.errors import Declined
from lib.log import get_logger
from lib.model.money import Step, StepKind, StepState
from lib.model.notice import TROUBLE, Written
from lib.model.reason import Rule
from lib.operators.views.overview import NoticeView

if TYPE_CHECKING:
    from lib.bridge import Bridge

log = get_logger()


async def resend(bridge: Bridge, actor: str, notice_id: str) -> NoticeView:
    """Let a mail that was refused, or of which nobody knows, go out once more, if it still is true by then.

    It is the same row and the same mail, so that two who ask for it send one. Who asked, and what had been answered
    before, stands in the customer's ledger, or in the order's log where there is no customer.

    Raises:
        Declined: there is none, it was not refused, or nobody is written to.
    """
    if bridge.settings.mail is None:
        raise Declined("mail_off", "nobody is written to: set MAIL_URL and MAIL_FROM, then ask again")

    async def again(connection: Connection) -> Written:
        found = await notices.stands(connection, notice_id)
        if found is None:
            raise Declined("not_found", f"no mail {notice_id} is kept", field="noticeId")
        _refuse(found)
        await _note(connection, found, actor)
        await notices.resend(connection, notice_id)
        return found

    found = await bridge.db.transact(again)
    log.info("notice_resent", notice=found.notice.kind.value, actor=actor)
    now = await notices.find(bridge.db, notice_id)
    return NoticeView.of_written(now or found)


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


async def _note(connection: Connection, found: Written, actor: str) -> None:
    """Write down who asked for it, and what was known of it."""
    notice, kind = found.notice, "notice_resent"
    facts = {"notice": notice.kind.value, "notice_id": found.id, "status": found.status.value}
    if notice.customer is not None:
        said = {**facts, "answer": found.answer} if found.answer else facts
        whose = str(notice.customer)
        entry = ledger.Entry(str(uuid4()), "noted", kind, whose, notice.service, Rule.BY_HAND, facts=said, actor=actor)
        await ledger.add(connection, [entry])
    elif notice.order_id is not None:
        step = Step(StepKind.ORDER, StepState.PENDING, f"admin:{actor}", fact=kind, subject=found.id, detail=facts)
        await orders.log(connection, notice.order_id, step)
