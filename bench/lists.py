"""What the operators' lists and screens cost with 1,000 customers and with 1,000,000: medians of rounds in turns.

    .venv/bin/python -m bench.lists [--customers 1000 1000000 --rows 10 --rounds 9]

Two databases on one server, the real routes in this process. The figure to look at is the ratio: at most 1.5, for lists
of the same length. What is asked for whole grows with what it shows, and is listed by itself.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from starlette.types import ASGIApp, Message

from bench.many import fill
from bench.stage import ROOT
from bench.world import simulated
from lib.bridge import forget
from lib.config import Secret
from lib.database import Database, migrate
from scripts._functions import functions_app
from scripts._postgres import Postgres, start

MOST = 1.5
"""Times as long with a thousand times the data."""

SCREENS: Mapping[str, Sequence[str]] = {
    "overview": ("dashboard", "work?view=upcoming&days=7", "orders?view=reconciliation&provider=bank_transfer",
        "orders?view=reconciliation&provider=cash_on_delivery"),
    "customers": ("customers", "customers?limit=200", "customers?email=many1", "customers?name=customer+7",
        "customers?domain=shop7", "customers?identifier=sub_777", "customers?identifier=cus_777",
        "customers?state=live", "customers?state=pending", "customers?state=suspended", "customers?state=terminated",
        "customers?hold=admin", "customers?hold=dispute", "customers?hold=ended", "customers?hold=paused",
        "customers?hold=refund", "customers?hold=unpaid", "customers?reason=no_email",
        "customers?reason=unmapped_price", "customers?state=suspended&hold=unpaid", "customers?email=many&state=live",
        "customers?hold=unpaid&email=many"),
    "customer": ("customers?id=cus_777", "events?customer=cus_777", "events?direction=ledger&customer=cus_777",
        "events?direction=out&customer=cus_777", "orders?customer=cus_777"),
    "work": ("work", "work?state=parked", "work?state=due", "work?state=waiting", "work?state=working",
        "work?state=failing", "work?state=braked", "work?reason=no_email", "work?view=upcoming&days=60"),
    "plans": ("plans",),
    "events": ("events", "events?type=invoice.paid", "events?type=customer.created", "events?outcome=accepted",
        "events?outcome=ignored&from=-90d", "events?outcome=unreadable", "events?source=webhook",
        "events?source=sweep&from=-90d",
        "events?object=in_777&from=-95d", "events?from=-2d", "events?from=-7d&to=-2d",
        "events?type=invoice.paid&outcome=ignored&source=webhook&from=-90d", "events?id=evt_777"),
    "outgoing": ("events?direction=out", "events?direction=out&state=waiting", "events?direction=out&state=delivered",
        "events?direction=out&type=order.paid"),
    "ledger": ("events?direction=ledger", "events?direction=ledger&kind=resume", "events?direction=ledger&state=failed",
        "events?direction=ledger&state=verified", "events?direction=ledger&state=noted",
        "events?direction=ledger&actor=anna", "events?direction=ledger&actor=bridge",
        "events?direction=ledger&actor=nobody", "events?direction=ledger&kind=resume&state=verified&actor=anna",
        "events?direction=ledger&from=-1h", "events?direction=ledger&after=0"),
    "orders": ("orders", "orders?state=paid", "orders?state=pending", "orders?state=failed", "orders?state=expired",
        "orders?provider=stripe", "orders?provider=bank_transfer", "orders?provider=cash_on_delivery",
        "orders?provider=bank_transfer&state=pending", "orders?email=many777@example.com", "orders?reference=MANY+777",
        "orders?reference=sub_777", "orders?notLive=true", "orders?overpaid=true", "orders?disputed=true",
        "orders?openOffline=true", "orders?overdue=true", "orders?paidLate=true", "orders?escrow=held",
        "orders?escrow=releasable", "orders?escrow=released", "orders?from=-7d", "orders?state=paid&from=-3d&to=-1d",
        "orders?view=disputes", "orders?view=disputes&over=true"),
    "health": ("/api/health", "/api/health?detailed", "/api/health?format=prometheus"),
}  # fmt: skip
"""What each screen asks for: every list with every filter."""

WHOLE = ("customers", "events?from=-60d", "events?direction=ledger&from=-3d", "orders")
"""Of these the first page of a whole list as CSV is measured; what follows grows with what is asked for."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    name: str
    path: str
    query: str
    csv: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back: of a list as CSV its first part."""

    status: int
    body: bytes
    seconds: float


def behind(wanted: Asked, answer: Answer) -> Asked | None:
    """The request for the page that follows; `None`: there is none."""
    cursor = None if wanted.csv else json.loads(answer.body).get("nextCursor")
    if cursor is None or "after=" in wanted.query:  # which is itself the way on
        return None
    query = "&".join(filter(None, (wanted.query, f"cursor={cursor}")))
    return replace(wanted, name=f"{wanted.name}, next page", query=query)


def asked(address: str, *, csv: bool = False) -> Asked:
    """A request for an address as it stands in `SCREENS`."""
    path, _, query = address.partition("?")
    return Asked(address + (" as CSV" if csv else ""), path if path[0] == "/" else f"/api/admin/{path}", query, csv)


async def ask(app: ASGIApp, wanted: Asked, key: str | None) -> Answer:
    """Ask the functions in this process; whoever asks for CSV hangs up once the first lines are there."""
    sent: list[Message] = []
    enough = asyncio.Event()
    headers = [(b"host", b"bench")]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    if wanted.csv:
        headers.append((b"accept", b"text/csv"))
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": wanted.path, "raw_path": wanted.path.encode(), "query_string": wanted.query.encode(),
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("bench", 80)}  # fmt: skip
    began = time.perf_counter()
    took = 0.0

    bodies = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Message:
        for body in bodies:
            return body
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal took
        sent.append(message)
        if wanted.csv and sum(len(each.get("body", b"")) for each in sent) > 500:
            took = took or time.perf_counter() - began
            enough.set()
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await app(scope, receive, send)
    return Answer(
        sent[0]["status"], b"".join(each.get("body", b"") for each in sent), took or time.perf_counter() - began
    )


def main() -> None:
    """Fill both, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--customers", type=int, nargs=2, default=[1_000, 1_000_000], help="in thousands (%(default)s)")
    parser.add_argument("--rows", type=int, default=10, help="of the ledger for each customer (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="addresses with this text in them")
    parser.add_argument("--folder", type=Path, help="where the databases may be: 7 GB for a million customers")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        return asyncio.run(answer())
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        start(Path(folder) / "data", durable=False) as postgres,
        simulated(1) as world,
    ):
        made = [make(postgres, customers, customers * options.rows) for customers in options.customers]
        environ = {**world.environ, "ORDERS": "on", "HEALTH_MAX_LAG": "86400"}
        lists = measure([one["url"] for one in made], environ, options.rounds, options.only or "")
    sizes = [{name: one[name] for name in one if name != "url"} for one in made]
    report(lists)
    if options.json:
        options.json.write_text(json.dumps({"sizes": sizes, "lists": lists}, indent=1) + "\n")


def make(postgres: Postgres, customers: int, actions: int) -> dict[str, Any]:
    """A database with so many customers."""
    began = time.perf_counter()
    url = postgres.create_database(f"lists_{customers}")

    async def prepare() -> None:
        database = Database(Secret(url))
        await migrate(database)
        await database.rows(
            "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
            " VALUES ('stripe', 'price_basic_monthly', 'bench'), ('stripe', 'price_big_monthly', 'bench')"
        )
        await database.close()

    asyncio.run(prepare())
    fill(url, customers, actions)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    found = {
        "url": url,
        "customers": customers,
        "ledger": actions,
        "events": 3 * customers,
        "megabytes": row[0] >> 20,
        "fill_seconds": round(time.perf_counter() - began),
    }
    print({name: found[name] for name in found if name != "url"}, flush=True)
    return found


def measure(urls: Sequence[str], environ: Mapping[str, str], rounds: int, only: str = "") -> list[dict[str, Any]]:
    """Milliseconds of each request in each database, medians over the rounds; the first time does not count.

    Each database has a process of the functions, and they are asked in turns, so that a busy second is both's.
    """
    names = [one.name for one in _wanted() if only in one.name]
    taken: dict[str, list[list[float]]] = {name: [[] for _ in urls] for name in names}
    lengths: dict[str, list[int]] = {name: [0 for _ in urls] for name in names}
    with ExitStack() as running:
        answering = [running.enter_context(_answering({**environ, "DATABASE_URL": url})) for url in urls]
        for number in range(rounds + 1):
            for name in names:
                for place in range(len(urls))[:: 1 if number % 2 else -1]:
                    found = answering[place](name)
                    if found["status"] != 200:
                        raise SystemExit(f"{name} was answered with {found['status']}: {found['body']}")
                    if number:
                        taken[name][place].append(found["ms"])
                    lengths[name][place] = found["bytes"]
    return [_line(name, taken[name], lengths[name]) for name in names]


def _wanted() -> list[Asked]:
    wanted = [asked(address) for addresses in SCREENS.values() for address in addresses]
    return wanted + [asked(address, csv=True) for address in WHOLE]


@contextmanager
def _answering(environ: Mapping[str, str]) -> Iterator[Callable[[str], dict[str, Any]]]:
    """A process of the functions that is told which request it is to time."""
    command = [sys.executable, "-m", "bench.lists", "--answer"]
    settings = {**os.environ, **environ}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=settings, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, heard = process.stdin, process.stdout

        def answer(name: str) -> dict[str, Any]:
            told.write(name + "\n")
            told.flush()
            found: dict[str, Any] = json.loads(heard.readline())
            return found

        try:
            yield answer
        finally:
            process.communicate()


async def answer() -> None:
    """Ask for what each line in names, and say what it took."""
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the log is not the answer
    app, key = functions_app(), os.environ["ADMIN_API_KEY"]
    wanted = {one.name: one for one in _wanted()}
    for line in sys.stdin:
        found = await ask(app, wanted[line.rstrip("\n")], key)
        body = found.body[:300].decode(errors="replace") if found.status != 200 else ""
        told = {"status": found.status, "ms": found.seconds * 1000, "bytes": len(found.body), "body": body}
        said.write(json.dumps(told) + "\n")
    await forget()


def _line(name: str, taken: Sequence[Sequence[float]], lengths: Sequence[int]) -> dict[str, Any]:
    few, many = (median(each) for each in taken)
    return {
        "list": name,
        "few_ms": round(few, 2),
        "many_ms": round(many, 2),
        "ratio": round(many / few, 2),
        "bytes": list(lengths),
    }


def report(lists: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each, the slowest ratio first."""
    for one in sorted(lists, key=lambda one: -one["ratio"]):
        few, many = one["bytes"]
        print(
            f"{one['ratio']:6.2f} {one['few_ms']:9.2f} {one['many_ms']:9.2f} ms {few:>8,} {many:>8,} bytes"
            f"  {one['list']}"
        )


if __name__ == "__main__":
    main()
