"""How close an acknowledgement comes to the database's own limit: one durable insert and one upsert.

    .venv/bin/python -m bench.ack [--seconds 4 --rounds 3 --connections 1 8 32] [--only serve vercel away passes]

Rounds take turns in one run: `pgbench` with the least that must be written for an event (prepared, no function, no
Python), and a process of `./scripts/serve` that is sent signed events of 3.5 kB (new ones, then the same ones again).
Each connection sends its next event when it has the answer. The figures to look at are the ratios to the limit. The
database keeps its promises (fsync on). *serve*: passes off (`PROVISIONING_MODE=paused`); *vercel*: the same from the
bundle in Vercel's own runtime; *away*: as *serve* with the database some milliseconds away, where the ways there and
back are what counts; *passes*: customers who are live, so that the same process runs their passes while it answers.
*limit* is a transaction of two statements, *least* both in one statement, whose way to the database is only one.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import psutil
import psycopg

from bench.acknowledge import proxied, round_trip
from bench.delivery import deliver, prepare, sender
from bench.stage import Server, event, make_schema, request, serving
from bench.vercel_stage import in_vercel, serving_in_vercel
from bench.world import fill, simulated
from scripts._postgres import programs, start
from scripts._vercel import NoVercelError

MOST_A_SECOND = 9000
"""Events that are signed for each second of a round: more than can be sent."""

CUSTOMERS = 500
"""Whose events are sent where passes run."""

PLACES = ("serve", "vercel", "away", "passes")

LIMIT = """
\\set n random(1, 1000000000)
BEGIN;
INSERT INTO limit_events (event_id, customer_id, body) VALUES ('evt_' || :n, 'cus_' || :n, :body)
    ON CONFLICT DO NOTHING;
INSERT INTO limit_due (key) VALUES ('cus_' || :n) ON CONFLICT (key) DO UPDATE SET generation = limit_due.generation + 1;
COMMIT;
"""
LEAST = """
\\set n random(1, 1000000000)
WITH stored AS (
    INSERT INTO limit_events (event_id, customer_id, body) VALUES ('evt_' || :n, 'cus_' || :n, :body)
        ON CONFLICT DO NOTHING
)
INSERT INTO limit_due (key) VALUES ('cus_' || :n) ON CONFLICT (key) DO UPDATE SET generation = limit_due.generation + 1;
"""
TABLES = """
CREATE TABLE limit_events (
    event_id text PRIMARY KEY, customer_id text, body text, received_at timestamptz DEFAULT now());
CREATE TABLE limit_due (key text PRIMARY KEY, generation bigint NOT NULL DEFAULT 1, due_at timestamptz DEFAULT now());
"""


@dataclass(frozen=True)
class Round:
    """What one round came to."""

    place: str
    what: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """CPU of the serving process for each event."""
    database_us: float
    """CPU of the database's processes for each event."""
    writes: float
    """Transactions for each event that wrote; each is one statement."""
    wal_bytes: float
    server_mb: float
    """Resident memory of the serving process after it."""


@dataclass(frozen=True)
class Place:
    """A serving process and its database, under a name."""

    name: str
    url: str
    trip_ms: float
    """The smallest statement from here to the database and back."""
    server: Server
    make: Callable[[str], bytes]
    """The request with an event of this name."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, in turns (%(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--away", type=float, default=2.0, help="milliseconds to the database, away (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--json", type=Path, help="where to write every round")
    options = parser.parse_args()
    rounds: list[Round] = []
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        postgres = running.enter_context(start(folder / "data"))
        scripts = {"limit": LIMIT, "least": LEAST}
        for name, text in scripts.items():
            (folder / name).write_text(text)
        places = list(_places(running, postgres.create_database, options))
        for place in places:
            _ours(place, folder, "warm", 8, 1)
        for number in range(options.rounds):
            for connections in options.connections:
                for place in places:
                    for name in scripts if place.name in ("serve", "away") else ():
                        rounds.append(_limit(place, folder / name, connections, options.seconds))
                    rounds += _ours(place, folder, f"{number}", connections, options.seconds)
    _print(rounds, {place.name: place.trip_ms for place in places})
    if options.json:
        found = {
            "sender": sender(),
            "trips_ms": {place.name: place.trip_ms for place in places},
            "rounds": [asdict(one) for one in rounds],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _places(running: ExitStack, create: Callable[[str], str], options: argparse.Namespace) -> Iterator[Place]:
    if "serve" in options.only:
        url = create("serve")
        asyncio.run(_prepare(url))
        yield Place("serve", url, round_trip(url), running.enter_context(serving(url, "paused")), request)
    if "vercel" in options.only:
        url = create("vercel")
        asyncio.run(_prepare(url))
        try:
            server = running.enter_context(serving_in_vercel(url, "paused"))
        except NoVercelError as missing:
            print(f"vercel is left out: {missing}")
        else:
            yield Place("vercel", url, round_trip(url), server, lambda name: in_vercel(request(name)))
    if "away" in options.only:
        url = create("away")
        asyncio.run(_prepare(url))
        far = running.enter_context(proxied(url, options.away))
        yield Place("away", far, round_trip(far), running.enter_context(serving(far, "paused")), request)
    if "passes" in options.only:
        url = create("passes")
        world = running.enter_context(simulated(CUSTOMERS, panel_ms=20))
        asyncio.run(fill(url, world.rows))
        server = running.enter_context(serving(url, "live", **world.environ))
        make = partial(_about, customers=world.customers, secret=world.environ["STRIPE_WEBHOOK_SECRET"])
        yield Place("passes", url, round_trip(url), server, make)


def _about(name: str, *, customers: list[tuple[str, str]], secret: str) -> bytes:
    """A request about one of the customers."""
    return request(name, *customers[zlib.crc32(name.encode()) % len(customers)], secret=secret)


async def _prepare(url: str) -> None:
    await make_schema(url)
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
                "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
                " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
            ).fetchone()
        assert row is not None
        here = psutil.Process(self.server.pid).cpu_times() if self.server else None
        return (sum(here[:2]) if here else 0.0, _postgres_seconds(), int(row[0]), int(row[1]))

    def each(self, events: int) -> dict[str, float]:
        """For each of so many events."""
        server, database, writes, wal = (
            after - before for after, before in zip(self._read(), self._before, strict=True)
        )
        memory = psutil.Process(self.server.pid).memory_info().rss if self.server else 0
        return {
            "server_us": server / events * 1e6,
            "database_us": database / events * 1e6,
            "writes": writes / events,
            "wal_bytes": wal / events,
            "server_mb": memory / 1e6,
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


def _limit(place: Place, script: Path, connections: int, seconds: float) -> Round:
    meter = _Meter(place.url, None)
    length = str(max(1, round(seconds)))
    command = [str(programs() / "pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", length]
    command += ["-D", f"body={event('limit').decode()}"]  # the same bytes cross the wire and are kept
    with tempfile.TemporaryDirectory() as logs:
        command += ["-l", "--log-prefix", f"{logs}/log", "-f", str(script), place.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = [line.split() for log in Path(logs).iterdir() for line in log.read_text().splitlines()]
    times = sorted(int(line[2]) / 1000 for line in lines)
    tps = re.search(r"tps = ([0-9.]+)", said)
    assert tps is not None
    cuts = (times[len(times) // 2], times[int(len(times) * 0.99)])
    return Round(place.name, script.name, connections, float(tps[1]), *cuts, **meter.each(len(times)))


def _ours(place: Place, folder: Path, name: str, connections: int, seconds: float) -> list[Round]:
    rounds = []
    names = (f"{place.name}_{name}_{connections}_{n}" for n in range(int(seconds * MOST_A_SECOND)))
    stock = prepare(folder / "stock", map(place.make, names))
    for what in ("first", "again"):
        meter = _Meter(place.url, place.server)
        found = deliver(place.server.port, stock, connections, seconds)
        if what == "first" and found.count + connections > stock.count:
            raise SystemExit(f"{stock.count} events were signed and {found.count} sent: sign more (MOST_A_SECOND)")
        each = meter.each(found.count)
        rate = found.count / found.seconds
        rounds.append(Round(place.name, what, connections, rate, found.p50_ms, found.p99_ms, **each))
        stock = replace(stock, count=found.count)
    return rounds


def _print(rounds: list[Round], trips_ms: dict[str, float]) -> None:
    print(f"{'':8} {'':6} {'conn':>4} {'acks/s':>8} {'of limit':>8} {'p50 ms':>7} {'p99 ms':>7} {'trips':>5}"
          f" {'server us':>9} {'database us':>11} {'writes':>6} {'WAL B':>7} {'MB':>5}")  # fmt: skip
    for (place, what, connections), middle in medians(rounds).items():
        limit = limit_of(medians(rounds), place, connections)
        of_limit = f"{middle['per_second'] / limit['per_second']:8.2f}" if limit else f"{'':8}"
        print(
            f"{place:8} {what:6} {connections:4} {middle['per_second']:8.0f} {of_limit}"
            f" {middle['p50_ms']:7.2f} {middle['p99_ms']:7.2f} {middle['p50_ms'] / trips_ms[place]:5.1f}"
            f" {middle['server_us']:9.0f} {middle['database_us']:11.0f} {middle['writes']:6.2f}"
            f" {middle['wal_bytes']:7.0f} {middle['server_mb']:5.0f}"
        )


def medians(rounds: Sequence[Round]) -> dict[tuple[str, str, int], dict[str, float]]:
    """The median of each figure, by place, what was sent and connections."""
    found: dict[tuple[str, str, int], list[Round]] = {}
    for one in rounds:
        found.setdefault((one.place, one.what, one.connections), []).append(one)
    figures = [field.name for field in fields(Round) if field.type is float]
    return {
        key: {name: statistics.median(getattr(one, name) for one in these) for name in figures}
        for key, these in found.items()
    }


def limit_of(
    middle: Mapping[tuple[str, str, int], dict[str, float]], place: str, connections: int
) -> dict[str, float] | None:
    """What the rounds of a place are compared with: the same database, as near or as far."""
    return middle.get(("away" if place == "away" else "serve", "limit", connections))


if __name__ == "__main__":
    sys.exit(main())
