"""The demo, run as a person runs it: a process of its own, nothing assumed, nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
# As the launcher ends up, with the interpreter of this run instead of the project's own.
COMMAND = [sys.executable, "-c", "from scripts._demo import main; main()"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which leftovers would be seen, and with settings that would spoil everything."""
    foreign = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PGDATABASE": "none",
        "PROVISIONING_MODE": "paused",
        "STRIPE_SECRET_KEY": "sk_live_fake",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    return {**os.environ, **foreign, "TMPDIR": str(tmp_path)}


@contextmanager
def demo(environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo; whatever happens in the test, it does not outlive it."""
    # Tests that run in the background ignore Ctrl-C, and all that they start inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def test_once_ends_with_a_website(environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 0, the story in plain words without a log line in it, and no file left over."""
    with demo(environ, "--once") as process:
        told, errors = process.communicate()
    assert (process.returncode, errors) == (0, ""), told + errors
    assert "Provisioned: shop.example is there" in told
    assert "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)" in told
    for fact in ("hosting suspended", "hosting live again", "1 org, 1 login, 1 member, 1 subscription, 1 website"):
        assert fact in told
    assert "pass_ended" not in told
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_serves_until_it_is_stopped(environ: dict[str, str], tmp_path: Path, name: str) -> None:
    """What it says where to look is true while it serves; then everything ends cleanly."""
    with demo(environ) as process:
        assert process.stdout is not None and process.stderr is not None
        told = ""
        for line in process.stdout:
            told += line
            if line.startswith("Serving"):
                break
        found = re.search(r"Sync +curl (http://\S+) -H 'Authorization: (Bearer \S+)' -d '(.+)'", told)
        assert found, told + process.stderr.read()
        url, key, body = found.groups()
        answer = httpx.post(url, headers={"Authorization": key}, content=body, timeout=60).json()
        assert answer["customerId"] == json.loads(body)["customerId"]
        assert (answer["outcome"]["state"], answer["actions"]) == ("settled", [])
        panel = re.search(r"Panel +curl '(http://\S+)' -H 'Authorization: (Bearer \S+)'", told)
        assert panel
        customers = httpx.get(panel[1], headers={"Authorization": panel[2]}).json()
        assert [org["name"] for org in customers["items"]] == ["Ada Example"]
        explained = re.search(r"Explain +\(set -a; \. (\S+); \./scripts/(\w+) (cus_\w+)\)", told)
        assert explained
        settings, script, customer = explained.groups()
        command = f'set -a; . {settings}; exec "$0" -c "from scripts._{script} import main; main()" {customer}'
        ended = subprocess.run(
            ["sh", "-c", command, sys.executable], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "shop.example" in ended.stdout
        process.send_signal(getattr(signal, name))
        assert process.stderr.read() == ""
        assert process.wait() == 0
    assert not (ROOT / settings).exists()
    for address in (url, panel[1]):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_it_can_be_stopped_half_way(environ: dict[str, str], tmp_path: Path) -> None:
    """Whoever has seen enough leaves nothing behind, and gets no success for it."""
    with demo(environ, "--once") as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.startswith("3. "):
                break
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait() == 130
    assert [path.name for path in tmp_path.iterdir()] == []
