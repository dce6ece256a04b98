"""A demo's files in a checkout: one demo at a time, and what it leaves when it is killed goes with the next one."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

from scripts.demo_world import DemoError
from scripts.demo_world.say import ROOT, shown

DEFAULT = ROOT / ".local"
PREFIX = "demo-"


@dataclass(frozen=True, slots=True)
class Record:
    """What a running demo tells of itself."""

    pid: int
    started: str
    folder: str = ""
    """Where its database is."""
    url: str = ""
    """Where it takes `./scripts/demo buy` and the like; empty until its story is told."""
    key: str = ""


class Place:
    """Where a demo keeps its log, its settings for the other scripts, and what it tells of itself."""

    def __init__(self, folder: Path = DEFAULT) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "demo.log"
        self.settings = self.folder / "demo.env"
        self._lock = self.folder / "demo.lock"
        self._record = self.folder / "demo.json"

    @property
    def option(self) -> str:
        """What a command needs to find this place: nothing, or `--at ...`."""
        return "" if self.folder == DEFAULT else f" --at {shlex.quote(str(self.folder))}"

    # --- for the demo that runs here ----------------------------------------------------------------------------------

    @contextmanager
    def claim(self, started: str) -> Iterator[None]:
        """Be the only demo here; DemoError names the one that is."""
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(self._taken()) from None
            self._clean_up()
            try:
                self._tell(Record(os.getpid(), started))
                yield
            finally:
                self._clean_up()

    @contextmanager
    def data(self) -> Iterator[Path]:
        """A folder for the database. Not in the checkout, which other users may not enter; named in the record."""
        with _writing(Path(tempfile.gettempdir()), "TMPDIR"):
            folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        with folder:
            self.tell(folder=folder.name)
            yield Path(folder.name)

    @contextmanager
    def open_log(self) -> Iterator[TextIO]:
        """The functions' log, anew."""
        with _writing(self.log):
            log = self.log.open("w")
        with log:
            yield log

    def tell(self, *, folder: str | None = None, url: str | None = None, key: str | None = None) -> None:
        """Add to what this demo tells of itself."""
        old = self._read()
        assert old is not None
        self._tell(replace(old, folder=folder or old.folder, url=url or old.url, key=key or old.key))

    def write_settings(self, environ: Mapping[str, str]) -> None:
        """Write the functions' settings for a shell: `set -a; . FILE`. They win over a `.env` in the project."""
        import psycopg

        named = (option.envvar for option in psycopg.pq.Conninfo.get_defaults() if option.envvar)
        lines = [
            "# The settings of the demo that runs here, for a shell; it goes with the demo.",
            "# What is empty counts as unset, and keeps a value in .env or in the shell out.",
            *(f"{name}={shlex.quote(value)}" for name, value in environ.items()),
            "unset " + " ".join(sorted(name.decode() for name in named)),
        ]
        self._replace(self.settings, "\n".join(lines) + "\n")

    # --- for whoever looks for it -------------------------------------------------------------------------------------

    def running(self) -> Record:
        """The demo that runs here and takes commands; DemoError says that there is none, or not yet."""
        if not self._held():
            raise DemoError(f"No demo is running. Start one in another terminal: ./scripts/demo{self.option}")
        record = self._read()
        if record is None:
            raise DemoError(f"What the demo tells of itself in {shown(self._record)} can't be read: is it yours?")
        if not record.url:
            raise DemoError("The demo is still telling its story: try again when it says that it serves.")
        return record

    def _held(self) -> bool:
        try:
            with self._lock.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _taken(self) -> str:
        record = self._read()
        whose = f", process {record.pid}, since {record.started}" if record else ""
        end = f"Ctrl-C in its terminal{f' (or kill {record.pid})' if record else ''} ends it."
        return (
            f"A demo is running here already{whose}: ./scripts/demo status{self.option} shows it. {end}"
            " Another one beside it: ./scripts/demo --at FOLDER"
        )

    # --- files --------------------------------------------------------------------------------------------------------

    def _read(self) -> Record | None:
        try:
            return Record(**json.loads(self._record.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _tell(self, record: Record) -> None:
        self._replace(self._record, json.dumps(asdict(record)))

    def _clean_up(self) -> None:
        """Remove what a demo leaves: this one at its end, or one before it that was killed."""
        left = self._read()
        if left is not None and Path(left.folder).name.startswith(PREFIX):
            shutil.rmtree(left.folder, ignore_errors=True)
        for file in (self._record, self.settings):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _replace(self, file: Path, text: str) -> None:
        """Write a file that only we may read; a reader finds the old or the new one, never a half."""
        new = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with _writing(file):
                new.touch(mode=0o600)
                new.write_text(text)
                new.replace(file)
        finally:
            new.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path, setting: str = "--at") -> Iterator[None]:
    """One sentence instead of a traceback when the disk is full or the folder is somebody else's."""
    try:
        yield
    except OSError as error:
        raise DemoError(
            f"{shown(path)} can't be written: {error.strerror}. Mend that, or name another folder with {setting}."
        ) from None
