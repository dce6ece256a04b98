"""Cold starts in Vercel's own runtime, out of the bundle that a deployment builds, and what that bundle holds."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.stage import ENVIRON, event, make_schema, signature
from scripts._bundle import Bundle, build
from scripts._postgres import start

NOTHING = "nothing"
_NOTHING_FILE = "api/nothing.py"
_NOTHING = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
"""
_SETTINGS = {**ENVIRON, "PROVISIONING_MODE": "paused", "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}

STORING = "api/webhook storing an event"
"""The first answer to Stripe: what a stranger's does not need, is needed here."""

MEGABYTE = 1_000_000

_BOTH = (True, False)
"""With compiled files and without."""

BIGGEST = 8
"""So many lines of what costs most."""


class Unpacked:
    """The files of a bundle, once with the compiled ones and once without; all functions share them."""

    def __init__(self, folder: Path, only: Sequence[str] = (), database_url: str = "") -> None:
        """Build it.

        Args:
            only: of these function files, which is quicker.
            database_url: where an event can be stored; needed for `STORING` alone.

        Raises:
            NoVercelError: a tool is missing.
        """
        (folder / "project").mkdir()
        self.bundle: Bundle = build(folder / "project", {"VERCEL_PYTHON_COMPILEALL": "1"}, only=only)
        self.functions = sorted(self.bundle.functions())
        self._settings = {**_SETTINGS, **({"DATABASE_URL": database_url} if database_url else {})}
        self._sent = 0
        self.compiled, self.plain = folder / "compiled", folder / "plain"
        self.bundle.unpack(self.functions[0], self.compiled)
        self._add_entries()
        shutil.copytree(self.compiled, self.plain, ignore=shutil.ignore_patterns("__pycache__"))

    def _add_entries(self) -> None:
        """The start of each function, and a function that does nothing, which pays for the same runtime and bundle."""
        start = (self.compiled / "vc__handler__python.py").read_text()
        for number, name in enumerate(self.functions):
            theirs = (self.bundle.output / "functions" / f"{name}.func" / "vc__handler__python.py").read_text()
            (self.compiled / f"entry_{number}.py").write_text(theirs)
        first = self.functions[0]
        of_nothing = start.replace(f"{first}.py", _NOTHING_FILE).replace(first.replace("/", "."), "api.nothing")
        (self.compiled / "entry_nothing.py").write_text(of_nothing)
        (self.compiled / _NOTHING_FILE).write_text(_NOTHING)
        compiling = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", _NOTHING_FILE]
        subprocess.run([str(self.bundle.python), *compiling], cwd=self.compiled, check=True)

    def first_answer(self, name: str, *, compiled: bool) -> tuple[float, float, int]:
        """From the start of a process to the end of its first answer: milliseconds, those of CPU, and its status."""
        function, _, stores = name.partition(" ")
        number = "nothing" if name == NOTHING else self.functions.index(function)
        path = "/api/nothing" if name == NOTHING else f"/{function}"
        body, headers = self._event() if stores else (b"{}", {"content-type": "application/json"})
        began = time.perf_counter()
        with self._started(f"entry_{number}", self.compiled if compiled else self.plain) as (port, process):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            ids = {f"x-vercel-internal-{kind}-id": "1" for kind in ("invocation", "request")}
            connection.request("POST", path, body, {**headers, **ids})
            answer = connection.getresponse()
            answer.read()
            took = (time.perf_counter() - began) * 1000
            used = psutil.Process(process).cpu_times()
            connection.close()
        return took, (used.user + used.system) * 1000, answer.status

    def _event(self) -> tuple[bytes, dict[str, str]]:
        self._sent += 1
        body = event(f"cold{self._sent}")
        return body, {"content-type": "application/json", "stripe-signature": signature(body)}

    @contextmanager
    def _started(self, entry: str, folder: Path) -> Iterator[tuple[int, int]]:
        """A process that serves: its port and its id."""
        with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{short}/ipc")
            listener.listen()
            own = {"PATH": os.environ["PATH"], "VERCEL_IPC_PATH": f"{short}/ipc"}
            environ = {**own, **self.bundle.function(self.functions[0])["environment"], **self._settings}
            command = [str(self.bundle.python), "-c", f"import {entry}"]
            with subprocess.Popen(command, cwd=folder, env=environ) as process:
                try:
                    pipe, _ = listener.accept()
                    with pipe:
                        yield _port(pipe), process.pid
                finally:
                    process.kill()

    def size(self) -> dict[str, Any]:
        """What the bundle holds: files and megabytes, and of what most."""
        files = self.bundle.function(self.functions[0])["filePathMap"]
        sizes = {target: (self.bundle.project / source).stat().st_size for target, source in files.items()}
        compiled = {target: size for target, size in sizes.items() if target.endswith(".pyc")}
        of_parts: Counter[str] = Counter()
        for target in sizes.keys() - compiled.keys():
            of_parts["/".join(target.split("/")[: 2 if target.startswith("_vendor/") else 1])] += sizes[target]
        return {
            "files": len(sizes) - len(compiled),
            "megabytes": (sum(sizes.values()) - sum(compiled.values())) / MEGABYTE,
            "compiled_megabytes": sum(compiled.values()) / MEGABYTE,
            "biggest": {part.removeprefix("_vendor/"): size / MEGABYTE for part, size in of_parts.most_common(BIGGEST)},
        }

    def imports(self, name: str) -> list[dict[str, Any]]:
        """What importing a function costs by package, dearest first: milliseconds of their own, and modules."""
        program = f"""
import importlib.util, site, sys
site.addsitedir("_vendor")
sys.path[:0] = [".", "_vendor"]
spec = importlib.util.spec_from_file_location("function", {f"{name}.py"!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
        own = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
        command = [str(self.bundle.python), "-X", "importtime", "-c", program]
        done = subprocess.run(command, cwd=self.compiled, env=own, check=True, capture_output=True, text=True)
        took: Counter[str] = Counter()
        modules: Counter[str] = Counter()
        for line in done.stderr.splitlines()[1:]:
            itself, _, module = line.removeprefix("import time:").split("|")
            top = module.strip().partition(".")[0]
            package = top if (self.compiled / "_vendor" / top).exists() or top == "lib" else "the standard library"
            took[package] += int(itself)
            modules[package] += 1
        return [
            {"package": package, "ms": micro / 1000, "modules": modules[package]}
            for package, micro in took.most_common(BIGGEST)
        ]


def _port(pipe: socket.socket) -> int:
    received = b""
    while b'"server-started"' not in received or not received.endswith(b"\0"):
        more = pipe.recv(65536)
        received += more
        if not more or b'"unrecoverable-error"' in received:
            raise RuntimeError(received.decode())
    messages = [json.loads(message) for message in received.split(b"\0") if message]
    return next(int(one["payload"]["httpPort"]) for one in messages if one["type"] == "server-started")


def measure(rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """Medians of each function, the imports of the webhook, and the size of the bundle.

    Raises:
        NoVercelError: a tool is missing.
    """
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "postgres") as server:
        Path(folder).chmod(0o755)  # the server runs as somebody else
        database_url = server.create_database("cold")
        asyncio.run(make_schema(database_url))
        unpacked = Unpacked(Path(folder), only, database_url)
        stores = [STORING] if STORING.partition(" ")[0] in unpacked.functions else []
        names = [NOTHING, *unpacked.functions, *stores]
        runs: dict[tuple[str, bool], list[tuple[float, float]]] = {(name, pyc): [] for name in names for pyc in _BOTH}
        statuses = {name: unpacked.first_answer(name, compiled=True)[2] for name in names}  # and the disk is read
        for _ in range(rounds):
            for (name, pyc), taken in runs.items():
                taken.append(unpacked.first_answer(name, compiled=pyc)[:2])
        ms, cpu = ({key: statistics.median(one[i] for one in taken) for key, taken in runs.items()} for i in (0, 1))
        rows = [
            {
                "function": name,
                "ms": ms[name, True],
                "of_nothing": ms[name, True] / ms[NOTHING, True],
                "cpu_ms": cpu[name, True],
                "cpu_of_nothing": cpu[name, True] / cpu[NOTHING, True],
                "ms_without_pyc": ms[name, False],
                "status": statuses[name],
            }
            for name in names
        ]
        imports = unpacked.imports("api/webhook") if stores else []
        return {"functions": rows, "imports": imports, "bundle": unpacked.size()}
