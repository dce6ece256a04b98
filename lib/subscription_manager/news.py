"""What of a pass is told to the operator's own systems and to the customer, written beside the fact itself.

Without an endpoint, or without a mail server, nothing is prepared, nothing is loaded and no statement is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lib.config import Mail, Outlet
from lib.database import outbox
from lib.database.connection import Beside, Connection
from lib.model import Mandate, Memory, Problem, Service
from lib.model.customer_key import CustomerKey
from lib.model.outgoing import OutgoingType, Told
from lib.model.reason import remedy
from lib.policy import outgoing

MOST_PROBLEMS = 20
LONGEST_DETAIL = 500
"""What is told of somebody who is parked; all of it stands in the queue."""


def tell_services(
    outlet: Outlet, mandate: Mandate, before: Memory, memory: Memory, changed: Sequence[Service], rule: str | None
) -> Beside | None:
    """What writes that services were provisioned, suspended, resumed, changed or terminated; `None`: nothing of it."""
    if not outlet:
        return None
    news = [
        (type_, before.find(service.key), service)
        for service in changed
        for type_ in outgoing.news_of(before.find(service.key), service)
    ]
    if not news:
        return None
    return partial(_write, outlet, [told_of(memory, *one, mandate=mandate, rule=rule) for one in news])


def told_of(
    memory: Memory, type_: OutgoingType, before: Service | None, service: Service, *, mandate: Mandate, rule: str | None
) -> Told:
    """One event about a service."""
    from lib.model.payloads import ServiceData

    was = before if type_ is OutgoingType.SERVICE_CHANGED else None
    data = ServiceData.of(service, memory.org_id, was)
    return Told(type_, memory.key, data, rule=rule, pass_id=mandate.pass_id or None, actor=mandate.actor)


def tell_parked(
    outlet: Outlet, customer_id: str | None, mandate: Mandate, problems: Sequence[Problem]
) -> Beside | None:
    """What writes that a customer waits for a person."""
    if not outlet or customer_id is None or not problems:
        return None
    from lib.model.payloads import ParkedData, ParkedProblem

    data = ParkedData(
        problems=[
            ParkedProblem(reason=p.reason, detail=p.detail[:LONGEST_DETAIL], subject=p.subject, remedy=remedy(p.reason))
            for p in problems[:MOST_PROBLEMS]
        ]
    )
    told = Told(
        OutgoingType.CUSTOMER_PARKED,
        CustomerKey.read(customer_id),
        data,
        rule=problems[0].reason,
        pass_id=mandate.pass_id or None,
        actor=mandate.actor,
    )
    return partial(_write, outlet, [told])


def write_to_customer(
    mail: Mail | None, mandate: Mandate, before: Memory, memory: Memory, changed: Sequence[Service]
) -> Beside | None:
    """What writes the mails that tell a customer of it; `None`: nothing of it, or nobody is written to."""
    if mail is None:
        return None
    from lib.database import notices
    from lib.policy.notices import Terms, notices_of

    terms = Terms(mandate.now, mandate.pass_id, mail.days)
    found = notices_of(before, memory, changed, terms)

    async def write(connection: Connection) -> None:
        await notices.write(connection, found)

    return write if found else None


def together(*parts: Beside | None) -> Beside | None:
    """Several of them, one after another; `None` when there is none."""
    found = [part for part in parts if part is not None]
    if len(found) < 2:
        return next(iter(found), None)

    async def write(connection: Connection) -> None:
        for part in found:
            await part(connection)

    return write


async def _write(outlet: Outlet, told: Sequence[Told], connection: Connection) -> None:
    await outbox.write(connection, outlet, told)
