"""What of a pass is told to the operator's own systems, written beside the fact itself.

Without an endpoint nothing is prepared, nothing is loaded and no statement is added.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from lib.config import Outlet
from lib.database import outbox
from lib.database.connection import Connection
from lib.model import Mandate, Memory, Problem, Service
from lib.model.customer_key import CustomerKey
from lib.model.outgoing import OutgoingType, Told
from lib.model.reason import remedy
from lib.policy import outgoing

Beside = Callable[[Connection], Awaitable[None]]

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


async def _write(outlet: Outlet, told: Sequence[Told], connection: Connection) -> None:
    await outbox.write(connection, outlet, told)
