"""The webhook as Vercel runs it: the built bundle in the platform's own runtime, beside `bench.stage.serving`."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bench.stage import ENVIRON, Server
from scripts._bundle import Bundle, build

FUNCTION = "api/webhook"

_LISTEN = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listening", flush=True)
    pipe, _ = listener.accept()
received = b""
while b'"server-started"' not in received or not received.endswith(b"\\0"):
    more = pipe.recv(65536)
    if not more:
        sys.exit(received.decode())
    received += more
    if b'"unrecoverable-error"' in received:
        sys.exit(received.decode())
print(received.partition(b'"httpPort": ')[2].partition(b",")[0].strip(b" }").decode(), flush=True)
while pipe.recv(1 << 20):
    time.sleep(0.002)
"""
"""The other side of the runtime: reads what it reports of each request, in a process of its own and a few at a time, as
how dear it is to wake Python up for each is not the runtime's."""


@cache
def bundle() -> tuple[Bundle, Path]:
    """The bundle with its compiled files, built once for this process, and where the webhook's files lie.

    Raises:
        NoVercelError: a tool is missing.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-vercel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "project").mkdir()
    built = build(folder / "project", {"VERCEL_PYTHON_COMPILEALL": "1"}, only=[f"{FUNCTION}.py"])
    built.unpack(FUNCTION, folder / "function")
    return built, folder / "function"


@contextmanager
def serving_in_vercel(url: str, mode: str, **settings: str) -> Iterator[Server]:
    """One instance of the webhook in Vercel's runtime, which takes requests that went through `in_vercel`."""
    built, folder = bundle()
    environ = {**ENVIRON, "DATABASE_URL": url, "PROVISIONING_MODE": mode, **settings}
    with (
        tempfile.TemporaryDirectory() as short,  # the path of a Unix socket has room for about a hundred characters
        subprocess.Popen([sys.executable, "-c", _LISTEN, f"{short}/ipc"], stdout=subprocess.PIPE, text=True) as reader,
    ):
        assert reader.stdout is not None
        reader.stdout.readline()
        process = built.start(FUNCTION, folder, f"{short}/ipc", environ)
        try:
            yield Server(int(reader.stdout.readline()), process.pid)
        finally:
            process.kill()
            process.wait()
            reader.kill()


def in_vercel(request: bytes) -> bytes:
    """A request with the headers that the platform adds for its runtime, the offer of its cache among them."""
    return request.replace(b"\r\n", _HEADERS, 1)


_HEADERS = b"\r\n" + b"".join(
    name + b": " + value + b"\r\n"
    for name, value in {
        b"x-vercel-internal-invocation-id": b"1",
        b"x-vercel-internal-request-id": b"1",
        b"x-vercel-id": b"fra1::bench-1794000000000-0123456789ab",
        b"x-forwarded-for": b"192.0.2.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"provisioner.example",
        b"x-vercel-sc-host": b"127.0.0.1:9",  # nobody: the cache is asked after answers, and may fail
        b"x-vercel-sc-protocol": b"http",
        b"x-vercel-sc-headers": b'{"Authorization": "Bearer bench"}',
        b"x-vercel-sc-no-header-leak": b"1",
        b"x-vercel-sc-runtime-cache": b"1",
    }.items()
)
