"""Webhooks as Stripe sends them: signed, thin, delivered or lost."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from scripts.sim.stripe_sim.commerce import Commerce
from scripts.sim.stripe_sim.store import Obj, locked

if TYPE_CHECKING:
    from collections.abc import Sequence

PATHS = {
    "balance_transaction": "/v1/balance_transactions",
    "charge": "/v1/charges",
    "checkout.session": "/v1/checkout/sessions",
    "customer": "/v1/customers",
    "dispute": "/v1/disputes",
    "event": "/v1/events",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "payment_intent": "/v1/payment_intents",
    "price": "/v1/prices",
    "product": "/v1/products",
    "refund": "/v1/refunds",
    "subscription": "/v1/subscriptions",
    "webhook_endpoint": "/v1/webhook_endpoints",
}


class Delivery(Commerce):
    """The verbs about getting events to their receiver."""

    def events_of(self, kind: str, obj_id: str | None = None) -> list[Obj]:
        """Events of a type (`invoice.paid`), oldest first; about one object only, when its id is given."""
        return [
            event
            for event in self.events
            if event["type"] == kind and (obj_id is None or event["data"]["object"]["id"] == obj_id)
        ]

    def signed(
        self, event: Obj, secrets: str | Sequence[str] | None = None, timestamp: int | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of one delivery; several secrets give one `v1` each, as while a secret is rolled."""
        body = json.dumps(event, indent=2).encode()
        at = self.now() if timestamp is None else timestamp
        chosen = self.webhook_secret if secrets is None else secrets
        keys = [chosen] if isinstance(chosen, str) else chosen
        macs = [hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() for key in keys]
        signature = ",".join([f"t={at}", *(f"v1={mac}" for mac in macs)])
        return body, {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}

    def thin(self, event: Obj) -> Obj:
        """The thin notification of a snapshot event."""
        obj = event["data"]["object"]
        path = PATHS.get(obj["object"])
        created = datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        related = {"id": obj["id"], "type": obj["object"], "url": f"{path}/{obj['id']}"} if path else None
        return {
            "id": event["id"].replace("evt_", "evt_thin_"),
            "object": "v2.core.event",
            "type": f"v1.{event['type']}",
            "created": created,
            "livemode": event["livemode"],
            "context": None,
            "reason": None,
            "snapshot_event": event["id"],
            "related_object": related,
        }

    def undelivered(self) -> list[Obj]:
        """Events still to be delivered, oldest first; dropped ones are not."""
        return [event for event in self.events if self.is_open(event["id"]) and event["id"] not in self._dropped]

    def is_open(self, event_id: str) -> bool:
        """Whether no delivery of the event has succeeded: what `delivery_success=false` lists."""
        return event_id in self._open_deliveries

    @locked
    def drop(self, event: Obj | str) -> None:
        """Lose an event: no longer in `undelivered()`, still listed with `delivery_success=false`."""
        self._dropped.add(event if isinstance(event, str) else event["id"])

    @locked
    def mark_delivered(self, event: Obj | str) -> None:
        """Take an event's delivery as succeeded."""
        event_id: str = event if isinstance(event, str) else event.get("snapshot_event") or event["id"]
        self._open_deliveries.discard(event_id)
        self.tables["event"][event_id]["pending_webhooks"] = 0

    def deliver(
        self, url: str, event: Obj, *, secrets: str | Sequence[str] | None = None, timestamp: int | None = None
    ) -> httpx.Response:
        """POST an event (snapshot or thin) to a webhook; a 2xx answer settles its delivery."""
        body, headers = self.signed(event, secrets, timestamp)
        response = httpx.post(url, content=body, headers=headers, timeout=30)
        if response.is_success:
            self.mark_delivered(event)
        return response

    def deliver_all(self, url: str) -> list[httpx.Response]:
        """Deliver everything undelivered, oldest first."""
        return [self.deliver(url, event) for event in self.undelivered()]
