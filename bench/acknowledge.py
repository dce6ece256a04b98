"""What acknowledging an event takes while every place for passes is taken, beside what it takes without drains at all.

    .venv/bin/python -m bench.acknowledge [--rate 300 --seconds 10 --rounds 3 --away 2]

Four processes serve the functions; a small proxy puts the database `--away` milliseconds away; events of distinct
customers come in at a fixed rate, whatever the answers do (latency counts from when an event was to be sent). Rounds
with drains, in which other holders keep all places, take turns with rounds in which none is tried
(`PROVISIONING_MODE=paused`). The figure to look at is the ratio of the two p95: at most 2, else the exit code is 1.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.stage import PLACES, ROOT, Sender, request, serving
from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import free_port, start

PROCESSES = 4
MOST = 2.0
"""How many times longer the slowest twentieth may take with drains than without."""

FAILED = 3600.0
"""Seconds that an event counts with that was refused: far above all others."""


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
                    ports = [functions.enter_context(serving(far, mode)).port for _ in range(PROCESSES)]
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


# --- the load ---


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


if __name__ == "__main__":
    sys.exit(main())
