"""The whole story on this machine: a purchase at a simulated Stripe becomes a website in a simulated panel.

Everything between the two is real: the functions over HTTP, PostgreSQL, Stripe's own SDK and its signed events.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import psycopg

    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import Obj, StripeSim

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".local" / "demo.log"

PRICE, PLAN = "price_basic_monthly", "basic-hosting-plan"
MAPPING = (
    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
    " VALUES ('stripe', 'price_basic_monthly', 'basic-hosting-plan');"
)
BUYER, EMAIL, DOMAIN = "Ada Example", "ada@example.com", "shop.example"

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE = 60.0
"""Seconds after which an act counts as failed; each takes about one."""

LOOK = 0.05
"""Seconds between two looks at the ledger."""

CRON = 15.0
"""Seconds between two drains while the demo serves, in the place of Vercel's cron."""

WORDS = {
    "create_org": "organisation created",
    "create_login": "login created",
    "add_owner": "login made the owner",
    "create_subscription": "hosting subscription created",
    "create_website": "website created",
    "send_welcome": "set-password mail asked for",
    "rename_org": "organisation got its clean name",
    "suspend": "hosting suspended",
    "resume": "hosting live again",
}


class DemoError(Exception):
    """The story did not go as promised; the message says where."""


def main() -> None:
    """Tell the story; then serve until Ctrl-C, or end with `--once`."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Starts PostgreSQL, simulators of Stripe and of the Enhance panel, and the functions, all on "
        "127.0.0.1. Buys a hosting plan, delivers the signed events and shows how the website comes to be. "
        "Needs no account, takes none of your settings and reaches nothing outside of this machine.",
        epilog="Exit code: 0 if everything happened as promised, 1 if not.",
    )
    parser.add_argument("--once", action="store_true", help="end after the story instead of serving until Ctrl-C")
    options = parser.parse_args()
    for name in ENDINGS:
        if signal.getsignal(name) is not signal.SIG_IGN:  # nohup means it
            signal.signal(name, _interrupt)
    try:
        with ExitStack() as stack:
            _tell(stack, once=options.once)
    except DemoError as error:
        raise SystemExit(f"\nThe demo failed: {error}\nThe functions' log: {_shown(LOG)}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _interrupt(*_: object) -> None:
    for name in ENDINGS:  # a second Ctrl-C must not leave half of it running
        signal.signal(name, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals wait until the end: a database that is just being made can't be ended and removed."""
    came: list[int] = []
    before = {name: signal.signal(name, lambda number, _: came.append(number)) for name in ENDINGS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        if any(before[signal.Signals(number)] is not signal.SIG_IGN for number in came):
            _interrupt()


@dataclass(slots=True)
class Stage:
    """Everything that runs, for the acts to play on."""

    stripe: StripeSim
    panel: EnhanceSim
    stripe_url: str
    panel_url: str
    base: str
    admin_key: str
    cron_secret: str
    database_url: str
    database: psycopg.Connection[Any]
    log: Path
    environ: Mapping[str, str]
    """The settings of the functions."""
    told: int = 0
    """The newest row of the ledger that the audience has seen."""


def _tell(stack: ExitStack, *, once: bool) -> None:
    _say("From a payment at Stripe to a website in the Enhance panel, on this machine only.")
    stage = _set_up(stack)
    _map_the_price(stage)
    session = _buy(stage)
    _provision(stage)
    _repeat(stage)
    _fail_and_pay(stage, session["subscription"])
    _show_timeline(stage, session["customer"])
    _verify(stage)
    if once:
        _say(f"\nWithout --once it goes on serving. What the functions logged: {_shown(stage.log)}")
        return
    _where_to_look(stage, session, _write_settings(stack, stage))
    _say("\nServing until Ctrl-C ...")
    with suppress(KeyboardInterrupt):
        _serve(stage)
    _say("\nStopping.")


# --- the stage --------------------------------------------------------------------------------------------------------


def _set_up(stack: ExitStack) -> Stage:
    import psycopg

    from scripts import _postgres, sim
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.server import serve
    from scripts.sim.stripe_sim import StripeSim

    _forget_own_settings()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
    try:
        with _undisturbed():
            server = stack.enter_context(_postgres.start(folder / "postgres", durable=False))
            database_url = server.create_database("demo")
            migrations = asyncio.run(_migrate(database_url))
    except _postgres.PostgresError as error:
        raise DemoError(str(error)) from None
    stripe, panel = StripeSim(), EnhanceSim()
    stripe_url = stack.enter_context(serve(stripe.app))
    panel_url = stack.enter_context(serve(panel.app))
    admin_key, cron_secret = "admin_" + secrets.token_hex(8), "cron_" + secrets.token_hex(8)
    environ = {
        "DATABASE_URL": database_url,
        **sim.settings(stripe, stripe_url, panel, panel_url),
        "ADMIN_API_KEY": admin_key,
        "CRON_SECRET": cron_secret,
    }
    log, lines = _open_log(stack)
    base = stack.enter_context(_functions(environ, lines))
    database = stack.enter_context(psycopg.connect(database_url, autocommit=True))
    panel.add_plan(PLAN)
    stripe.create_price(PRICE)
    _table(
        [
            ("PostgreSQL", f"127.0.0.1:{server.port}, a new database, {_count(migrations, 'migration')} applied"),
            ("Stripe", f"{stripe_url}, simulated"),
            ("Enhance panel", f"{panel_url}, simulated"),
            ("Functions", f"{base}, as on Vercel"),
            ("Their log", _shown(log)),
        ]
    )
    return Stage(
        stripe, panel, stripe_url, panel_url, base, admin_key, cron_secret, database_url, database, log, environ
    )


def _forget_own_settings() -> None:
    """Let nothing of a real deployment take part: neither its settings nor a proxy on the way to 127.0.0.1."""
    for name in _setting_names():
        os.environ[name] = ""  # empty counts as unset, and keeps .env from setting it
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def _setting_names() -> list[str]:
    from dataclasses import fields

    from lib.config import Settings

    return [setting.metadata["env"] for setting in fields(Settings)]


async def _migrate(address: str) -> int:
    from lib.config import Secret
    from lib.database import Database, migrate

    database = Database(Secret(address))
    try:
        return len(await migrate(database))
    finally:
        await database.close()


def _open_log(stack: ExitStack) -> tuple[Path, TextIO]:
    try:
        LOG.parent.mkdir(exist_ok=True)
        return LOG, stack.enter_context(LOG.open("w"))
    except OSError:  # somebody else's checkout
        descriptor, name = tempfile.mkstemp(prefix="demo-", suffix=".log")
        return Path(name), stack.enter_context(os.fdopen(descriptor, "w"))


@contextmanager
def _functions(environ: dict[str, str], log: TextIO) -> Iterator[str]:
    """The functions in a process of their own, as `./scripts/serve` runs them."""
    from scripts._postgres import free_port

    for _ in range(5):  # a port can be taken between finding it free and using it
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-c", "from scripts._serve import main; main()", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for the demo, which then ends everything in its own order.
            start_new_session=True,
        )
        try:
            if _listens(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise DemoError("the functions did not start")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    import httpx

    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/")
            return True
        time.sleep(LOOK)
    return False


# --- the acts ---------------------------------------------------------------------------------------------------------


def _map_the_price(stage: Stage) -> None:
    _act("The operator maps a price to a hosting plan, by plain SQL")
    stage.database.execute(MAPPING)
    _say(f"   {MAPPING}")


def _buy(stage: Stage) -> Obj:
    import stripe

    from lib.stripe_events import SUBSCRIBE_TO

    _act(f"{BUYER} buys it")
    stripe.enable_telemetry = False
    sdk = stripe.StripeClient(stage.stripe.secret_key, base_addresses={"api": stage.stripe_url})
    sdk.v1.webhook_endpoints.create({"url": f"{stage.base}/api/webhook", "enabled_events": [*SUBSCRIBE_TO]})  # type: ignore[list-item]
    session = sdk.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": PRICE, "quantity": 1}],
            "success_url": "https://hosting.example/welcome",
            "custom_fields": [{"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Your domain"}}],
        }
    )
    amount = f"{(session.amount_total or 0) / 100:.2f} {(session.currency or '').upper()}"
    _say(f"   Stripe's SDK {stripe.VERSION} opens the Checkout session {_short(session.id)}: {amount} a month")
    done = stage.stripe.complete_checkout(session.id, email=EMAIL, name=BUYER, domain=DOMAIN)
    _say(f"   {BUYER} types {DOMAIN} and pays by card: {done['customer']}, {done['subscription']}")
    return done


def _provision(stage: Stage) -> None:
    _act("Stripe delivers its signed events, and the panel follows")
    began = time.monotonic()
    _deliver(stage)
    _follow(stage, began, until=["create_website", "send_welcome"])
    _say(f"   Provisioned: {DOMAIN} is there {time.monotonic() - began:.1f} s after the first event.")


def _repeat(stage: Stage) -> None:
    _act("Stripe delivers everything a second time, the other way round")
    before = stage.panel.world()
    events = [event for event in stage.stripe.events if not stage.stripe.is_open(event["id"])]
    answers = [stage.stripe.deliver(f"{stage.base}/api/webhook", event) for event in reversed(events)]
    if any(answer.status_code != 200 or answer.json()["new"] for answer in answers):
        raise DemoError("an event that was there already was not recognised")
    if stage.panel.world() != before:
        raise DemoError("a repeated event changed the panel")
    _say(f"   {_count(len(answers), 'event')}, each answered 200, none of them new; the panel is untouched.")


def _fail_and_pay(stage: Stage, subscription: str) -> None:
    _act("A month later the card fails; then the bill is paid")
    began = time.monotonic()
    stage.stripe.fail_payment(subscription)
    _deliver(stage)
    until = _wait_for(stage, "SELECT grace_until FROM services WHERE grace_until IS NOT NULL", "the grace period")
    _say(f"   past_due: {DOMAIN} stays live in its grace period, until {until:%d %B %Y}")
    stage.stripe.mark_unpaid(subscription)
    _say("   unpaid: Stripe's last retry has failed as well")
    _deliver(stage)
    _follow(stage, began, until=["suspend"])
    stage.stripe.pay_open_invoice(subscription)
    _say(f"   active: {BUYER} has paid")
    _deliver(stage)
    _follow(stage, began, until=["resume"])


def _show_timeline(stage: Stage, customer: str) -> None:
    from lib.config import Secret
    from lib.database import Database, ledger

    async def read() -> list[dict[str, Any]]:
        database = Database(Secret(stage.database_url))
        try:
            return await ledger.timeline(database, customer)
        finally:
            await database.close()

    _act(f"The timeline of {customer}, from the ledger (table actions)")
    actions: dict[str, list[dict[str, Any]]] = {}
    for row in asyncio.run(read()):
        actions.setdefault(str(row["action_id"]), []).append(row)
    lines = [("time (UTC)", "what", "because", "proof")]
    for facts in actions.values():
        first = facts[0]
        proof = ", ".join(fact["state"] for fact in facts if fact["state"] != "intent")
        what = WORDS.get(first["kind"], first["kind"].replace("_", " "))
        lines.append((f"{first['at']:%H:%M:%S.%f}"[:-3], what, first["rule"] or "", proof))
    _table(lines, header=True)


def _verify(stage: Stage) -> None:
    """Believe neither the functions nor the ledger: look at the panel itself, and at the health page."""
    import httpx

    panel = stage.panel
    world = panel.world()
    if set(world.values()) != {1}:
        raise DemoError(f"the panel should have one of each, and has {world}")
    (site,), (hosting,) = panel.websites.values(), panel.subscriptions.values()
    if (site.domain, site.subscription_id, hosting.suspended_by) != (DOMAIN, hosting.id, None):
        raise DemoError(f"the website is not live: {panel.show(site.id)}")
    if [mail.email for mail in panel.recovery_mails] != [EMAIL]:
        raise DemoError(f"one set-password mail was expected, not {panel.recovery_mails}")
    if panel.violations:
        raise DemoError(f"the panel was asked what its interface does not allow: {panel.violations}")
    headers = {"Authorization": f"Bearer {stage.admin_key}"}
    answer = httpx.get(f"{stage.base}/api/health", headers=headers, timeout=30)
    health = answer.json()
    if answer.status_code != 200 or health["status"] != "ok" or health["parked"]:
        raise DemoError(f"health answers {answer.status_code}: {health}")
    checks = ", ".join(f"{name} {state}" for name, state in health["checks"].items())
    counted = ", ".join(f"1 {name.removesuffix('s')}" for name in world)
    _say(f"\nThe panel has {counted}. Health: {checks}.")


def _write_settings(stack: ExitStack, stage: Stage) -> Path:
    """Write the settings to a file beside the log, for the other scripts; it goes when the demo ends."""
    file = stage.log.with_suffix(".env")
    file.touch(mode=0o600)
    stack.callback(file.unlink, missing_ok=True)
    environ = {**stage.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in environ.items()))
    return file


def _where_to_look(stage: Stage, session: Obj, settings: Path) -> None:
    key = f"-H 'Authorization: Bearer {stage.admin_key}'"
    sync = f'{{"customerId": "{session["customer"]}"}}'
    panel = f"{stage.panel_url}/api/orgs/{stage.panel.org_id}"
    _say(f"\n{_bold('Where to look:')}")
    _say(f"   Health    curl {stage.base}/api/health")
    _say(f"   Sync      curl {stage.base}/api/admin/sync {key} -d '{sync}'")
    _say(f"   Dashboard curl {stage.base}/api/admin/dashboard {key}")
    _say(f"   Panel     curl '{panel}/customers' -H 'Authorization: Bearer {stage.panel.token}'")
    _say(f"   Explain   (set -a; . {_shown(settings)}; ./scripts/explain {session['customer']})")
    _say(f"   Database  psql {stage.database_url}")
    _say(f"   Log       {_shown(stage.log)}")


def _serve(stage: Stage) -> None:
    """Fire the drain cron, which does not fire outside of Vercel, until somebody has seen enough."""
    import httpx

    headers = {"Authorization": f"Bearer {stage.cron_secret}"}
    never = threading.Event()
    while not never.wait(CRON):
        with suppress(httpx.TransportError):
            httpx.get(f"{stage.base}/api/cron/drain", headers=headers, timeout=PATIENCE)


# --- following what happens -------------------------------------------------------------------------------------------


def _deliver(stage: Stage) -> None:
    """Deliver what the endpoint is subscribed to, in Stripe's order; the functions answer at once and work then."""
    (endpoint,) = stage.stripe.tables["webhook_endpoint"].values()
    events = [event for event in stage.stripe.undelivered() if event["type"] in endpoint["enabled_events"]]
    for event in events:
        answer = stage.stripe.deliver(f"{stage.base}/api/webhook", event)
        if answer.status_code != 200:
            raise DemoError(f"{event['type']} was answered with {answer.status_code}: {answer.text}")
    kinds = list(dict.fromkeys(event["type"] for event in events))
    shown = ", ".join(kinds[:3]) + (" ..." if len(kinds) > 3 else "")
    _say(f"   POST /api/webhook  200  {_count(len(events), 'event')}: {shown}")


def _follow(stage: Stage, began: float, until: Sequence[str]) -> None:
    """Show each change in the panel as the ledger gets it, until the last of `until` and all work has settled."""
    missing = set(until)
    end = time.monotonic() + PATIENCE
    while missing or _busy(stage):
        if time.monotonic() > end:
            raise DemoError(f"nothing came of {', '.join(sorted(missing)) or 'the last pass'} within {PATIENCE:.0f} s")
        missing -= _tell_news(stage, began)
        time.sleep(LOOK)
    _tell_news(stage, began)


def _tell_news(stage: Stage, began: float) -> set[str]:
    rows = stage.database.execute(
        "SELECT id, kind, coalesce(after ->> 'domain', '') FROM actions"
        " WHERE id > %s AND state = 'applied' ORDER BY id",
        (stage.told,),
    ).fetchall()
    for number, kind, domain in rows:
        stage.told = number
        _say(f"   {time.monotonic() - began:5.1f} s  {WORDS.get(kind, kind)}{': ' + domain if domain else ''}")
    return {kind for _, kind, _ in rows}


def _busy(stage: Stage) -> bool:
    found = stage.database.execute(
        "SELECT EXISTS (SELECT FROM due WHERE due_at <= now() OR leased_until > now())"
    ).fetchone()
    return bool(found and found[0])


def _wait_for(stage: Stage, query: Any, what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        row = stage.database.execute(query).fetchone()
        if row is not None and not _busy(stage):
            return row[0]
        time.sleep(LOOK)
    raise DemoError(f"{what} did not show within {PATIENCE:.0f} s")


# --- speaking ---------------------------------------------------------------------------------------------------------

_acts = iter(range(1, 100))


def _act(title: str) -> None:
    _say(f"\n{_bold(f'{next(_acts)}. {title}')}")


def _table(rows: Sequence[tuple[str, ...]], *, header: bool = False) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        _say(f"   {_dim(line) if header and number == 0 else line}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:20] + "..."


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _bold(text: str) -> str:
    return _styled("1", text)


def _dim(text: str) -> str:
    return _styled("2", text)


def _say(text: str) -> None:
    print(text, flush=True)
