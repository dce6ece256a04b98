"""Who pays, where: the key of a customer, and the one place that writes and reads it as text."""

from __future__ import annotations

from typing import Self

from msgspec import Struct

from lib.model.provider import Provider


class CustomerKey(Struct, frozen=True, order=True):
    """A customer of one billing provider. Two providers may give the same id to different people."""

    provider: Provider
    id: str

    @classmethod
    def stripe(cls, customer_id: str) -> Self:
        """A customer of Stripe's."""
        return cls(Provider.STRIPE, customer_id)

    @classmethod
    def read(cls, text: str) -> Self:
        """The key that was written like that; what names no provider is an id of Stripe's."""
        provider, _, customer_id = text.partition(":")
        if customer_id and provider in _OFFLINE:
            return cls(Provider(provider), customer_id)
        return cls(Provider.STRIPE, text)

    def __str__(self) -> str:
        """As the queue has it in its keys, and as people type it: Stripe's ids are bare."""
        return f"{self.provider.value}:{self.id}" if self.provider.offline else self.id


_OFFLINE = frozenset(provider.value for provider in Provider if provider.offline)
