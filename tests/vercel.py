"""Runs one built function through Vercel's own runtime, and speaks to it as the platform does."""

import http.client
import json
import queue
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import _bundle
from scripts._bundle import Bundle
from scripts._vercel import NoVercelError
from tests.tools import unavailable


def build(project: Path, environment: Mapping[str, str], *, only: Collection[str] = ()) -> Bundle:
    """Build a fresh copy of the working tree; skip where a tool is missing."""
    try:
        return _bundle.build(project, environment, only=only)
    except NoVercelError as error:
        unavailable(str(error), "npm (with Node.js 20 or newer) and python3.12 (or a later one)")


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
        process = bundle.start(path, folder, f"{short}/ipc", environment)
        try:
            pipe, _ = listener.accept()
            with pipe:
                yield Running(pipe)
        finally:
            process.kill()
            process.wait()
