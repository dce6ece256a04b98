"""PgBouncer in transaction mode before the test server, as Neon's pooled address is."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts._postgres import Postgres, free_port, launcher
from tests.tools import require_tool

CONFIG = """
[databases]
* = host=127.0.0.1 port={server} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
log_connections = 0
log_disconnections = 0
"""


@contextmanager
def pooler(postgres: Postgres, folder: Path, *, size: int = 5) -> Iterator[int]:
    """Run PgBouncer with `size` connections to each database; yields its port."""
    program = require_tool("pgbouncer", "pgbouncer")
    port = free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(server=postgres.port, password=postgres.password, port=port, size=size))
    process = subprocess.Popen([*launcher(), program, str(config)], stderr=subprocess.PIPE, text=True, cwd="/")
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "process up" in line:
                break
        else:
            raise AssertionError("PgBouncer did not start")
        yield port
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
