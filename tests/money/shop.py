"""A shop in front of the world: purchases that are begun here or elsewhere, told of in any order, with their orders."""

import json
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from lib.database import orders
from lib.model import Lane
from lib.model.money import FrozenRequest, OrderMode, OrderState
from lib.structs import replace
from scripts.sim.stripe_sim import Obj
from tests.money.goods import order, terms
from tests.world import World

ON = {"ORDERS": "on"}

OURS = (Lane.STRIPE, Lane.PANEL)
"""What goes out to others stays written: it is not what these tests are about."""

BASIC, ONCE = "price_basic_monthly", "price_setup_once"


class Shop:
    """Sells through Stripe's pages, and looks at what became of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stripe = world.stripe
        if ONCE not in self.stripe.prices:
            self.stripe.create_price(ONCE, amount=5000, interval=None)
            world.map_price(ONCE, None, kind="ignore")

    # --- buying ---

    async def begin(self, price: str = BASIC, domain: str = "shop.example", **columns: Any) -> tuple[str, str]:
        """Our own checkout has written an order and made its session: (order, session)."""
        order_id = str(uuid.uuid4())
        mode = OrderMode.PAYMENT if self.stripe.prices[price]["recurring"] is None else OrderMode.SUBSCRIPTION
        request = self.request(price, mode, order_id, domain)
        session = self.stripe.create_checkout(**request)
        at = datetime.fromtimestamp(session["created"], UTC)
        wanted = terms(billing_plan_id=price, domain=domain, mode=mode, seller_id=columns.pop("seller_id", None))
        made = order(
            wanted,
            id=order_id,
            created_at=at,
            livemode=False,
            buyer=None,
            request=FrozenRequest(request, 1, at),
            currency=session["currency"],
            amount=session["amount_subtotal"],
            session_id=session["id"],
            session_url=session["url"],
            expires_at=datetime.fromtimestamp(session["expires_at"], UTC),
        )
        async with self.world.bridge(**ON) as bridge, bridge.db.transaction() as connection:
            assert await orders.begin(connection, replace(made, **columns), "checkout")
        return order_id, str(session["id"])

    def request(self, price: str, mode: OrderMode, order_id: str, domain: str) -> dict[str, Any]:
        """What our checkout asks Stripe for."""
        metadata = {"order_id": order_id, "domain": domain}
        data = "subscription_data" if mode is OrderMode.SUBSCRIPTION else "payment_intent_data"
        return {
            "mode": mode.value,
            "line_items": [{"price": price, "quantity": 1}],
            "client_reference_id": order_id,
            "success_url": "https://shop.example/thanks",
            "metadata": metadata,
            data: {"metadata": metadata},
            **({"customer_creation": "always"} if mode is OrderMode.PAYMENT else {}),
        }

    def link(self, price: str = BASIC, **more: Any) -> str:
        """Somebody opens a Payment Link of the operator's: a session that we never heard of."""
        recurring = self.stripe.prices[price]["recurring"] is not None
        session = self.stripe.create_checkout(
            mode="subscription" if recurring else "payment",
            line_items=[{"price": price, "quantity": 1}],
            success_url="https://shop.example/thanks",
            **more | ({} if recurring else {"customer_creation": "always"}),
        )
        session["payment_link"] = "plink_1"
        return str(session["id"])

    # --- telling ---

    async def hear(self, events: Iterable[Obj] | None = None, /, **environ: str) -> None:
        """Everything that Stripe wants to tell, or these events in this order, is accepted and worked on."""
        async with self.world.bridge(**ON, **environ) as bridge:
            for event in self.stripe.undelivered() if events is None else events:
                await bridge.accept([json.dumps(event).encode()])
                self.stripe.mark_delivered(event)
        await self.rest(**environ)

    async def rest(self, **environ: str) -> None:
        """Let everything run that is due, and what waits for a date, until nothing changes any more."""
        async with self.world.bridge(**ON, **environ) as bridge:
            self.world.hurry()  # the leases of the dead run out
            await bridge.drain(deadline=time.monotonic() + 120, lanes=OURS)
            for _ in range(8):
                if all(row["parked_reason"] for row in self.due()):
                    return
                before = self.books()
                self.world.hurry()
                await bridge.drain(deadline=time.monotonic() + 120, lanes=OURS)
                if self.books() == before:
                    return

    async def sweep(self, **environ: str) -> None:
        """A whole sweep, and whatever it made due."""
        async with self.world.bridge(**ON, **environ) as bridge:
            report = await bridge.sweep(deadline=time.monotonic() + 120)
        assert (report.finished, report.errors) == (True, {})
        await self.rest(**environ)

    def due(self) -> list[dict[str, Any]]:
        """What is left in the queue of orders and payments."""
        return [row for row in self.world.due() if row["kind"] in ("order", "payment", "refund", "charge", "dispute")]

    # --- looking ---

    def books(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that is kept of money."""
        read = "SELECT * FROM {} ORDER BY 1, 2"
        tables = ("orders", "payments", "refunds", "disputes", "order_steps")
        return {name: self.world.sql(read.format(name)) for name in tables}

    def order(self, order_id: str | None = None) -> dict[str, Any]:
        """An order's row; the only one there is, without an id."""
        found = [row for row in self.world.sql("SELECT * FROM orders") if order_id in (None, str(row["order_id"]))]
        assert len(found) == 1, found
        return found[0]

    def payments(self, order_id: str | None = None) -> list[dict[str, Any]]:
        """The payments of an order, oldest first."""
        rows = self.world.sql("SELECT * FROM payments ORDER BY attempt")
        return [row for row in rows if order_id in (None, str(row["order_id"]))]

    def steps(self, kind: str = "order") -> list[tuple[str, str | None]]:
        """(state, fact) of the log's lines of one kind."""
        rows = self.world.sql("SELECT state, fact FROM order_steps WHERE kind = %s ORDER BY id", kind)
        return [(row["state"], row["fact"]) for row in rows]


def adds_up(payment: dict[str, Any]) -> None:
    """The numbers of a payment are there, and their sums hold."""
    assert payment["settled_at"] is not None, payment
    on_top = (payment["tax"] or 0) - (payment["tax_included"] or 0)
    total = payment["subtotal"] - (payment["discount"] or 0) + (payment["shipping"] or 0) + on_top
    assert payment["total"] == total
    assert payment["net"] == payment["gross"] - payment["provider_fee"]
    if payment["balance_currency"] == payment["currency"]:
        assert payment["gross"] == payment["paid"]
    told = {name for name in ("subtotal", "total", "paid", "gross", "provider_fee", "net") if payment[name] is not None}
    assert told <= set(payment["sources"])


def one_paid_order(shop: Shop, order_id: str | None = None, total: int = 1900) -> dict[str, Any]:
    """Exactly one paid order with one payment whose parts add up; its row."""
    row = shop.order(order_id)
    assert row["state"] == OrderState.PAID
    (payment,) = shop.payments()
    adds_up(payment)
    assert (payment["state"], payment["attempt"], payment["total"], row["total"]) == ("succeeded", 1, total, total)
    assert [step for step in shop.steps() if step[1] == "paid"] == [("succeeded", "paid")]
    assert shop.steps("breakdown") == [("succeeded", None)]
    assert shop.due() == []
    return row
