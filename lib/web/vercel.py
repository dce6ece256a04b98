"""What Vercel's runtime looks for at each request, and finds only where a function wants it.

The runtime (`vercel_runtime`, 0.23.2) imports `vercel.headers` and `vercel.cache` at every request. Where they are
missing it searches the whole path each time. Where they are there it makes a client of the runtime cache for each
request that the platform sends on, which reads all certificates anew: 21 ms of CPU. A name that is `None` in
`sys.modules` can't be imported, and Python says so without a search: the runtime then goes on as for all who have not
installed the package.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import cast

# The client of the cache else keeps a record of each call until the process ends, and sends them all away then. It
# looks when it is imported, which no module of ours does at its top.
os.environ.setdefault("VERCEL_TELEMETRY_DISABLED", "1")

_ASKED_FOR = ("vercel.headers", "vercel.cache")


def keep_cache_out() -> None:
    """Let Vercel's runtime find no client of its cache; elsewhere it does nothing."""
    if "vercel_runtime" in sys.modules:
        for name in _ASKED_FOR:
            sys.modules.setdefault(name, cast(ModuleType, None))


def let_cache_in() -> None:
    """Let Vercel's runtime hand its cache to each request: `vercel.cache.get_cache()` finds it then."""
    for name in _ASKED_FOR:
        if sys.modules.get(name, name) is None:
            del sys.modules[name]
