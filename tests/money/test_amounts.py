"""Amounts in Stripe's digits, and the sums of a payment in every currency."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.model.money import BalanceTransaction, Bill, Breakdown, Source
from lib.policy import bills
from lib.policy.breakdown import NotYet, SumsDiffer, break_down
from lib.policy.currencies import InvalidAmount, currency_of, digits, minor_units, shown, step
from lib.structs import replace

CURRENCIES = ["eur", "usd", "jpy", "krw", "kwd", "bhd", "isk", "ugx", "huf", "twd", "clp", "mga"]


@pytest.mark.parametrize(
    ("currency", "places", "multiple", "text"),
    [
        ("eur", 2, 1, "1,234.50 EUR"),
        ("JPY", 0, 1, "123,450 JPY"),
        ("kwd", 3, 10, "123.450 KWD"),
        ("isk", 2, 100, "1,234.50 ISK"),
        ("ugx", 2, 100, "1,234.50 UGX"),
        ("huf", 2, 1, "1,234.50 HUF"),
        ("mga", 0, 1, "123,450 MGA"),
    ],
)
def test_digits_are_stripes_own(currency: str, places: int, multiple: int, text: str) -> None:
    """Stripe's table and not ISO's says how many digits an amount has; ISK and UGX carry two."""
    assert digits(currency) == places
    assert step(currency) == multiple
    assert shown(123450, currency) == text


def test_currencies_without_parts_are_shown_without() -> None:
    """Two zeros that mean nothing are not shown; a debt is shown with its sign."""
    assert shown(50000, "isk") == "500 ISK"
    assert shown(-1900, "eur") == "-19.00 EUR"
    assert shown(0, "jpy") == "0 JPY"


@given(st.integers(-(10**14), 10**14), st.sampled_from(CURRENCIES))
def test_what_is_shown_reads_back(amount: int, currency: str) -> None:
    """An amount written for people, without its commas, is the same amount again."""
    assert minor_units(shown(amount, currency)[:-4].replace(",", ""), currency) == amount


@pytest.mark.parametrize("text", ["", "19,00", "1e3", "NaN", "19.001", "٣", "1 900", "--1", "1" * 16])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is guessed of a decimal comma, a thousandth of a cent or another alphabet's digits."""
    with pytest.raises(InvalidAmount):
        minor_units(text, "eur")


def test_what_is_no_currency_is_refused() -> None:
    """A code is three letters, in either case."""
    assert currency_of(" EUR ") == "eur"
    for typed in ("", "eu", "euro", "e1r", "€€€"):
        with pytest.raises(InvalidAmount):
            currency_of(typed)


def session(**others: Any) -> dict[str, Any]:
    """A completed session: 19.00 and 20 % tax on top."""
    details = {"amount_discount": 0, "amount_tax": 380, "amount_shipping": 0}
    made = {
        "currency": "eur",
        "payment_status": "paid",
        "amount_subtotal": 1900,
        "amount_total": 2280,
        "total_details": details,
    }
    return {**made, **others}


def invoice(**others: Any) -> dict[str, Any]:
    """A paid invoice: 19.00, 2.00 off, 20 % tax on top."""
    made = {
        "currency": "eur",
        "subtotal": 1900,
        "total": 2040,
        "amount_paid": 2040,
        "total_discount_amounts": [{"amount": 200, "discount": "di_1"}],
        "total_taxes": [{"amount": 340, "tax_behavior": "exclusive"}],
        "shipping_cost": None,
    }
    return {**made, **others}


def taken(amount: int, fee: int = 85, currency: str = "eur", rate: str | None = None) -> BalanceTransaction:
    """What Stripe took of a payment."""
    return BalanceTransaction("txn_1", amount, fee, amount - fee, currency, Decimal(rate) if rate else None)


def frozen(bill: Bill, transaction: BalanceTransaction | None) -> Breakdown:
    """The breakdown, which must be there."""
    made = break_down(bill, transaction)
    assert isinstance(made, Breakdown)
    return made


def test_a_session_with_tax_on_top() -> None:
    """Every number stands with where it came from."""
    made = frozen(bills.of_session(session()), taken(2280))
    assert (made.subtotal, made.discount, made.tax, made.tax_included, made.total) == (1900, 0, 380, 0, 2280)
    assert (made.paid, made.gross, made.provider_fee, made.net) == (2280, 2280, 85, 2195)
    assert made.sources["tax"] is Source.SESSION
    assert made.sources["tax_included"] is Source.COMPUTED
    assert made.sources["net"] is Source.BALANCE_TRANSACTION


def test_a_session_with_tax_included() -> None:
    """A tax that is in the prices is shown and not added; the sums tell which it is."""
    made = frozen(bills.of_session(session(amount_total=1900)), taken(1900))
    assert (made.tax, made.tax_included, made.total) == (380, 380, 1900)


def test_a_session_with_shipping_discount_and_adaptive_pricing() -> None:
    """What the buyer saw in their own currency is kept beside our own numbers."""
    details = {"amount_discount": 400, "amount_tax": 300, "amount_shipping": 500}
    presentment = {"presentment_amount": 3561, "presentment_currency": "PLN"}
    told = session(amount_total=2300, total_details=details, presentment_details=presentment)
    made = frozen(bills.of_session(told), taken(2300))
    assert (made.shipping, made.discount, made.total) == (500, 400, 2300)
    assert (made.presentment_amount, made.presentment_currency) == (3561, "pln")


def test_a_session_that_asks_for_nothing_needs_no_balance_transaction() -> None:
    """A full discount is paid at once: nothing came, nothing was taken."""
    details = {"amount_discount": 1900, "amount_tax": 0, "amount_shipping": 0}
    told = session(payment_status="no_payment_required", amount_total=0, total_details=details)
    made = frozen(bills.of_session(told), None)
    assert (made.total, made.paid, made.provider_fee, made.net) == (0, 0, 0, 0)
    assert made.sources["net"] is Source.COMPUTED


def test_an_invoice_with_both_kinds_of_discount() -> None:
    """Discounts on items are off the subtotal already, those on the invoice are not; both are shown as discounts."""
    whole = frozen(bills.of_invoice(invoice()), taken(2040))
    items = frozen(bills.of_invoice(invoice(subtotal=1700)), taken(2040))
    assert (whole.subtotal, whole.discount, whole.tax) == (1900, 200, 340)
    assert items == whole


def test_an_invoice_with_mixed_taxes_and_credit() -> None:
    """Included taxes stay in the prices, and what credit paid is not taken for money."""
    taxes = [{"amount": 340, "tax_behavior": "exclusive"}, {"amount": 50, "tax_behavior": "inclusive"}]
    made = frozen(bills.of_invoice(invoice(total_taxes=taxes, amount_paid=1540)), taken(1540))
    assert (made.tax, made.tax_included, made.total, made.paid, made.net) == (390, 50, 2040, 1540, 1455)


def test_one_of_several_payments_of_an_invoice() -> None:
    """Each payment brought its own part, and says so."""
    made = frozen(bills.of_invoice(invoice(), {"amount_paid": 1000}), taken(1000))
    assert (made.total, made.paid) == (2040, 1000)
    assert made.sources["paid"] is Source.INVOICE_PAYMENT
    assert made.sources["total"] is Source.INVOICE


def test_a_payment_intent_from_elsewhere_keeps_unknown_numbers_unknown() -> None:
    """Where Stripe tells no tax there is none written down, not even a zero."""
    made = frozen(bills.of_intent({"currency": "jpy", "amount_received": 500}), taken(500, 20, "jpy"))
    assert (made.subtotal, made.total, made.tax, made.tax_included, made.discount) == (500, 500, None, None, None)
    details = {"tax": {"total_tax_amount": 40}, "shipping": {"amount": 60}, "discount_amount": 100}
    told = {"currency": "jpy", "amount_received": 500, "amount_details": details}
    assert frozen(bills.of_intent(told), taken(500, 20, "jpy")).subtotal == 500


def test_a_missing_balance_transaction_is_waited_for() -> None:
    """No fee is guessed: it comes a moment later."""
    bill = bills.of_session(session())
    assert break_down(bill, bills.balance_transaction(None)) == NotYet("balance_transaction")
    assert break_down(bill, bills.balance_transaction("txn_1")) == NotYet("balance_transaction")


def test_money_outside_of_stripe_costs_no_fee() -> None:
    """Offline money is broken down like any other, and a surplus is no part of what was paid."""
    made = break_down(bills.of_collections(1900, 2000, "eur"), None, charged=False)
    assert isinstance(made, Breakdown)
    assert (made.total, made.paid, made.net, made.provider_fee) == (1900, 1900, 1900, 0)
    assert made.sources["paid"] is Source.COLLECTION


@pytest.mark.parametrize(
    ("thing", "read", "missing"),
    [
        (session(amount_total=None), bills.of_session, "amount_total"),
        (session(total_details=None), bills.of_session, "total_details"),
        (session(currency=None), bills.of_session, "currency"),
        (invoice(amount_paid="2040"), bills.of_invoice, "amount_paid"),
        (invoice(total_taxes=[{"tax_behavior": "exclusive"}]), bills.of_invoice, "amount"),
        ({"currency": "eur"}, bills.of_intent, "amount_received"),
        ({"currency": "eur", "amount": True, "fee": 0, "net": 0}, bills.balance_transaction, "amount"),
    ],
)
def test_a_missing_number_is_named(thing: dict[str, Any], read: Any, missing: str) -> None:
    """An answer without a field that the sums need is no zero."""
    with pytest.raises(bills.Incomplete) as told:
        read(thing)
    assert told.value.field == missing


def test_what_an_invoice_does_not_tell_stays_unknown() -> None:
    """Without a list of taxes there is no tax, as long as the sums hold."""
    told = invoice(total=1700, amount_paid=1700, total_taxes=None)
    assert frozen(bills.of_invoice(told), taken(1700)).tax is None
    with pytest.raises(SumsDiffer):
        break_down(bills.of_invoice(invoice(total_taxes=None)), taken(2040))


@pytest.mark.parametrize(
    ("bill", "transaction", "name"),
    [
        (Bill("eur", 1900, 2000, 0, 0), taken(2000), "total"),
        (Bill("eur", 1900, 1800, 0, 0), taken(1800), "total"),
        (Bill("eur", 1900, 2280, 0, 380, 380), taken(2280), "tax"),
        (Bill("eur", 1900, 1900), taken(1800), "gross"),
        (Bill("eur", 1900, 1900), taken(2055, 90, "usd"), "exchange_rate"),
        (Bill("eur", 1900, 1900), BalanceTransaction("txn_1", 1900, 85, 1900, "eur"), "net"),
        (Bill("eur", 1900, 1900, paid=-1), taken(1900), "paid"),
    ],
)
def test_numbers_that_do_not_add_up_are_refused(bill: Bill, transaction: BalanceTransaction, name: str) -> None:
    """Nothing contradictory is ever frozen, and the sum that does not hold is named."""
    with pytest.raises(SumsDiffer) as told:
        break_down(bill, transaction)
    assert told.value.name == name


amounts = st.integers(0, 10**9)


@given(st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES), st.data())
def test_sums_hold_in_every_currency(currency: str, balance: str, data: st.DataObject) -> None:
    """Whatever is bought, in whichever two currencies: the parts add up, and one unit more is refused."""
    subtotal, shipping, on_top, included = (data.draw(amounts) for _ in range(4))
    discount = data.draw(st.integers(0, subtotal))
    total = subtotal - discount + shipping + on_top
    paid = data.draw(st.integers(1, total)) if total else 0
    gross = paid if balance == currency else data.draw(st.integers(1, 10**9))
    fee = data.draw(st.integers(0, 10**6))
    bill = Bill(currency, subtotal, total, discount, on_top + included, None, shipping, paid)
    transaction = BalanceTransaction(
        "txn_1", gross, fee, gross - fee, balance, Decimal("0.9") if balance != currency else None
    )
    made = frozen(bill, transaction)
    assert made.tax is not None
    assert made.tax_included is not None
    assert made.subtotal - discount + shipping + made.tax - made.tax_included == made.total
    assert made.tax_included == included
    assert made.net == made.gross - made.provider_fee
    assert made.balance_currency == (balance if paid else currency)
    with pytest.raises(SumsDiffer):
        break_down(replace(bill, total=total + included + 1), transaction)
