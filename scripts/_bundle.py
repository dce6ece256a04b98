"""The bundle that a deployment builds: made here by the real builder, and run by Vercel's own runtime."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import _vercel

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

    def start(self, path: str, folder: Path, socket: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a function that was unpacked there, in an environment of its own; it reports on the Unix socket."""
        own = {"PATH": os.environ["PATH"], "VERCEL_IPC_PATH": socket, **self.function(path)["environment"]}
        return subprocess.Popen(
            [str(self.python), "-c", "import vc__handler__python"], cwd=folder, env={**own, **environment}
        )


def build(project: Path, environment: Mapping[str, str], *, only: Collection[str] = ()) -> Bundle:
    """Build a fresh copy of the working tree, ignored files left out.

    Args:
        environment: what the build knows; with `VERCEL_PYTHON_COMPILEALL=1`, which Vercel's own machines have, the
            compiled files are in the bundle.
        only: these functions (`api/webhook.py`), which takes a fraction of the time; all where it is empty.

    Raises:
        NoVercelError: a tool is missing.
    """
    python, version = offered_python()
    vercel = _vercel.install()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    if only:
        _leave_out(project, only)
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
    if built.returncode:
        raise RuntimeError(f"vercel build failed:\n{built.stdout}")
    return Bundle(project, python)


def _leave_out(project: Path, only: Collection[str]) -> None:
    settings = json.loads((project / "vercel.json").read_text())
    for name in set(settings["functions"]) - set(only):
        del settings["functions"][name]
        (project / name).unlink()
    (project / "vercel.json").write_text(json.dumps(settings))


def offered_python() -> tuple[Path, str]:
    """Return a Python that Vercel offers too, and its version.

    Raises:
        NoVercelError: none is here.
    """
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
    raise _vercel.NoVercelError("Python 3.12 or newer is missing: install python3.12 (or a later one)")
