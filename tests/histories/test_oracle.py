"""The oracle can fail: where the product is lied to, the histories soon show it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.histories.panel import NeverAsked
from tests.histories.product import Restless
from tests.histories.story import SETTINGS, STEPS, Setting, Step
from tests.histories.test_histories import Differs, play

Json = dict[str, Any]


def instead(kind: str, field: str, told: object, of: tuple[object, ...]) -> Callable[[Json], object]:
    """A lie: objects of a kind say `told` in a field where they should say something else."""

    def lie(thing: Json) -> None:
        if thing["object"] == kind and thing.get(field) in of:
            thing[field] = told
            if told == "paid":  # a lie that contradicts itself is not even read
                thing["status_transitions"]["paid_at"] = thing["created"]

    return lie


LIES = {
    "an open invoice is paid": instead("invoice", "status", "paid", ("open",)),
    "a voided invoice is paid": instead("invoice", "status", "paid", ("void",)),
    "a written-off invoice is paid": instead("invoice", "status", "paid", ("uncollectible",)),
    "a paid invoice is open": instead("invoice", "status", "open", ("paid",)),
    "nobody is behind": instead("subscription", "status", "active", ("past_due",)),
    "nobody is paused": instead("subscription", "status", "active", ("paused",)),
    "nobody has cancelled": instead("subscription", "status", "active", ("canceled",)),
    "what is cancelled is paused": instead("subscription", "status", "paused", ("canceled",)),
    "a dispute was won": instead("dispute", "status", "won", ("needs_response", "under_review", "lost")),
    "an inquiry is a dispute": instead("dispute", "status", "needs_response", ("warning_needs_response",)),
    "nothing was refunded": instead("charge", "refunded", told=False, of=(True,)),
    "everything was refunded": instead("charge", "refunded", told=True, of=(False,)),
    "one of each": instead("subscription_item", "quantity", 1, (0, 2)),
    "everything is an upgrade": instead("invoice", "billing_reason", "subscription_update", ("subscription_cycle",)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_what_the_product_is_told_wrongly_does_not_stay_unseen(lie: Callable[[Json], object]) -> None:
    """Hosting that follows from a lie about the money contradicts a sentence in some history."""

    @settings(
        max_examples=20_000,  # it ends with the first that contradicts; how soon depends on the modules that are loaded
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(setting=SETTINGS, steps=STEPS)
    def histories(setting: Setting, steps: list[Step]) -> None:
        play(setting, steps, lie)

    with pytest.raises((Differs, Restless, NeverAsked)):
        histories()
