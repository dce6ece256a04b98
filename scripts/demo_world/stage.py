"""Everything that runs: PostgreSQL, the simulators of Stripe and the panel, and the functions; all on 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from scripts.demo_world import DemoError, say
from scripts.demo_world.courier import Courier
from scripts.demo_world.signals import undisturbed

if TYPE_CHECKING:
    import psycopg
    import stripe as stripe_sdk

    from scripts._postgres import Postgres, PostgresError
    from scripts.demo_world.listener import Listener
    from scripts.demo_world.place import Place
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim

PRICE, PLAN = "price_basic_monthly", "basic-hosting-plan"

CRON = 15.0
"""Seconds between two drains while the demo serves, in the place of Vercel's cron."""

PATIENCE = 60.0
"""Seconds after which something that takes about one counts as failed."""

LOOK = 0.05
"""Seconds between two looks at something that is about to happen."""

NEAR = "127.0.0.1,localhost"


@dataclass(slots=True)
class Stage:
    """What the acts play on."""

    place: Place
    stripe: StripeSim
    panel: EnhanceSim
    stripe_url: str
    panel_url: str
    base: str
    database: psycopg.Connection[Any]
    environ: Mapping[str, str]
    """The settings of the functions: every one that the product knows, empty where it is unset."""
    sdk: stripe_sdk.StripeClient
    courier: Courier
    listener: Listener
    """The seller's own shop, which outgoing events go to."""
    server: Postgres
    books: Listener | None = None
    """The seller's bookkeeping, which the same events go to; only where many are to come."""
    acting: threading.Lock = field(default_factory=threading.Lock)
    """One act at a time: each tells what came of it, and of nothing else."""
    told: int = 0
    """The newest row of the ledger that somebody was told of."""

    @property
    def database_url(self) -> str:
        """Where the demo's database is."""
        return self.environ["DATABASE_URL"]

    def bearer(self, setting: str) -> dict[str, str]:
        """The header that opens the admin's routes (`ADMIN_API_KEY`) or the cron's (`CRON_SECRET`)."""
        return {"Authorization": f"Bearer {self.environ[setting]}"}


def set_up(
    stack: ExitStack, place: Place, policies: Mapping[str, str] | None = None, *, populated: bool = False
) -> Stage:
    """Start everything, with other settings than the demo's where `policies` says so; `stack` ends it.

    Args:
        populated: `crowd.fill` may follow: its settings hold from the beginning.
    """
    import psycopg
    import stripe as stripe_sdk

    from scripts import _postgres, sim
    from scripts.demo_world.listener import Listener
    from scripts.demo_world.population import POLICIES
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.server import serve
    from scripts.sim.stripe_sim import StripeSim

    _forget_own_settings()
    log = stack.enter_context(place.open_log())
    folder = stack.enter_context(place.data())
    try:
        with undisturbed():
            server = stack.enter_context(_postgres.start(folder / "postgres", durable=False))
            database_url = server.create_database("demo")
            migrations = asyncio.run(migrated(database_url))
    except _postgres.PostgresError as error:
        raise _told_shortly(error) from None
    stripe, panel = StripeSim(), EnhanceSim()
    stripe_url = stack.enter_context(serve(stripe.app))
    panel_url = stack.enter_context(serve(panel.app))
    listener = Listener()
    listener_url = stack.enter_context(serve(listener))
    books = Listener() if populated else None
    books_url = stack.enter_context(serve(books)) if books else ""
    environ = settings_of_functions(
        {
            "DATABASE_URL": database_url,
            **sim.settings(stripe, stripe_url, panel, panel_url),
            "ADMIN_API_KEY": "admin_" + secrets.token_hex(8),
            "CRON_SECRET": "cron_" + secrets.token_hex(8),
            "OUTBOX_URL": f"{listener_url}/events" + (f",{books_url}/events" if books else ""),
            "OUTBOX_SECRET": listener.secret + (f",{books.secret}" if books else ""),
            "OUTBOX_ALLOW_PRIVATE": "1",
            "CHECKOUT_SUCCESS_URL": "https://hosting.example/welcome",
            "CHECKOUT_CANCEL_URL": "https://hosting.example/plans",
            "APP_VERSION": "demo",
            **(POLICIES if populated else {}),
            **(policies or {}),
        }
    )
    base = stack.enter_context(_functions(environ, log))
    database = stack.enter_context(psycopg.connect(database_url, autocommit=True))
    panel.add_plan(PLAN)
    stripe.create_price(PRICE)
    stripe_sdk.enable_telemetry = False
    sdk = stripe_sdk.StripeClient(stripe.secret_key, base_addresses={"api": stripe_url})
    say.say_all(
        say.columns(
            [
                (
                    "PostgreSQL",
                    f"127.0.0.1:{server.port}, a new database, {say.count(migrations, 'migration')} applied",
                ),
                ("Stripe", f"{stripe_url}, simulated"),
                ("Enhance panel", f"{panel_url}, simulated"),
                ("Your shop", f"{listener_url}, simulated: it hears what happens, by signed events"),
                ("Functions", f"{base}, as on Vercel"),
                ("Their log", say.shown(place.log)),
            ]
        )
    )
    return Stage(
        place, stripe, panel, stripe_url, panel_url, base, database, environ, sdk, Courier(stripe), listener, server,
        books,
    )  # fmt: skip


def settings_of_functions(given: Mapping[str, str]) -> dict[str, str]:
    """What `given` says, and of every other setting that it is unset: nothing of a real deployment takes part."""
    return {**dict.fromkeys(_setting_names(), ""), **given, "NO_PROXY": NEAR, "no_proxy": NEAR}


def serve(stage: Stage) -> None:
    """Fire the drain cron, which does not fire outside of Vercel, and deliver what happens, until Ctrl-C."""
    import httpx

    stop = threading.Event()
    courier = threading.Thread(target=stage.courier.run, args=(stop, say.say), name="courier", daemon=True)
    courier.start()
    try:
        while not stop.wait(CRON):
            with suppress(httpx.TransportError):
                httpx.get(f"{stage.base}/api/cron/drain", headers=stage.bearer("CRON_SECRET"), timeout=PATIENCE)
    finally:
        stop.set()


def _forget_own_settings() -> None:
    """Let neither the settings around us nor a proxy on the way to 127.0.0.1 take part."""
    os.environ.update(settings_of_functions({}))  # empty counts as unset, and keeps .env from setting it
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _setting_names() -> list[str]:
    from lib.config import Settings

    return [setting.env for _, setting in Settings.each()]


async def migrated(address: str) -> int:
    """Bring a database's tables to where they should be; how many migrations that took."""
    from lib.config import Secret
    from lib.database import Database, migrate

    database = Database(Secret(address))
    try:
        return len(await migrate(database))
    finally:
        await database.close()


def _told_shortly(error: PostgresError) -> DemoError:
    if "No space left on device" in str(error):
        return DemoError(f"there is no space left in {tempfile.gettempdir()}: make room, or set TMPDIR to another.")
    return DemoError(str(error))


@contextmanager
def _functions(environ: Mapping[str, str], log: TextIO) -> Iterator[str]:
    """The functions in a process of their own, as `./scripts/serve` runs them."""
    from scripts._postgres import free_port

    program = "from scripts._leash import hold; hold(); from scripts._serve import main; main()"
    for _ in range(5):  # a port can be taken between finding it free and using it
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--port", str(port)],
            cwd=say.ROOT,
            env={**os.environ, **environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,  # the leash: it ends with us, however that comes
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for the demo, which then ends everything in its own order.
            start_new_session=True,
        )
        with process:
            try:
                if _listens(process, port):
                    yield f"http://127.0.0.1:{port}"
                    return
            finally:
                _end(process)
    raise DemoError(f"the functions did not start:\n{_last_words(Path(log.name))}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    import httpx

    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/")
            return True
        time.sleep(LOOK)
    return False


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
