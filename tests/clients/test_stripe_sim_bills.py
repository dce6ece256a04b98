"""The simulated Stripe's bills: described lines, discount, tax, other currencies, and bills paid in parts."""

from decimal import Decimal
from typing import Any

import pytest

from scripts.sim.stripe_sim import ApiError, StripeSim


@pytest.fixture
def sim() -> StripeSim:
    """An account with nothing in it."""
    return StripeSim()


def test_a_page_reckons_discount_and_tax_line_by_line(sim: StripeSim) -> None:
    """A described line stands beside a price, is billed once, and its invoice says the same as the session."""
    price = sim.create_price(amount=1900, tax_behavior="exclusive")["id"]
    described = {
        "currency": "eur",
        "unit_amount": 95,
        "product_data": {"name": "Shipping"},
        "tax_behavior": "exclusive",
    }
    sim.promotion_codes["WELCOME"] = Decimal(10)
    session = sim.create_checkout(
        mode="subscription", line_items=[{"price": price}, {"price_data": described}], success_url="https://x.test",
        automatic_tax={"enabled": "true"}, allow_promotion_codes="true",
    )  # fmt: skip
    sim.complete_checkout(session["id"], "ada@example.com", promotion_code="WELCOME")
    invoice = sim.get(sim.get(session["id"])["invoice"])
    assert session["total_details"] == {"amount_discount": 200, "amount_shipping": 0, "amount_tax": 359}
    assert (session["amount_subtotal"], session["amount_total"]) == (1995, 2154)
    assert [invoice[name] for name in ("subtotal", "total", "amount_paid")] == [1995, 2154, 2154]
    assert [tax["amount"] for tax in invoice["total_taxes"]] == [359]
    assert [discount["amount"] for discount in invoice["total_discount_amounts"]] == [200]
    sim.renew(session["subscription"])
    renewal = sim.get(sim.get(session["subscription"])["latest_invoice"])
    assert (renewal["subtotal"], renewal["total"], renewal["total_discount_amounts"]) == (1900, 2280, [])


@pytest.mark.parametrize(
    "wrong",
    [{"unit_amount": None}, {"currency": None}, {"product_data": {}}, {"unit_amount": -1}, {"currency": "kwd"}],
)
def test_a_line_that_is_described_badly_is_refused(sim: StripeSim, wrong: dict[str, Any]) -> None:
    """Without its amount, currency or name; with an amount that can't be charged."""
    described = {"currency": "eur", "unit_amount": 95, "product_data": {"name": "Shipping"}, **wrong}
    with pytest.raises(ApiError) as refused:
        sim.create_checkout(mode="payment", line_items=[{"price_data": described}], success_url="https://x.test")
    assert refused.value.status == 400


def test_a_promotion_code_needs_a_page_that_takes_it(sim: StripeSim) -> None:
    """And has to exist."""
    price = sim.create_price(interval=None)["id"]
    for taken in (None, "true"):
        session = sim.create_checkout(
            mode="payment", line_items=[{"price": price}], success_url="https://x.test", allow_promotion_codes=taken
        )
        with pytest.raises(ApiError):
            sim.complete_checkout(session["id"], "ada@example.com", promotion_code="NONE")


def test_a_foreign_charge_is_kept_in_the_currency_of_the_balance(sim: StripeSim) -> None:
    """Between currencies with other digits, with the rate beside it."""
    sim.exchange["jpy"] = ("eur", Decimal("0.006"))
    price = sim.create_price(amount=2268, currency="jpy", interval=None)["id"]
    session = sim.create_checkout(mode="payment", line_items=[{"price": price}], success_url="https://x.test")
    sim.complete_checkout(session["id"], "ada@example.com", presented=("usd", Decimal("0.0065")))
    txn = sim.get(sim.charge_of(session["id"])["balance_transaction"])
    assert (txn["amount"], txn["currency"], txn["exchange_rate"]) == (1361, "eur", 0.006)
    assert session["presentment_details"] == {"presentment_amount": 1474, "presentment_currency": "usd"}


def test_parts_of_a_bill_make_the_whole(sim: StripeSim) -> None:
    """What is asked for by itself follows what remains; the last part pays the bill, by hand or by a charge, too."""
    sub = sim.subscribe(sim.create_customer("ada@example.com")["id"], [sim.create_price()["id"]], payment="open")
    invoice = sim.get(sub["latest_invoice"])
    sim.pay_part(invoice["id"], 400)
    assert (invoice["status"], invoice["amount_paid"], invoice["amount_remaining"]) == ("open", 400, 1500)
    with pytest.raises(ApiError):
        sim.pay_part(invoice["id"], 1501)
    sim.pay_by_charge(invoice["id"], 500)
    sim.pay_out_of_band(invoice["id"])
    assert (invoice["status"], invoice["amount_paid"], invoice["amount_remaining"]) == ("paid", 1900, 0)
    links = sim.invoice_payments.oldest_first({"invoice": invoice["id"]})
    assert [(link["status"], link["amount_paid"]) for link in links] == [
        ("canceled", None),
        ("paid", 400),
        ("paid", 500),
    ]
