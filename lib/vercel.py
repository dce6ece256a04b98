"""What Vercel's runtime looks for on its own account, and is told is not there.

A name that is `None` in `sys.modules` can't be imported, and Python says so without a search; the runtime
(`vercel_runtime`, 0.23.2) then goes on as for all who have not installed the package. Elsewhere nothing is kept out.

`vercel.headers`, `vercel.cache`: imported at every request. Where they are missing it searches the whole path each
time. Where they are there it makes a client of the runtime cache for each request that the platform sends on, which
reads all certificates anew: 21 ms of CPU.

`urllib3`: imported at start, to time its requests. That is the Stripe SDK's `requests`, which is not used here, and
Sentry's.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import cast

# The client of the cache else keeps a record of each call until the process ends, and sends them all away then. It
# looks when it is imported, which no module of ours does at its top.
os.environ.setdefault("VERCEL_TELEMETRY_DISABLED", "1")

_CACHE = ("vercel.headers", "vercel.cache")


def keep_out() -> None:
    """Let Vercel's runtime find nothing that a function does not want."""
    if "vercel_runtime" in sys.modules:
        for name in (*_CACHE, "urllib3"):
            sys.modules.setdefault(name, cast(ModuleType, None))


def let_in(*names: str) -> None:
    """Let them be imported after all."""
    for name in names:
        if sys.modules.get(name, name) is None:
            del sys.modules[name]


def let_cache_in() -> None:
    """Let Vercel's runtime hand its cache to each request: `vercel.cache.get_cache()` finds it then."""
    let_in(*_CACHE)
