"""The whole deployment as one ASGI app: functions under their Vercel paths, `public/`, the headers of vercel.json."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).resolve().parent.parent


def function_files(root: Path = ROOT) -> list[Path]:
    """Return every file that is a function to Vercel, relative to `root`."""
    found = (path.relative_to(root) for path in (root / "api").rglob("*.py"))
    return sorted(path for path in found if not any(part.startswith(("_", ".")) for part in path.parts))


def functions_app(root: Path = ROOT) -> ASGIApp:
    """Return the app. A function sees the full path; `[name]` in its file name becomes a query parameter."""
    functions = {f"/{path.with_suffix('').as_posix()}": load_function(root, path) for path in function_files(root)}
    exact = {path: function for path, function in functions.items() if "[" not in path}
    others = [(_pattern(path), function) for path, function in functions.items() if "[" in path]
    headers = _Headers(root / "vercel.json")
    static = Starlette(routes=[Mount("/", StaticFiles(directory=root / "public", html=True))])
    unknown = PlainTextResponse("There is no such function.\n", status_code=404)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        target: ASGIApp | None = exact.get(path)  # wins over one with a parameter
        if target is None:
            target = unknown if path == "/api" or path.startswith("/api/") else static
            for pattern, function in others:
                if match := pattern.fullmatch(path):
                    target = function
                    extra = urlencode(match.groupdict()).encode()
                    scope = {**scope, "query_string": b"&".join(filter(None, [scope["query_string"], extra]))}
                    break

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = message["headers"] = list(message["headers"])
                there = {name for name, _ in raw}
                raw.extend(header for header in headers.of(path) if header[0] not in there)
            await send(message)

        await target(scope, receive, send_with_headers)

    return app


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\[(\w+)\\\]", r"(?P<\1>[^/]+)", re.escape(path)))


def load_function(root: Path, path: Path) -> Any:
    """Return the app of one function file, which tells its guard and verbs; loaded once."""
    name = ".".join(path.with_suffix("").parts)
    module = sys.modules.get(name)
    if module is None or module.__file__ != str(root / path):
        spec = importlib.util.spec_from_file_location(name, root / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.app


class _Headers:
    """What vercel.json adds to the answers of a path."""

    REMEMBERED = 1000
    """Paths at most whose headers are kept: whoever asks for others makes us look, not remember."""

    def __init__(self, file: Path) -> None:
        self._rules = [
            (re.compile(rule["source"]), header["key"].lower().encode(), header["value"].encode("latin-1"))
            for rule in json.loads(file.read_text())["headers"]
            for header in rule["headers"]
        ]
        self._known: dict[str, list[tuple[bytes, bytes]]] = {}

    def of(self, path: str) -> list[tuple[bytes, bytes]]:
        """Names in lower case and values; of one name the first rule counts."""
        found = self._known.get(path)
        if found is None:
            first: dict[bytes, bytes] = {}
            for source, name, value in self._rules:
                if source.fullmatch(path):
                    first.setdefault(name, value)
            found = list(first.items())
            if len(self._known) < self.REMEMBERED:
                self._known[path] = found
        return found
