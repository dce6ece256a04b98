"""The application in a few verbs: accept an event, drain what is due, reconcile one customer, sweep everything.

`customer` is one pass, `apply` one action in the panel, `sweep` the comparison in bulk, `process` the one manager of
this process.
"""

from lib.subscription_manager.manager import Drained, SubscriptionManager
from lib.subscription_manager.process import manager
from lib.subscription_manager.report import PassReport

__all__ = ["Drained", "PassReport", "SubscriptionManager", "manager"]
