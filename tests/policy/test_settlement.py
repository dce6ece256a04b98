"""What the end of a pass means for its row: each kind of end, and the curve with what bends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lib.model import Claim, Failed, Outcome, Parked, Problem, Settled, Settlement, Waits
from lib.model.reason import Reason, WaitReason
from lib.policy import ENDLESS_ATTEMPTS, MAX_ATTEMPTS, as_settled, settlement
from lib.structs import replace

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=10), NOW + timedelta(days=3)
CLAIM = Claim("customer", "cus_1", "lease", 7, attempts=2, parked_reason=None, retry_at=None, claimed_at=NOW)
TAKEN = Problem(Reason.DOMAIN_IN_USE, "taken", "sub_1")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Settled(), Settlement(answered=True)),
        (Settled(LATER, WaitReason.IN_GRACE), Settlement(due_at=LATER, waits_for=WaitReason.IN_GRACE, answered=True)),
        (Parked((TAKEN,)), Settlement(problems=(TAKEN,), answered=True)),
        (Parked((TAKEN,), LATER), Settlement(due_at=LATER, problems=(TAKEN,), answered=True)),
        (
            Waits(SOON, WaitReason.BRAKE),
            Settlement(due_at=SOON, waits_for=WaitReason.BRAKE, keeps_problems=True, attempts=2),
        ),
        (Waits(SOON, WaitReason.BRAKE, decided=True), Settlement(due_at=SOON, waits_for=WaitReason.BRAKE, attempts=2)),
        (
            Waits(SOON, WaitReason.BRAKE, problems=(TAKEN,)),
            Settlement(due_at=SOON, waits_for=WaitReason.BRAKE, problems=(TAKEN,), attempts=2),
        ),
    ],
    ids=["at rest", "until a date", "parked", "parked with a date", "waits", "waits, decided", "waits with a problem"],
)
def test_what_did_not_fail(outcome: Outcome, expected: Settlement) -> None:
    """Who is at rest or parked is answered and forgets their failures; who waits keeps them, and their problems."""
    assert settlement(outcome, CLAIM, 0.0) == expected
    assert as_settled(outcome, expected) == outcome


def test_a_failure_takes_the_next_step_of_the_curve() -> None:
    """The third failure in a row waits five minutes, spread by the noise; the report says when."""
    outcome = Failed("panel: 500", decided=True)
    settled = settlement(outcome, CLAIM, 0.0)
    assert settled == Settlement(
        due_at=NOW + timedelta(minutes=5), error="panel: 500", attempts=3, retry_at=NOW + timedelta(minutes=5)
    )
    assert settlement(outcome, CLAIM, 1.0).due_at == NOW + timedelta(minutes=6)
    assert as_settled(outcome, settled) == replace(outcome, at=settled.due_at)


def test_the_other_sides_wish_and_a_fixed_time_win() -> None:
    """`Retry-After` makes it longer and never shorter; a fixed time stands for the curve, and counts all the same."""
    assert settlement(Failed("429", timedelta(hours=2)), CLAIM, 0.0).due_at == NOW + timedelta(hours=2)
    assert settlement(Failed("429", timedelta(seconds=1)), CLAIM, 0.0).due_at == NOW + timedelta(minutes=5)
    fixed = settlement(Failed("deadlock", at=NOW), CLAIM, 0.0)
    assert (fixed.due_at, fixed.attempts) == (NOW, 3)


def test_a_date_of_another_service_is_not_delayed() -> None:
    """It is looked at by then, and the curve goes on where it was."""
    settled = settlement(Failed("panel: 500", wake_at=NOW + timedelta(minutes=1)), CLAIM, 0.0)
    assert (settled.due_at, settled.retry_at) == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=5))


def test_who_is_asked_before_the_curve_lets_it_loses_no_attempt() -> None:
    """An event in between runs at once; its failure neither counts nor shortens the wait."""
    claim = replace(CLAIM, retry_at=SOON)
    settled = settlement(Failed("panel: 500"), claim, 0.0)
    assert (settled.due_at, settled.retry_at, settled.attempts) == (SOON, SOON, 2)
    assert settlement(Failed("429", timedelta(hours=2)), claim, 0.0).due_at == NOW + timedelta(hours=2)


def test_after_the_curve_it_is_a_persons_turn() -> None:
    """The last failure parks as gave_up before what else was found, keeps the other services' dates, and is told."""
    claim = replace(CLAIM, attempts=MAX_ATTEMPTS)
    outcome = Failed("panel: 500", problems=(TAKEN,), wake_at=LATER)
    settled = settlement(outcome, claim, 0.0)
    assert ([p.reason for p in settled.problems], settled.due_at, settled.retry_at) == (
        ["gave_up", "domain_in_use"], LATER, None,
    )  # fmt: skip
    assert (settled.gave_up, settled.answered, "panel: 500" in settled.problems[0].detail) == (True, True, True)
    assert as_settled(outcome, settled) == Parked(settled.problems, LATER)


def test_what_is_nobodys_own_matter_is_never_given_up() -> None:
    """A refused key stays on the hourly step however often, and does not use up what failed by itself."""
    outcome = Failed("stripe_key", parks=False)
    for attempts in (MAX_ATTEMPTS, MAX_ATTEMPTS + 3):
        settled = settlement(outcome, replace(CLAIM, attempts=attempts), 0.0)
        assert (settled.gave_up, settled.attempts, settled.due_at) == (False, attempts, NOW + timedelta(hours=1))
    assert settlement(outcome, replace(CLAIM, attempts=ENDLESS_ATTEMPTS), 0.0).attempts == ENDLESS_ATTEMPTS


def test_what_was_found_before_stands_until_something_is_decided() -> None:
    """A failure that saw nothing keeps the problems of the pass before; one that decided replaces them."""
    assert settlement(Failed("stripe: 500"), CLAIM, 0.0).keeps_problems
    assert not settlement(Failed("panel: 500", decided=True), CLAIM, 0.0).keeps_problems
    assert not settlement(Failed("panel: 500", problems=(TAKEN,)), CLAIM, 0.0).keeps_problems
