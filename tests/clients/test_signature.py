"""Our check of Stripe's signature decides as Stripe's own library does."""

import hashlib
import hmac
import time
from unittest.mock import patch

import pytest
import stripe
from hypothesis import example, given
from hypothesis import strategies as st

from lib.config import Secret
from lib.stripe_signature import BadSignature, verify

NOW = 1_794_000_000
SECRET = "whsec_fake_one"
OTHER = "whsec_fake_two"

bodies = st.text().map(lambda text: text.encode("utf-8", "replace"))
secrets = st.sampled_from([SECRET, OTHER, "whsec_ключ"])
times = st.one_of(
    st.integers(NOW - 700, NOW + 700),
    st.integers(),
    st.sampled_from([NOW - 300, NOW - 301, NOW - 299, 0, -1, 10**4000]),
)


def mac(body: bytes, secret: str, at: int) -> str:
    """The signature Stripe would send."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, bytes]:
    """A header made of true and false pieces in any order, and the body it came with."""
    body, at = draw(bodies), draw(times)
    made = mac(body, draw(secrets), at)
    piece = st.one_of(
        st.sampled_from(
            [
                f"t={at}", f"v1={made}", f"v1={made[:-1]}0", f"v1={made.upper()}", f"v1={made}=x", f"v0={made}", "v1=",
                "v1", "t", "t=", "t=now", f" t={at}", f"t= {at} ", f"t=+{at}", f"t={at}.0", "", "=", f"v1={made} ",
                "v1=é", f"t=0{at}", f"T={at}", f"t={at}=1", "t=١٢", f"t={NOW + 1}",
            ]
        ),
        st.text(max_size=10),
    )  # fmt: skip
    pieces = draw(st.lists(piece, max_size=4))
    if draw(st.booleans()):
        pieces = [f"t={at}", f"v1={made}", *pieces]
    return ",".join(draw(st.permutations(pieces))), body


def theirs(body: bytes, header: str, secret: str) -> bool | None:
    """The verdict of Stripe's library; `None` where it crashes, at a `v1` that is not ASCII."""
    try:
        with patch.object(time, "time", return_value=NOW):
            return bool(stripe.WebhookSignature.verify_header(body, header, secret, 300))
    except stripe.SignatureVerificationError:
        return False
    except TypeError:
        return None


def ours(body: bytes, header: str | None, *live: str) -> bool:
    """Our verdict."""
    try:
        verify(body, header, [Secret(secret) for secret in live], NOW)
    except BadSignature:
        return False
    return True


@given(headers(), st.lists(secrets, min_size=1, max_size=3))
@example((f"t={NOW},v1={mac(b'{}', SECRET, NOW)}", b"{}"), [SECRET])
@example((f"t={NOW},v1={mac(b'{}', SECRET, NOW)}", b"{}"), [OTHER, SECRET])
@example((f"t={NOW},t,v1={mac(b'{}', SECRET, NOW)}", b"{}"), [SECRET])
@example((f"t={NOW},v1=é,v1={mac(b'{}', SECRET, NOW)}", b"{}"), [SECRET])
@example((f"v1={mac(b'{}', SECRET, NOW + 10**6)},t={NOW + 10**6}", b"{}"), [SECRET])
def test_our_verdict_is_the_librarys(sent: tuple[str, bytes], live: list[str]) -> None:
    """Whatever header, body and secrets, we accept exactly what the library accepts for one of the secrets."""
    header, body = sent
    verdict, expected = ours(body, header, *live), [theirs(body, header, secret) for secret in live]
    assert None in expected or verdict == any(expected)


def test_a_rolled_secret_is_good_while_it_is_listed() -> None:
    """While a secret is rolled Stripe signs with both; each listed one suffices, an unlisted one never does."""
    body = b'{"id": "evt_1"}'
    both = f"t={NOW},v1={mac(body, SECRET, NOW)},v1={mac(body, OTHER, NOW)}"
    old = f"t={NOW},v1={mac(body, SECRET, NOW)}"
    assert ours(body, both, SECRET)
    assert ours(body, both, OTHER)
    assert ours(body, old, OTHER, SECRET)
    assert not ours(body, old, OTHER)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "missing"),
        ("", "missing"),
        ("nonsense", "malformed"),
        ("t=1,v1", "malformed"),
        (f"t={NOW}", "no v1"),
        (f"t={NOW},v0={mac(b'{}', SECRET, NOW)}", "no v1"),
        (f"t={NOW},v1=0", "STRIPE_WEBHOOK_SECRET"),
        (f"t={NOW + 1},v1={mac(b'{}', SECRET, NOW)}", "STRIPE_WEBHOOK_SECRET"),
        (f"t={NOW - 301},v1={mac(b'{}', SECRET, NOW - 301)}", "clock"),
    ],
)
def test_a_refusal_says_what_to_look_at(header: str | None, why: str) -> None:
    """Each refusal names its cause in words that lead to the remedy, and shows neither secret nor signature."""
    with pytest.raises(BadSignature, match=why) as refused:
        verify(b"{}", header, [Secret(SECRET)], NOW)
    assert SECRET not in str(refused.value)
    assert mac(b"{}", SECRET, NOW) not in str(refused.value)


def test_bytes_that_are_no_text_are_verified_as_they_are() -> None:
    """The signature is one over bytes: a body that is not UTF-8 is judged like any other."""
    body = b"\xff\xfe\x00{}"
    assert ours(body, f"t={NOW},v1={mac(body, SECRET, NOW)}", SECRET)
    assert not ours(body + b" ", f"t={NOW},v1={mac(body, SECRET, NOW)}", SECRET)


def test_no_secret_verifies_nothing() -> None:
    """An empty list of secrets lets nothing in."""
    assert not ours(b"{}", f"t={NOW},v1={mac(b'{}', '', NOW)}")
