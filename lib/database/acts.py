"""What was done to orders under a caller's key, so that the same call, sent again, does nothing more."""

from __future__ import annotations

from msgspec import Struct

from lib.database.connection import Connection, Database
from lib.errors import Declined


class Act(Struct, frozen=True):
    """Something that is done to an order once."""

    key: str
    """Of the caller, as it is kept."""
    order_id: str
    digest: str
    """Of all that was said: other words under the same key are another act."""


async def note(connection: Connection, act: Act) -> bool:
    """Write down that this is done, in the transaction that does it; False: it had been done.

    Of several at one time, all but the first wait for its end.

    Raises:
        Declined: `key_reused`: the key stands for another act.
    """
    cursor = await connection.execute(
        "INSERT INTO order_acts (idempotency_key, order_id, digest) VALUES (%(key)s, %(order)s, %(digest)s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        {"key": act.key, "order": act.order_id, "digest": act.digest},
    )
    if await cursor.fetchone() is not None:
        return True
    cursor = await connection.execute(_FIND, {"key": act.key})
    row = await cursor.fetchone()
    assert row is not None
    _insist_same(act, row["order_id"], row["digest"])
    return False


async def noted(db: Database, act: Act | None) -> bool:
    """Whether this was done, before anything else is looked at that may have changed since.

    Raises:
        Declined: `key_reused`: the key stands for another act.
    """
    row = await db.row(_FIND, {"key": act.key}) if act is not None else None
    if act is None or row is None:
        return False
    _insist_same(act, row["order_id"], row["digest"])
    return True


_FIND = "SELECT order_id::text, digest FROM order_acts WHERE idempotency_key = %(key)s"


def _insist_same(act: Act, order_id: str, digest: str) -> None:
    if digest != act.digest:
        detail = f"this Idempotency-Key stands for something else that was done to order {order_id}: send a new key"
        raise Declined("key_reused", detail)
