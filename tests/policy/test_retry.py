"""When a failed pass runs again, and when it is a person's turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.policy import MAX_ATTEMPTS, retry_at
from tests.policy.worlds import NOW

CURVE = (30, 60, 300, 900, 3600, 7200, 18000, 36000, 36000)
"""30 s, 1 m, 5 m, 15 m, 1 h, 2 h, 5 h, 10 h, 10 h: the design's words in seconds."""


@pytest.mark.parametrize(("attempts", "seconds"), list(enumerate(CURVE, 1)))
def test_each_failure_waits_longer(attempts: int, seconds: int) -> None:
    """After so many failures in a row the next try comes after the design's delay, without noise to the second."""
    assert retry_at(attempts, NOW, noise=0) == NOW + timedelta(seconds=seconds)


def test_then_it_is_a_persons_turn() -> None:
    """After the last delay the customer is parked: there is no further date."""
    assert len(CURVE) == MAX_ATTEMPTS
    assert [retry_at(attempts, NOW, noise=0.5) for attempts in (10, 11, 1000)] == [None, None, None]
    assert retry_at(10, NOW, noise=0, wish=timedelta(hours=1)) is None


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 86400))
def test_noise_spreads_and_a_wish_is_never_shortened(attempts: int, noise: float, wish: int) -> None:
    """The noise only lengthens, by less than would reach the next step; a `Retry-After` is waited out in full."""
    planned = retry_at(attempts, NOW, noise=noise)
    assert planned is not None
    delay = (planned - NOW).total_seconds()
    assert CURVE[attempts - 1] <= delay < 2 * CURVE[attempts - 1]
    wished = retry_at(attempts, NOW, noise=noise, wish=timedelta(seconds=wish))
    assert wished == max(planned, NOW + timedelta(seconds=wish))
