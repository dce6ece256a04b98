"""Notices: what of a service customers are told, and whether it is still true when it is to be sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from lib.model import CustomerKey, Hold, Memory, Service, ServiceState
from lib.model.money import Order, OrderState
from lib.model.notice import Notice, NoticeKind

_CAME = (OrderState.PAID, OrderState.REFUNDED)

_Make = Callable[[NoticeKind, str, datetime | None, datetime | None], Notice]
"""Makes a notice about a service: its kind, the fact, the date that it announces, and when it is sent."""


class Terms(Struct, frozen=True):
    """Beside what happened: when, by which pass, and how long before a date one more notice is sent."""

    at: datetime
    pass_id: str
    days: int
    """0: no more notice."""


def notices_of(before: Memory, after: Memory, changed: Sequence[Service], terms: Terms) -> list[Notice]:
    """What is told when these services are remembered as they are in `after`: each fact once for its subscription.

    Nobody who was erased is written to.
    """
    if after.erased:
        return []
    found: dict[tuple[NoticeKind, str], Notice] = {}
    for service in changed:
        for notice in _of_service(after, before.find(service.key), service, terms):
            found.setdefault((notice.kind, notice.about), notice)
    return list(found.values())


def _of_service(memory: Memory, before: Service | None, after: Service, terms: Terms) -> list[Notice]:
    def notice(kind: NoticeKind, fact: str, date: datetime | None = None, at: datetime | None = None) -> Notice:
        return Notice(kind, memory.key, f"{after.key.subscription_id}:{fact}", after.key, date=date, send_at=at)

    return [
        *_of_debt(before, after, terms, notice),
        *_of_cancellation(before, after, terms, notice),
        *_of_state(before, after, terms, notice),
    ]


def _of_debt(before: Service | None, after: Service, terms: Terms, notice: _Make) -> list[Notice]:
    """A debt that suspends at a date; once more some days before it."""
    end, since = after.grace_until, after.unpaid_since
    if after.state is not ServiceState.LIVE or end is None or since is None or end <= terms.at or after.amnesty:
        return []
    told: list[Notice] = []
    known = before.unpaid_since if before is not None and before.grace_until is not None else None
    fresh = known is None or since > known
    if fresh:
        told.append(notice(NoticeKind.PAYMENT_FAILED, since.isoformat(), end, None))
    if terms.days and (fresh or before is None or before.grace_until != end):
        at = end - timedelta(days=terms.days)
        if at > terms.at or not fresh:  # the first one has just said the same
            told.append(notice(NoticeKind.SUSPENSION_SOON, end.isoformat(), end, max(at, terms.at)))
    return told


def _of_cancellation(before: Service | None, after: Service, terms: Terms, notice: _Make) -> list[Notice]:
    """A cancellation, as soon as it is known of something that is there."""
    at = after.ends_at
    if at is None or at <= terms.at or not _is_there(after):
        return []
    if before is not None and _is_there(before) and before.ends_at == at:
        return []
    return [notice(NoticeKind.ENDING, at.isoformat(), at, None)]


def _is_there(service: Service) -> bool:
    """Whether it has not ended and can still do so."""
    return service.state in (ServiceState.LIVE, ServiceState.SUSPENDED) and Hold.ENDED not in service.holds


def _of_state(before: Service | None, after: Service, terms: Terms, notice: _Make) -> list[Notice]:
    """Suspended, running again, ended, and the date of the deletion."""
    was = before.state if before is not None else ServiceState.PENDING
    told: list[Notice] = []
    if (was, after.state) == (ServiceState.SUSPENDED, ServiceState.LIVE):
        told.append(notice(NoticeKind.RUNNING_AGAIN, terms.pass_id, None, None))
    if after.state is not ServiceState.SUSPENDED or was not in (ServiceState.LIVE, ServiceState.SUSPENDED):
        return told
    assert before is not None
    ends = Hold.ENDED in after.holds and (was is ServiceState.LIVE or Hold.ENDED not in before.holds)
    if ends and after.ended_at is not None:
        told.append(notice(NoticeKind.ENDED, after.ended_at.isoformat(), after.retain_until, None))
    elif was is ServiceState.LIVE:
        since = after.unpaid_since if Hold.UNPAID in after.holds else None
        told.append(notice(NoticeKind.SUSPENDED, since.isoformat() if since else terms.pass_id, None, None))
    if terms.days and after.retain_until is not None and (ends or before.retain_until != after.retain_until):
        at = after.retain_until - timedelta(days=terms.days)
        if at > terms.at or not ends:
            told.append(
                notice(NoticeKind.DELETION_SOON, after.retain_until.isoformat(), after.retain_until, max(at, terms.at))
            )
    return told


# --- when it is to be sent --------------------------------------------------------------------------------------------


def no_longer_true(
    notice: Notice, service: Service | None, others: Sequence[Service], order: Order | None, now: datetime
) -> str | None:
    """Why a notice is not sent any more; `None`: it says what is so.

    Args:
        service: the one it is about, as it is remembered now.
        others: the customer's other services.
    """
    if notice.order_id is not None:
        return _of_order(notice, order)
    if service is None:
        return "the service is not remembered any more"
    match notice.kind:
        case NoticeKind.PAYMENT_FAILED | NoticeKind.SUSPENSION_SOON:
            return _of_grace(notice, service, now)
        case NoticeKind.SUSPENDED:
            held = service.state is ServiceState.SUSPENDED and Hold.ENDED not in service.holds
            return None if held and service.holds else "it is not suspended any more, or has ended"
        case NoticeKind.ENDING:
            at = service.ends_at
            stands = _is_there(service) and at is not None and at == notice.date and at > now
            return None if stands else "the cancellation was taken back, has another date, or it has ended"
        case NoticeKind.RUNNING_AGAIN:
            return None if service.state is ServiceState.LIVE else "it does not run any more"
        case _:
            return _of_end(notice, service, others)


def _of_grace(notice: Notice, service: Service, now: datetime) -> str | None:
    if service.state is not ServiceState.LIVE or service.grace_until is None or Hold.UNPAID in service.holds:
        return "nothing is outstanding any more, or it was suspended meanwhile"
    if service.grace_until <= now:
        return "the date is over"
    if service.amnesty:
        return "everybody has been given more time, and is told nothing before that is over"
    if notice.kind is NoticeKind.SUSPENSION_SOON and service.grace_until != notice.date:
        return "the date of the suspension is another one"
    if notice.kind is NoticeKind.PAYMENT_FAILED and (
        service.unpaid_since is None or service.unpaid_since.isoformat() != notice.about.partition(":")[2]
    ):
        return "another debt is outstanding"
    return None


def _of_end(notice: Notice, service: Service, others: Sequence[Service]) -> str | None:
    if service.state is not ServiceState.SUSPENDED or Hold.ENDED not in service.holds:
        return "it has not ended, or was deleted"
    if notice.kind is NoticeKind.DELETION_SOON and service.retain_until != notice.date:
        return "the date of the deletion is another one"
    lives = (ServiceState.LIVE, ServiceState.PENDING)
    if service.domain and any(other.domain == service.domain and other.state in lives for other in others):
        return "the domain was bought again"
    return None


def _of_order(notice: Notice, order: Order | None) -> str | None:
    if order is None:
        return "the order is not kept any more"
    if notice.kind is NoticeKind.ORDER_PAID:
        return None if order.state in _CAME else "the order is not paid any more"
    waits = order.state in (OrderState.PENDING, OrderState.PAYING) and not order.cancelled
    return None if waits and order.missing > 0 else "nothing is to be paid any more"


NEWS = timedelta(days=30)
"""How old an order may be that its buyer is thanked for: money that came long ago is no news to them."""


def of_paid_order(order: Order, now: datetime) -> list[Notice]:
    """That an order is paid, where any money came and it is news."""
    asked = order.total if order.total is not None else order.amount
    if not asked or order.created_at < now - NEWS:
        return []
    return [_about(order, NoticeKind.ORDER_PAID, None)]


def of_renewal(order: Order) -> list[Notice]:
    """That the next period of an offline order is to be paid, by when."""
    return [_about(order, NoticeKind.RENEWAL_DUE, order.due_at)]


def _about(order: Order, kind: NoticeKind, date: datetime | None) -> Notice:
    customer = CustomerKey(order.provider, order.terms.customer_id) if order.terms.customer_id else None
    return Notice(kind, customer, order.id, order_id=order.id, date=date)
