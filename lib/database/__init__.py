"""The only package that knows SQL: one function for each statement, in the module of its table.

`connection` the handle, `migrate` the schema, `events` the inbox, `due` the queue, `memory` customers and services,
`ledger` the actions.
"""

from lib.database.connection import Database
from lib.database.migrate import latest_version, migrate, schema_version

__all__ = ["Database", "latest_version", "migrate", "schema_version"]
