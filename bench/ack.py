"""How close an acknowledgement comes to the database's own limit: one durable insert and one upsert.

    .venv/bin/python -m bench.ack [--seconds 6 --rounds 3 --connections 1 8 32] [--json FILE]

Rounds take turns in one run: `pgbench` with the least that must be written for an event (prepared, no function, no
Python), and one process of `./scripts/serve` that is sent signed events of 3.5 kB (new ones, then the same ones again).
Each connection sends its next event when it has the answer. The figures to look at are the ratios to the limit; passes
are off (`PROVISIONING_MODE=paused`), the database keeps its promises (fsync on).
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import psutil
import psycopg
import uvloop

from bench.stage import Server, event, request, serving, status_of
from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import programs, start

T = TypeVar("T")

LIMIT = """
\\set n random(1, 1000000000)
BEGIN;
INSERT INTO limit_events (event_id, customer_id, body) VALUES ('evt_' || :n, 'cus_' || :n, :body)
    ON CONFLICT DO NOTHING;
INSERT INTO limit_due (key) VALUES ('cus_' || :n) ON CONFLICT (key) DO UPDATE SET generation = limit_due.generation + 1;
COMMIT;
"""
TABLES = """
CREATE TABLE limit_events (
    event_id text PRIMARY KEY, customer_id text, body text, received_at timestamptz DEFAULT now());
CREATE TABLE limit_due (key text PRIMARY KEY, generation bigint NOT NULL DEFAULT 1, due_at timestamptz DEFAULT now());
"""


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    what: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """CPU of the serving process for each event."""
    database_us: float
    """CPU of the database's processes for each event."""
    commits: float
    """Transactions for each event."""
    wal_bytes: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, in turns (%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--json", type=Path, help="where to write every round")
    options = parser.parse_args()
    rounds: list[Round] = []
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        postgres = running.enter_context(start(folder / "data"))
        url = postgres.create_database("bench")
        asyncio.run(_prepare(url))
        script = folder / "limit.sql"
        script.write_text(LIMIT)
        server = running.enter_context(serving(url, "paused"))
        _run(_send(server.port, "warm", 8, 1.5))
        for number in range(options.rounds):
            for connections in options.connections:
                rounds.append(_limit(url, script, connections, options.seconds))
                rounds += _ours(url, server, f"{number}_{connections}", connections, options.seconds)
    _print(rounds, options.connections)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rounds], indent=1) + "\n")
    return 0


async def _prepare(url: str) -> None:
    database = Database(Secret(url))
    await migrate(database)
    await database.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass
class _Meter:
    """What the database and a process have used since it was made."""

    url: str
    server: Server | None

    def __post_init__(self) -> None:
        self._before = self._read()

    def _read(self) -> tuple[float, float, int, int]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_backend_pid()"
                " FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        here = psutil.Process(self.server.pid).cpu_times() if self.server else None
        return (sum(here[:2]) if here else 0.0, _postgres_seconds(), int(row[0]), int(row[1]))

    def each(self, events: int) -> dict[str, float]:
        """For each of so many events."""
        time.sleep(0.6)  # a backend tells its statistics at most every half second
        server, database, commits, wal = (
            after - before for after, before in zip(self._read(), self._before, strict=True)
        )
        return {
            "server_us": server / events * 1e6,
            "database_us": database / events * 1e6,
            "commits": commits / events,
            "wal_bytes": wal / events,
        }


def _postgres_seconds() -> float:
    """CPU of all processes of a server that we started; those that have ended are counted by their parent."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("postgres"):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _limit(url: str, script: Path, connections: int, seconds: float) -> Round:
    meter = _Meter(url, None)
    length = str(max(1, round(seconds)))
    command = [str(programs() / "pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", length]
    command += ["-D", f"body={event('limit').decode()}"]  # the same bytes cross the wire and are kept
    with tempfile.TemporaryDirectory() as logs:
        command += ["-l", "--log-prefix", f"{logs}/log", "-f", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = [line.split() for log in Path(logs).iterdir() for line in log.read_text().splitlines()]
    times = sorted(int(line[2]) / 1000 for line in lines)
    tps = re.search(r"tps = ([0-9.]+)", said)
    assert tps is not None
    return Round("limit", connections, float(tps[1]), *_cuts(times), **meter.each(len(times)))


def _ours(url: str, server: Server, name: str, connections: int, seconds: float) -> list[Round]:
    rounds = []
    sent: list[bytes] = []
    for what in ("serve", "serve again"):
        meter = _Meter(url, server)
        again = sent if what == "serve again" else None
        times, sent, took = _run(_send(server.port, name, connections, seconds, again))
        rounds.append(Round(what, connections, len(times) / took, *_cuts(sorted(times)), **meter.each(len(times))))
    return rounds


def _run(sending: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # what the sender costs, the server lacks
        return runner.run(sending)


async def _send(
    port: int, name: str, connections: int, seconds: float, again: list[bytes] | None = None
) -> tuple[list[float], list[bytes], float]:
    """Deliver events over so many connections, each as soon as the one before is answered.

    Milliseconds of each, what was sent, and the seconds that it took.
    """
    loop = asyncio.get_running_loop()
    # Signing is the sender's work, and has to be done before.
    stock = iter(again or [request(f"{name}_{n}") for n in range(int(seconds * 8000))])
    began = time.perf_counter()
    end = began + seconds
    callers = [Caller(stock, end, loop.create_future()) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(caller.done for caller in callers))
    took = time.perf_counter() - began
    times = [one for caller in callers for one in caller.times]
    return times, [one for caller in callers for one in caller.sent], took


class Caller(asyncio.Protocol):
    """One connection that sends the next event in the moment in which it has the answer: no task, no future for each.

    The sender has the same cores as what it measures, so that its own time is missing there.
    """

    def __init__(self, stock: Iterator[bytes], end: float, done: asyncio.Future[None]) -> None:
        self._stock = stock
        self._end = end
        self._received = b""
        self.done = done
        self.times: list[float] = []
        self.sent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server took the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._next()

    def _next(self) -> None:
        one = next(self._stock, None) if time.perf_counter() < self._end else None
        if one is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self.sent.append(one)
        self._began = time.perf_counter()
        self._transport.write(one)

    def data_received(self, data: bytes) -> None:
        """A part of an answer came in."""
        self._received += data
        status = status_of(self._received)
        if status is None:
            return
        if status != 200:
            self.done.set_exception(SystemExit(f"an event was answered with {status}"))
            self._transport.close()
            return
        self._received = b""
        self.times.append((time.perf_counter() - self._began) * 1000)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection ended."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError())


def _cuts(times: list[float]) -> tuple[float, float]:
    return (times[len(times) // 2], times[int(len(times) * 0.99)])


def _print(rounds: list[Round], connections: list[int]) -> None:
    print(f"{'':12} {'conn':>4} {'acks/s':>8} {'of limit':>8} {'p50 ms':>7} {'p99 ms':>7} {'server us':>9} "
          f"{'database us':>11} {'commits':>7} {'WAL B':>7}")  # fmt: skip
    for count in connections:
        limit = statistics.median(one.per_second for one in rounds if (one.what, one.connections) == ("limit", count))
        for what in ("limit", "serve", "serve again"):
            these = [one for one in rounds if (one.what, one.connections) == (what, count)]
            middle = {
                key: statistics.median(getattr(one, key) for one in these)
                for key in ("per_second", "p50_ms", "p99_ms", "server_us", "database_us", "commits", "wal_bytes")
            }
            print(
                f"{what:12} {count:4} {middle['per_second']:8.0f} {middle['per_second'] / limit:8.2f}"
                f" {middle['p50_ms']:7.2f} {middle['p99_ms']:7.2f} {middle['server_us']:9.0f}"
                f" {middle['database_us']:11.0f} {middle['commits']:7.2f} {middle['wal_bytes']:7.0f}"
            )


if __name__ == "__main__":
    sys.exit(main())
