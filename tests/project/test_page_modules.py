"""The page begins with one journey: every module that it needs is named at the beginning, and each is there."""

import re

from scripts import _page

INLINE = re.compile(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", re.IGNORECASE)


def test_the_page_names_all_of_its_modules() -> None:
    """`python -m scripts._page` was run after the last module came or went."""
    assert _page.INDEX.read_text() == _page.page()


def test_every_module_is_used_and_there() -> None:
    """What is imported exists, and no module lies there that nothing imports; uPlot comes when something is drawn."""
    modules = _page.modules()
    assert [path for path in modules if not (_page.PUBLIC / path.lstrip("/")).is_file()] == []
    there = {f"/{path.relative_to(_page.PUBLIC)}" for path in (_page.PUBLIC / "app").rglob("*.js")}
    assert there - set(modules) == set()
    assert "/vendor/uplot.js" not in modules


def test_nothing_is_inline() -> None:
    """The policy allows neither scripts nor styles within the page."""
    assert INLINE.findall(_page.INDEX.read_text()) == []
    for path in (_page.PUBLIC / "app").rglob("*.js"):
        assert not re.search(r"<\w[^>]*\sstyle=|innerHTML|\beval\(", path.read_text()), path
