"""The shape of the project: what Vercel needs to find, and which way knowledge flows."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts._bootstrap import LEVELS
from scripts._functions import function_files

ROOT = Path(__file__).resolve().parent.parent.parent
VERCEL = json.loads((ROOT / "vercel.json").read_text())
PURE = sorted(path for name in ("model", "policy") for path in (ROOT / "lib" / name).rglob("*.py"))
# The smallest plan of Vercel takes no more.
MOST_FUNCTIONS = 12


def test_vercel_names_each_function_by_its_exact_path() -> None:
    """A file that is not named could vanish from a build silently, or run without its time limit."""
    assert set(VERCEL["functions"]) == {str(path) for path in function_files()}
    assert len(VERCEL["functions"]) <= MOST_FUNCTIONS


def test_functions_leave_out_the_same_files() -> None:
    """Vercel merges nothing: each function repeats what its bundle leaves out."""
    assert len({function["excludeFiles"] for function in VERCEL["functions"].values()}) == 1
    assert all(len(function["excludeFiles"]) <= 256 for function in VERCEL["functions"].values())


def test_vercel_takes_the_functions_and_nothing_else() -> None:
    """Without these a framework is guessed, the packages are ignored, or the whole project is published."""
    assert VERCEL["framework"] is None
    assert not (ROOT / "pyproject.toml").exists()
    assert not list((ROOT / "api").rglob("requirements.txt"))
    assert (ROOT / "public" / "index.html").is_file()


def test_a_page_can_neither_be_framed_nor_run_foreign_script() -> None:
    """The headers are part of what keeps the admin's key safe in the browser."""
    everywhere = {header["key"]: header["value"] for header in VERCEL["headers"][0]["headers"]}
    assert VERCEL["headers"][0]["source"] == "/(.*)"
    assert "default-src 'none'" in everywhere["Content-Security-Policy"]
    assert "unsafe" not in everywhere["Content-Security-Policy"]
    assert everywhere["X-Content-Type-Options"] == "nosniff"
    assert everywhere["X-Frame-Options"] == "DENY"


def test_requirements_are_flat_and_pinned() -> None:
    """Vercel refuses other lines, and an unpinned package would float from deployment to deployment."""
    below = None
    for name in LEVELS:
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        if below:
            lines.remove(f"-r {below}")
        below = name
        assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; python_version .*)?", line)] == []


def launchers() -> list[Path]:
    """The programs for people."""
    return sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)


@pytest.mark.parametrize("script", launchers(), ids=lambda path: path.name)
def test_each_script_runs_and_explains_itself(script: Path) -> None:
    """Whoever does not know a script asks it."""
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env python3\n")
    help_text = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    assert f"scripts/{script.name}" in help_text


def test_a_script_whose_output_nobody_reads_ends_quietly() -> None:
    """As `./scripts/explain ... | head` does: no traceback, and the exit code that a shell shows for a closed pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    program = "from scripts._bootstrap import let_the_reader_leave; let_the_reader_leave(); print('told')"
    with os.fdopen(writer) as closed:
        ended = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_script_that_is_interrupted_in_its_set_up_ends_quietly() -> None:
    """Ctrl-C while packages are installed or loaded: no traceback, and the exit code that a shell shows for it."""
    program = "from scripts._bootstrap import let_the_reader_leave; let_the_reader_leave(); raise KeyboardInterrupt"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_nobody_imports_a_function() -> None:
    """A function file is an entrance: what two of them share lives in `lib`."""
    for folder in ("api", "lib"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not [name for name in imports(path) if name.split(".")[0] in ("api", "scripts", "tests")], path


def test_every_module_has_its_layer() -> None:
    """A module that the import contract does not know would escape it."""
    contract = configparser.ConfigParser()
    contract.read(ROOT / "setup.cfg")
    known = set(re.findall(r"lib\.(\w+)", contract["importlinter:contract:layers"]["layers"]))
    modules = {path.stem for path in (ROOT / "lib").iterdir() if not path.name.startswith("_")}
    assert modules <= known


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_deciding_reads_no_clock_no_chance_and_no_environment(path: Path) -> None:
    """`now` is an argument: the same facts give the same decision, today and in a test."""
    clocks = {"now", "utcnow", "today", "time", "monotonic", "environ", "getenv", "open", "print", "input"}
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)) | ast.Attribute(attr=name):
                assert name not in clocks, f"{path.name}:{node.lineno}"


def imports(path: Path) -> list[str]:
    """The full name of every module that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                names += [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module)):
                names.append(module)
    return names
