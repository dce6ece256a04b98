"""The system's Chromium, for the tests of the page and for its screenshots; Playwright's own download is never used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Where it is; None where it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def run(path: str) -> Iterator[Browser]:
    """A browser without a window. It keeps the thread's event loop until its end: nothing else may run async there."""
    from playwright.sync_api import sync_playwright

    # As root it can't have a sandbox, and a container's /dev/shm is often too small for it.
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()
