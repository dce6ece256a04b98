"""When the money of an order that was sold for somebody else may go to them, and how much of it.

`held -> releasable -> released | returned`. It becomes releasable after some quiet days: since it was paid, since the
last refund, since the last dispute was decided; a new one takes it back. Releasing is an operator's word, and an end.
No money is moved here.

It is about the first bill that brought money. What a subscription brings later is the seller's without being held, and
what happens to it says nothing about the first bill. What an order that is paid once brought too much is nobody's but
the buyer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from lib.model.money import EscrowState, Order, OrderMode, OrderState, Payment, PaymentState
from lib.structs import replace


class Trouble(Struct, frozen=True):
    """What has happened to some money since it came."""

    refunded: int = 0
    """Succeeded refunds."""
    refund_under_way: bool = False
    dispute_open: bool = False
    lost: int = 0
    """What lost disputes took."""
    last: datetime | None = None
    """When the last refund ended or the last dispute was decided."""


def together(found: Iterable[Trouble]) -> Trouble:
    """All of it as one."""
    every = list(found)
    return Trouble(
        refunded=sum(one.refunded for one in every),
        refund_under_way=any(one.refund_under_way for one in every),
        dispute_open=any(one.dispute_open for one in every),
        lost=sum(one.lost for one in every),
        last=max((one.last for one in every if one.last is not None), default=None),
    )


class Pot(Struct, frozen=True):
    """The money that the escrow of an order is about, in the order's currency, and what happened to it."""

    came: int = 0
    """What came of the debt, with its tax; what was paid too much is not in it."""
    went: int = 0
    """What of it went back to the buyer: refunds and lost disputes."""
    came_at: datetime | None = None
    """When the last of it came."""
    payments: tuple[str, ...] = ()
    """The ids of the payments that brought it."""
    trouble: Trouble = Trouble()
    tax: int = 0
    """What of `came` is tax on top of the price: neither the seller's, nor in place of what is missing of the price."""


def pot_of(order: Order, known: Sequence[Payment], troubles: Mapping[str, Trouble]) -> Pot:
    """The money that an order's escrow is about.

    Args:
        known: all payments of the order.
        troubles: what happened to each payment, by its id.
    """
    own = _first_bill(order, known)
    trouble = together(troubles[payment.id] for payment in own if payment.id in troubles)
    if order.provider.offline:  # a refund is of the price alone: a surplus is returned
        asked = order.amount or 0
        brought = min(order.collected - order.returned, asked)
    else:
        brought = sum(payment.came for payment in own)
        asked = _asked(order, own)
    came = min(brought, asked)
    here = min(brought - trouble.refunded - trouble.lost, asked)
    return Pot(
        came=came,
        went=came - max(here, 0),
        came_at=max((payment.paid_at for payment in own if payment.paid_at is not None), default=None),
        payments=tuple(payment.id for payment in own),
        trouble=trouble,
        tax=min(_tax_on_top(own), came),
    )


def _first_bill(order: Order, known: Sequence[Payment]) -> list[Payment]:
    """The payments of the first bill that brought money; of an order that is paid once, all that brought some."""
    came = [one for one in known if one.state is PaymentState.SUCCEEDED and one.currency == order.currency and one.came]
    came.sort(key=lambda payment: (payment.created_at, payment.attempt))
    if not came or order.provider.offline or order.terms.mode is OrderMode.PAYMENT:
        return came
    first = came[0]
    return [one for one in came if one is first or (one.invoice_id is not None and one.invoice_id == first.invoice_id)]


def _asked(order: Order, own: Sequence[Payment]) -> int:
    """What an order at Stripe asked for: once, or by its first bill."""
    brought = sum(payment.came for payment in own)
    if order.terms.mode is OrderMode.PAYMENT:
        asked = order.total if order.total is not None else order.amount
        return brought if asked is None else asked
    return next((payment.breakdown.total for payment in own if payment.breakdown is not None), brought)


def _tax_on_top(own: Sequence[Payment]) -> int:
    """The tax of the bill that came on top of its prices; each payment of it tells the whole bill's."""
    told = (payment.breakdown for payment in own if payment.breakdown is not None)
    return next(((one.tax or 0) - (one.tax_included or 0) for one in told if one.tax is not None), 0)


def _price_of(order: Order, pot: Pot) -> int:
    """What an order costs before tax that comes on top; of one without a price of its own, what came."""
    return order.amount if order.amount is not None else pot.came - pot.tax


def net_of(order: Order, pot: Pot) -> int:
    """What is the seller's of all that an order costs; of one without a price of its own, of what came."""
    if order.seller_net is not None:
        return order.seller_net
    return _price_of(order, pot) - sum(line.amount for line in order.fees)


def due_to_seller(order: Order, pot: Pot) -> int:
    """What of the seller's net is here for them now; never less than nothing.

    The fees are frozen, so that whatever never came (a discount, credit) or went back is missing from the seller's
    part. Tax that came on top of the price makes up for nothing that is missing of it. A part that went back is of both
    in the same proportion, and of the price rounded up.
    """
    price = _price_of(order, pot)
    of_price = min(pot.came - pot.tax, price)
    went = -(-pot.went * of_price // pot.came) if pot.came > of_price else pot.went
    return max(net_of(order, pot) - (price - of_price) - went, 0)


class Escrow(Struct, frozen=True):
    """Where the money stands."""

    state: EscrowState
    since: datetime | None = None
    """Of what is held: from when the quiet days count."""
    wake_at: datetime | None = None
    """When the clock alone changes it."""
    anew: bool = False
    """It may go to the seller from now on, or another sum than before: somebody is to be told."""


def escrow(order: Order, pot: Pot, days: int, now: datetime) -> Escrow:
    """Where the money of a paid order stands now.

    What may go to the seller may go on doing so, unless something happened to it since: then it is held anew, for as
    many quiet days. What went back and came again, as where a refund failed, is held like any other. What has not come
    yet, as in a trial, is held until it has.

    Args:
        order: with where it stood, since when it is releasable, and how much of it was.
        days: how many quiet days it takes (`ESCROW_DAYS`).
    """
    assert order.paid_at is not None
    trouble, due = pot.trouble, due_to_seller(order, pot)
    if order.escrow is EscrowState.RELEASED:
        return Escrow(order.escrow)
    if _is_back(order, pot, due):
        return Escrow(EscrowState.RETURNED)
    if trouble.dispute_open or trouble.refund_under_way or not due:
        return Escrow(EscrowState.HELD)
    since = order.releasable_at
    undisturbed = trouble.last is None or (since is not None and trouble.last < since)
    if order.escrow is EscrowState.RELEASABLE and undisturbed:
        told = order.seller_due if order.seller_due is not None else net_of(order, pot)
        return Escrow(order.escrow, anew=due != told)
    quiet = max(at for at in (order.paid_at, pot.came_at, trouble.last) if at is not None)
    end = quiet + timedelta(days=days)
    return Escrow(EscrowState.RELEASABLE, anew=True) if now >= end else Escrow(EscrowState.HELD, quiet, end)


def followed(order: Order, pot: Pot, days: int, now: datetime) -> tuple[Order, Escrow]:
    """The order as it is to be remembered when somebody looks at it, and how it stands."""
    stands = escrow(order, pot, days, now)
    at = stands.wake_at if stands.state is EscrowState.HELD else now if stands.anew else order.releasable_at
    due = due_to_seller(order, pot)
    after = replace(order, escrow=stands.state, releasable_at=at, quiet_since=stands.since, seller_due=due)
    return after, stands


def is_overdue(order: Order, days: int, now: datetime) -> bool:
    """Whether an order is to be looked at: its quiet days are over, or nobody has reckoned yet what is the seller's."""
    if order.escrow not in (EscrowState.HELD, EscrowState.RELEASABLE):
        return False
    if order.seller_due is None:
        return True
    quiet = order.quiet_since if order.escrow is EscrowState.HELD else None
    return quiet is not None and quiet + timedelta(days=days) <= now


def _is_back(order: Order, pot: Pot, due: int) -> bool:
    """Whether nothing is left for the seller because it went back, and not because nothing was theirs before."""
    if order.state is OrderState.REFUNDED or 0 < pot.came <= pot.went:
        return True
    return due == 0 and due_to_seller(order, Pot(came=pot.came, tax=pot.tax)) > 0


def why_not_released(order: Order, pot: Pot) -> str | None:
    """Why an operator's word may not release it now; `None`: it may, or did before."""
    state, trouble = order.escrow, pot.trouble
    if state is EscrowState.RELEASED:
        return None
    if trouble.dispute_open:
        return "a dispute is open"
    if trouble.refund_under_way:
        return "a refund is under way"
    if order.terms.seller_id is None:
        return "it was not sold for somebody else"
    if state is None:
        return "it is not paid yet"
    if state is EscrowState.RETURNED:
        return "it went back to the buyer"
    if state is EscrowState.HELD:
        return _why_held(order, pot)
    return None


def _why_held(order: Order, pot: Pot) -> str:
    if not pot.came:
        return "nothing of its money has come yet"
    if not due_to_seller(order, pot):
        return "nothing of what came is the seller's"
    return f"it is held until {order.releasable_at:%Y-%m-%d %H:%M} UTC" if order.releasable_at else "it is held"
