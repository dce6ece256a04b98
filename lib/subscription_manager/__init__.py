"""The application in a few verbs: accept an event, drain what is due, reconcile one customer, sweep everything.

`drain` claims, `runner` keeps and settles what `kinds` runs. `customer` is one pass: `questions` asks Stripe what a
decision needs besides, `apply` acts (or `dry` does as if), `write_ahead` writes each intent before its call,
`interrupted` finds out what an earlier pass left open, `memory_writer` writes down what is remembered. `sweep` compares
in bulk, `process` is the one manager of this process.
"""

from lib.subscription_manager.drain import Drained
from lib.subscription_manager.manager import SubscriptionManager
from lib.subscription_manager.process import manager
from lib.subscription_manager.report import PassReport

__all__ = ["Drained", "PassReport", "SubscriptionManager", "manager"]
