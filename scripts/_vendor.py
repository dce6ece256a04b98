"""The page's libraries, committed under public/vendor: fetched from npm at exact versions, licences and hashes beside.

    python -m scripts._vendor            fetch them anew and write the manifest (needs npm)
    python -m scripts._vendor --check    compare what lies there with the manifest; needs no network

There is no build and no CDN: the modules are served as they are. The page's Content-Security-Policy allows no import
map, so the one bare import that they hold is written as a path.
"""

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "public" / "vendor"
MANIFEST = VENDOR / "manifest.json"


@dataclass(frozen=True)
class Package:
    """One npm package, and which of its files the page loads under which names."""

    name: str
    version: str
    licence: str
    files: dict[str, str]
    """Path in the package -> name under public/vendor."""


PACKAGES = (
    Package(
        "preact", "11.2.0", "MIT",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "preact-hooks.js", "LICENSE": "preact.LICENSE"},
    ),
    Package("htm", "3.1.1", "Apache-2.0", {"dist/htm.mjs": "htm.js", "LICENSE": "htm.LICENSE"}),
    Package(
        "uplot", "1.6.32", "MIT",
        {"dist/uPlot.esm.js": "uplot.js", "dist/uPlot.min.css": "uplot.css", "LICENSE": "uplot.LICENSE"},
    ),
)  # fmt: skip
REWRITTEN = {'from"preact"': 'from"./preact.js"', "from 'preact'": "from './preact.js'"}
"""Bare imports, which only an import map could resolve."""


def fetch(package: Package) -> Iterator[tuple[str, bytes]]:
    """Each file of a package that the page needs: (name, content)."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / packed) as archive:
            for path, name in package.files.items():
                member = archive.extractfile(f"package/{path}")
                assert member is not None
                content = member.read()
                if name.endswith(".js"):
                    content = _as_served(content.decode()).encode()
                yield name, content


def _as_served(text: str) -> str:
    for bare, path in REWRITTEN.items():
        text = text.replace(bare, path)
    lines = (line for line in text.splitlines() if not line.startswith("//# sourceMappingURL"))
    return "\n".join(lines) + "\n"


def write() -> None:
    """Fetch everything and write the manifest."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {}
    for package in PACKAGES:
        files = {}
        for name, content in fetch(package):
            (VENDOR / name).write_bytes(content)
            files[name] = hashlib.sha256(content).hexdigest()
        manifest[package.name] = {"version": package.version, "licence": package.licence, "sha256": files}
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")


def differences() -> list[str]:
    """What lies under public/vendor and is not what the manifest says, and what the manifest lacks."""
    manifest = json.loads(MANIFEST.read_text())
    wanted = {package.name: (package.version, package.licence) for package in PACKAGES}
    found = {name: (entry["version"], entry["licence"]) for name, entry in manifest.items()}
    wrong = [] if found == wanted else [f"the manifest names {found}, not {wanted}"]
    hashes = {name: digest for entry in manifest.values() for name, digest in entry["sha256"].items()}
    there = {path.name: path for path in VENDOR.iterdir() if path != MANIFEST}
    wrong += [f"{name} is missing" for name in hashes if name not in there]
    wrong += [f"{name} is in no package" for name in there if name not in hashes]
    for name, digest in hashes.items():
        if name in there and hashlib.sha256(there[name].read_bytes()).hexdigest() != digest:
            wrong.append(f"{name} was changed")
    return wrong


def main() -> None:
    """Fetch, or check."""
    parser = argparse.ArgumentParser(prog="python -m scripts._vendor", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    if not parser.parse_args().check:
        write()
    elif wrong := differences():
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
