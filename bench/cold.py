"""What each function costs until its first answer: a process that serves it alone, beside one that does nothing.

    .venv/bin/python -m bench.cold [--rounds 7] [--only api/webhook.py] [--json FILE]

A process starts, loads one function file and serves it, as a platform would; counted is the time from its start to the
end of its first answer (what the route answers to a stranger). In two places: a plain process, without a server, which
tells the modules that it has loaded; and Vercel's own runtime out of the built bundle, where what does nothing pays for
the same runtime, and where the webhook is also sent an event, which it stores before it answers. Functions take turns,
each with the compiled files of Python (`.pyc`) and without. The figures to look at are the ratios to the function that
does nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import cold_vercel
from bench.stage import ENVIRON, ROOT
from scripts._functions import function_files
from scripts._vercel import NoVercelError

NOTHING = cold_vercel.NOTHING

_SERVE = """
import asyncio, importlib.util, json, sys
path = sys.argv[1]
if path == "nothing":
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
else:
    spec = importlib.util.spec_from_file_location("function", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = module.app
said = []
async def receive():
    return {"type": "http.request", "body": b"{}", "more_body": False}
async def send(message):
    said.append(message)
async def answer():
    scope = {"type": "http", "method": "POST", "path": "/" + path.removesuffix(".py"), "headers": [],
             "query_string": b"", "http_version": "1.1", "scheme": "http", "client": None, "server": None}
    await app(scope, receive, send)
asyncio.run(answer())
print(json.dumps({"status": said[0]["status"], "modules": len(sys.modules)}))
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each function, in turns (%(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="FILE", help="these functions (all)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    figures: dict[str, Any] = {"process": measure(options.rounds, options.only), "vercel": None}
    try:
        figures["vercel"] = cold_vercel.measure(options.rounds, options.only)
    except NoVercelError as error:
        print(f"not in Vercel's runtime: {error}", file=sys.stderr)
    _print("a plain process", figures["process"])
    if figures["vercel"]:
        _print("Vercel's runtime", figures["vercel"]["functions"])
        print(json.dumps({name: figures["vercel"][name] for name in ("imports", "bundle")}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _print(where: str, rows: list[dict[str, Any]]) -> None:
    print(where)
    for row in rows:
        cpu = f"   {row['cpu_ms']:6.0f} ms of CPU  x{row['cpu_of_nothing']:.2f}" if "cpu_ms" in row else ""
        print(f"  {row['function']:22} {row['ms']:6.0f} ms  x{row['of_nothing']:.2f}{cpu}   without .pyc "
              f"{row['ms_without_pyc']:6.0f} ms   answers {row['status']}")  # fmt: skip


def measure(rounds: int, only: Sequence[str]) -> list[dict[str, Any]]:
    """Medians of each function in a plain process."""
    names = [NOTHING, *(only or [path.as_posix() for path in function_files()])]
    times: dict[tuple[str, bool], list[float]] = {(name, pyc): [] for name in names for pyc in (True, False)}
    said: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as compiled:
        for name in names:
            _first_answer(name, {"PYTHONPYCACHEPREFIX": compiled})  # compiles; counts for nothing
        for _ in range(rounds):
            for name in names:
                for pyc in (True, False):
                    environ = {"PYTHONPYCACHEPREFIX": compiled if pyc else f"{compiled}/none"}
                    took, said[name] = _first_answer(name, environ | ({} if pyc else {"PYTHONDONTWRITEBYTECODE": "1"}))
                    times[name, pyc].append(took)
    nothing = statistics.median(times[NOTHING, True])
    return [
        {
            "function": name,
            "ms": statistics.median(times[name, True]),
            "of_nothing": statistics.median(times[name, True]) / nothing,
            "ms_without_pyc": statistics.median(times[name, False]),
            **said[name],
        }
        for name in names
    ]


def _first_answer(name: str, environ: dict[str, str]) -> tuple[float, dict[str, int]]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, name],
        cwd=ROOT,
        env={**inherited, **ENVIRON, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    return (time.perf_counter() - began) * 1000, json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
