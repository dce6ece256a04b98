"""What a cold start of the webhook loads: as little as it needs to acknowledge."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("function", "finds"), [("api/webhook.py", False), ("api/cron/[job].py", True)])
def test_the_runtime_finds_its_cache_only_where_it_is_wanted(function: str, finds: bool) -> None:
    """What the platform's runtime does with it costs each request 21 ms: the webhook does without, the cron asks."""
    program = f"""
import importlib.util, os, sys, types
sys.modules["vercel_runtime"] = types.ModuleType("vercel_runtime")
spec = importlib.util.spec_from_file_location("function", {function!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
try:
    import vercel.headers, vercel.cache.cache_build
except ModuleNotFoundError:
    print(False, "httpx2" in sys.modules, os.environ["VERCEL_TELEMETRY_DISABLED"])
else:
    print(True, "httpx2" in sys.modules, os.environ["VERCEL_TELEMETRY_DISABLED"])
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(finds), str(finds), "1"]
