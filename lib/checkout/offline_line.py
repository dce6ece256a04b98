"""The pass of a line of offline orders: what the calendar alone does to it. It asks nobody and touches no panel.

A first order that nobody paid expires; the next period of a running one is asked for in time. What that means for the
hosting is the customer's own pass to say, who becomes due in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from lib.checkout.escrow import Look, follow, pot
from lib.checkout.offline import customer_of, with_fees
from lib.database import due, orders
from lib.kinds import Ended, nudge
from lib.model import Settled
from lib.model.money import Order, OrderFact, Origin
from lib.model.reason import WaitReason
from lib.policy import offline, references
from lib.structs import replace

if TYPE_CHECKING:
    from lib.config import Mail
    from lib.database import Database
    from lib.database.connection import Connection
    from lib.kinds import Context
    from lib.model import Claim

AGAIN = timedelta(hours=1)
"""When what could not be done at its date is tried once more."""


async def run(claim: Claim, context: Context) -> Ended:
    """Bring a line of offline orders up to date; when to look again."""
    now, cause = claim.claimed_at, f"pass:{context.mandate.pass_id}"
    line = await orders.in_lines(context.db, [claim.key])
    if not line:
        return Ended(Settled())
    renewal = await _next_period(context.db, line, now)

    async def work(connection: Connection) -> tuple[list[Order], list[datetime]]:
        line = await _follow(connection, claim.key, renewal, cause, now, context.settings.mail)
        look = Look(context.settings, cause, now, context.mandate.pass_id)
        dates = []
        for order in line:
            if order.escrow is not None:
                _, date = await follow(connection, order, await pot(connection, order), look)
                dates.append(date)
        return line, [date for date in dates if date is not None]

    line, dates = await context.db.transact(work)
    return Ended(_rest(line, dates, now), customer=str(customer_of(line[0])), facts={"orders": len(line)})


async def _follow(
    connection: Connection, line_id: str, renewal: Order | None, cause: str, now: datetime, mail: Mail | None
) -> list[Order]:
    """Let the calendar have its way with a line that nobody else changes meanwhile; the line afterwards."""
    line = await orders.line_locked(connection, line_id)
    news = False
    for order in line:
        if offline.expires(order, now):
            await orders.apply(connection, order.id, OrderFact.DUE_DATE_PASSED, cause, now)
            news = True
    at, last = offline.renews_at(line), line[-1]
    if renewal is not None and at is not None and now >= at and renewal.renews == last.id:
        # What can be corrected is taken from the order as it stands under the lock; the rest never changes.
        renewal = replace(renewal, terms=last.terms, name=last.name)
        begun = await orders.begin(connection, renewal, cause)
        if begun and mail is not None:
            await _ask_for(connection, renewal)
        news = begun or news
    if news:
        await due.nudge(connection, [nudge("customer", str(customer_of(line[0])))])
        line = await orders.line_locked(connection, line_id)
    return line


async def _ask_for(connection: Connection, renewal: Order) -> None:
    """Write to the buyer what the next period costs, and by when it is to be paid."""
    from lib.database import notices
    from lib.policy.notices import of_renewal

    await notices.write(connection, of_renewal(renewal))


async def _next_period(db: Database, line: Sequence[Order], now: datetime) -> Order | None:
    """The order of the next period, if it is time to ask for it; always the same one, however often it is made."""
    at, last = offline.renews_at(line), line[-1]
    if at is None or now < at:
        return None
    order_id = str(uuid5(NAMESPACE_URL, f"renewal:{last.id}"))
    order = Order(
        id=order_id,
        provider=last.provider,
        origin=Origin.RENEWAL,
        terms=last.terms,
        created_at=now,
        livemode=last.livemode,
        name=last.name,
        currency=last.currency,
        amount=last.amount,
        reference=references.of_order(order_id),
        due_at=offline.due(now, last),
        period_days=last.period_days,
        line_id=last.line_id,
        renews=last.id,
    )
    taken = await orders.find_by_reference(db, order.reference or "")
    if taken is not None and taken.id != order_id:  # two in a billion, and still nobody's money is mixed up
        order = replace(order, reference=references.make(order_id.replace("-", "")[:21]))
    return await with_fees(db, order)


def _rest(line: Sequence[Order], dates: Sequence[datetime], now: datetime) -> Settled:
    """When the calendar changes something of a line next."""
    acts = offline.acts_at(line)
    at = min([*dates, *([acts] if acts is not None else [])], default=None)
    if at is None:
        return Settled()
    return Settled(at if at > now else now + AGAIN, WaitReason.PERIOD)
