"""The Vercel CLI, pinned, in a folder of its own: it builds the bundle as a deployment would, without an account."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

VERSION = "64.0.2"
FOLDER = Path(__file__).resolve().parent.parent / ".local" / "vercel-cli"
# The builder pins a package that we never use to one exact version, which npm does not always have yet.
PACKAGE = {"private": True, "dependencies": {"vercel": VERSION}, "overrides": {"sandbox": "^4.0.0"}}


class NoVercelError(Exception):
    """The CLI can't be had here; the message says what is missing."""


def install() -> Path:
    """Return the program, installed from npm on first use."""
    program = FOLDER / "node_modules" / ".bin" / "vercel"
    stamp = FOLDER / "installed"
    if program.exists() and stamp.exists() and stamp.read_text() == VERSION:
        return program
    npm = shutil.which("npm")
    if npm is None:
        raise NoVercelError("npm is missing: install npm (Node.js 20 or newer)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (FOLDER / "package.json").write_text(json.dumps(PACKAGE))
        command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoVercelError(f"npm could not install vercel {VERSION}: {done.stderr.strip()[-500:]}")
        stamp.write_text(VERSION)
    return program


if __name__ == "__main__":
    print(install())
