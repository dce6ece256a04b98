"""From the form to the frozen numbers: the buyer's fees, tax, a promotion code, other currencies; each sum checked."""

from decimal import Decimal
from typing import Any

import pytest

from lib.model.money import OrderState
from tests.checkout.shop import open_shop, orders, wish
from tests.money.shop import Shop, adds_up
from tests.world import World

PRICE = "price_there"
PAGE = {"CHECKOUT_AUTOMATIC_TAX": "on", "CHECKOUT_PROMOTION_CODES": "on"}


def tariff(world: World, currency: str, kind: str = "buyer_protection", percent: str = "5") -> None:
    """A fee of the operator's, valid from now on."""
    insert = "INSERT INTO fee_rules (kind, percent, currency, valid_from) VALUES (%s, %s, %s, now() - interval '1 day')"
    world.sql(insert, kind, percent, currency)


async def sold(world: World, **page: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What somebody begins to buy by the form: (order, its session at Stripe)."""
    async with open_shop(world, **page) as client:
        answer = await client.post("/api/checkout", json=wish(priceId=PRICE, domain=None, sellerId="anna"))
    assert answer.status_code == 200, answer.text
    (order,) = [row for row in orders(world) if str(row["order_id"]) == answer.json()["orderId"]]
    return order, world.stripe.get(answer.json()["sessionId"])


@pytest.mark.parametrize("interval", ["month", None], ids=["subscription", "once"])
@pytest.mark.parametrize(
    ("currency", "behavior", "amount", "numbers", "exchange", "gross"),
    [
        # without digits behind the point: 2000 and a fee of 5 %, 10 % off, 20 % tax on top
        ("jpy", "exclusive", 2000, (2100, 210, 378, 0, 2268), ("eur", "0.006"), 1361),
        # with three of them
        ("kwd", "exclusive", 10000, (10500, 1050, 1890, 0, 11340), ("eur", "3"), 3402),
        # tax in the prices: 1900 and 95, less 190 and 10, of which 285 and 14 are tax
        ("eur", "inclusive", 1900, (1995, 200, 299, 299, 1795), None, 1795),
        # the account's settings say how: here, on top
        ("usd", "unspecified", 1900, (1995, 200, 359, 0, 2154), ("eur", "0.9"), 1939),
    ],
)
async def test_a_foreign_purchase_with_tax_fee_and_discount_adds_up(
    world: World,
    interval: str | None,
    currency: str,
    behavior: str,
    amount: int,
    numbers: tuple[int, ...],
    exchange: tuple[str, str] | None,
    gross: int,
) -> None:
    """Each number once, in minor units of its own currency, with where it came from; the buyer saw zloty."""
    shop, stripe = Shop(world), world.stripe
    stripe.create_price(PRICE, amount=amount, currency=currency, interval=interval, tax_behavior=behavior)
    world.map_price(PRICE, None, kind="ignore")
    tariff(world, currency)
    stripe.promotion_codes["WELCOME"] = Decimal(10)
    if exchange is not None:
        stripe.exchange[currency] = (exchange[0], Decimal(exchange[1]))
    begun, session = await sold(world, **PAGE)
    assert begun["amount"] == numbers[0] == session["amount_subtotal"]
    stripe.complete_checkout(session["id"], promotion_code="WELCOME", presented=("pln", Decimal("0.5")))
    await shop.hear()
    order, (payment,) = shop.order(), shop.payments()
    adds_up(payment)
    names = ("subtotal", "discount", "tax", "tax_included", "total")
    assert tuple(payment[name] for name in names) == numbers
    assert (order["state"], order["total"], order["fees_total"]) == (OrderState.PAID, numbers[-1], numbers[0] - amount)
    assert (payment["paid"], payment["currency"], payment["gross"]) == (numbers[-1], currency, gross)
    assert payment["balance_currency"] == (exchange[0] if exchange else currency)
    assert payment["exchange_rate"] == (Decimal(exchange[1]) if exchange else None)
    shown = stripe.get(session["id"])["presentment_details"]
    seen = {"presentment_amount": payment["presentment_amount"], "presentment_currency": "pln"}
    assert (seen, payment["presentment_currency"]) == (shown, "pln")
    assert payment["sources"]["tax"] == payment["sources"]["discount"] == ("invoice" if interval else "session")
    assert payment["sources"]["net"] == "balance_transaction"
    assert order["seller_due"] == amount - numbers[1], "the discount is the seller's to bear, and the tax is not theirs"


async def test_the_buyers_fees_are_on_the_page_and_the_platforms_is_not(world: World) -> None:
    """Lines that are paid once, taxed as the price is; what is left for the seller is the price less their fee."""
    world.stripe.create_price(PRICE, amount=2000, tax_behavior="inclusive")
    world.map_price(PRICE, None, kind="ignore")
    for kind in ("platform", "buyer_protection", "cash_handling", "shipping"):
        tariff(world, "eur", kind, "10")
    async with open_shop(world) as client:
        answer = await client.post("/api/checkout", json=wish(priceId=PRICE, domain=None, sellerId="anna"))
    (order,) = orders(world)
    assert order["request"]["line_items"] == [
        {"price": PRICE, "quantity": 1},
        *(
            {
                "price_data": {
                    "currency": "eur", "unit_amount": 200, "product_data": {"name": name}, "tax_behavior": "inclusive",
                },
                "quantity": 1,
            }
            for name in ("Buyer protection", "Shipping")
        ),
    ]  # fmt: skip
    assert (order["amount"], order["fees_total"], order["seller_net"]) == (2400, 600, 1800)
    shop = Shop(world)
    world.stripe.complete_checkout(answer.json()["sessionId"])
    await shop.hear()
    (payment,) = shop.payments()
    adds_up(payment)
    assert payment["total"] == 2400
    world.stripe.renew(shop.order()["subscription_id"])
    await shop.hear()
    assert shop.payments()[-1]["total"] == 2000  # they are no part of the next month


async def test_a_purchase_that_somebody_else_began_bears_no_buyers_fee(world: World) -> None:
    """A Payment Link had no line for it: nobody paid it, and nobody is said to have."""
    shop = Shop(world)
    tariff(world, "eur")
    tariff(world, "eur", "platform", "10")
    world.stripe.complete_checkout(shop.link(), "ada@example.com")
    await shop.hear()
    row = shop.order()
    assert ([fee["kind"] for fee in row["fees"]], row["amount"], row["total"]) == (["platform"], 1900, 1900)


async def test_where_a_price_says_nothing_of_tax_no_fee_does(world: World) -> None:
    """Then the account's tax settings hold for both."""
    world.stripe.create_price(PRICE, amount=2000)
    world.map_price(PRICE, None, kind="ignore")
    tariff(world, "eur", "shipping")
    order, _ = await sold(world, **PAGE)
    assert "tax_behavior" not in order["request"]["line_items"][1]["price_data"]
    assert order["request"]["automatic_tax"] == {"enabled": True}
