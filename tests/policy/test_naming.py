"""Our marks in the panel's names come back as what they were, whatever people are called."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.model import ServiceKey
from lib.policy import clean_name, friendly_name, mark, marked_name, marks
from tests.policy.worlds import payer

IDS = st.from_regex(r"[A-Za-z0-9]{1,24}", fullmatch=True)
NAMES = st.one_of(st.none(), st.text(max_size=130), st.from_regex(r"[\[\]a-z/_0-9 ]{0,40}", fullmatch=True))
DOMAINS = st.one_of(st.none(), st.just("shop.example"), st.just("xn--mnchen-3ya.example"))


@settings(deadline=None, derandomize=True)
@given(IDS, st.integers(1, 9999), DOMAINS)
def test_the_mark_of_a_service_comes_back(number: str, slot: int, domain: str | None) -> None:
    """From the name of a panel subscription the Stripe subscription and the number of the service are read again."""
    key = ServiceKey(f"sub_{number}", slot)
    assert marks(mark(key)) == [(key.subscription_id, slot)]
    assert marks(friendly_name(key, domain)) == [(key.subscription_id, slot)]


@settings(deadline=None, derandomize=True)
@given(IDS, NAMES, NAMES)
@example("Anna", "Evil [cus_Bob] and [sub_1Aa/2]", None)
def test_the_mark_of_a_customer_comes_back(number: str, name: str | None, email: str | None) -> None:
    """From an organisation's first name the customer is read again, and nobody's own name can pose as a mark."""
    someone = payer(id=f"cus_{number}", name=name, email=email)
    assert marks(marked_name(someone)) == [(someone.id, 1)]
    assert marks(clean_name(someone)) == []


@settings(deadline=None, derandomize=True)
@given(IDS, NAMES, NAMES)
def test_a_clean_name_is_one_short_printable_line(number: str, name: str | None, email: str | None) -> None:
    """Whatever Stripe has as a name, the organisation's is one readable line, never empty and never too long."""
    clean = clean_name(payer(id=f"cus_{number}", name=name, email=email))
    assert clean == clean.strip()
    assert clean.isprintable()
    assert 1 <= len(clean) <= 100


def test_the_name_is_the_best_one_known() -> None:
    """The customer's name, else the e-mail address, else the id."""
    assert clean_name(payer(name="  Anna\tExample\n")) == "Anna Example"
    assert clean_name(payer(name=None)) == "anna@shop.example"
    assert clean_name(payer(name=" ", email=None)) == "cus_Anna"


def test_marks_are_read_wherever_they_stand() -> None:
    """An operator may write around a mark, and what only looks like one is none."""
    assert marks("VIP! Start [sub_1Aa] (do not touch)") == [("sub_1Aa", 1)]
    assert marks("[cus_Bb] shop.example [sub_1Aa/2]") == [("cus_Bb", 1), ("sub_1Aa", 2)]
    assert marks("Starter") == marks("[sub 1]") == marks("[]") == marks("sub_1Aa") == []
