"""A shop to buy in: the functions of one deployment that sells, and what its buyers send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.world import ADMIN_KEY, World

ROOT = Path(__file__).resolve().parent.parent.parent

SELLS = {
    "CHECKOUT_SUCCESS_URL": "https://www.shop.test/thanks",
    "CHECKOUT_CANCEL_URL": "https://www.shop.test/plans",
    "PORTAL_RETURN_URL": "https://www.shop.test/account",
    "ALLOWED_ORIGINS": "https://www.shop.test",
}
WISH = {"priceId": "price_basic_monthly", "email": "ada@example.com", "domain": "shop.example"}
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


@asynccontextmanager
async def open_shop(world: World, **environ: str) -> AsyncIterator[httpx.AsyncClient]:
    """The functions of a deployment that sells."""
    async with world.functions(**{**SELLS, **environ}) as client:
        yield client


def wish(**others: Any) -> dict[str, Any]:
    """What somebody wants to buy; `None` takes a field away."""
    return {name: value for name, value in {**WISH, **others}.items() if value is not None}


def orders(world: World) -> list[dict[str, Any]]:
    """Every order, oldest first."""
    return world.sql("SELECT * FROM orders ORDER BY created_at, order_id")


def sessions(world: World, status: str | None = None) -> list[dict[str, Any]]:
    """Every Checkout session at Stripe, oldest first."""
    found = list(world.stripe.tables["checkout.session"].values())
    return [session for session in found if status in (None, session["status"])]


def moved(world: World, order_id: str, state: str) -> None:
    """Let the order be in a state, as its own pass would write it."""
    dates = {"paid": "paid_at = now()", "expired": "ended_at = now()", "failed": "ended_at = now()"}

    world.sql(
        f"UPDATE orders SET state = %s{', ' + dates[state] if state in dates else ''} WHERE order_id = %s",  # noqa: S608
        state,
        order_id,
    )
