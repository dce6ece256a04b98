"""Everything that runs: PostgreSQL, both simulators, and the product as processes that may be killed at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psycopg

from scripts import sim
from scripts._postgres import PostgresError, free_port, start
from scripts.chaos_world import ChaosError
from scripts.chaos_world.relay import Relay, relayed
from scripts.demo_world.listener import Listener
from scripts.demo_world.stage import migrated, settings_of_functions
from scripts.sim.enhance_sim import EnhanceSim
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

ROOT = Path(__file__).resolve().parent.parent.parent

PLANS = {"price_small": "small", "price_medium": "medium", "price_large": "large"}
"""Price -> plan in the panel."""

POLICIES = {"BRAKE_MAX": "100000", "BRAKE_PERCENT": "100", "CHECKOUT_LIMIT": "100000", "PANEL_CONCURRENCY": "4"}
"""A storm suspends more at once than any hosting company, and all its buyers come from one address: what is meant for
that stays out of it."""

PATIENCE = 60.0
"""Seconds after which what takes about one counts as failed."""

_PROGRAM = "from scripts._leash import hold; hold(); from scripts.{} import main; main()"


class Process:
    """One process of the product."""

    def __init__(self, name: str, program: str, arguments: list[str], environ: Mapping[str, str], log: IO[bytes]):
        self.name = name
        self._command = [sys.executable, "-c", _PROGRAM.format(program), *arguments]
        self._environ = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | dict(environ)
        self._log = log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._lock:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """End it at once, wherever it is."""
        with self._lock:
            if self._process is None:
                return
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self, *, on: bool) -> None:
        """Let it stand still, or go on as if nothing had been."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)


@dataclass(frozen=True)
class Stage:
    """What the storm is over."""

    stripe: StripeSim
    panel: EnhanceSim
    listener: Listener
    """The seller's other systems, which hear what happens."""
    relay: Relay
    functions: Process
    workers: list[Process]
    base: str
    database_url: str
    """Past the relay, for whoever looks on."""
    environ: Mapping[str, str]

    @property
    def processes(self) -> list[Process]:
        """All that may be killed."""
        return [self.functions, *self.workers]

    def up(self) -> None:
        """Wait until the functions answer.

        Raises:
            ChaosError: they do not.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                httpx.get(f"{self.base}/", timeout=5)
                return
            time.sleep(0.05)
        raise ChaosError("the functions did not start; their log says why")


@contextmanager
def set_up(folder: Path, workers: int) -> Iterator[Stage]:
    """Start all of it, with files in `folder` (`product.log` is the log of all processes)."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(start(folder / "postgres", durable=False))
        except PostgresError as error:
            raise ChaosError(str(error)) from None
        url = server.create_database("chaos")
        _prepare(url)
        relay = stack.enter_context(relayed(server.port))
        stripe, panel, listener = StripeSim(), EnhanceSim(), Listener()
        for price, plan in PLANS.items():
            stripe.create_price(price)
            panel.add_plan(plan)
        environ = settings_of_functions(
            {
                **sim.settings(
                    stripe, stack.enter_context(serve(stripe.app)), panel, stack.enter_context(serve(panel.app))
                ),
                "DATABASE_URL": url.replace(f":{server.port}/", f":{relay.port}/"),
                "ADMIN_API_KEY": "admin_fake_key",
                "CRON_SECRET": "cron_fake_secret",
                "APP_VERSION": "chaos",
                "CHECKOUT_SUCCESS_URL": "https://hosting.example/welcome",
                "CHECKOUT_CANCEL_URL": "https://hosting.example/plans",
                "OUTBOX_URL": stack.enter_context(serve(listener)) + "/events",
                "OUTBOX_SECRET": listener.secret,
                "OUTBOX_ALLOW_PRIVATE": "1",
                **POLICIES,
            }
        )
        log = stack.enter_context((folder / "product.log").open("wb"))
        port = free_port()
        functions = Process("functions", "_serve", ["--port", str(port)], environ, log)
        others = [Process(f"worker {number + 1}", "_worker", [], environ, log) for number in range(workers)]
        base = f"http://127.0.0.1:{port}"
        stage = Stage(stripe, panel, listener, relay, functions, others, base, url, environ)
        for process in stage.processes:
            stack.callback(process.kill)
            process.start()
        stage.up()
        yield stage


def _prepare(url: str) -> None:
    """The tables, and what each price buys."""
    asyncio.run(migrated(url))
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(
            "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id) VALUES ('stripe', %s, %s)",
            list(PLANS.items()),
        )
