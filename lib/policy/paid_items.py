"""What of a subscription's items has been paid for, as the lines of its paid invoices say. Pure.

Asked where the items themselves are ahead of the money: something was changed or added, and its bill is not paid.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from lib.model import Invoice, Item, Line, Subscription
from lib.policy.invoices import invoices_of
from lib.structs import replace


class Paid(Struct, frozen=True):
    """One item as it was when it was last paid for."""

    item: Item
    """Under the id that it has today."""
    since: datetime
    """When the invoice was made that tells so."""


def paid_items(subscription: Subscription, since: datetime | None = None, *, trusted: bool = False) -> dict[str, Paid]:
    """Of each item, by its id, the price and quantity of the newest bill of it that was paid; those that have one.

    An item that replaced another one stands for that, where there is no doubt which it was.

    Args:
        since: what was paid for before is left out.
        trusted: the first invoice counts as paid, for its money is on its way.

    Raises:
        Unread: the invoices are not known.
    """
    counting = [i for i in invoices_of(subscription) if i.status == "paid" or (trusted and _is_first(i))]
    paid = [i for i in counting if since is None or i.created >= since]
    found: dict[str, Paid] = {}
    for invoice in paid:
        for item in _billed(invoice, subscription):
            found.setdefault(item.id, Paid(item, invoice.created))
    there = [item.id for item in subscription.items]
    left = [item_id for item_id in there if item_id not in found]
    gone = [item for invoice in paid[:1] for item in _billed(invoice, subscription) if item.id not in there]
    if len(left) == len(gone) == 1:
        found[left[0]] = Paid(replace(gone[0], id=left[0]), paid[0].created)
    return {item_id: found[item_id] for item_id in there if item_id in found}


def _is_first(invoice: Invoice) -> bool:
    return invoice.billing_reason == "subscription_create" and invoice.status == "open"


def change_is_unpaid(subscription: Subscription, item: Item, since: datetime | None) -> bool:
    """Whether a bill of a change to an item, made since then, is not paid, whatever else became of it.

    Raises:
        Unread: the invoices are not known.
    """
    first = since.replace(microsecond=0) if since is not None else None
    recent = [i for i in invoices_of(subscription) if first is None or i.created >= first]
    changes = [i for i in recent if i.billing_reason == "subscription_update" and i.status != "paid"]
    return any(billed.id == item.id for invoice in changes for billed in _billed(invoice, subscription))


def bills_all(invoice: Invoice, subscription: Subscription) -> bool:
    """Whether a paid invoice is for a whole period of all that is bought now, as it is bought now."""
    if invoice.status != "paid":
        return False
    periods = [line for line in invoice.lines or () if not line.proration]
    paid = {item.id: item for item in _billed(replace(invoice, lines=tuple(periods)), subscription)}
    return all(paid.get(item.id) == item for item in subscription.items if item.quantity > 0)


def _billed(invoice: Invoice, subscription: Subscription) -> list[Item]:
    """The items that an invoice bills, each as it is to be once that is paid."""
    last: dict[str, Line] = {}
    for line in invoice.lines or ():
        item_id = line.item_id or _meant(line, subscription)
        if item_id is None or line.price_id is None or line.quantity is None or line.amount < 0:
            continue
        if item_id not in last or _rank(line) >= _rank(last[item_id]):
            last[item_id] = line
    return [Item(item_id, line.price_id or "", line.quantity or 0) for item_id, line in last.items()]


def _meant(line: Line, subscription: Subscription) -> str | None:
    """Which item a line is about that names none, as one of a proration may: the one of its price, or the only one."""
    same = [item.id for item in subscription.items if item.price_id == line.price_id]
    meant = same or [item.id for item in subscription.items]
    return meant[0] if len(meant) == 1 else None


def _rank(line: Line) -> tuple[bool, datetime]:
    """Of several lines about one item: a period as such tells most, and of changes within one the last."""
    return not line.proration, line.start
