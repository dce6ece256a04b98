"""Names that a package offers and that stand in modules of it, each module loaded when one of its names is wanted.

What a function imports is on the bill of its cold start. With this, `from lib.model import Claim` costs one module
instead of all of them. For type checkers the package imports the same names plainly; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(package: str, modules: str = "", /, **names: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562).

    Args:
        modules: those that it gives as such, with spaces between: ``database.due`` loads one when it is reached.
        names: of each module, what it gives: the names with spaces between. None is called like a module of the
            package: that name would be the module once somebody has imported it.
    """
    whole = frozenset(modules.split())
    homes = {name: module for module, given in names.items() for name in given.split()}

    def find(name: str) -> Any:
        if name in whole:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, found)  # it is asked once
        return found

    return find
