"""The only package that knows SQL: one function for each statement, in the module of what it is about.

`connection` the handle, `migrate` the schema. `events` is the inbox, `due` the queue with its `leases`, `ledger` what
was done. What a pass remembers is read by `customer_memory` and written by `customers`, `services` and `subscriptions`;
`money_back` holds disputes and refunds, `operator_edits` what a person changes. `brake`, `shadow`, `shards`, `sweeps`
and `plans` are what their names say, `comparison` what a sweep compares. `orders`, `payments`, `refund_requests`,
`offline_money` and `fees` are the money side. `lists` are the operators' pages, `adoption` and `erasure` their scripts.
"""

from lib.database.connection import Database
from lib.database.migrate import latest_version, migrate, schema_version

__all__ = ["Database", "latest_version", "migrate", "schema_version"]
