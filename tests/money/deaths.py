"""A process that dies in the middle of a pass of money, and all that is written of an order, to compare it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from lib.bridge import Bridge
from lib.database.connection import Write
from tests.killed import Killed, writes
from tests.money.shop import Shop


class Mortal:
    """A process that dies just before the n-th of its steps, and stays dead.

    A step is a statement, the commit of several, or a call: all that the process does for somebody else to see, and
    all that it is told.
    """

    def __init__(self, bridge: Bridge, dies_before: int) -> None:
        self.done: list[str] = []
        """What it did, each step in words."""
        self.changed: list[int] = []
        """The numbers of those steps that change anything: between two of them a death should leave the same behind."""
        self.dead = False
        self._bridge = bridge
        self._dies_before = dies_before

    def step(self, what: str, *, changes: bool = True) -> None:
        """One more step, or the death."""
        if self.dead or len(self.done) + 1 >= self._dies_before:
            self.dead = True
            raise Killed(what)
        self.done.append(what)
        if changes:
            self.changed.append(len(self.done))

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        """Be born: from now on, as long as `patch` lasts, this is what the process of the bridge is."""
        db, stripe, execute = self._bridge.db, self._bridge.stripe, psycopg.AsyncConnection.execute
        transaction, exchange, get, post = db.transaction, db.exchange, stripe.get, stripe.post
        inside: set[Any] = set()

        async def mortal_execute(connection: Any, statement: Any, *given: Any, **named: Any) -> Any:
            self.step(_short(statement), changes=writes(str(statement)) and connection not in inside)
            return await execute(connection, statement, *given, **named)

        async def mortal_exchange(writes: Sequence[Write]) -> Any:
            if len(writes) > 1:  # one alone is sent as any other statement is
                self.step(_short(writes[-1].statement))
            return await exchange(writes)

        @asynccontextmanager
        async def mortal_transaction() -> AsyncIterator[Any]:
            async with transaction() as connection:
                inside.add(connection)
                try:
                    yield connection
                    self.step("commit")
                finally:
                    inside.discard(connection)

        async def mortal_get(path: str, **parameters: Any) -> Any:
            self.step(f"GET {path}", changes=False)
            return await get(path, **parameters)

        async def mortal_post(path: str, key: str, parameters: Any) -> Any:
            self.step(f"POST {path}")
            return await post(path, key, parameters)

        patch.setattr(psycopg.AsyncConnection, "execute", mortal_execute)
        patch.setattr(db, "transaction", mortal_transaction)
        patch.setattr(db, "exchange", mortal_exchange)
        patch.setattr(stripe, "get", mortal_get)
        patch.setattr(stripe, "post", mortal_post)


def _short(statement: Any) -> str:
    return " ".join(str(statement).split())[:70]


_ORDER = (
    "state, escrow, seller_due, amount, currency, total, refunded, disputed, overpaid, cancelled, paid_late,"
    " customer_id IS NULL, subscription_id IS NULL, paid_at IS NULL, ended_at IS NULL, releasable_at IS NULL,"
    " hosted_invoice_url IS NULL"
)
_PAYMENT = (
    "attempt, state, currency, subtotal, discount, tax, total, paid, gross, provider_fee, net, sources::text,"
    " settled_at IS NULL, failure_code"
)
_OF_ORDER = {
    "payments": _PAYMENT,
    "refunds": "amount, status, payment_id IS NULL, note",
    "disputes": "amount, status, payment_id IS NULL",
    "order_steps": "kind, state, fact, from_state, to_state, attempt, error",
    "notices": "kind, status",
}


def effects(shop: Shop, order_id: str) -> dict[str, Any]:
    """All that is written of an order and told about it, without times and ids; how often each line is there."""
    found: dict[str, Any] = {"orders": _lines(shop, "orders", _ORDER, order_id)}
    found |= {table: _lines(shop, table, columns, order_id) for table, columns in _OF_ORDER.items()}
    said = [json.loads(row["body"]) for row in shop.world.sql("SELECT body FROM outbox ORDER BY sequence, id")]
    found["outbox"] = Counter(one["type"] for one in said if one["data"].get("orderId") == order_id)
    left = shop.world.sql("SELECT kind, waits_for, parked_reason, attempts FROM due WHERE lane <> 'out'")
    found["due"] = Counter(tuple(row.values()) for row in left)
    return found


def _lines(shop: Shop, table: str, columns: str, order_id: str) -> Counter[str]:
    statement = f"SELECT ROW({columns})::text AS line FROM {table} WHERE order_id = %s"  # noqa: S608
    return Counter(row["line"] for row in shop.world.sql(statement, order_id))
