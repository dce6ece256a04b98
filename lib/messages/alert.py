"""The pass of one cause: whether it is still so, and telling that it is, again each day, and at last that it is over.

The row is there before anything is sent, and says only then that it was told when the receiver took it: whoever dies in
between tells it once more, and nobody forgets it. PagerDuty knows a second word by its key, a mailbox by its id.
"""

from __future__ import annotations

from datetime import datetime

from lib.config import Alarm
from lib.database import alert_facts, alerts
from lib.kinds import Context, Ended
from lib.log import get_logger
from lib.messages.alarm import Word, tell
from lib.model import Claim, Failed, Outcome, Settled
from lib.model.alert import AlertRow, Cause, What
from lib.policy.alerts import REMIND, causes, next_word

log = get_logger()


async def run(claim: Claim, context: Context) -> Ended:
    """See to one cause; the key is its name."""
    row, alarm = await alerts.find(context.db, claim.key), context.settings.alarm
    if row is None:
        return Ended(Settled())
    if alarm is None:  # what is open is kept, should the settings come back
        return Ended(Settled(), facts={"alerts": "nobody is told"})
    facts = await alert_facts.of(context.db, context.settings)
    every = causes(facts, alert_facts.limits(context.settings))
    found = next((cause for cause in every if cause.cause == claim.key), None)
    return Ended(await _see_to(claim, context, alarm, row, found, facts.at))


async def _see_to(
    claim: Claim, context: Context, alarm: Alarm, row: AlertRow, found: Cause | None, now: datetime
) -> Outcome:
    """Tell it if it is to be told; else when to look again."""
    db, lease = context.db, claim.lease_id
    if found is not None:
        await alerts.found_again(db, found, lease)
    else:
        await alerts.not_found(db, row.cause, lease, now)
    next_step = next_word(row, found, now)
    if isinstance(next_step, datetime):
        return Settled(wake_at=next_step)
    if next_step is None:
        await alerts.over(db, row.cause, lease)
        return Settled()
    answer = await tell(alarm, _word(row, found, next_step, now))
    if answer.error is not None:
        await alerts.refused(db, row.cause, lease, answer.error)
        log.error("alert_not_told", cause=row.cause, what=next_step, error=answer.error)
        return Failed(f"the receiver of alerts: {answer.error}", answer.retry_after, parks=False)
    log.info("alert_told", cause=row.cause, what=next_step)
    if next_step == "over":
        await alerts.over(db, row.cause, lease)
        return Settled()
    await alerts.told(db, row.cause, lease, found.title if found else row.title)
    return Settled(wake_at=now + REMIND)


def _word(row: AlertRow, found: Cause | None, what: What, now: datetime) -> Word:
    said = found or row
    opened = min(filter(None, (row.opened_at, found.since if found else None)))
    return Word(row.cause, said.code, what, said.title, said.detail, said.remedy, said.severity, opened, now)
