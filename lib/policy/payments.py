"""One attempt to pay: what Stripe's words for it mean, and what of its money may still go back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lib.model.money import PaymentState, RefundState
from lib.policy.currencies import shown, step

_STATES: Mapping[str, PaymentState] = {
    "requires_confirmation": PaymentState.PENDING,
    "requires_action": PaymentState.ACTION_REQUIRED,
    "processing": PaymentState.PROCESSING,
    "requires_capture": PaymentState.PROCESSING,
    "succeeded": PaymentState.SUCCEEDED,
    "canceled": PaymentState.CANCELED,
}

_FINAL = frozenset({PaymentState.SUCCEEDED, PaymentState.CANCELED})
"""Stripe never leaves these. What was declined may be tried once more."""


def state_of(status: str, *, tried: bool) -> PaymentState | None:
    """The state of a PaymentIntent with this status; `None` for a word that is new to us: it changes nothing.

    Args:
        tried: whether it carries an error: a method that was declined, and not one that was never given.
    """
    if status == "requires_payment_method":
        return PaymentState.FAILED if tried else PaymentState.PENDING
    return _STATES.get(status)


def follows(state: PaymentState, seen: PaymentState | None) -> PaymentState:
    """The state after Stripe was read: what is final stays, whatever an older answer says."""
    return state if seen is None or state in _FINAL else seen


def surplus(asked: int, before: Iterable[int], own: int) -> int:
    """What of a payment came too much, because an order that is paid once had been paid before.

    Args:
        asked: what the order costs.
        before: what is left of each payment that came earlier, after its refunds.
        own: what is left of this one.
    """
    return max(own - max(asked - sum(before), 0), 0)


def left(came: int, refunds: Iterable[tuple[RefundState, int]]) -> int:
    """What of a payment has not gone back and is not on its way back."""
    return came - sum(amount for state, amount in refunds if state.takes)


def why_not_refunded(
    amount: int, currency: str, *, paid: tuple[int, str], refunds: Iterable[tuple[RefundState, int]]
) -> str | None:
    """Why an operator's refund can't be asked for; `None`: it can.

    Args:
        paid: what the payment brought, and its currency.
        refunds: all of the payment's, those under way too.
    """
    came, theirs = paid
    known = list(refunds)
    if currency != theirs:
        return f"the payment was in {theirs.upper()}"
    if any(state is RefundState.REQUESTED for state, _ in known):
        return "another refund of this payment waits for Stripe's answer"
    rest = left(came, known)
    if not 0 < amount <= rest:
        return f"{shown(rest, theirs)} are left to refund"
    if amount % step(theirs):
        return f"Stripe takes {theirs.upper()} only in multiples of {step(theirs)} minor units"
    return None
