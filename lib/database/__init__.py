"""The only package that knows SQL: one function for each statement, in the module of what it is about.

`connection` the handle, `migrate` the schema; `events` the inbox, `due` the queue, `memory` customers and services,
`ledger` the actions, `money` disputes and refunds; `brake`, `shadow` and `sweeps` what their names say, `comparison`
what a sweep compares; `work` and `dashboard` for operators, `adoption` and `erasure` for their scripts.
"""

from lib.database.connection import Database
from lib.database.migrate import latest_version, migrate, schema_version

__all__ = ["Database", "latest_version", "migrate", "schema_version"]
