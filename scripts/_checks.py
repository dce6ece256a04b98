"""Every check and every test, as `./scripts/test` runs them."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
PACKAGES = ["api", "bench", "lib", "scripts", "tests"]


def main() -> None:
    """Run everything, or pytest alone when there are arguments for it; the exit code is 0 only if all is well."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Runs ruff, mypy, import-linter and pytest. With arguments: only pytest, with those arguments.",
        epilog="Example: ./scripts/test tests/policy -k grace. With CI=true a missing tool is a failure.",
    )
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="passed on to pytest")
    parser.parse_known_args()
    arguments = sys.argv[1:]
    os.chdir(ROOT)
    # A file's tests stay together: what they share (a bundle, a running demo) is made once.
    spread = [] if arguments else ["--numprocesses=logical", "--dist=loadfile"]
    pytest = ("pytest", [sys.executable, "-m", "pytest", *spread, *arguments])
    results = [(name, _run(name, command)) for name, command in ([pytest] if arguments else [*_linters(), pytest])]
    print("\nSummary")
    for name, passed in results:
        print(f"  {'ok    ' if passed else 'FAILED'}  {name}")
    raise SystemExit(0 if all(passed for _, passed in results) else 1)


def _linters() -> list[tuple[str, list[str]]]:
    python = [sys.executable, "-m"]
    launchers = [str(path) for path in sorted(Path("scripts").iterdir()) if path.is_file() and not path.suffix]
    return [
        ("ruff check", [*python, "ruff", "check", "--quiet", ".", *launchers]),
        ("ruff format", [*python, "ruff", "format", "--quiet", "--check", ".", *launchers]),
        ("mypy", [*python, "mypy", *PACKAGES]),
        # Not its program: that names the interpreter by a path, which is another one after the checkout was moved.
        ("import-linter", [sys.executable, "-c", LINT_IMPORTS, "--no-cache", "--no-logo"]),
    ]


def _run(name: str, command: list[str]) -> bool:
    print(f"== {name}", flush=True)
    # The linters import nothing, but import-linter looks the packages up on the path.
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode == 0
