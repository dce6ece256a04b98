"""The pass of one cause: whether it is still so, and telling that it is, again each day, and at last that it is over.

The row is there before anything is sent, and says only then that it was told when the receiver took it: whoever dies in
between tells it once more, and nobody forgets it. PagerDuty knows a second word by its key, a mailbox by its id. Where
two are told, each is told for itself: one that refuses makes the other hear nothing twice.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from lib.config import Alarm
from lib.database import alert_facts, alerts
from lib.kinds import Context, Ended
from lib.log import get_logger
from lib.messages.alarm import Answer, Word, tell
from lib.model import Claim, Failed, Outcome, Settled
from lib.model.alert import AlertRow, Cause, Receives, What
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
    """Tell each receiver what it is to be told; else when to look again."""
    db, lease = context.db, claim.lease_id
    if found is not None:
        await alerts.found_again(db, found, lease)
    else:
        await alerts.not_found(db, row.cause, lease, now)
    steps = {name: next_word(row.told.get(name), row, found, now) for name in alarm.receivers}
    if found is not None:  # who refused to hear that it is over, and it is not, knows all there is
        await alerts.knows(db, row.cause, lease, [name for name, step in steps.items() if isinstance(step, datetime)])
    words = {
        name: _word(row, found, step, now)
        for name, step in steps.items()
        if step is not None and not isinstance(step, datetime)
    }
    # Beside each other, and each written down once it is known: one that is slow or refuses is no matter of the others.
    told = await asyncio.gather(
        *(_tell(claim, context, alarm, name, word) for name, word in words.items()), return_exceptions=True
    )
    if failure := next((one for one in told if isinstance(one, BaseException)), None):
        raise failure
    answers = [one for one in told if isinstance(one, Answer)]
    dates = [step for step in steps.values() if isinstance(step, datetime)]
    dates += [now + REMIND for word in words.values() if word.what != "over"]
    if errors := [answer.error for answer in answers if answer.error is not None]:
        wishes = [answer.retry_after for answer in answers if answer.retry_after is not None]
        error = f"the receiver of alerts: {'; '.join(errors)}"
        return Failed(error, max(wishes, default=None), wake_at=min(dates, default=None), parks=False)
    if dates:
        return Settled(wake_at=min(dates))
    await alerts.over(db, row.cause, lease)
    return Settled()


async def _tell(claim: Claim, context: Context, alarm: Alarm, receiver: Receives, word: Word) -> Answer:
    """Tell one of them, and write down whether it took it."""
    db, lease = context.db, claim.lease_id
    answer = await tell(alarm, receiver, word)
    if answer.error is not None:
        await alerts.refused(db, word.cause, lease, receiver, answer.error)
        log.error("alert_not_told", cause=word.cause, what=word.what, receiver=receiver, error=answer.error)
        return answer
    log.info("alert_told", cause=word.cause, what=word.what, receiver=receiver)
    if word.what == "over":
        await alerts.told_over(db, word.cause, lease, receiver)
    else:
        await alerts.told(db, word.cause, lease, receiver, word.title)
    return answer


def _word(row: AlertRow, found: Cause | None, what: What, now: datetime) -> Word:
    said = found or row
    opened = min(filter(None, (row.opened_at, found.since if found else None)))
    return Word(row.cause, said.code, what, said.title, said.detail, said.remedy, said.severity, opened, now)
