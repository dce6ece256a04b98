"""Why nothing runs for an order that was paid, and what to do about it: one answer out of all that is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from lib.model.reason import means, remedy, what_to_do

SYNC = "Run a pass for the customer: POST /api/admin/sync, or retry."


class Stands(Struct, frozen=True):
    """What is remembered of a paid order, its customer and its services."""

    customer: str | None
    """The customer's key; `None`: the order names nobody."""
    price: str | None
    subscription: str | None
    state: str | None = None
    """Of the customer's row in the queue (`lists.queue.State`); `None`: there is none."""
    due_at: datetime | None = None
    parked: str | None = None
    waits_for: str | None = None
    error: str | None = None
    problems: Sequence[Mapping[str, str]] = ()
    order_parked: str | None = None
    """What the order itself is parked for."""
    order_error: str | None = None
    services: Sequence[str] = ()
    """The states of the subscription's services."""
    service_waits: str | None = None
    holds: Sequence[str] = field(default=())


class Why(Struct, frozen=True):
    """Why it is so: a word, the same for people, and what to do."""

    reason: str
    detail: str
    remedy: str


HOLDS = {
    "unpaid": "It runs once what is open is paid; or give grace.",
    "paused": "It runs once it is resumed in Stripe.",
    "ended": "It has ended in Stripe: give the money back, or sell a new subscription.",
    "dispute": "It runs once the dispute is won; or lift the hold.",
    "refund": "The money went back; lift the hold if it shall run all the same.",
    "admin": "Lift the hold.",
}
"""What lets each hold go."""


def why(found: Stands, mode: str) -> Why:
    """Why nothing runs for it. `mode`: PROVISIONING_MODE."""
    if mode != "live":
        return Why("mode", f"PROVISIONING_MODE is {mode}: nothing is made", "Set it to live once the plans look right.")
    if found.customer is None:
        return _of_order(found)
    if found.parked is not None:
        return _parked(found, found.parked)
    return _held(found) or _on_its_way(found)


def _of_order(found: Stands) -> Why:
    if found.order_parked is not None:
        return Why(found.order_parked, means(found.order_parked) or found.order_parked, remedy(found.order_parked))
    if found.order_error is not None:
        what = what_to_do(parked=None, waits_for=None, error=found.order_error) or SYNC
        return Why("failing", found.order_error, what)
    told = "no customer of Stripe is known for it yet"
    return Why("no_customer", told, "See its steps. The next sweep looks for what is missing; ./scripts/sweep at once.")


def _parked(found: Stands, reason: str) -> Why:
    """Of several problems of a customer the one about this very order, where one is."""
    theirs = {found.price, found.subscription}
    about = [one for one in found.problems if one.get("subject") in theirs] or list(found.problems)
    if not about:
        return Why(reason, means(reason) or reason, remedy(reason))
    return Why(about[0]["reason"], about[0]["detail"], remedy(about[0]["reason"]))


def _held(found: Stands) -> Why | None:
    if not found.holds:
        return None
    do = " ".join(HOLDS[hold] for hold in found.holds if hold in HOLDS)
    return Why("held", f"it is held: {', '.join(found.holds)}", do or "See the customer.")


def _on_its_way(found: Stands) -> Why:
    if found.error is not None:
        what = what_to_do(parked=None, waits_for=None, error=found.error)
        return Why("failing", found.error, what or SYNC)
    if found.state in ("due", "working"):
        turn = "is under way" if found.state == "working" else "is due"
        return Why(found.state, f"its customer's pass {turn}", "Nothing: look again in a minute.")
    if "live" in found.services:
        return Why("runs", "its hosting runs, and the order was not told so", SYNC)
    waits = found.service_waits or found.waits_for
    if waits is not None:
        return Why(waits, means(waits) or waits, what_to_do(parked=None, waits_for=waits, error=None) or SYNC)
    return Why("nothing_due", "nothing is to be done for its customer, and no hosting is there", SYNC)
