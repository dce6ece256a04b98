"""How many digits an amount has, in Stripe's own table and not in ISO's, and how it is written for people.

https://docs.stripe.com/currencies: amounts are whole numbers of the minor unit; ISK and UGX have no
parts any more and still carry two digits there.
"""

from __future__ import annotations

import re
from decimal import Decimal

_ZERO = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
_THREE = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
_WHOLE = frozenset({"isk", "ugx"})
"""Two digits at Stripe, and both are zero: the currency itself has no parts."""

_CODE = re.compile(r"[a-z]{3}", re.ASCII)


class InvalidAmount(ValueError):
    """No amount of this currency."""


def currency_of(typed: str) -> str:
    """A currency as Stripe spells it: three small letters.

    Raises:
        InvalidAmount: it is no currency code.
    """
    code = typed.strip().lower()
    if not _CODE.fullmatch(code):
        raise InvalidAmount(f"{typed[:20]!r} is not a currency code such as eur")
    return code


def digits(currency: str) -> int:
    """How many digits of an amount stand behind the point; two for every currency that Stripe does not list."""
    code = currency_of(currency)
    return 0 if code in _ZERO else 3 if code in _THREE else 2


def step(currency: str) -> int:
    """What an amount must be a multiple of for Stripe to take it: the last digit of three is always zero."""
    code = currency_of(currency)
    return 10 if code in _THREE else 100 if code in _WHOLE else 1


def shown(amount: int, currency: str) -> str:
    """An amount for people: ``19.00 EUR``, ``500 JPY``."""
    code = currency_of(currency)
    places = digits(code)
    if code in _WHOLE and amount % 100 == 0:
        amount, places = amount // 100, 0
    return f"{Decimal(amount).scaleb(-places):,.{places}f} {code.upper()}"


def minor_units(typed: str | Decimal, currency: str) -> int:
    """A decimal amount, as a bank statement has it, in minor units.

    Raises:
        InvalidAmount: it is no number, or has more digits behind the point than the currency.
    """
    text = str(typed).strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,6})?", text, re.ASCII):
        raise InvalidAmount(f"{text[:40]!r} is not an amount such as 19.00")
    exact = Decimal(text).scaleb(digits(currency))
    if exact != exact.to_integral_value():
        raise InvalidAmount(f"{text[:40]!r} has more digits behind the point than {currency.upper()}")
    return int(exact)
