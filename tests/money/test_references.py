"""Payment references: made, checked and found in what a bank prints."""

import string
import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib.policy.references import (
    InvalidReference,
    found_in,
    is_creditor_reference,
    make,
    normalise,
    of_order,
    printed,
)

CHARACTERS = string.ascii_uppercase + string.digits
bodies = st.text(CHARACTERS, min_size=1, max_size=21)


@pytest.mark.parametrize("reference", ["RF18539007547034", "RF45G72UUR", "RF6518K5"])
def test_published_references_are_valid(reference: str) -> None:
    """Examples from elsewhere pass, and are made from their own bodies."""
    assert is_creditor_reference(reference)
    assert make(reference[4:]) == reference


@given(bodies)
def test_what_is_made_is_valid(body: str) -> None:
    """Every body has one reference, which is its own normal form, printed in groups or small."""
    reference = make(body)
    assert is_creditor_reference(reference)
    assert normalise(reference) == normalise(printed(reference)) == normalise(reference.lower()) == reference
    assert reference in found_in(f"Thank you! {printed(reference)}.")
    assert reference in found_in(reference)


@given(bodies, st.data())
def test_a_single_mistake_is_noticed(body: str, data: st.DataObject) -> None:
    """One wrong digit never makes another valid reference."""
    reference = make(body)
    place = data.draw(st.integers(2, len(reference) - 1))
    was = reference[place]
    alike = string.digits if was.isdigit() else string.ascii_uppercase
    other = data.draw(st.sampled_from(alike.replace(was, "")))
    assert not is_creditor_reference(reference[:place] + other + reference[place + 1 :])


@given(st.text(string.digits, min_size=2, max_size=15), st.data())
def test_swapped_digits_are_noticed(body: str, data: st.DataObject) -> None:
    """Two neighbouring digits of a reference of ours that changed places are noticed."""
    reference = make(body)
    place = data.draw(st.integers(4, len(reference) - 2))
    first, second = reference[place], reference[place + 1]
    assume(first != second)
    assert not is_creditor_reference(reference[:place] + second + first + reference[place + 2 :])


@pytest.mark.parametrize(
    "text", ["", "RF", "RF18", "RF00539007547034", "RF01A", "RF99A", "RF18 5390", "XX18539007547034"]
)
def test_what_is_none_is_none(text: str) -> None:
    """Check digits from 02 to 98 only, and nothing between the characters."""
    assert not is_creditor_reference(text)


def test_the_order_has_its_own() -> None:
    """Out of its id, in digits, always the same."""
    order_id = str(uuid.UUID(int=123456))
    assert of_order(order_id)[4:] == "000000000123456"
    assert of_order(order_id) == of_order(order_id.upper())


@given(st.uuids())
def test_every_order_has_one(order_id: uuid.UUID) -> None:
    """Nineteen characters that a person can type."""
    reference = of_order(str(order_id))
    assert is_creditor_reference(reference)
    assert len(reference) == 19


def test_an_operators_own_reference_is_kept() -> None:
    """Any text may be one: one spelling, and no check digits that it never had."""
    assert normalise("  inv 2026-17 ") == "INV 2026-17"
    assert normalise("rf18-5390-0754-7034") == "RF18539007547034"
    assert printed("INV 2026-17") == "INV 2026-17"
    for body in ("", "ö", "A" * 22):
        with pytest.raises(InvalidReference):
            make(body)


def test_references_are_found_in_a_line() -> None:
    """Several, in groups, with words right behind them; nothing that only looks like one."""
    line = "INVOICE RF18 5390 0754 7034 thanks, also rf45g72uur/RF6518K5 but not XRF6518K5 or RF19539007547034"
    assert {"RF18539007547034", "RF45G72UUR", "RF6518K5"} <= set(found_in(line))
    assert "RF19539007547034" not in found_in(line)
    assert found_in("XRF6518K5") == ()
