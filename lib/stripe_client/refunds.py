"""Refunds that an operator asks for: made once, and found again when an answer was lost."""

from __future__ import annotations

from typing import Any

from lib.model import Refund
from lib.stripe_client.shapes import read_refund
from lib.stripe_client.writes import Writes

REFUNDS = "/v1/refunds"


class RefundWrites(Writes):
    """Refunds made, and looked for."""

    async def create_refund(self, charge_id: str, amount: int, request_id: str, key: str) -> Refund:
        """The refund that a request of ours asks for; asked again with the same key, the same one.

        Raises:
            Refused: Stripe decided against it: refunded already, disputed, or more than is left.
        """
        asked: dict[str, Any] = {
            "charge": charge_id,
            "amount": amount,
            "reason": "requested_by_customer",
            "metadata": {"request_id": request_id},
        }
        return read_refund(await self.post(REFUNDS, key, asked))

    async def refund_asked_for(self, charge_id: str, amount: int, request_id: str) -> Refund | None:
        """The refund of a charge that a request of ours led to; `None`: there is certainly none.

        Anybody may have written the id of a request into the metadata of another refund: the amount must fit, too.
        """
        async for thing in self.each(REFUNDS, charge=charge_id):
            refund = read_refund(thing)
            if (refund.request_id, refund.amount) == (request_id, amount):
                return refund
        return None
