"""What the measurements share: processes that serve the functions, and a sender that speaks like Stripe."""

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    "LOG_LEVEL": "error",
    "PANEL_CONCURRENCY": str(PLACES),
}


@dataclass(frozen=True)
class Server:
    """A process of `./scripts/serve`."""

    port: int
    pid: int


@contextmanager
def serving(url: str, mode: str) -> Iterator[Server]:
    """One process of `./scripts/serve`."""
    port = free_port()
    environ = {**os.environ, **ENVIRON, "DATABASE_URL": url, "PROVISIONING_MODE": mode}
    command = [sys.executable, "-c", "from scripts._serve import main; main()", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Server(port, process.pid)
        finally:
            process.kill()


class Sender(asyncio.Protocol):
    """One connection that Stripe keeps open: a request, its whole answer, the next request."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._received = b""
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server took the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A part of an answer came in."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            self._received = b""
            self._answer.set_result(int(head.split(b" ")[1]))

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


def request(name: str) -> bytes:
    """A signed delivery about a customer of its own."""
    thing: dict[str, Any] = {"id": f"in_{name}", "object": "invoice", "customer": f"cus_{name}", "lines": "x" * 2000}
    event = {
        "id": f"evt_{name}",
        "object": "event",
        "type": "invoice.paid",
        "livemode": False,
        "created": 1_794_000_000,
    }
    body = json.dumps({**event, "data": {"object": thing}}).encode()
    now = int(time.time())
    mac = hmac.new(SECRET.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    head = (
        f"POST /api/webhook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nStripe-Signature: t={now},v1={mac}\r\n\r\n"
    )
    return head.encode() + body
