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
from typing import NoReturn, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".requirements"
RUNTIME = "requirements-serve.txt"
DEVELOPER = "requirements-dev.txt"
LEVELS = ("requirements.txt", RUNTIME, DEVELOPER)
"""Files of pinned packages, each with those before it."""
OLDEST = (3, 11)
NEWEST = (3, 14)


def ensure(developer: bool = False, explains_itself: bool = True) -> None:
    """Return inside the project's environment, with the project root first on the path.

    Called with another Python, it makes or refreshes the environment and starts the script again in it.

    Args:
        developer: the script needs the tools and the embedded PostgreSQL too; serving and working need the packages of
            the functions and a web server, and nothing else.
        explains_itself: `--help` works without any package.
    """
    let_the_reader_leave()
    level = DEVELOPER if developer else RUNTIME
    try:
        if not _ready(level):
            if explains_itself and {"-h", "--help"} & set(sys.argv) and sys.version_info[:2] >= OLDEST:
                return  # an explanation needs no packages
            _set_up(level)
        if Path(sys.prefix) != VENV:
            os.execv(str(PYTHON), [str(PYTHON), *sys.argv])  # noqa: S606
    except PermissionError as error:
        _stop(
            f"{error.filename or VENV} can't be used: it belongs to another user, or to a Python that only they may"
            f" run. Remove it as that user (rm -rf '{VENV}' '{LOCAL / 'setup.lock'}'), or check the project out anew."
        )
    except OSError as error:
        _stop(f"{error.filename or VENV} can't be written: {error.strerror}.")
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


def _fingerprint(level: str) -> str:
    digest = hashlib.sha256()
    for name in LEVELS[: LEVELS.index(level) + 1]:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _ready(level: str) -> bool:
    # PYTHON is a link: after an upgrade of the system's Python it may point nowhere, or to one that knows no packages.
    if not (PYTHON.exists() and STAMP.exists()) or _fingerprint(level) not in STAMP.read_text().split():
        return False
    packages = VENV / "lib" / ("python%d.%d" % sys.version_info[:2]) / "site-packages"
    return Path(sys.prefix) != VENV or packages.exists()


def _set_up(level: str) -> None:
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _ready(level):  # another script was here first
            return
        if not _sound():
            python = _find_python()
            _say(f"Setting up {VENV} with {python} (once; about a minute) ...")
            if VENV.exists():
                shutil.rmtree(str(VENV))
            _run([python, "-m", "venv", str(VENV)])
        else:
            _say(f"Bringing the packages in {VENV} up to date ...")
            STAMP.unlink()
        _run([str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(ROOT / level)])
        STAMP.write_text("\n".join(_fingerprint(name) for name in LEVELS[: LEVELS.index(level) + 1]))


def _sound() -> bool:
    """Whether there is an environment that was finished once, with the Python that it was made with."""
    if not (PYTHON.exists() and STAMP.exists()):
        return False
    version = _version(str(PYTHON))
    return version is not None and (VENV / "lib" / ("python%d.%d" % version)).exists()


def _find_python() -> str:
    # Not the environment's own, which is about to be removed.
    names = [getattr(sys, "_base_executable", sys.executable)] + [
        "python3.%d" % minor for minor in range(NEWEST[1], OLDEST[1] - 1, -1)
    ]
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


def _version(python: str) -> Optional[Tuple[int, int]]:
    # A version manager's stand-in can be on PATH without a Python behind it, so ask it.
    ask = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.split()
    except OSError:  # another user's
        return None
    return (int(answer[0]), int(answer[1])) if len(answer) == 2 else None


def _succeeds(command: list) -> bool:  # type: ignore[type-arg]
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _run(command: list) -> None:  # type: ignore[type-arg]
    # Ctrl-C is for this program, which then ends the command without the traceback that it would print.
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status:
        _stop(f"That did not work (exit {status}): {' '.join(command)}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _stop(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)
