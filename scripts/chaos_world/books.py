"""What must be true of the money after a storm: purchases, payments, and what the seller's other systems were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from scripts.demo_world.people import invoices_of
from scripts.sim.stripe_sim import StripeSim

Heard = Sequence[tuple[dict[str, Any], bool]]
"""Outgoing events in the order in which they were taken, and whether each was signed as it should be."""

ORDERS = "SELECT order_id::text, state, session_id, subscription_id FROM orders"
PAID = "SELECT order_id::text, invoice_id, settled_at FROM payments WHERE state = 'succeeded'"
UNTOLD = "SELECT type, customer, last_error FROM outbox WHERE state = 'waiting'"
SERVED = "SELECT subscription_id, slot FROM services WHERE state <> 'pending'"


def of_purchases(stripe: StripeSim, database: psycopg.Connection[Any]) -> Iterator[str]:
    """One page for each purchase, and one order for each page that was paid, which is paid, too.

    An order whose page was made and whose answer was lost knows of it when somebody asks again, pays, or it expires.
    """
    orders = {row.order_id: row for row in database.execute(ORDERS)}
    pages = Counter(row.session_id for row in orders.values() if row.session_id is not None)
    yield from (f"{page} is {number} orders" for page, number in pages.items() if number > 1)
    meant = Counter(one["client_reference_id"] for one in stripe.sessions.values() if one["status"] != "expired")
    yield from (f"order {name} has {number} pages at Stripe" for name, number in meant.items() if number > 1)
    for session in stripe.sessions.values():
        order = orders.get(str(session["client_reference_id"]))
        if order is None:
            yield f"{session['id']} is no order"
        elif session["status"] == "complete" and (order.session_id, order.state) != (session["id"], "paid"):
            yield f"order {order.order_id} is {order.state}, and its page is {session['payment_status']}"


def of_payments(stripe: StripeSim, database: psycopg.Connection[Any]) -> Iterator[str]:
    """Each invoice of an order that was paid is one payment of it, with its numbers."""
    payments = list(database.execute(PAID))
    by_invoice = Counter((row.order_id, row.invoice_id) for row in payments)
    for row in payments:
        if row.settled_at is None:
            yield f"the payment for {row.invoice_id} has no numbers"
    for order in database.execute(ORDERS):
        if order.subscription_id is None:
            continue
        for invoice in invoices_of(stripe, stripe.get(order.subscription_id)):
            number = by_invoice[order.order_id, invoice["id"]]
            should = int(invoice["status"] == "paid" and invoice["amount_paid"] > 0)
            if number != should:
                yield f"{invoice['id']} of order {order.order_id} is {number} payments instead of {should}"


def of_what_was_told(database: psycopg.Connection[Any], heard: Heard) -> Iterator[str]:
    """Each event came, signed, and for each customer in order; of each hosting it was told once that it is there."""
    for row in database.execute(UNTOLD):
        yield f"{row.type} of {row.customer} was never taken: {row.last_error}"
    first: dict[str, dict[str, Any]] = {}
    for event, signed in heard:
        if not signed:
            yield f"{event['type']} {event['id']} is signed wrongly"
        first.setdefault(event["id"], event)
    last: Counter[str] = Counter()
    for event in first.values():
        whose = str(event["customerId"])
        if event["sequence"] != last[whose] + 1:
            yield f"{event['type']} of {whose} came as number {event['sequence']} after {last[whose]}"
        last[whose] = event["sequence"]
    made = Counter(
        (event["data"]["subscriptionId"], event["data"]["slot"])
        for event in first.values()
        if event["type"] == "service.provisioned"
    )
    for row in database.execute(SERVED):
        if made[row.subscription_id, row.slot] != 1:
            yield f"that {row.subscription_id}/{row.slot} is there was told {made[row.subscription_id, row.slot]} times"
