"""The very first call in a fresh checkout: an environment no larger than needed, wherever the folder is or goes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from scripts import _checks
from scripts._bootstrap import DEVELOPER, LEVELS, RUNTIME
from scripts._postgres import free_port
from tests.tools import require_tool
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
SERVING = ("serve", "worker", "migrate", "doctor", "explain", "sweep", "adopt", "forget")
PARTS = ("api", "lib", "public", "scripts", "vercel.json", *LEVELS)


def check_out(place: Path) -> Path:
    """What runs, as a fresh checkout has it: no environment, no local data."""
    place.mkdir(parents=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / name)
    return place


def call(checkout: Path, script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A script of that checkout, with the Python of the system, to its end."""
    return subprocess.run(
        [_outer_python(), checkout / "scripts" / script, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _outer_python() -> str:
    """A Python outside of any environment, as a first call finds it."""
    return str(getattr(sys, "_base_executable", sys.executable))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose folder has a blank in its name, with the environment that `./scripts/migrate` made."""
    made = check_out(tmp_path_factory.mktemp("first run") / "the bridge")
    assert "DATABASE_URL" in call(made, "migrate").stderr
    return made


def test_serving_needs_no_toolbox(checkout: Path) -> None:
    """The functions' packages and a web server: no test tool, no linter, no embedded database."""
    (packages,) = (checkout / ".venv/lib").glob("python3*/site-packages")
    names = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    wanted = {
        line.partition("==")[0].replace("-", "_")
        for name in LEVELS[: LEVELS.index(RUNTIME) + 1]
        for line in (checkout / name).read_text().splitlines()
        if "==" in line
    }
    assert names - {"pip", "setuptools"} == wanted


@pytest.mark.parametrize("script", SERVING)
def test_each_script_of_an_operator_runs_on_it(checkout: Path, world: World, script: str) -> None:
    """Every one of them does its work with these packages alone, and sets nothing up once more."""
    customer = world.customer()
    world.buy(customer)
    arguments = {"explain": [customer], "forget": [customer], "adopt": ["--by-email"], "sweep": []}.get(script, [])
    if script in ("serve", "worker"):
        ended = until_it_runs(checkout, script, world)
    else:
        ended = call(checkout, script, *arguments, **world.environ)
    assert "Traceback" not in ended.stderr and "ModuleNotFoundError" not in ended.stderr
    assert "Setting up" not in ended.stderr and "up to date ..." not in ended.stderr
    if script == "sweep":
        assert world.panel.world()["websites"] == 1
    said = {
        "serve": "Serving on", "worker": "worker_stopped", "migrate": "up to date", "doctor": "fine,",
        "explain": "Truth", "sweep": "COUNTED", "adopt": "Customers:", "forget": "holds nothing",
    }  # fmt: skip
    assert said[script] in ended.stdout + ended.stderr


def until_it_runs(checkout: Path, script: str, world: World) -> subprocess.CompletedProcess[str]:
    """A script without end, from its first line until SIGTERM has ended it."""
    port = free_port()
    with subprocess.Popen(
        [_outer_python(), checkout / "scripts" / script, *(["--port", str(port)] if script == "serve" else [])],
        env={**os.environ, **world.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if script == "serve":
            assert httpx.get(f"http://127.0.0.1:{port}/", timeout=60).status_code == 200
        process.send_signal(signal.SIGTERM)
        rest, wrong = process.communicate(timeout=60)
    assert process.returncode == 0, wrong
    return subprocess.CompletedProcess([], 0, first + rest, wrong)


def test_a_moved_checkout_goes_on(checkout: Path, tmp_path: Path) -> None:
    """Its environment goes along."""
    moved = tmp_path / "moved here"
    shutil.copytree(checkout, moved, symlinks=True)
    ended = call(moved, "migrate")
    assert ended.returncode == 2
    assert "Setting up" not in ended.stderr
    assert "DATABASE_URL" in ended.stderr


def test_no_check_goes_by_a_program_that_names_its_interpreter() -> None:
    """Programs of an environment begin with the path where it was made; a moved checkout has them elsewhere."""
    for _, command in _checks._linters():
        assert command[0] == sys.executable and command[1] in ("-m", "-c")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout without an environment that others may enter too, for what never gets as far as making one."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", tmp_path.name)) or folder == tmp_path.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    return check_out(tmp_path / "bare")


def test_an_environment_of_another_user_is_named_with_the_remedy(bare: Path) -> None:
    """Root came first, with a Python in a folder that is root's alone; the next user reads what to remove."""
    closed = bare / "closed"
    (closed / "bin").mkdir(parents=True)
    (bare / ".venv/bin").mkdir(parents=True)
    (bare / ".venv/bin/python").symlink_to(closed / "bin" / "python3")
    (bare / ".venv/.requirements").write_text("whatever")
    closed.chmod(0)
    as_user = []
    if os.geteuid() == 0:
        as_user = [require_tool("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or _outer_python()
    ended = subprocess.run(
        [*as_user, python, bare / "scripts" / "serve"], capture_output=True, text=True, timeout=60, check=False
    )
    closed.chmod(0o700)
    assert ended.returncode == 1
    assert "belongs to another user" in ended.stderr
    assert f"rm -rf '{bare / '.venv'}'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_or_closed_disk_is_one_sentence(bare: Path, number: int) -> None:
    """What can't be written is named, and why."""
    program = (
        "import sys, pathlib, runpy\n"
        f"def full(self, *a, **k): raise OSError({number}, __import__('os').strerror({number}), str(self))\n"
        "pathlib.Path.mkdir = full\n"
        "sys.argv = ['scripts/serve']\n"
        "runpy.run_path('scripts/serve', run_name='__main__')\n"
    )
    ended = subprocess.run(
        [_outer_python(), "-c", program], cwd=bare, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == f"{bare / '.local'} can't be written: {os.strerror(number)}.\n"


def test_ctrl_c_while_it_is_set_up_leaves_something_that_goes_on(bare: Path) -> None:
    """No traceback of ours, of venv or of pip; and what is there half is never taken for an environment."""
    with subprocess.Popen(
        [_outer_python(), bare / "scripts" / "serve"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert "Setting up" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert rest == ""
    assert not (bare / ".venv/.requirements").exists()


def test_the_levels_hold_each_other() -> None:
    """Whoever has the developers' tools can serve, too."""
    assert LEVELS == ("requirements.txt", RUNTIME, DEVELOPER)
    for below, name in pairwise(LEVELS):
        assert f"-r {below}\n" in (ROOT / name).read_text()
