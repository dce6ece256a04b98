"""What a cold start of the webhook loads: as little as it needs to acknowledge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.stage import ENVIRON

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = (
    "stripe", "httpx", "requests", "tenacity", "lib.stripe_client", "lib.enhance_client", "msgspec", "smtplib",
    "lib.checkout", "lib.ledger", "lib.messages", "lib.subscription_manager.customer",
    "lib.crash_report", "lib.model.money", "sentry_sdk", "prometheus_client",
)  # fmt: skip


@pytest.mark.parametrize("module", ["api.webhook", "api.health"])
def test_a_cold_start_loads_neither_sdk_nor_http_client(module: str) -> None:
    """Importing a function leaves the clients of the other two sides for the moment when they are needed."""
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert module in loaded
    assert loaded.intersection(HEAVY) == set()
    assert ran.stderr == ""


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
        "from vercel.cache.cache_build import BuildCache\n"
        "made = BuildCache(endpoint='https://cache.example/v1/', headers={})\n"
        "print(type(made).__module__, finds('vercel.headers'), 'httpx2' in sys.modules)"
    )
    assert ran(program, function) == ["lib.runtime_cache", "False", "False"]


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
    return done.stdout.split()
