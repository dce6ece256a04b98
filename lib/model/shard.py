"""Which of several deployments a customer is served by, where one account's customers are split over databases."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from lib.model.customer_key import CustomerKey


def shard_of(customer_id: str, count: int) -> int:
    """The shard, from 0, of a customer of Stripe's among so many.

    The database has the same function under the same name. It is the id's alone and never changes: with twice as many
    shards, half of those of shard `n` stay and the others are those of shard `n + count`.
    """
    return int.from_bytes(hashlib.sha256(customer_id.encode()).digest()[:4]) % count


class Shard(Struct, frozen=True):
    """One of `count` deployments with a database each, that together serve the customers of one account."""

    number: int
    count: int

    def holds(self, customer: str | None) -> bool:
        """Whether a customer is served here; `None`: whatever belongs to nobody, which is the first one's.

        Customers of other providers than Stripe are served where somebody entered them.
        """
        if customer is None:
            return self.number == 0
        key = CustomerKey.read(customer)
        return key.provider.offline or shard_of(key.id, self.count) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
