"""What a subscription's invoices say: who has paid for what, and since when something is owed. Pure.

Stripe's `latest_invoice` is whatever is newest, a draft or a proration too, and can hide another one behind it. Where
it does not answer by itself, `Unread` asks for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal

from lib.model import Invoice, Payer, Question, Subscription

FirstMoney = Literal["paid", "coming", "never"]

WRITTEN_OFF = frozenset({"void", "uncollectible"})
"""Statuses of invoices that nobody is expected to pay any more."""

_WHOLE_PERIOD = ("subscription_create", "subscription_cycle")


class Unread(Exception):
    """The decision needs something of Stripe that was not read."""

    def __init__(self, question: Question) -> None:
        self.question = question
        super().__init__(question)


def invoices_of(subscription: Subscription) -> tuple[Invoice, ...]:
    """All of its invoices, newest first.

    Raises:
        Unread: they were not read.
    """
    if subscription.invoices is None:
        raise Unread(Question.INVOICES)
    return subscription.invoices


def pays_a_period(invoice: Invoice) -> bool:
    """Whether it is for a whole period, and not only for a change within one."""
    whole = any(not line.proration and line.end > line.start for line in invoice.lines or ())
    return whole or invoice.billing_reason in _WHOLE_PERIOD


def first_money(subscription: Subscription, *, trust: bool, paid_once: bool) -> FirstMoney:
    """Whether what a subscription asks for at its beginning has been paid. Of one that is behind something must be.

    Args:
        trust: a bank debit that is under way counts as paid (`activate_on=processing`); an invoice that was only sent
            is no such thing.
        paid_once: it had been let in before: any paid invoice will do, a trial's too; no later period is waited for.

    Raises:
        Unread: the latest invoice does not tell.
    """
    latest, invoices = subscription.latest_invoice, subscription.invoices
    if invoices is None:
        if latest is None:
            return "paid" if subscription.status == "active" else "coming"
        if latest.status == "paid" and pays_a_period(latest) and latest.asks:
            return "paid"
        if latest.billing_reason != "subscription_create":  # that one has none before it
            raise Unread(Question.INVOICES)
        invoices = (latest,)
    asking = [invoice for invoice in invoices if invoice.asks]
    paid = [invoice for invoice in invoices if invoice.status == "paid"]
    if any(pays_a_period(invoice) for invoice in paid if invoice.asks) or (paid_once and paid):
        return "coming" if not paid_once and _hides_a_debt(asking) else "paid"
    if not asking:
        return "paid" if paid or subscription.status == "active" else "coming"
    written_off = [invoice.status in WRITTEN_OFF for invoice in asking]
    if all(written_off):
        return "never"
    return "paid" if trust and not any(written_off) and is_processing(subscription) else "coming"


def _hides_a_debt(asking: list[Invoice]) -> bool:
    """Whether Stripe calls it `active` only because the newest bill was put away, while an older one is open still."""
    final = [invoice for invoice in asking if invoice.status != "draft"]
    return bool(final) and final[0].status in WRITTEN_OFF and any(invoice.status == "open" for invoice in final)


def is_processing(subscription: Subscription) -> bool:
    """Whether the first payment is under way.

    Raises:
        Unread: it was not asked.
    """
    if subscription.first_payment is None and subscription.latest_invoice is not None:
        raise Unread(Question.FIRST_PAYMENT)
    return subscription.first_payment == "processing"


def change_paid(subscription: Subscription, prices: Iterable[str], since: datetime | None, now: datetime) -> bool:
    """Whether what `prices` are to buy from now on may be delivered.

    Drafts pay nothing and an open renewal is no matter of the change; void and written off do not pay. What no invoice
    bills is free to go unless something of the running period is owed.

    Args:
        since: when the present state was last made true; older invoices are about something else.

    Raises:
        Unread: the invoices are not known.
    """
    recent = [i for i in invoices_of(subscription) if since is None or i.created >= since.replace(microsecond=0)]
    changes = [i for i in recent if i.billing_reason == "subscription_update"]
    if any(i.status == "open" for i in changes):
        return False
    wanted = set(prices)
    final = [i for i in recent if i.status not in ("draft", "open") or _other_open(i)]
    newest = [found for price in wanted if (found := _says(i for i in final if _bills(i, price)))]
    drafts = [i for i in changes if i.status == "draft" and any(_bills(i, price) for price in wanted)]
    if drafts and all(drafts[0].created >= invoice.created for invoice in newest):
        return False  # it is to be billed; what is older than a bill that was paid stays a draft for ever
    if newest:
        return all(invoice.status == "paid" for invoice in newest)
    return not any(i.status == "open" and _may_be_about(i, now) for i in invoices_of(subscription))


def unpaid_changes(subscription: Subscription) -> bool:
    """Whether the bill of a change is not paid, whatever else became of it.

    Raises:
        Unread: the invoices are not known.
    """
    return any(i.billing_reason == "subscription_update" and i.status != "paid" for i in invoices_of(subscription))


def _says(bills: Iterable[Invoice]) -> Invoice | None:
    """Which of the bills of a price, newest first, tells whether it is paid for.

    A renewal that nobody will pay delivers nothing, and takes nothing away that was paid before it.
    """
    bills = list(bills)
    put_away = [i.status in WRITTEN_OFF and i.billing_reason != "subscription_update" for i in bills]
    return next((i for i, skip in zip(bills, put_away, strict=True) if not skip), bills[0] if bills else None)


def _other_open(invoice: Invoice) -> bool:
    return invoice.status == "open" and invoice.billing_reason != "subscription_cycle"


def _bills(invoice: Invoice, price: str) -> bool:
    return any(line.price_id == price and line.amount >= 0 for line in invoice.lines or ())


def _may_be_about(invoice: Invoice, now: datetime) -> bool:
    return not invoice.lines or any(line.start <= now < line.end for line in invoice.lines)


def behind_since(subscription: Subscription, remembered: datetime | None, now: datetime) -> datetime:
    """Since when a subscription that is behind has been so: the oldest open invoice, or what was remembered of it.

    Only money moves the beginning on: for that invoice, or for another when nothing else was owed. Voiding it or
    writing it off does not.

    Raises:
        Unread: the invoices are not known.
    """
    invoices = invoices_of(subscription)
    oldest = min((i.owed_since for i in invoices if i.status == "open"), default=None)
    if remembered is None:
        latest = subscription.latest_invoice
        return oldest or (latest.owed_since if latest else now)
    paid = [i.paid_at for i in invoices if i.status == "paid" and i.asks and i.paid_at is not None]
    first = [i.put_away_at for i in invoices if i.owed_since == remembered and i.put_away_at is not None]
    paid = [at for at in paid if all(put_away <= at for put_away in first)]  # else what began it was owed still
    if oldest is not None and any(remembered <= at < oldest for at in paid):
        return oldest  # it was behind no more in between, though nobody may have looked then
    if any(i.owed_since == remembered and i.status not in ("paid", "draft") for i in invoices):
        return min(remembered, oldest or remembered)
    return oldest or remembered


def paid_again(subscription: Subscription, start: datetime | None, now: datetime) -> bool:
    """Whether one that was behind is so no more by money: paid since `start`, or for the running period.

    Args:
        start: when it began; `None`: nobody knows, and the newest invoice that asks for something must be paid.

    Raises:
        Unread: the latest invoice does not tell.
    """

    def since(invoice: Invoice) -> bool:
        in_time = start is None or (invoice.paid_at is not None and invoice.paid_at >= start)
        return invoice.status == "paid" and invoice.asks and in_time

    latest = subscription.latest_invoice
    if latest is not None and (since(latest) or (_pays(latest, now) is not None and not _sets_off(latest))):
        return True
    invoices = invoices_of(subscription)
    if any(_pays(invoice, now) is not None and not _sets_off(invoice) for invoice in invoices):
        return True
    asking = [invoice for invoice in invoices if invoice.asks and invoice.status != "draft"]
    if start is None:
        return any(since(invoice) for invoice in asking[:1])
    # An old open bill makes the beginning an old one: what was paid before the one that was put away pays none of it.
    start = max([start, *(i.owed_since for i in asking if i.status in WRITTEN_OFF and i.owed_since <= now)])
    return any(since(invoice) for invoice in asking)


def refunded(subscription: Subscription, now: datetime) -> datetime | None:
    """When the running period ends, if the invoice that pays it was refunded in full.

    Raises:
        Unread: the latest invoice does not tell.
    """
    if not subscription.refunded:
        return None
    latest = subscription.latest_invoice
    paying = latest if latest is not None and _pays(latest, now) is not None else None
    if paying is None:
        paying = next((invoice for invoice in invoices_of(subscription) if _pays(invoice, now) is not None), None)
    return _pays(paying, now) if paying is not None and paying.id in subscription.refunded else None


def _pays(invoice: Invoice, now: datetime) -> datetime | None:
    """The end of the period around `now` that this invoice pays."""
    if invoice.status != "paid":
        return None
    ends = [line.end for line in invoice.lines or () if not line.proration and line.start <= now < line.end]
    return min(ends, default=None)


def _sets_off(invoice: Invoice) -> bool:
    """Whether it only sets what is bought off against what is given back: classic billing credits unpaid time, too."""
    return not invoice.asks and any(line.amount < 0 for line in invoice.lines or ())


def only_drafts_left(subscription: Subscription) -> bool:
    """Whether every invoice that could be paid is paid, and what keeps it `unpaid` is drafts alone."""
    asking = [invoice for invoice in subscription.invoices or () if invoice.asks]
    final = [invoice for invoice in asking if invoice.status != "draft"]
    waiting = any(invoice.status == "open" for invoice in final)
    return len(final) < len(asking) and not waiting and bool(final) and final[0].status == "paid"


def payable(subscription: Subscription) -> bool:
    """Whether an invoice may still be paid; `True` as long as they are not known."""
    return subscription.invoices is None or any(i.status not in ("paid", "void") for i in subscription.invoices)


def closed(payer: Payer, before: Collection[str]) -> frozenset[str]:
    """Which subscriptions have ended and have no invoice that may still be paid: nobody asks for those any more.

    Args:
        before: which were so when they were last looked at. They stay so while they have ended: their invoices are not
            read again.
    """
    over = [s for s in payer.subscriptions if payer.deleted or s.status == "canceled"]
    return frozenset(s.id for s in over if s.id in before or not payable(s))


def paid_after_end(subscription: Subscription) -> tuple[Invoice, ...]:
    """Invoices that were paid when the subscription had ended already; among those that are known."""
    ended = subscription.ended_at
    if subscription.status != "canceled" or ended is None:
        return ()
    paid = [i for i in subscription.known_invoices if i.status == "paid" and i.asks]
    return tuple(i for i in paid if i.paid_at is not None and i.paid_at > ended)
