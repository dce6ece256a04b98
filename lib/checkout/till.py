"""Who acts on an order by hand, by a bank or by a courier; and that each act happens once under its caller's key.

A key is its caller's own: the same word of somebody else, or for another verb, is another key.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lib.config import Settings
from lib.database import Database, acts
from lib.model.money import Order
from lib.model.provider import Provider

if TYPE_CHECKING:
    from lib.database.connection import Connection


class Till(Struct, frozen=True):
    """What every verb needs."""

    settings: Settings
    db: Database
    actor: str
    """The name behind the key: an operator, a bank's import, a courier."""
    key: str | None = None
    """The caller's own `Idempotency-Key`."""
    collects: frozenset[Provider] | None = None
    """Of whose open orders alone they may tell that money came; `None`: of every offline order, as an operator may."""

    @property
    def cause(self) -> str:
        return f"admin:{self.actor}"

    def own_key(self, verb: str) -> str | None:
        """The key as it is kept: nobody else's key is the same, and another verb's neither."""
        if self.key is None:
            return None
        return "offline:" + hashlib.sha256(f"{verb}\n{self.actor}\n{self.key}".encode()).hexdigest()

    def act(self, verb: str, order_id: str, **words: Any) -> acts.Act | None:
        """An act with all that was said, as it stands for its key; `None`: the caller gave no key.

        The digest is of the caller's own key as well, which is kept nowhere: nobody finds an address in it.
        """
        key = self.own_key(verb)
        if key is None:
            return None
        said = json.dumps([self.key, verb, order_id, words], sort_keys=True, default=str)
        return acts.Act(key, order_id, hashlib.blake2b(said.encode(), digest_size=16).hexdigest())


class Done(Struct, frozen=True):
    """An order after a verb, and whether the verb had been done before."""

    order: Order
    repeated: bool = False


async def done_before(connection: Connection, act: acts.Act | None) -> bool:
    """Note that an act is done, in its own transaction; True: it had been done, and nothing is to be done now.

    The caller holds the order's row, and does what it says in the same transaction, or raises.

    Raises:
        Declined: the key stands for another act.
    """
    return act is not None and not await acts.note(connection, act)
