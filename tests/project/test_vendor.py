"""The page's libraries are what their publishers made, at exact versions, with their licences."""

import re
from pathlib import Path

import pytest

from scripts import _vendor


def test_nothing_under_vendor_was_changed() -> None:
    """Every file has the hash that was written down when it was fetched, and no other file lies there."""
    assert _vendor.differences() == []


@pytest.mark.parametrize("package", _vendor.PACKAGES, ids=lambda package: package.name)
def test_a_licence_stands_beside_each_library(package: _vendor.Package) -> None:
    """Each library comes with the text of the licence under which it may be handed on."""
    (name,) = [name for name in package.files.values() if name.endswith(".LICENSE")]
    text = (_vendor.VENDOR / name).read_text()
    assert {"MIT": "Permission is hereby granted", "Apache-2.0": "Apache License"}[package.licence] in text


@pytest.mark.parametrize("path", sorted(_vendor.VENDOR.glob("*.js")), ids=lambda path: path.name)
def test_a_module_loads_under_a_strict_policy(path: Path) -> None:
    """No module needs an import map, another host, or text that is run as code."""
    text = path.read_text()
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    imported = re.findall(r"""\b(?:from|import)\s*["']([^"']+)["']""", code)
    assert all(name.startswith("./") and (_vendor.VENDOR / name).exists() for name in imported)
    assert not re.search(r"\beval\(|new Function\(", code)


def test_a_changed_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody touched, added or took away is told."""
    for path in _vendor.VENDOR.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(_vendor, "VENDOR", tmp_path)
    monkeypatch.setattr(_vendor, "MANIFEST", tmp_path / "manifest.json")
    (tmp_path / "htm.js").write_text("changed")
    (tmp_path / "more.js").write_text("added")
    (tmp_path / "uplot.css").unlink()
    assert sorted(_vendor.differences()) == ["htm.js was changed", "more.js is in no package", "uplot.css is missing"]
