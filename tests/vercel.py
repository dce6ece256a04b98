"""Builds the bundle as a deployment would, and runs one built function through Vercel's own runtime."""

import http.client
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import _vercel
from tests.tools import unavailable

ROOT = Path(__file__).resolve().parent.parent
# What Vercel offers, its default first.
OFFERED = ("3.12", "3.13", "3.14")


@dataclass(frozen=True)
class Bundle:
    """What a build left behind."""

    project: Path
    python: Path

    @property
    def output(self) -> Path:
        """The folder that Vercel would take up."""
        return self.project / ".vercel" / "output"

    @property
    def config(self) -> dict[str, Any]:
        """Routes, headers and crons."""
        config: dict[str, Any] = json.loads((self.output / "config.json").read_text())
        return config

    def functions(self) -> set[str]:
        """The paths of all functions, without `.func`."""
        folder = self.output / "functions"
        return {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.func")}

    def function(self, path: str) -> dict[str, Any]:
        """The configuration of one function."""
        text = (self.output / "functions" / f"{path}.func" / ".vc-config.json").read_text()
        config: dict[str, Any] = json.loads(text)
        return config

    def unpack(self, path: str, into: Path) -> None:
        """Put together the files of one function, as they would lie on a machine of Vercel's."""
        shutil.copytree(self.output / "functions" / f"{path}.func", into)
        for target, source in self.function(path)["filePathMap"].items():
            (into / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.project / source, into / target)


def build(project: Path, environment: Mapping[str, str]) -> Bundle:
    """Build a fresh copy of the working tree, ignored files left out; skip where a tool is missing."""
    python, version = _python()
    try:
        vercel = _vercel.install()
    except _vercel.NoVercelError as error:
        unavailable(str(error), "npm (with Node.js 20 or newer)")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    (project / ".vercel").mkdir()
    (project / ".vercel" / "project.json").write_text('{"settings": {}}')
    if version != OFFERED[0]:
        (project / ".python-version").write_text(version)
    path = os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {
        "PATH": path, "UV_PYTHON_DOWNLOADS": "never", "VERCEL_TELEMETRY_DISABLED": "1",
        # The detection of a framework that a project's first deployment gets, where "framework": null must hold.
        "VERCEL_FIRST_DEPLOYMENT": "1",
    }  # fmt: skip
    built = subprocess.run(
        [str(vercel), "build", "--yes", "--prod"], cwd=project, env={**os.environ, **settings, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    return Bundle(project, python)


def _python() -> tuple[Path, str]:
    """Return a Python that Vercel offers too, and its version."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    readable = os.access(managed, os.R_OK | os.X_OK)  # the variable may be another user's
    for version in OFFERED:
        managed_ones = [str(path) for path in managed.glob(f"{version}.*/bin/python{version}")] if readable else []
        for candidate in [shutil.which(f"python{version}") or sys.executable, *managed_ones]:
            ask = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"]
            # A version manager's stand-in can be on PATH without a Python behind it.
            answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()
            if answer[:1] == [version]:
                return Path(answer[1]), version
    unavailable("Python 3.12 or newer", "python3.12 (or a later one)")


@dataclass
class Answer:
    """What a client of the function gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Running:
    """A function that is up; speaks the protocol of Vercel's runtime."""

    def __init__(self, pipe: socket.socket) -> None:
        """Listen to what the runtime reports, until it says on which port it serves."""
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self._requests = 0
        threading.Thread(target=self._read, args=(pipe,), daemon=True).start()
        self._port = self._wait_for("server-started")["httpPort"]

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request and wait for its answer, not for the work that goes on after it."""
        self._requests += 1
        number = str(self._requests)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        ours = {"host": "provisioner.example"}
        ours |= {f"x-vercel-internal-{name}-id": number for name in ("invocation", "request")}
        connection.request(method, path, body, {**ours, **(headers or {})})
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
        connection.close()
        return answer

    def wait_for_end(self) -> None:
        """Wait until the latest request's invocation is over, with all that it does after its answer."""
        while self._wait_for("end")["context"]["requestId"] != self._requests:
            pass

    def _wait_for(self, kind: str) -> dict[str, Any]:
        while True:
            message = self._messages.get(timeout=120)
            assert message["type"] != "unrecoverable-error", message["payload"]["message"]
            if message["type"] == kind:
                payload: dict[str, Any] = message["payload"]
                return payload

    def _read(self, pipe: socket.socket) -> None:
        buffer = b""
        with suppress(OSError):  # at the end the pipe is closed under our hands
            while received := pipe.recv(65536):
                *messages, buffer = (buffer + received).split(b"\0")
                for message in messages:
                    self._messages.put(json.loads(message))


@contextmanager
def run(bundle: Bundle, path: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """Run one built function as Vercel does: in a process and a folder of its own, reporting on a Unix socket."""
    bundle.unpack(path, folder)
    # The path of a Unix socket has room for about a hundred characters: too few for pytest's folders.
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/ipc")
        listener.listen()
        listener.settimeout(60)
        own = {"PATH": os.environ["PATH"], "VERCEL_IPC_PATH": f"{short}/ipc", **bundle.function(path)["environment"]}
        process = subprocess.Popen(
            [str(bundle.python), "-c", "import vc__handler__python"], cwd=folder, env={**own, **environment}
        )
        try:
            pipe, _ = listener.accept()
            with pipe:
                yield Running(pipe)
        finally:
            process.kill()
            process.wait()
