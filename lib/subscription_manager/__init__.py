"""The application in a few verbs: accept an event, drain what is due, reconcile one customer, sweep everything.

`drain` claims, `runner` keeps and settles what `lib.kinds` names. `customer` is one pass: `truth` says who pays for
what, `apply` acts (or `dry` does as if), `write_ahead` writes each intent before its call, `interrupted` finds out what
an earlier pass left open, `memory_writer` writes down what is remembered. `sweep` compares in bulk.
"""

from typing import TYPE_CHECKING

from lib.lazily import lazily
from lib.subscription_manager.manager import SubscriptionManager

if TYPE_CHECKING:
    from lib.subscription_manager.drain import Drained
else:
    __getattr__ = lazily(__name__, drain="Drained")

__all__ = ["Drained", "SubscriptionManager"]
