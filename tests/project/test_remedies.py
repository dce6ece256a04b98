"""No customer is ever parked without a word on what to do: every word says what it means, and mypy knows no other."""

import re
from pathlib import Path

import pytest

from lib.model.reason import Reason, Rule, SettingsFault, WaitReason, remedy, waited_for

LIB = Path(__file__).resolve().parent.parent.parent / "lib"
WORDS = (Reason, SettingsFault, WaitReason, Rule)


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_no_word_is_for_nothing(words: type[Reason | SettingsFault | WaitReason | Rule]) -> None:
    """A word that nothing says has outlived it."""
    text = "".join(path.read_text() for path in LIB.rglob("*.py") if path.name != "reason.py")
    said = set(re.findall(rf"\b{words.__name__}\.([A-Z_]+)\b", text))
    if words is Rule:  # those that are Stripe's own status are made from it
        said |= {"ACTIVE", "TRIALING", "CANCELED", "INCOMPLETE_EXPIRED"}
    assert sorted({word.name for word in words} - said) == []


def test_each_word_means_one_thing() -> None:
    """No word is in two of the sets, and each is written as it is called."""
    every = [word for words in WORDS for word in words]
    assert len({word.value for word in every}) == len(every) > 60
    assert [word for word in every if word.value != word.name.lower()] == []
    assert len({word.means for word in every}) == len(every)
    for word in every:
        assert 20 <= len(word.means) <= 120, word
        assert not word.means.endswith("."), word


def test_a_remedy_says_something_to_do() -> None:
    """Each is one or two short sentences, and no two reasons share theirs."""
    assert len(Reason) > 15
    assert len({reason.remedy for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert reason.remedy == reason.remedy.strip(), reason
        assert reason.remedy.endswith((".", "?")), reason
        assert 20 <= len(reason.remedy) <= 120, reason


def test_an_unknown_reason_still_gets_advice() -> None:
    """A row that an older or newer version parked is never shown without a word."""
    assert remedy("a_reason_of_tomorrow")
    assert remedy("a_reason_of_tomorrow") not in {reason.remedy for reason in Reason}
    assert remedy("unmapped_price") == Reason.UNMAPPED_PRICE.remedy


def test_what_a_service_waits_for_is_read_back() -> None:
    """A reason or something that ends by itself, as it was written; a word of another version is none of them."""
    for word in (*Reason, *WaitReason):
        assert waited_for(word.value) is word
    assert waited_for(None) is None
    assert waited_for("a_reason_of_tomorrow") is None
