"""What if: whatever is foretold of other settings is what the rules then do, and what they would do is foretold."""

from datetime import datetime, timedelta
from itertools import product

import pytest

from lib.config import Policy
from lib.config.window import suspend_window
from lib.model import Hold, Service, ServiceState, Subscription
from lib.policy.goal import OPEN_DISPUTE
from lib.policy.what_if import Remembered, change
from lib.structs import replace
from tests.policy.test_rows import KEY, OPEN, PAID
from tests.policy.worlds import NOW, OURS, World, customer, days, payer, service, subscription, world

WINDOW = suspend_window("Mon 09:00-10:00 UTC")
"""NOW is a Friday."""

POLICIES = [
    Policy(),
    Policy(grace_days=3),
    Policy(grace_days=20),
    Policy(retention_days=30),
    Policy(retention_days=60),
    Policy(on_dispute="ignore"),
    Policy(on_dispute_lost="ignore"),
    Policy(on_dispute="ignore", on_dispute_lost="ignore"),
    Policy(suspend_window=WINDOW),
    Policy(grace_days=3, suspend_window=WINDOW, retention_days=30),
]


def lives() -> list[Subscription]:
    """What may be true at Stripe of a service that ran."""
    found = [subscription(status="active", latest=PAID)]
    found += [subscription(status="past_due", unpaid_days=ago, latest=OPEN) for ago in (1, 5, 10, 40)]
    found += [subscription(status="unpaid", unpaid_days=10, latest=OPEN), subscription(status="paused")]
    found += [subscription(status="canceled", ended_days=ago) for ago in (1, 45, 100)]
    quarrels: list[tuple[str, ...]] = [("needs_response",), ("lost",), ("won",), ("warning_needs_response",)]
    found += [replace(subscription(status="active", latest=PAID), disputes=quarrel) for quarrel in quarrels]
    found += [replace(subscription(status="past_due", unpaid_days=5, latest=OPEN), disputes=("lost",))]
    return found


def at_rest(said: Subscription, start: Service, policy: Policy) -> World:
    """How it is once passes with a policy have come to rest."""
    end = world(payer(said), customer(start), policy=policy)
    end.run()
    return end


def state(end: World) -> ServiceState:
    """What is remembered of the service."""
    found = end.service(KEY)
    assert found is not None
    return found.state


@pytest.mark.parametrize("said", lives(), ids=lambda s: f"{s.status} {s.disputes} {s.ended_at}")
def test_what_is_foretold_is_what_happens(said: Subscription) -> None:
    """For each pair of policies: who is suspended, runs again, is deleted, or has another date, is told before."""
    for before, after in product(POLICIES, POLICIES):
        for start in (service(), service(grace_override=NOW + days(2))):
            remembered = at_rest(said, start, before).service(KEY)
            assert remembered is not None
            found = Remembered(
                remembered,
                dispute_open=any(status in OPEN_DISPUTE for status in said.disputes),
                dispute_lost="lost" in said.disputes,
            )
            told = change(found, before, after, NOW)
            then = at_rest(said, remembered, after)
            happened = _happened(remembered, then)
            if told == "not_known":
                since = remembered.unpaid_since
                overdue = since is not None and since + days(before.grace_days) <= NOW  # it waits for the window
                assert Hold.UNPAID in remembered.holds or overdue, (before, after)
            else:
                assert told == happened, (before, after, remembered)


def _happened(before: Service, then: World) -> str | None:
    """What became of it, in the words of `change`."""
    now = state(then)
    if now is not before.state:
        moves = {ServiceState.SUSPENDED: "suspended", ServiceState.LIVE: "resumed", ServiceState.TERMINATED: "deleted"}
        return moves[now]
    after = then.service(KEY)
    assert after is not None
    dates = (before.grace_until or before.retain_until, after.grace_until or after.retain_until)
    if dates[0] == dates[1]:
        return None
    if Hold.ENDED not in before.holds and None in dates:
        return None
    return (
        "later"
        if (dates[1] or datetime.max.replace(tzinfo=NOW.tzinfo)) > (dates[0] or datetime.max.replace(tzinfo=NOW.tzinfo))
        else "sooner"
    )


def test_what_only_stripe_knows_is_not_guessed() -> None:
    """A held debt under a longer grace, a pause under PAUSE_COLLECTION, and a refund of an unknown period."""
    held = service(
        state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.UNPAID}), unpaid_since=NOW - days(10)
    )
    assert change(Remembered(held), Policy(), Policy(grace_days=30), NOW) == "not_known"
    assert change(Remembered(held), Policy(), Policy(grace_days=1), NOW) is None
    paused = replace(held, holds=frozenset({Hold.PAUSED}), unpaid_since=None)
    assert change(Remembered(paused), Policy(), Policy(pause_collection="suspend"), NOW) == "not_known"
    refunded = Remembered(service(), refunded=True)
    assert change(refunded, Policy(), Policy(on_refund="suspend"), NOW) == "not_known"
    known = Remembered(replace(held, holds=frozenset({Hold.REFUND}), unpaid_since=None), refunded=True)
    assert change(known, Policy(on_refund="suspend"), Policy(), NOW) == "resumed"


def test_a_mapping_s_own_grace_wins_over_the_setting() -> None:
    """What the setting says is nothing to a price that has days of its own."""
    running = service(unpaid_since=NOW - days(5), grace_until=NOW + days(5))
    assert change(Remembered(running, own_grace=10), Policy(), Policy(grace_days=1), NOW) is None
    assert change(Remembered(running), Policy(grace_days=10), Policy(grace_days=1), NOW) == "suspended"
    assert change(Remembered(running), Policy(grace_days=10), Policy(grace_days=11), NOW) == "later"
    assert change(Remembered(running), Policy(grace_days=10), Policy(grace_days=6), NOW) == "sooner"
    other = replace(running, grace_until=NOW + timedelta(days=4))  # no date that these settings have made
    assert change(Remembered(other), Policy(grace_days=10), Policy(grace_days=1), NOW) == "not_known"
