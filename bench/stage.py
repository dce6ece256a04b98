"""What the measurements share: processes that serve the functions, and a sender that speaks like Stripe."""

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import free_port

ROOT = Path(__file__).resolve().parent.parent

PLACES = 4

SECRET = "whsec_bench_fake"  # noqa: S105
ENVIRON = {
    "STRIPE_SECRET_KEY": "sk_test_bench_fake",
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "STRIPE_API_BASE": "http://127.0.0.1:9",
    "ENHANCE_API_URL": "http://127.0.0.1:9",
    "ENHANCE_API_TOKEN": "token_bench_fake",
    "ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000001",
    "ADMIN_API_KEY": "admin_bench_fake_key",
    "CRON_SECRET": "cron_bench_fake_secret",
    "PANEL_CONCURRENCY": str(PLACES),
}


@dataclass(frozen=True)
class Server:
    """A process of `./scripts/serve`."""

    port: int
    pid: int


async def make_schema(url: str) -> None:
    """Every migration on a fresh database."""
    database = Database(Secret(url))
    await migrate(database)
    await database.close()


@contextmanager
def serving(url: str, mode: str, **settings: str) -> Iterator[Server]:
    """One process of `./scripts/serve`."""
    port = free_port()
    environ = {**os.environ, **ENVIRON, "DATABASE_URL": url, "PROVISIONING_MODE": mode, **settings}
    command = [sys.executable, "-c", "from scripts._serve import main; main()", "--port", str(port)]
    with (
        tempfile.TemporaryFile("w+") as said,  # its lines are written as they would be, and nobody has to read them
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=said) as process,
    ):
        while os.pread(said.fileno(), 1, 0) == b"" and process.poll() is None:
            time.sleep(0.05)
        try:
            yield Server(port, process.pid)
        finally:
            process.kill()


def status_of(received: bytes) -> int | None:
    """The status of an answer, once all of it came in."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
        return None
    return int(head.split(b" ", 2)[1])


class Sender(asyncio.Protocol):
    """One connection that Stripe keeps open: a request, its whole answer, the next request."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._received = b""
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server took the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """A part of an answer came in."""
        self._received += data
        status = status_of(self._received)
        if status is not None and self._answer is not None:
            self._received = b""
            self._answer.set_result(status)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection ended."""
        self.ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    async def send(self, request: bytes) -> int:
        """Send a request; the status of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def event(name: str, customer: str | None = None, subscription: str | None = None) -> bytes:
    """An event about an invoice of a customer of its own, as long and as various as Stripe's are (3.5 kB)."""
    line = {
        "id": f"il_{name}",
        "object": "line_item",
        "amount": 999,
        "currency": "eur",
        "description": "1 x Starter (at 9.99 EUR / month)",
        "discounts": [],
        "livemode": False,
        "metadata": {"domain": f"{name}.example"},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription or f"sub_{name}",
                "subscription_item": f"si_{name}",
            },
        },
        "period": {"end": 1_796_592_000, "start": 1_794_000_000},
        "pricing": {
            "price_details": {"price": "price_bench_starter", "product": "prod_bench_starter"},
            "type": "price_details",
            "unit_amount_decimal": "999",
        },
        "quantity": 1,
        "taxes": [],
    }
    absent = (
        "account_tax_ids application collection_failure_code custom_fields customer_address customer_phone"
        " customer_shipping default_payment_method default_source description due_date footer next_payment_attempt"
        " shipping_cost test_clock webhooks_delivered_at"
    )
    invoice: dict[str, Any] = {
        **dict.fromkeys(absent.split()),
        "id": f"in_{name}",
        "object": "invoice",
        "account_name": "Example Hosting",
        "amount_due": 999,
        "amount_paid": 999,
        "amount_remaining": 0,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": 1_794_000_000,
        "currency": "eur",
        "customer": customer or f"cus_{name}",
        "customer_email": f"{name}@customers.example",
        "customer_name": "A Customer",
        "hosted_invoice_url": f"https://invoice.stripe.example/i/acct_bench/test_{name}{'q7Zr' * 20}?s=ap",
        "issuer": {"type": "self"},
        "lines": {"object": "list", "data": [line], "has_more": False, "url": f"/v1/invoices/in_{name}/lines"},
        "livemode": False,
        "metadata": {},
        "number": "BENCH-0001",
        "parent": {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": subscription or f"sub_{name}"},
        },
        "status": "paid",
        "status_transitions": {"finalized_at": 1_794_000_000, "paid_at": 1_794_000_000, "voided_at": None},
        "subtotal": 999,
        "total": 999,
        "total_taxes": [],
    }
    return json.dumps(
        {
            "id": f"evt_{name}",
            "object": "event",
            "api_version": "2026-05-27.dahlia",
            "created": 1_794_000_000,
            "data": {"object": invoice},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": "invoice.paid",
        },
        indent=2,
    ).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    """The header that proves that Stripe sent a body."""
    now = int(time.time())
    mac = hmac.new(secret.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={mac}"


def request(name: str, *about: str, secret: str = SECRET) -> bytes:
    """A signed delivery of such an event; `about`: customer and subscription."""
    body = event(name, *about)
    head = (
        f"POST /api/webhook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nStripe-Signature: {signature(body, secret)}\r\n\r\n"
    )
    return head.encode() + body
