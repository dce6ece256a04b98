"""What a cold start loads: as little as the function needs. Sets of modules, and never times."""

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import lib.model
from bench.stage import ENVIRON
from scripts._functions import function_files

ROOT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS = [path.as_posix() for path in function_files()]
EVERY_FUNCTION = {
    "msgspec", "psycopg", "psycopg-binary", "psycopg-pool", "structlog", "typing-extensions"
}  # fmt: skip
"""What a function may load of the bundle before its first request. The clients of the other two sides, the reports and
the metrics wait for the moment when they are needed."""

WEBHOOK_NEEDS = {
    "lib.bridge", "lib.config", "lib.config.between", "lib.config.parsers", "lib.config.settings", "lib.config.values",
    "lib.database", "lib.database.connection", "lib.database.events", "lib.database.keys", "lib.database.prompt",
    "lib.database.unreachable", "lib.environment", "lib.errors", "lib.kinds", "lib.lazily", "lib.log", "lib.model",
    "lib.model.customer_key", "lib.model.event", "lib.model.outcome", "lib.model.provider", "lib.model.queue",
    "lib.runtime_cache", "lib.stripe_events", "lib.stripe_signature", "lib.structs", "lib.subscription_manager",
    "lib.subscription_manager.inbox", "lib.subscription_manager.manager", "lib.vercel", "lib.web", "lib.web.body",
    "lib.web.deadline", "lib.web.endpoint", "lib.web.guard", "lib.web.problem", "lib.web.promptness",
    "lib.web.request", "lib.web.response",
}  # fmt: skip
"""What of ours stores an event and answers. What decides and acts is loaded after the answer."""

LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("function", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
LOADED = LOAD + "print(*(name for name in sys.modules if sys.modules[name] is not None))"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_no_more_of_the_bundle_than_it_needs(function: str) -> None:
    """Each cold start pays for what is imported, whether it is used or not."""
    pinned = {line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    of_modules = packages_distributions()
    tops = {name.partition(".")[0] for name in ran(LOADED, function)}
    loaded = {name.lower().replace("_", "-") for top in tops for name in of_modules.get(top, ())}
    assert loaded & pinned <= EVERY_FUNCTION


def test_the_webhook_loads_nothing_that_only_passes_need() -> None:
    """Stripe waits for it: it verifies, stores and answers, and what decides is loaded after the answer."""
    ours = {name for name in ran(LOADED, "api/webhook.py") if name.startswith("lib.")}
    assert ours == WEBHOOK_NEEDS


def test_what_a_package_gives_lazily_is_what_type_checkers_see() -> None:
    """`lib.model` says its names twice, once for those who read and once for those who run."""
    model = (ROOT / "lib/model/__init__.py").read_text()
    seen = re.findall(r"^    from lib\.model\.(\w+) import (?:\(([^)]+)\)|(.+))$", model, re.MULTILINE)
    plain = {(name.strip(), module) for module, many, few in seen for name in (many or few).split(",") if name.strip()}
    assert {name for name, _ in plain} == set(lib.model.__all__)
    for name, module in plain:
        assert getattr(lib.model, name) is getattr(import_module(f"lib.model.{module}"), name)


def test_importing_needs_no_settings() -> None:
    """A deployment without its environment still answers, and can say what is missing."""
    program = "import api.webhook, api.health, api.admin.sync"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


IN_VERCEL = """
import importlib.util, os, sys, types
sys.modules["vercel_runtime"] = types.ModuleType("vercel_runtime")
spec = importlib.util.spec_from_file_location("function", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
def finds(name):
    try:
        return bool(importlib.import_module(name))
    except ModuleNotFoundError:
        return False
"""


@pytest.mark.parametrize("function", ["api/webhook.py", "api/cron/[job].py"])
def test_the_runtime_loads_no_client_of_its_cache(function: str) -> None:
    """It imports one at every request, which costs 21 ms where it is installed: ours, which only keeps the address."""
    program = IN_VERCEL + (
        "from vercel import headers\n"
        "from vercel.cache.cache_build import BuildCache\n"
        "made = BuildCache(endpoint='https://cache.example/v1/', headers={})\n"
        "print(type(made).__module__, headers.set_headers, finds('vercel.blob'), 'httpx2' in sys.modules)"
    )
    assert ran(program, function) == ["lib.runtime_cache", "None", "False", "False"]


def test_what_the_runtime_would_load_to_time_it_is_there_for_whom_it_serves() -> None:
    """The runtime does not find urllib3 at start, Stripe's SDK does without it, and a crash report has it."""
    program = (
        IN_VERCEL
        + """
print(finds("urllib3"))
import stripe
stripe.StripeClient("sk_test_fake", http_client=stripe.HTTPXClient(timeout=1))
print("requests" in sys.modules)
from lib import crash_report
from lib.config import Settings
crash_report.Reporter(Settings.load(os.environ))(ValueError("broken"), {})
print(finds("urllib3"), "sentry_sdk" in sys.modules)
"""
    )
    assert ran(program, "api/webhook.py", SENTRY_DSN="http://fake@127.0.0.1:9/1") == ["False", "False", "True", "True"]


DELIVERED = """
import asyncio, hashlib, hmac, importlib.util, sys, time
spec = importlib.util.spec_from_file_location("function", "api/webhook.py")
webhook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(webhook)
before, said = set(sys.modules), []
body = b'{"id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": false,'
body += b' "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1"}}}'
now = b"%d" % time.time()
mac = hmac.new(b"whsec_bench_fake", now + b"." + body, hashlib.sha256).hexdigest()
async def receive():
    return {"type": "http.request", "body": body, "more_body": False}
async def send(message):
    if message["type"] == "http.response.start":
        said.extend(["answered", str(message["status"]), *(name for name in sys.modules if name not in before)])
scope = {"type": "http", "method": "POST", "path": "/api/webhook", "query_string": b"",
         "headers": [(b"stripe-signature", b"t=%s,v1=%s" % (now, mac.encode()))]}
async def deliver():
    await webhook.app(scope, receive, send)
    await sys.modules["lib.bridge"].forget()
asyncio.run(deliver())
print(*said)
"""


def test_a_first_event_is_stored_with_what_was_loaded_at_the_start(database_url: str) -> None:
    """Nothing is put off to the moment when Stripe waits."""
    words = ran(DELIVERED, DATABASE_URL=database_url, PROVISIONING_MODE="paused")
    assert words[words.index("answered") :] == ["answered", "200"]


def test_python_hardly_looks_for_garbage_while_a_webhook_loads() -> None:
    """There is none yet, and each look costs; with Python's own threshold it looks a hundred times."""
    looks = "print(sum(one['collections'] for one in gc.get_stats()))\n"
    before, after = map(int, ran("import gc, lib\n" + looks + LOAD + looks, "api/webhook.py"))
    assert after - before <= 1


@pytest.mark.parametrize("works", ["endpoint(guard=public)", "Bridge(Settings.load(os.environ))"])
def test_python_looks_for_garbage_as_usual_once_all_is_loaded(works: str) -> None:
    """Functions and scripts alike: what a page of a list leaves must not wait for 50,000 others."""
    program = (
        "import gc, os\nusual = gc.get_threshold()\n"
        "from lib.bridge import Bridge\nfrom lib.config import Settings\nfrom lib.web import endpoint, public\n"
        f"while_loading = gc.get_threshold()\n{works}\n"
        "print(while_loading[0] > usual[0], gc.get_threshold() == usual, gc.get_freeze_count() > 1000)"
    )
    assert ran(program) == ["True", "True", "True"]


def ran(program: str, *arguments: str, **environ: str) -> list[str]:
    """The words that a program says in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRON, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()
