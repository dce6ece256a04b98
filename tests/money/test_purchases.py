"""Two clicks are one purchase: who shares what, and what is asked first."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.model.money import FrozenRequest, OrderState, Terms
from lib.policy.purchases import (
    JUST_BOUGHT,
    KEY_LIFE,
    Begin,
    JustBought,
    KeyTaken,
    LookFirst,
    Send,
    Share,
    buyer_of,
    decide,
    fingerprint,
    how_to_ask,
)
from lib.structs import replace
from tests.money.goods import NOW, order, terms

CHANGES = {
    "billing_plan_id": "price_big_monthly",
    "quantity": 2,
    "domain": "other.example",
    "seller_id": "acct_reseller",
    "customer_id": "cus_1",
}


def test_the_same_wish_shares_the_open_session() -> None:
    """A double click, and the same address in other letters, get the order that is there."""
    opened = order()
    assert decide(terms(), [opened], NOW) == Share(opened)
    assert decide(terms(email=" Ada@Example.COM "), [opened], NOW) == Share(opened)


@pytest.mark.parametrize("change", CHANGES)
def test_other_parameters_replace_the_open_session(change: str) -> None:
    """Whoever changes their mind pays once: the old session is named to be expired before the new one."""
    opened = order()
    assert decide(terms(**{change: CHANGES[change]}), [opened], NOW) == Begin(expire=(opened,))


def test_who_only_typed_the_address_ends_no_page_of_its_buyer() -> None:
    """From elsewhere: another page beside it, or the same one where the table has room for one; what is over goes."""
    opened, over = order(), order(terms(quantity=3), expires_at=NOW)
    both, away = [opened, over], frozenset({opened.id, over.id})
    assert decide(terms(quantity=2), both, NOW, elsewhere=away) == Begin(expire=(over,))
    assert decide(terms(seller_id="acct_reseller"), both, NOW, elsewhere=away) == Share(opened)
    own = order(terms(quantity=4))
    assert decide(terms(quantity=2), [*both, own], NOW, elsewhere=away) == Begin(expire=(over, own))


def test_a_session_that_is_over_is_not_shared() -> None:
    """An order whose session has run out is expired and begun anew."""
    over = order(expires_at=NOW)
    assert decide(terms(), [over], NOW) == Begin(expire=(over,))
    assert decide(terms(), [over], NOW - timedelta(seconds=1)) == Share(over)


def test_just_bought_is_asked_first() -> None:
    """The same purchase within ten minutes is a question; meant, or later, it is a purchase."""
    bought = order(state=OrderState.PAID, paid_at=NOW)
    almost, later = NOW + JUST_BOUGHT - timedelta(seconds=1), NOW + JUST_BOUGHT
    assert decide(terms(), [bought], almost) == JustBought(bought, may_repeat=True)
    assert decide(terms(), [bought], almost, again=True) == Begin()
    assert decide(terms(), [bought], later) == Begin()
    assert decide(terms(quantity=2), [bought], NOW) == Begin()


def test_money_under_way_is_not_sent_twice() -> None:
    """While a bank debit for the same thing runs no second order begins, whatever the buyer says."""
    paying = order(state=OrderState.PAYING)
    assert decide(terms(), [paying], NOW, again=True) == JustBought(paying, may_repeat=False)
    assert decide(terms(seller_id="acct_reseller"), [paying], NOW) == JustBought(paying, may_repeat=False)
    assert decide(terms(domain="other.example"), [paying], NOW) == Begin()


def test_strangers_share_nothing() -> None:
    """Who tells neither an address nor a reference gets an order of their own, unless a key joins them."""
    nobody = terms(email=None)
    opened = order(nobody, idempotency_key="k1")
    assert buyer_of(nobody) is None
    assert decide(nobody, [opened], NOW) == Begin()
    assert decide(nobody, [opened], NOW, key="k1") == Share(opened)
    assert decide(nobody, [opened], NOW, key="k2") == Begin()


def test_a_key_stands_for_one_purchase() -> None:
    """The same key joins its order whatever became of it, and never another purchase."""
    paid = order(state=OrderState.PAID, paid_at=NOW, idempotency_key="k1")
    assert decide(terms(), [paid], NOW + timedelta(days=1), key="k1") == Share(paid)
    assert decide(terms(quantity=2), [paid], NOW, key="k1") == KeyTaken(paid)


def test_the_shops_own_word_says_who_buys() -> None:
    """With a reference of the shop, a stranger who types the same address touches nobody's session."""
    theirs = order(terms(client_reference="cart_1"))
    assert buyer_of(theirs.terms) == "ref:cart_1"
    assert decide(terms(), [theirs], NOW) == Begin()


def test_a_word_that_anybody_can_guess_shows_and_ends_nothing_elsewhere() -> None:
    """The same page only for who types the same; beside it anything else, and what the index forbids shares no more."""
    theirs = order(terms(client_reference="cart_1"))
    away = frozenset({theirs.id})
    same = terms(client_reference="cart_1")
    assert decide(same, [theirs], NOW, elsewhere=away) == Share(theirs)
    assert decide(replace(same, quantity=2), [theirs], NOW, elsewhere=away) == Begin()
    assert decide(replace(same, email="m@example.com"), [theirs], NOW, elsewhere=away) == Begin(alone=True)
    assert decide(replace(same, email=None), [theirs], NOW, elsewhere=away) == Begin(alone=True)
    assert decide(replace(same, seller_id="acct_2"), [theirs], NOW, elsewhere=away) == Share(theirs)
    known = replace(theirs, terms=replace(theirs.terms, customer_id="cus_1"))
    assert decide(replace(same, seller_id="acct_2"), [known], NOW, elsewhere=away) == Begin(alone=True)
    assert decide(replace(same, quantity=2), [theirs], NOW) == Begin(expire=(theirs,))


@given(
    st.builds(
        Terms, *[st.sampled_from([None, "a", "b"])], quantity=st.integers(1, 2), domain=st.sampled_from(["a", None])
    )
)
def test_terms_are_equal_when_their_fingerprints_are(wanted: Terms) -> None:
    """The digest tells every part apart, also where two parts hold the same text."""
    swapped = replace(wanted, billing_plan_id=wanted.domain, domain=wanted.billing_plan_id)
    assert (fingerprint(wanted) == fingerprint(swapped)) == (wanted == swapped)
    assert fingerprint(wanted) == fingerprint(replace(wanted))
    assert fingerprint(wanted) != fingerprint(replace(wanted, quantity=3))


def test_a_lost_answer_is_asked_for_with_the_same_key() -> None:
    """Within 23 hours the same key; later, or after a stored error, a look first and the next key."""
    begun = order(request=FrozenRequest({"mode": "subscription"}))
    assert how_to_ask(begun, NOW) == Send(begun.id)
    sent = replace(begun, request=FrozenRequest({}, sent_at=NOW))
    assert how_to_ask(sent, NOW + KEY_LIFE - timedelta(seconds=1)) == Send(begun.id)
    assert how_to_ask(sent, NOW + KEY_LIFE) == LookFirst(f"{begun.id}.2", 2)
    assert how_to_ask(sent, NOW, stored_error=True) == LookFirst(f"{begun.id}.2", 2)
    second = replace(begun, request=FrozenRequest({}, key_number=2))
    assert how_to_ask(second, NOW + KEY_LIFE) == Send(f"{begun.id}.2")
