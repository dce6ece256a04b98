"""The only package that knows SQL: one function for each statement, in the module of what it is about.

`connection` the handle, `schema` what it finds. `events` is the inbox, `due` the queue with its `leases`, `ledger` what
was done. What a pass remembers is read by `customer_memory` and written by `customers`, `services` and `subscriptions`;
`money_back` holds disputes and refunds, `operator_edits` what a person changes. `brake`, `shadow`, `shards`, `sweeps`
and `plans` are what their names say, `comparison` what a sweep compares. `orders`, `payments`, `refund_requests`,
`offline_money` and `fees` are the money side. `lists` are the operators' pages, `adoption` and `erasure` their scripts.
"""

from typing import TYPE_CHECKING

from lib.database.connection import Database
from lib.lazily import lazily

if TYPE_CHECKING:
    from lib.database import alerts, customers, due, services, shadow, shards, sweeps
    from lib.database.schema import latest_version, migrate, schema_version
else:
    # A webhook stores events, and needs none of these before its answer.
    __getattr__ = lazily(
        __name__,
        "alerts customers due services shadow shards sweeps",
        schema="latest_version migrate schema_version",
    )

__all__ = [
    "Database",
    "alerts",
    "customers",
    "due",
    "latest_version",
    "migrate",
    "schema_version",
    "services",
    "shadow",
    "shards",
    "sweeps",
]
