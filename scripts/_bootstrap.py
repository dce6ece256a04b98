"""Gives every script its environment: one virtual environment in the project, made on first use.

Only the standard library is at hand here, and the syntax stays old, so that an old Python gets as far as the message
that says so.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, Optional

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".requirements"
OLDEST = (3, 11)
NEWEST = (3, 14)


def ensure() -> None:
    """Return inside the project's environment, with the project root first on the path.

    Called with another Python, it makes or refreshes the environment and starts the script again in it.
    """
    let_the_reader_leave()
    wanted = _fingerprint()
    if not _ready(wanted):
        if {"-h", "--help"} & set(sys.argv) and sys.version_info[:2] >= OLDEST:
            return  # an explanation needs no packages
        try:
            _set_up(wanted)
        except PermissionError as error:
            _stop(f"{error.filename} can't be written: run this as the owner of {ROOT}, or check the project out anew.")
    if Path(sys.prefix) != VENV:
        os.execv(str(PYTHON), [str(PYTHON), *sys.argv])  # noqa: S606
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def let_the_reader_leave() -> None:
    """End quietly when nobody reads the output to its end (`... | head`) or at Ctrl-C, as other commands do."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    others = sys.excepthook

    def hook(kind, error, trace):  # type: ignore[no-untyped-def]
        if issubclass(kind, BrokenPipeError):
            os._exit(128 + signal.SIGPIPE)
        if issubclass(kind, KeyboardInterrupt):  # while packages are installed or loaded; later each script says more
            os._exit(128 + signal.SIGINT)
        others(kind, error, trace)

    sys.excepthook = hook


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in ("requirements.txt", "requirements-dev.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _ready(wanted: str) -> bool:
    # PYTHON is a link: after an upgrade of the system's Python it may point nowhere.
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted


def _set_up(wanted: str) -> None:
    local = ROOT / ".local"
    local.mkdir(exist_ok=True)
    with (local / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _ready(wanted):  # another script was here first
            return
        if not (PYTHON.exists() and STAMP.exists()):
            python = _find_python()
            _say(f"Setting up {VENV} with {python} (once; about a minute) ...")
            if VENV.exists():
                shutil.rmtree(str(VENV))
            _run([python, "-m", "venv", str(VENV)])
        else:
            _say(f"The pinned packages have changed: refreshing {VENV} ...")
            STAMP.unlink()
        _run([str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check",
              "-r", str(ROOT / "requirements-dev.txt")])  # fmt: skip
        STAMP.write_text(wanted)


def _find_python() -> str:
    names = [sys.executable] + ["python3.%d" % minor for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    without_venv = None
    for name in names:
        path = shutil.which(name)
        version = _version(path) if path else None
        if path and version and OLDEST <= version <= NEWEST:
            if _succeeds([path, "-c", "import ensurepip, venv"]):
                return path
            without_venv = without_venv or path
    if without_venv:
        _stop(f"{without_venv} can't make virtual environments. On Debian and Ubuntu: apt install python3-venv")
    found = "%d.%d" % sys.version_info[:2]
    _stop(f"Python 3.11, 3.12, 3.13 or 3.14 is needed; this is {found} and no other was found on PATH.")


def _version(python: str) -> Optional[tuple]:  # type: ignore[type-arg]
    # A version manager's stand-in can be on PATH without a Python behind it, so ask it.
    ask = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    answer = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.split()
    return (int(answer[0]), int(answer[1])) if len(answer) == 2 else None


def _succeeds(command: list) -> bool:  # type: ignore[type-arg]
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _run(command: list) -> None:  # type: ignore[type-arg]
    status = subprocess.call(command)
    if status:
        _stop(f"That did not work (exit {status}): {' '.join(command)}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _stop(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)
