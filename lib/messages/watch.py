"""The look for causes of alerts: soon after something was done, after every sweep, and when time makes one."""

from __future__ import annotations

from lib.database import alert_facts, alerts
from lib.kinds import Context, Ended
from lib.model import Claim, Settled
from lib.policy.alerts import causes, turns_at


async def run(claim: Claim, context: Context) -> Ended:
    """Look once, and make due what is to be told. There is one key."""
    assert claim.key == alerts.LOOK.key, claim.key
    alarm = context.settings.alarm
    if alarm is None:
        return Ended(Settled(), facts={"alerts": "nobody is told"})
    facts = await alert_facts.of(context.db, context.settings)
    found = causes(facts, alert_facts.limits(context.settings))
    news = await alerts.seen(context.db, [cause for cause in found if cause.told], alarm.receivers)
    return Ended(Settled(wake_at=turns_at(facts)), facts={"causes": len(found), "news": len(news)})
