"""What the panel shows is laid onto what we remember before anything is decided."""

from __future__ import annotations

import pytest

from lib.model import Actual, Hold, Service, ServiceState
from lib.policy import observe, recognise
from lib.structs import replace
from tests.policy.worlds import (
    NOW,
    OURS,
    SOMEBODY,
    customer,
    days,
    in_panel,
    invoice,
    payer,
    service,
    subscription,
    world,
)

SUSPENDED = service(state=ServiceState.SUSPENDED, suspended_by=OURS, holds=frozenset({Hold.UNPAID}))
UNMADE = service(state=ServiceState.PENDING, panel_subscription_id=None, plan=None, website_id=None)


def test_a_creation_whose_answer_was_lost_is_found_by_its_mark() -> None:
    """What exists under our mark is remembered, not made again."""
    lost = in_panel(service())
    end = world(payer(subscription(latest=invoice("paid"))), customer(UNMADE), lost)
    end.run()
    assert [found.id for found in end.actual.subscriptions] == [lost.id]
    assert [remembered.panel_subscription_id for remembered in end.memory.services] == [lost.id]


@pytest.mark.parametrize(
    "changes",
    [
        {"deleted": True},
        {"friendly_name": "Hosting [sub_2]"},
        {"friendly_name": "Hosting [sub_1/2]"},
        {"friendly_name": "Hosting sub_1"},
    ],
)
def test_nothing_else_is_taken_for_ours(changes: dict[str, object]) -> None:
    """What is deleted, or carries another's mark or none, is never taken for the service."""
    found, twice = recognise([UNMADE], Actual(subscriptions=(replace(in_panel(service()), **changes),)))  # type: ignore[arg-type]
    assert found == (UNMADE,)
    assert not twice


def test_a_known_service_stays_with_its_number() -> None:
    """A mark that stands there twice changes nothing that we know, and is shown."""
    known = service()
    double = in_panel(known, id=9)
    found, twice = recognise([known], Actual(subscriptions=(double, in_panel(known))))
    assert found == (known,)
    assert len(twice) == 1


def _suspended_by(remembered: Service, *values: str | None) -> Service:
    memory = customer(remembered)
    for value in values:
        memory = observe(memory, Actual(subscriptions=(in_panel(remembered, suspended_by=value),)))
    return memory.services[0]


def test_a_suspension_is_ours_only_until_somebody_lifts_it() -> None:
    """Lifted by hand and set again by hand with the same value, it is not ours any more; untouched, it stays ours."""
    assert _suspended_by(SUSPENDED, OURS, OURS).suspended_by == OURS
    assert _suspended_by(SUSPENDED, None, OURS).suspended_by is None
    assert _suspended_by(SUSPENDED, SOMEBODY).suspended_by is None
    assert _suspended_by(SUSPENDED, SOMEBODY, OURS).suspended_by is None


def test_a_suspension_by_hand_with_our_own_value_survives_a_payment() -> None:
    """Resumed by hand, paid, and suspended by hand: even if the panel writes the same value, no payment lifts it."""
    end = world(
        payer(subscription(latest=invoice("paid"))), customer(SUSPENDED), in_panel(SUSPENDED, suspended_by=None)
    )
    end.run()
    end.actual = Actual(subscriptions=(in_panel(SUSPENDED, suspended_by=OURS),))
    for day in range(3):
        end.now = NOW + days(day)
        end.run()
    assert not end.done


def test_observing_twice_is_observing_once() -> None:
    """Nothing is learnt from looking at the same panel again."""
    for remembered in (service(), SUSPENDED, UNMADE):
        for value in (None, OURS, SOMEBODY):
            actual = Actual(subscriptions=(in_panel(remembered, suspended_by=value),))
            once = observe(customer(remembered), actual)
            assert observe(once, actual) == once
