"""Adopting agrees with deciding: whatever was bought, what is linked is what every later pass finds in order."""

from datetime import UTC, datetime
from random import Random

import pytest

from lib.config import Policy
from lib.model import (
    Catalogue,
    Facts,
    Item,
    Memory,
    PanelSubscription,
    Payer,
    PlanMapping,
    Resource,
    ServiceKey,
    Subscription,
)
from lib.policy import desired
from lib.policy.adoption import Holdings, Match, Row, Site, foresee, match
from lib.structs import replace

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PLANS = {"price_a": "plan a", "price_b": "plan b", "price_c": "3"}
CATALOGUE = Catalogue({price: PlanMapping(price, plan=plan) for price, plan in PLANS.items()})
POLICY = Policy()
ORG = "org"


def hosting(number: int, price: str) -> PanelSubscription:
    """A hosting subscription on the plan of a price."""
    plan = PLANS[price]
    return PanelSubscription(number, int(plan) if plan.isdigit() else 100 + ord(price[-1]), plan, "Old hosting")


def bought(*subscriptions: tuple[tuple[str, int], ...], domain: str | None = None) -> Payer:
    """A payer with subscriptions of (price, quantity) items."""
    return Payer(
        "cus_1",
        "ada@example.com",
        "Ada",
        tuple(
            Subscription(
                f"sub_{number}",
                "active",
                tuple(Item(f"si_{number}_{at}", price, quantity) for at, (price, quantity) in enumerate(items)),
                NOW,
                invoices=(),
                domain=domain,
            )
            for number, items in enumerate(subscriptions)
        ),
    )


def adopt(payer: Payer, holdings: Holdings, *rows: Row, accept: bool = False) -> Match:
    """Match everything, or what the rows say."""
    given = rows or (Row(payer.id, ORG),)
    return match(
        given, Facts(payer, Memory(payer.id), CATALOGUE), holdings, POLICY, NOW, accept_plan_changes=accept
    )  # fmt: skip


def remembered(payer: Payer, found: Match) -> Memory:
    """Memory after the linking."""
    return Memory(
        payer.id, org_id=ORG, org_name="Ada", login_id="login", member_id="member", known=True, welcomed=True,
        services=found.services,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_what_is_linked_rests(seed: int) -> None:
    """Several subscriptions, items and quantities, named row by row in any order: linked whole, and nothing follows."""
    random = Random(seed)  # noqa: S311 - cases, not secrets
    payer = bought(
        *(
            tuple((price, random.randint(1, 3)) for price in random.sample(sorted(PLANS), random.randint(1, 3)))
            for _ in range(random.randint(1, 3))
        )
    )
    places = [(s.id, item.price_id) for s in payer.subscriptions for item in s.items for _ in range(item.quantity)]
    subscriptions = tuple(hosting(number, price) for number, (_, price) in enumerate(places, 661))
    rows = [Row(payer.id, ORG, s, number) for number, (s, _) in enumerate(places, 661)]
    random.shuffle(rows)
    found = adopt(payer, Holdings(subscriptions), *rows)
    assert found.refusals == ()
    assert sorted(s.panel_subscription_id or 0 for s in found.services) == [s.id for s in subscriptions]
    memory = remembered(payer, found)
    wanted = desired(payer, memory, CATALOGUE, POLICY, NOW)
    assert {(goal.key, goal.service.item_id) for goal in wanted.goals} == {
        (service.key, service.item_id) for service in found.services
    }
    assert foresee(payer, memory, CATALOGUE, subscriptions, POLICY, NOW) == ((), ())


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "unpaid", "paused"])
def test_places_do_not_depend_on_the_standing(status: str) -> None:
    """Who is behind is linked to the same places as who is not."""
    payer = bought((("price_a", 2), ("price_b", 1)))
    holdings = Holdings((hosting(1, "price_a"), hosting(2, "price_a"), hosting(3, "price_b")))
    behind = replace(payer, subscriptions=tuple(replace(s, status=status) for s in payer.subscriptions))
    assert adopt(behind, holdings) == adopt(payer, holdings)
    assert len(adopt(payer, holdings).services) == 3


def test_what_others_have_and_what_is_gone_is_no_candidate() -> None:
    """The one that is left over is the one."""
    payer = bought((("price_a", 1),))
    subscriptions = (
        replace(hosting(1, "price_a"), deleted=True),
        replace(hosting(2, "price_a"), resources=(Resource("customers", None),)),
        hosting(3, "price_a"),
        hosting(4, "price_a"),
    )
    found = adopt(payer, Holdings(subscriptions, taken={4: ServiceKey("sub_other", 1)}))
    assert [s.panel_subscription_id for s in found.services] == [3]


@pytest.mark.parametrize("total", [None, 5])
def test_a_named_reseller_subscription_is_refused(total: int | None) -> None:
    """It has customers of its own, which no price of ours stands for; a plan without any is ordinary hosting."""
    payer = bought((("price_a", 1),))
    sold = replace(hosting(1, "price_a"), resources=(Resource("customers", total),))
    row = Row(payer.id, ORG, None, 1)
    assert [refusal.reason for refusal in adopt(payer, Holdings((sold,)), row).refusals] == ["reseller"]
    plain = replace(sold, resources=(Resource("customers", 0),))
    assert adopt(payer, Holdings((plain,)), row).refusals == ()


def test_a_number_named_twice_is_refused() -> None:
    """Two rows can't both have it."""
    payer = bought((("price_a", 2),))
    row = Row(payer.id, ORG, None, 1)
    found = adopt(payer, Holdings((hosting(1, "price_a"), hosting(2, "price_a"))), row, row)
    assert [refusal.reason for refusal in found.refusals] == ["ambiguous"]


def test_more_hosting_than_was_bought_needs_a_name() -> None:
    """Which of three was bought twice can't be told."""
    payer = bought((("price_a", 2),))
    found = adopt(payer, Holdings(tuple(hosting(number, "price_a") for number in (1, 2, 3))))
    assert [refusal.reason for refusal in found.refusals] == ["ambiguous"]


def test_a_domain_names_its_hosting() -> None:
    """Each slot of a quantity gets the hosting that has its domain, though the numbers run the other way."""
    payer = bought((("price_a", 2),), domain="one.example, two.example")
    sites = (Site("w2", "two.example", 1), Site("w1", "one.example", 2))
    found = adopt(payer, Holdings((hosting(1, "price_a"), hosting(2, "price_a")), sites))
    assert [(s.key.slot, s.panel_subscription_id, s.domain) for s in found.services] == [
        (1, 2, "one.example"),
        (2, 1, "two.example"),
    ]


def test_one_website_among_several_is_told_by_its_domain() -> None:
    """The one that was bought is answered for; the others are the customer's own."""
    payer = bought((("price_a", 1),), domain="two.example")
    sites = (Site("w1", "one.example", 1), Site("w2", "two.example", 1))
    (service,) = adopt(payer, Holdings((hosting(1, "price_a"),), sites)).services
    assert (service.website_id, service.domain) == ("w2", "two.example")


def test_a_plan_that_was_not_bought_needs_consent() -> None:
    """With it, the present plan is what is remembered, so that the pass sees the difference."""
    payer = bought((("price_a", 1),))
    holdings = Holdings((hosting(1, "price_b"),))
    assert [refusal.reason for refusal in adopt(payer, holdings).refusals] == ["plan_mismatch"]
    found = adopt(payer, holdings, accept=True)
    assert [s.plan for s in found.services] == [str(holdings.subscriptions[0].plan_id)]
    actions, _ = foresee(payer, remembered(payer, found), CATALOGUE, holdings.subscriptions, POLICY, NOW)
    assert [action.kind for action in actions] == ["change_plan"]


def test_a_mark_says_whose_it_is() -> None:
    """After a lost database: hosting that carries our mark goes to its own place, and to no other."""
    payer = bought((("price_a", 1),), (("price_a", 1),))
    second = replace(hosting(1, "price_a"), friendly_name="shop.example [sub_1]")
    first = replace(hosting(2, "price_a"), friendly_name="Hosting [sub_0]")
    found = adopt(payer, Holdings((second, first)))
    assert [(str(s.key), s.panel_subscription_id) for s in found.services] == [("sub_0", 2), ("sub_1", 1)]


def test_a_foreign_mark_links_nothing() -> None:
    """Not by itself, and not by name."""
    payer = bought((("price_a", 1),))
    foreign = replace(hosting(1, "price_a"), friendly_name="Hosting [sub_other]")
    assert [refusal.reason for refusal in adopt(payer, Holdings((foreign,))).refusals] == ["nothing_fits"]
    named = adopt(payer, Holdings((foreign,)), Row(payer.id, ORG, None, 1))
    assert [refusal.reason for refusal in named.refusals] == ["panel_marked"]
