"""What acknowledging an event takes while every place for passes is taken, beside what it takes without drains at all.

    .venv/bin/python -m bench.acknowledge [--rate 300 --seconds 10 --rounds 3 --away 2]

Four processes serve the functions; a small proxy puts the database `--away` milliseconds away; events of distinct
customers come in at a fixed rate, whatever the answers do (latency counts from when an event was to be sent). Rounds
with drains, in which other holders keep all places, take turns with rounds in which none is tried
(`PROVISIONING_MODE=paused`). The figure to look at is the ratio of the two p95: at most 2, else the exit code is 1.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import free_port, start

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 4
PLACES = 4
MOST = 2.0
"""How many times longer the slowest twentieth may take with drains than without."""

FAILED = 3600.0
"""Seconds that an event counts with that was refused: far above all others."""

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


def main() -> int:
    """Measure and print; 1 when acknowledgements suffer from drains."""
    parser = argparse.ArgumentParser(prog="python -m bench.acknowledge", description=__doc__)
    parser.add_argument("--rate", type=int, default=300, help="events per second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=10, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, in turns (%(default)s)")
    parser.add_argument("--away", type=float, default=2.0, help="milliseconds to the database and back (%(default)s)")
    parser.add_argument("--proxy", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        asyncio.run(delay(options.proxy[0], options.proxy[1], options.away / 2000))
        return 0
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory())
        postgres = running.enter_context(start(Path(folder) / "data", durable=False))
        near = postgres.create_database("bench")
        asyncio.run(prepare(near))
        far = running.enter_context(proxied(near, options.away))
        taken: dict[str, list[float]] = {"paused": [], "live": []}
        for number in range(options.rounds):
            for mode, found in taken.items():
                with ExitStack() as functions:
                    ports = [functions.enter_context(serving(far, mode)) for _ in range(PROCESSES)]
                    asyncio.run(round_of(f"warm_{mode}_{number}", ports, options.rate, 2))
                    found += asyncio.run(round_of(f"{mode}_{number}", ports, options.rate, options.seconds))
        print(f"{PROCESSES} processes, {options.rate} events/s, the database {round_trip(far):.1f} ms away")
        return report(taken)


def report(taken: dict[str, list[float]]) -> int:
    """Print both distributions in milliseconds and their ratio."""
    ends, failed = {}, 0
    for mode, words in (("paused", "without drains"), ("live", "all places taken")):
        done = [seconds for seconds in taken[mode] if seconds < FAILED]
        failed += len(taken[mode]) - len(done)
        cuts = statistics.quantiles(taken[mode], n=100)
        ends[mode] = cuts[94]
        figures = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(done)}
        shown = "   ".join(f"{name} {seconds * 1000:7.1f}" for name, seconds in figures.items())
        print(f"{words:>18}: {len(taken[mode]):6} events, {len(taken[mode]) - len(done)} refused   {shown}")
    ratio = ends["live"] / ends["paused"]
    print(f"{'ratio of p95':>18}: {ratio:.2f} (at most {MOST:.0f})")
    return 0 if ratio <= MOST and not failed else 1


async def prepare(url: str) -> None:
    """Make the schema, and take every place: as many leases as there may be, held by others all the time."""
    database = Database(Secret(url))
    await migrate(database)
    await database.rows(
        "INSERT INTO due (kind, key, lease_id, leased_until)"
        " SELECT 'customer', 'cus_held' || n, gen_random_uuid(), now() + interval '1 day'"
        " FROM generate_series(1, %(places)s) n",
        {"places": PLACES},
    )
    await database.close()


# --- the database, further away ---------------------------------------------------------------------------------------


@contextmanager
def proxied(url: str, away: float) -> Iterator[str]:
    """The address of the database behind a proxy that keeps every packet for a while."""
    parts = conninfo_to_dict(url)
    port = free_port()
    command = [sys.executable, "-m", "bench.acknowledge", "--away", str(away), "--proxy", str(port), str(parts["port"])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"postgresql://{parts['user']}:{parts['password']}@127.0.0.1:{port}/{parts['dbname']}"
        finally:
            process.kill()


async def delay(port: int, target: int, seconds: float) -> None:
    """Pass on what comes in, in order and `seconds` later, both ways."""
    loop = asyncio.get_running_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            loop.call_later(seconds, writer.write, data)
        loop.call_later(seconds, writer.close)

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(carry(reader, onward), carry(there, writer))
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


def round_trip(url: str) -> float:
    """Milliseconds that the smallest statement takes."""
    with psycopg.connect(make_conninfo(url), autocommit=True) as connection:
        times = []
        for _ in range(50):
            began = time.perf_counter()
            connection.execute("SELECT 1")
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


# --- the functions ----------------------------------------------------------------------------------------------------


@contextmanager
def serving(url: str, mode: str) -> Iterator[int]:
    """One process of `./scripts/serve`; its port."""
    port = free_port()
    environ = {**os.environ, **ENVIRON, "DATABASE_URL": url, "PROVISIONING_MODE": mode}
    command = [sys.executable, "-c", "from scripts._serve import main; main()", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port
        finally:
            process.kill()


# --- Stripe -----------------------------------------------------------------------------------------------------------


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


async def round_of(name: str, ports: list[int], rate: int, seconds: int) -> list[float]:
    """Deliver events at a fixed rate to the processes in turn; how long each took from when it was to be sent."""
    loop = asyncio.get_running_loop()
    idle: dict[int, list[Sender]] = {port: [] for port in ports}
    requests = [(ports[n % len(ports)], request(f"{name}_{n}")) for n in range(rate * seconds)]
    latencies: list[float] = []
    began = loop.time() + 0.1

    async def deliver(port: int, body: bytes, at: float) -> None:
        while idle[port] and idle[port][-1].ended:  # the server ends a connection that was idle for some seconds
            idle[port].pop()
        if not idle[port]:
            _, fresh = await loop.create_connection(Sender, "127.0.0.1", port)
            idle[port].append(fresh)
        sender = idle[port].pop()
        status = await sender.send(body)
        latencies.append(loop.time() - at if status == 200 else FAILED)
        idle[port].append(sender)

    async with asyncio.TaskGroup() as deliveries:
        for n, (port, body) in enumerate(requests):
            at = began + n / rate
            await asyncio.sleep(max(0.0, at - loop.time()))
            deliveries.create_task(deliver(port, body, at))
    return latencies


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


if __name__ == "__main__":
    sys.exit(main())
