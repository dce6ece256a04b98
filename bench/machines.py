"""Workers on several machines against one database: passes per second, the panel's limit, and a machine cut off.

    .venv/bin/python -m bench.machines [--hosts 1 2 4 --customers 200 --panel-ms 200]

Each machine is a network namespace of its own with an address of its own on a bridge (Linux; root, or unprivileged
user namespaces): a real `./scripts/worker` in each, the functions in one more, and PostgreSQL with both simulators at
the bridge's address. All of it hangs in one namespace more, which goes with the last process in it: nothing is left to
be cleaned up, however this ends. Where no namespaces are allowed the machines are processes on loopback, and the
figures say so. The figures to look at: the rate grows as the hosts do until `PANEL_CONCURRENCY` binds, passes at the
panel at one time are never more, and what a machine held that is cut off in the middle is done by another.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench.stage import ENVIRON, ROOT, Sender, request
from bench.world import World, fill, simulated
from lib.database.leases import LEASE
from scripts._postgres import free_port, start

PLACES = 6
"""PANEL_CONCURRENCY: at the third of the hosts it is reached."""

SHARE = 2
"""Passes at one time of one host (`./scripts/worker --places`)."""

LIMIT = 300.0
"""Seconds after which it is given up."""

HUB = "10.77.0.1"
INSIDE = "BENCH_MACHINES_INSIDE"
WORKER = "from scripts._worker import main; main()"
SERVE = "from scripts._serve import main; main()"
LEFT = """
    SELECT count(*) FILTER (WHERE due_at <= now() OR lease_id IS NOT NULL),
        count(*) FILTER (WHERE lane = 'panel' AND leased_until > now()) FROM due
"""
"""How many passes are left to do, and how many run at the panel."""

CHANGES = "SELECT count(*) FROM actions WHERE state = 'intent'"


@dataclass(frozen=True)
class Machine:
    """A process on a machine of its own."""

    process: subprocess.Popen[bytes]
    address: str
    link: str | None
    """Its end of the cable at the bridge; `None`: it has none and is frozen instead."""

    def cut_off(self, off: bool) -> None:
        """Cut it off in the middle, or let it back: nothing it sends arrives, and nobody tells it so."""
        if self.link is None:
            self.process.send_signal(signal.SIGSTOP if off else signal.SIGCONT)
        else:
            _ip("link", "set", self.link, "down" if off else "up")


@dataclass(frozen=True)
class Stage:
    """Both sides, the database and how machines are made."""

    world: World
    url: str
    environ: dict[str, str]
    namespaces: bool


def main() -> int:
    """Measure and print; 1 when the panel was asked by more at once than may be, or something is left due."""
    parser = argparse.ArgumentParser(prog="python -m bench.machines", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--panel-ms", type=float, default=200.0, help="that each panel call takes (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--pass-on", type=int, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pass_on:
        asyncio.run(_pass_on(options.pass_on))
    if INSIDE not in os.environ and (apart := namespaces()):
        again = [*apart, sys.executable, "-m", "bench.machines", *sys.argv[1:]]
        return subprocess.run(again, env={**os.environ, INSIDE: "1"}, check=False).returncode
    result = measure(options, namespaces=INSIDE in os.environ)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    rows = (*result["hosts"], result["cut_off"])
    too_many = max(result["panel_calls_at_once"], *(row["passes_at_once"] for row in rows)) > PLACES
    return 1 if too_many or any(row["left_due"] for row in rows) else 0


def namespaces() -> list[str]:
    """The command that runs another one in a network of its own, where this is allowed; else nothing."""
    if not (shutil.which("unshare") and shutil.which("ip") and shutil.which("nsenter")):
        return []
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    command = ["unshare", *user, "--net", "--"]
    tried = "unshare --net -- true && ip link add hub type bridge && ip link add one type veth peer name two"
    done = subprocess.run([*command, "sh", "-c", tried], capture_output=True, check=False)
    return [] if done.returncode else command


def measure(options: argparse.Namespace, *, namespaces: bool) -> dict[str, Any]:
    """Each number of hosts in turn, and at last two of which one is cut off."""
    with ExitStack() as running:
        if namespaces:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "hub", "type", "bridge")
            _ip("address", "add", f"{HUB}/24", "dev", "hub")
            _ip("link", "set", "hub", "up")
        world = running.enter_context(simulated(options.customers, panel_ms=options.panel_ms))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory())) / "data"
        url = running.enter_context(start(folder)).create_database("bench")
        asyncio.run(fill(url, world.rows))
        environ = {**ENVIRON, **world.environ, "DATABASE_URL": url, "PANEL_CONCURRENCY": str(PLACES)}
        if namespaces:
            environ = running.enter_context(_passed_on(environ))
        stage = Stage(world, url, environ, namespaces)
        _swept(url)
        _worked_off(stage, max(options.hosts))  # the first pass of each finds the panel as it is
        rows = [_worked_off(stage, hosts) for hosts in options.hosts]
        return {
            "namespaces": namespaces,
            "customers": options.customers,
            "panel_ms": options.panel_ms,
            "panel_concurrency": PLACES,
            "places_of_a_host": SHARE,
            "hosts": rows,
            "cut_off": _cut_off(stage),
            "panel_calls_at_once": world.counts()["panel"]["at_once"],
        }


def _worked_off(stage: Stage, hosts: int) -> dict[str, Any]:
    """Everybody's event is delivered to the functions; how fast so many hosts come to the end of it."""
    with ExitStack() as running:
        _deliver(stage, running)
        machines = [running.enter_context(_machine(stage, n, WORKER, "--places", str(SHARE))) for n in range(hosts)]
        found = asyncio.run(_watch(stage.url))
    rate = found.pop("passes_per_second")
    return {"hosts": len(machines), "passes_per_second": rate, **found}


def _cut_off(stage: Stage) -> dict[str, Any]:
    """Of two hosts one is cut off in the middle; how long until all is done without it, and what it held then."""
    held: list[int] = []
    with ExitStack() as running:
        _deliver(stage, running)
        before = _count(stage.url, CHANGES)
        lost, _ = [running.enter_context(_machine(stage, n, WORKER, "--places", str(SHARE))) for n in range(2)]

        def in_the_middle() -> None:
            lost.cut_off(True)
            held.append(_count(stage.url, "SELECT count(*) FROM due WHERE leased_until > now()"))

        found = asyncio.run(_watch(stage.url, in_the_middle))
        lost.cut_off(False)
        changes = _count(stage.url, CHANGES) - before
    said = {"leases_then": held[0], "lease_seconds": LEASE.total_seconds(), "changes_at_the_panel": changes}
    return {**found, **said}


def _deliver(stage: Stage, running: ExitStack) -> None:
    """An event for everybody, taken by functions that run no passes, so that the passes counted are the hosts'."""
    port = free_port()
    where = ("--host", "0.0.0.0" if stage.namespaces else "127.0.0.1", "--port", str(port))  # noqa: S104
    functions = running.enter_context(_machine(stage, 100, SERVE, *where, PROVISIONING_MODE="paused"))
    secret, name = stage.world.environ["STRIPE_WEBHOOK_SECRET"], time.monotonic_ns()
    events = [request(f"{name}_{n}", *who, secret=secret) for n, who in enumerate(stage.world.customers)]

    async def send() -> None:
        end = time.monotonic() + LIMIT
        while True:
            try:
                _, sender = await asyncio.get_running_loop().create_connection(Sender, functions.address, port)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.1)
        for event in events:
            if (status := await sender.send(event)) != 200:
                raise SystemExit(f"an event was answered with {status}")
        sender.close()

    asyncio.run(send())


def _count(url: str, statement: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])


async def _watch(url: str, in_the_middle: Callable[[], None] | None = None) -> dict[str, Any]:
    """Until nothing is due: the rate between a tenth and nine tenths of the way, and the most leases at one time."""
    most, seen, began = 0, [], time.monotonic()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while time.monotonic() - began < LIMIT:
            cursor = await connection.execute(LEFT)
            left, leased = await cursor.fetchone() or (0, 0)
            most = max(most, leased)
            seen.append((time.monotonic(), left))
            if not left:
                break
            if in_the_middle is not None and left < seen[0][1] / 2:
                in_the_middle()
                in_the_middle = None
            await asyncio.sleep(0.05)
    steady = [(at, left) for at, left in seen if 0.1 * seen[0][1] <= left <= 0.9 * seen[0][1]] or seen
    (at, before), (until, after) = steady[0], steady[-1]
    return {
        "passes_per_second": round((before - after) / max(until - at, 0.001), 2),
        "seconds": round(time.monotonic() - began, 1),
        "passes_at_once": most,
        "left_due": seen[-1][1],
    }


def _swept(url: str) -> None:
    """Let a sweep have just ended, so that no worker begins one."""
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO sweeps (started_at, finished_at, phase) VALUES (now(), now(), 'prune')")


# --- machines ---------------------------------------------------------------------------------------------------------


@contextmanager
def _machine(stage: Stage, number: int, code: str, *options: str, **settings: str) -> Iterator[Machine]:
    """A process on a machine of its own: it begins once its cable is plugged in."""
    environ = {**os.environ, **stage.environ, **settings}
    command: Sequence[str] = [sys.executable, "-c", code, *options]
    if stage.namespaces:
        plugged = 'hostname "$0"; read -r _; exec "$@"'
        command = ["unshare", "--net", "--uts", "--", "sh", "-c", plugged, f"host{number}", *command]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        address, link = "127.0.0.1", None
        try:
            if stage.namespaces:
                address, link = f"10.77.0.{number + 10}", f"host{number}"
                _plug(process.pid, link, address)
                assert process.stdin is not None
                process.stdin.write(b"\n")
                process.stdin.flush()
            yield Machine(process, address, link)
        finally:
            if link is not None:
                subprocess.run(["ip", "link", "delete", link], check=False)  # its name and address are free at once
            process.kill()


def _plug(pid: int, link: str, address: str) -> None:
    """A cable from the bridge to the machine of this process."""
    ours = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:  # it is not in its own yet
        time.sleep(0.01)
    _ip("link", "add", link, "type", "veth", "peer", "name", "cable", "netns", str(pid))
    _ip("link", "set", link, "master", "hub", "up")
    for words in ("link set lo up", f"address add {address}/24 dev cable", "link set cable up"):
        subprocess.run(["nsenter", "--target", str(pid), "--net", "ip", *words.split()], check=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def _passed_on(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same settings with the bridge's address, at which what listens on loopback is reached."""
    names = ("DATABASE_URL", "STRIPE_API_BASE", "ENHANCE_API_URL")
    ports = [str(urlsplit(environ[name]).port) for name in names]
    command = [sys.executable, "-m", "bench.machines", "--pass-on", *ports]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield {**environ, **{name: environ[name].replace("127.0.0.1", HUB) for name in names}}
        finally:
            process.kill()


async def _pass_on(ports: Sequence[int]) -> None:
    """Pass on what comes to these ports of the bridge's address, until this process is ended."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def connected(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    servers = [await asyncio.start_server(partial(connected, port), HUB, port) for port in ports]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    sys.exit(main())
