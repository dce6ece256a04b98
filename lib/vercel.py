"""What Vercel's runtime looks for on its own account, and is told is not there.

A name that is `None` in `sys.modules` can't be imported, and Python says so without a search; the runtime
(`vercel_runtime`, 0.23.2) then goes on as for all who have not installed the package. Elsewhere nothing is kept out.
What it looks for at each request, `lib.runtime_cache` gives it.

`urllib3`: imported at start, to time its requests. That is the Stripe SDK's `requests`, which is not used here, and
Sentry's.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast


def keep_out() -> None:
    """Let Vercel's runtime find nothing that a function does not want."""
    if "vercel_runtime" in sys.modules:
        sys.modules.setdefault("urllib3", cast(ModuleType, None))


def let_in(*names: str) -> None:
    """Let them be imported after all."""
    for name in names:
        if sys.modules.get(name, name) is None:
            del sys.modules[name]
