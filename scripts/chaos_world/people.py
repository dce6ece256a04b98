"""What people do at Stripe: they buy, pay, fail to pay, change their minds, dispute and leave."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from scripts.chaos_world.shop import Shop
from scripts.chaos_world.stage import PLANS
from scripts.demo_world.people import charges_of
from scripts.sim.stripe_sim import StripeSim

DAY = 86_400

LONG_AGO = 30 * DAY
"""Seconds: longer than any grace."""

OPEN = ("needs_response", "under_review")
"""States of a dispute that is not decided."""


class People:
    """Everybody who has hosting, or might."""

    def __init__(self, stripe: StripeSim, shop: Shop | None, chance: random.Random, most: int) -> None:
        self._stripe = stripe
        self._shop = shop
        self._chance = chance
        self._most = most
        self._bought = 0
        self.acts: Counter[str] = Counter()
        """What was done, and how often."""

    def act(self) -> None:
        """One thing that somebody may do now."""
        few = len(self._stripe.customers) < self._most
        acts: list[Callable[[], object]] = [self._buy] * (8 if few else 1) + self._possible()
        if few and self._shop is not None:
            acts += [self._order] * 4
        chosen = self._chance.choice(acts)
        self.acts[chosen.__name__.strip("_").replace("_", " ")] += 1
        chosen()

    def _possible(self) -> list[Callable[[], object]]:
        acts: list[Callable[[], object]] = [self._rename] if self._stripe.customers else []
        for status, possible in {
            "active": (self._decline, self._lapse, self._cancel, self._plan_to_leave, self._pause, self._change_plan,
                       self._change_number, self._renew, self._dispute),
            "past_due": (self._pay, self._pay, self._pay, self._give_up, self._cancel),
            "unpaid": (self._pay, self._cancel),
            "paused": (self._resume, self._resume, self._cancel),
            "trialing": (self._renew, self._cancel),
            "incomplete": (self._never_pay,),
        }.items():  # fmt: skip
            acts += possible if self._in(status) else ()
        return acts + ([self._decide] if self._disputes() else [])

    # --- acts ---

    def _buy(self) -> None:
        self._bought += 1
        customers = list(self._stripe.customers)
        again = customers and (self._chance.random() < 0.2 or len(customers) >= self._most)
        email = f"buyer{self._bought}@chaos.example"
        customer = (
            self._chance.choice(customers)
            if again
            else self._stripe.create_customer(email=email, name=f"Buyer {self._bought}")["id"]
        )
        number = self._chance.choice((1, 1, 1, 2, 3))
        status = self._chance.choice(("active",) * 8 + ("trialing", "incomplete"))
        domain = {"domain": f"site{self._bought}.example"} if self._chance.random() < 0.9 else {}
        self._stripe.subscribe(customer, [(self._price(), number)], status, metadata=domain)

    def _order(self) -> None:
        assert self._shop is not None
        self._bought += 1
        domain = f"site{self._bought}.example"
        self._shop.order(f"buyer{self._bought}@chaos.example", self._price(), domain, pays=self._chance.random() < 0.8)

    def _rename(self) -> None:
        customer = self._chance.choice(list(self._stripe.customers))
        self._stripe.update_customer(customer, name=f"Renamed {self._chance.randrange(1000)}")

    def _decline(self) -> None:
        self._stripe.fail_payment(self._one("active"))

    def _lapse(self) -> None:
        self._stripe.fail_payment(self._one("active"), self._stripe.now() - LONG_AGO)

    def _give_up(self) -> None:
        self._stripe.mark_unpaid(self._one("past_due"))

    def _pay(self) -> None:
        behind = self._in("past_due") or self._in("unpaid")
        self._stripe.pay_open_invoice(self._chance.choice(behind), every=True)

    def _renew(self) -> None:
        self._stripe.renew(self._chance.choice(self._in("active") + self._in("trialing")))

    def _cancel(self) -> None:
        statuses = ("active", "past_due", "unpaid", "paused", "trialing")
        self._stripe.cancel(self._chance.choice([one for status in statuses for one in self._in(status)]))

    def _plan_to_leave(self) -> None:
        subscription = self._one("active")
        if self._stripe.get(subscription)["cancel_at_period_end"]:
            self._stripe.uncancel(subscription)
        else:
            self._stripe.cancel(subscription, at_period_end=True)

    def _pause(self) -> None:
        self._stripe.pause(self._one("active"))

    def _resume(self) -> None:
        self._stripe.resume(self._one("paused"))

    def _never_pay(self) -> None:
        self._stripe.expire_incomplete(self._one("incomplete"))

    def _change_plan(self) -> None:
        self._stripe.change_items(self._one("active"), price=self._price(), invoice="paid")

    def _change_number(self) -> None:
        self._stripe.change_items(self._one("active"), quantity=self._chance.choice((1, 2, 3)), invoice="paid")

    def _dispute(self) -> None:
        paid = charges_of(self._stripe, self._stripe.get(self._one("active")))
        charges = [charge for charge in paid if not charge["disputed"]]
        if charges:
            self._stripe.dispute(self._chance.choice(charges)["id"])

    def _decide(self) -> None:
        self._stripe.close_dispute(self._chance.choice(self._disputes()), self._chance.choice(("won", "won", "lost")))

    # --- whom ---

    def _price(self) -> str:
        return self._chance.choice(list(PLANS))

    def _one(self, status: str) -> str:
        return self._chance.choice(self._in(status))

    def _in(self, status: str) -> list[str]:
        return [one["id"] for one in list(self._stripe.subscriptions.values()) if one["status"] == status]

    def _disputes(self) -> list[str]:
        return [one["id"] for one in list(self._stripe.disputes.values()) if one["status"] in OPEN]
