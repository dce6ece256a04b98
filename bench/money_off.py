"""What the money features cost who does not use them: an older commit beside the working tree, none of them set.

    .venv/bin/python -m bench.money_off [COMMIT] [--rounds 15]

COMMIT is the last one before there was any money, unless another one is named. Compared are the bytes that vercel.json
bundles with the webhook, with and without the packages of requirements.txt; what a fresh interpreter takes to import
the webhook, and with it the pass of a customer and the clients of both sides (processes in turns, medians; and how many
modules that loads); and the statements and calls of an event, of a first provisioning and of a pass that changes
nothing. The figures to look at are the ratios: seconds and megabytes are this machine's.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = "scripts/migrations/0010_money.sql"
"""The file that came with the first of the money features."""

WEBHOOK = ["api.webhook"]
PASS = [
    "lib.subscription_manager.customer|lib.subscription_manager.reconcile",
    "lib.stripe_client",
    "lib.enhance_client",
    "stripe",
    "httpx",
]
"""What a pass of a customer imports behind the webhook, sooner or later; `|`: by its name of today or an older one."""

_IMPORT = """
import importlib, json, sys, time
began = time.perf_counter()
def load(names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name or name == names[-1]:
                raise
for name in {names}:
    load(name.split("|"))
print(json.dumps([time.perf_counter() - began, len(sys.modules)]))
"""

_WORK = """
import asyncio, json, tempfile
from pathlib import Path
from psycopg import AsyncCursor
from lib import log
from lib.config import Secret
from lib.database import Database, migrate
from scripts._postgres import start
from tests.world import make_world

done = []
execute = AsyncCursor.execute

async def counted(self, query, *given, **named):
    done.append(query)
    return await execute(self, query, *given, **named)

async def migrated(url):
    database = Database(Secret(url))
    await migrate(database)
    await database.close()

async def work(world):
    found = {}
    customer = world.customer()
    world.buy(customer)
    async with world.bridge() as bridge:
        await bridge.ensure_schema(migrates=False)
        async def count(name, doing):
            done.clear(); world.stripe.calls.clear(); world.panel.forget_calls()
            await doing()
            found[name] = [len(done), len(world.stripe.calls), len(world.panel.calls)]
        for event in list(world.stripe.undelivered())[-1:]:
            body, _ = world.stripe.signed(event)
            await count("an event", lambda: bridge.accept([body]))
        await count("a first provisioning", lambda: bridge.reconcile(customer))
        await bridge.reconcile(customer)
        await count("a pass that changes nothing", lambda: bridge.reconcile(customer))
    assert world.only_subscription()
    return found

log.configure("error")
AsyncCursor.execute = counted
with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data", durable=False) as postgres:
    url = postgres.create_database("bench")
    asyncio.run(migrated(url))
    with make_world(url) as world:
        print(json.dumps(asyncio.run(work(world))))
"""


class BenchError(Exception):
    """It can't be compared; says why."""


@dataclass
class Side:
    """One of the two trees, and what was measured of it."""

    name: str
    root: Path
    imports: dict[str, list[float]] = field(default_factory=lambda: {"webhook": [], "pass": []})
    modules: dict[str, int] = field(default_factory=dict)


Row = tuple[str, float, float]
"""What it is, then, now."""


def main() -> int:
    """Measure both and print one table; 2 when the other commit can't be had."""
    parser = argparse.ArgumentParser(prog="python -m bench.money_off", description=__doc__)
    parser.add_argument("commit", nargs="?", metavar="COMMIT", help="what it is compared with")
    parser.add_argument("--rounds", type=int, default=15, help="fresh interpreters for each import (%(default)s)")
    options = parser.parse_args()
    try:
        commit = named(options.commit or f"{added(FIRST)}^")
        with unpacked(commit) as folder:
            rows = compared(Side("then", folder), Side("now", ROOT), options.rounds)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"then: {commit[:12]}, now: the working tree; {options.rounds} rounds, medians")
    print(table(rows))
    return 0


def compared(then: Side, now: Side, rounds: int) -> list[Row]:
    """Every row of the table."""
    sources = [bundled(side.root) / 1000 for side in (then, now)]
    whole = [size + packages(side.root) / 1000 for size, side in zip(sources, (then, now), strict=True)]
    rows: list[Row] = [("bundle, kB", *whole), ("bundle without its packages, kB", *sources)]  # type: ignore[list-item]
    for number in range(rounds + 1):  # the first round compiles
        for side in (then, now) if number % 2 else (now, then):
            for what, names in (("webhook", WEBHOOK), ("pass", WEBHOOK + PASS)):
                seconds, modules = json.loads(run(side.root, _IMPORT.format(names=names)))
                side.modules[what] = modules
                if number:
                    side.imports[what].append(seconds)
    for what, words in (("webhook", "import of the webhook"), ("pass", "import with a customer's pass")):
        median = [statistics.median(side.imports[what]) * 1000 for side in (then, now)]
        rows.append((f"{words}, ms", *median))  # type: ignore[arg-type]
        rows.append((f"{words}, modules", then.modules[what], now.modules[what]))
    before, after = (json.loads(run(side.root, _WORK)) for side in (then, now))
    for what, counts in before.items():
        for kind, old, new in zip(("statements", "Stripe calls", "panel calls"), counts, after[what], strict=True):
            rows.append((f"{what}: {kind}", old, new))
    return rows


def table(rows: list[Row]) -> str:
    """The rows under each other; the ratio is the claim."""
    lines = [f"{'':<46}{'then':>11}{'now':>11}{'ratio':>9}"]
    for what, then, now in rows:
        ratio = f"{now / then:.2f}" if then else "1.00" if now == then else "new"
        lines.append(f"{what:<46}{then:>11.1f}{now:>11.1f}{ratio:>9}")
    return "\n".join(lines)


# --- the two trees ----------------------------------------------------------------------------------------------------


def git(*words: str) -> bytes:
    """What git answers.

    Raises:
        BenchError: it refuses.
    """
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode().strip()
        raise BenchError(
            f"git {' '.join(words[:2])}: {said} (a shallow clone lacks older commits: git fetch --unshallow)"
        )
    return done.stdout


def added(path: str) -> str:
    """The commit that brought a file."""
    found = git("log", "--diff-filter=A", "--format=%H", "--", path).decode().split()
    if not found:
        raise BenchError(f"no commit here brought {path}: name one to compare with")
    return found[-1]


def named(commit: str) -> str:
    """The full name of a commit."""
    return git("rev-parse", "--verify", f"{commit}^{{commit}}").decode().strip()


@contextmanager
def unpacked(commit: str) -> Iterator[Path]:
    """A commit's files in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def run(root: Path, program: str) -> str:
    """What a program prints last in a fresh interpreter of this environment, over the sources of one tree."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VERCEL"))}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"in {root}: {done.stderr.strip()[-2000:]}")
    return done.stdout.splitlines()[-1]


# --- bytes ------------------------------------------------------------------------------------------------------------


def bundled(root: Path) -> int:
    """Bytes of the files that Vercel puts into the webhook's bundle, its packages apart."""
    ignored = [line.strip() for line in (root / ".vercelignore").read_text().splitlines() if line.strip()]
    function = json.loads((root / "vercel.json").read_text())["functions"]["api/webhook.py"]
    excluded = function["excludeFiles"].strip("{}").split(",")
    names = [path.relative_to(root).as_posix() for path in files(root)]
    return sum((root / name).stat().st_size for name in names if not leaves_out(name, ignored, excluded))


def files(root: Path) -> Iterator[Path]:
    """What a deployment of a tree uploads: of the working tree what git keeps or would keep."""
    if root != ROOT:
        yield from (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    yield from (root / name for name in listed if name and (root / name).is_file())


def leaves_out(name: str, ignored: list[str], excluded: list[str]) -> bool:
    """Whether a file is not uploaded, is published instead, or is kept out of the function."""
    parts = name.split("/")
    if parts[0] == "public":
        return True  # it is served as it is
    if any(fnmatch(part, pattern) for pattern in ignored for part in (parts[0], name)):
        return True
    return any(_matches(name, pattern) for pattern in excluded)


def _matches(name: str, pattern: str) -> bool:
    """As Vercel's globs: `**` goes over folders, `*` does not."""
    regex = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(regex, name) is not None


def packages(root: Path) -> int:
    """Bytes of the packages of requirements.txt, as they are installed here."""
    lines = (root / "requirements.txt").read_text().splitlines()
    wanted = [line.partition("==")[0] for line in lines if "==" in line]
    found = 0
    for name in wanted:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            kept = importlib.metadata.files(name) or []
            paths = (Path(str(path.locate())) for path in kept if "__pycache__" not in path.parts)
            found += sum(path.stat().st_size for path in paths if path.is_file())
    return found


if __name__ == "__main__":
    sys.exit(main())
