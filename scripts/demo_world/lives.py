"""What happens to the customers of the populated world: each life once, in steps that lie some days back.

A step changes the simulated Stripe (or the panel, or the word of a person) as of that day; then real passes run.
`spread` says between how many days earlier (and, below nothing, later) the same may have happened to others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.sim.stripe_sim import Obj

if TYPE_CHECKING:
    import psycopg

    from lib.bridge import Bridge
    from scripts.sim.enhance_sim import EnhanceSim
    from scripts.sim.stripe_sim import StripeSim

BASIC, BIG, PRO, SHOP = "price_basic_monthly", "price_big_monthly", "price_pro_monthly", "price_shop_monthly"
PLANS = {BASIC: "basic-hosting-plan", BIG: "big-hosting-plan", PRO: "big-hosting-plan"}
"""The mappings. `SHOP` has none, and that of `PRO` is edited after some have bought it."""

AFTER_THE_EDIT = {PRO: "basic-hosting-plan"}


@dataclass
class Model:
    """One customer to whom it happens, in a world of their own kind: those who take after them are copies."""

    number: int
    stripe: StripeSim
    panel: EnhanceSim
    database: psycopg.Connection[Any]
    at: int = 0
    """The unix time of the present step."""
    customer: str = ""
    sub: str = ""

    @property
    def name(self) -> str:
        """Nothing else in that world is called so."""
        return f"Model {self.number:03d} Person"

    @property
    def email(self) -> str:
        """Their address."""
        return f"m{self.number:03d}@model.example"

    @property
    def domain(self) -> str:
        """What they ask for."""
        return f"m{self.number:03d}-model.example"

    def subscribe(self, *items: Any, email: bool = True, domain: str | None = None, **more: Any) -> None:
        """Buy, as through an API of the seller's."""
        made = self.stripe.create_customer(self.email if email else None, self.name, created=self.at)
        self.customer = made["id"]
        metadata = {"domain": domain or self.domain}
        self.sub = self.stripe.subscribe(
            self.customer, items or (BASIC,), metadata=metadata, created=self.at, changed=self.at, **more
        )["id"]

    def checkout(self, price: str = BASIC) -> Obj:
        """A page at Stripe, open."""
        asked = {"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Your domain"}}
        return self.stripe.create_checkout(
            created=self.at,
            mode="subscription",
            line_items=[{"price": price, "quantity": 1}],
            success_url="https://hosting.example/welcome",
            custom_fields=[asked],
        )

    def buy(self, price: str = BASIC) -> None:
        """Buy at the Checkout, which makes an order."""
        session = self.checkout(price)
        self.stripe.complete_checkout(
            session["id"], email=self.email, name=self.name, domain=self.domain, created=self.at
        )
        self.sub, self.customer = session["subscription"], session["customer"]

    @property
    def paid(self) -> str:
        """The charge of the last bill."""
        for invoice in self.stripe.invoices.newest_first({"parent.subscription_details.subscription": self.sub}):
            if invoice["status"] == "paid":
                return str(self.stripe.charge_of(invoice["id"])["id"])
        raise LookupError(self.sub)

    @property
    def hosting(self) -> int:
        """The number of the hosting subscription in the panel."""
        row = self.database.execute(
            "SELECT panel_subscription_id FROM services WHERE subscription_id = %s", (self.sub,)
        ).fetchone()
        assert row is not None
        return int(row[0])


@dataclass(frozen=True)
class Step:
    """What happens on one day, and when the passes ran that saw it."""

    ago: float
    does: Callable[[Model], Any]
    seen: float | None = None
    """Days ago; the same moment, where nothing is said. The end of a grace is seen later than its beginning."""
    acts: Callable[[Bridge, Model], Awaitable[Any]] | None = None
    """What a person does then."""
    braked: bool = False
    """Of a step in which a mapping is edited, on one day for all: one move passes, and the brake stops the others."""


@dataclass(frozen=True)
class Life:
    """The steps of one life, and how many have lived it."""

    name: str
    copies: int
    spread: tuple[float, float]
    steps: tuple[Step, ...] = field(default=())


def _each(*wanted: tuple[str, int, tuple[float, float], tuple[Step, ...]]) -> tuple[Life, ...]:
    return tuple(Life(*one) for one in wanted)


def _fail(model: Model) -> None:
    model.stripe.fail_payment(model.sub, model.at)


def _give_up(model: Model) -> None:
    model.stripe.mark_unpaid(model.sub, model.at)


def _cancel(model: Model) -> None:
    model.stripe.cancel(model.sub, created=model.at)


def _dispute(model: Model) -> None:
    model.stripe.dispute(model.paid, created=model.at)


def _close(status: Any) -> Callable[[Model], None]:
    def close(model: Model) -> None:
        (dispute,) = [one for one in model.stripe.disputes.values() if one["charge"] == model.paid]
        model.stripe.close_dispute(dispute["id"], status, created=model.at)

    return close


async def _hold(bridge: Bridge, model: Model) -> None:
    from lib.operators import hand

    await hand.hold(bridge, hand.Hand("anna", model.customer, model.sub, "a question about the content"))


async def _later(bridge: Bridge, model: Model) -> None:
    from lib.operators import hand

    until = datetime.fromtimestamp(model.at, UTC) + timedelta(days=24)
    await hand.grace(bridge, hand.Hand("anna", model.customer, model.sub, "pays after the holidays"), until)


def _taken(model: Model) -> None:
    model.panel.reserve_domain_elsewhere(model.domain)
    model.subscribe()


def _too_big(model: Model) -> None:
    model.panel.set_usage(model.hosting, diskspace=14_000_000_000)
    model.stripe.change_items(model.sub, price=BASIC, invoice="paid", created=model.at)


def _edit(model: Model) -> None:
    model.database.execute(
        "UPDATE plan_mappings SET enhance_plan_id = %s, updated_at = now() WHERE billing_plan_id = %s",
        (AFTER_THE_EDIT[PRO], PRO),
    )


def _nothing(model: Model) -> None:
    del model


def _pay(model: Model) -> None:
    model.stripe.pay_open_invoice(model.sub, model.at)


async def _sync(bridge: Bridge, model: Model) -> None:
    await bridge.reconcile(model.customer, actor="bridge")


LIVES = _each(
    ("live", 70, (-2.9, 24), (Step(3, Model.buy),)),
    ("live by API", 20, (-3.9, 22), (Step(4, Model.subscribe),)),
    ("big", 26, (-9, 18), (Step(10, lambda m: m.buy(BIG)),)),
    ("renewed", 90, (-13.9, 14), (Step(45, Model.buy), Step(14, lambda m: m.stripe.renew(m.sub, created=m.at)))),
    ("two of a kind", 4, (-10, 10), (Step(12, lambda m: m.subscribe((BASIC, 2))),)),
    (
        "trialing",
        14,
        (-4.9, 7),
        (Step(5, lambda m: m.subscribe(status="trialing", trial_end=m.at + 14 * 86400)),),
    ),
    (
        "ends soon",
        5,
        (-9, 12),
        (Step(13, Model.buy), Step(11, lambda m: m.stripe.cancel(m.sub, at_period_end=True, created=m.at))),
    ),
    ("in grace", 14, (-2.9, 3.6), (Step(40, Model.buy), Step(3, _fail))),
    (
        "grace by hand",
        2,
        (-1, 2),
        (Step(50, Model.buy), Step(5, _fail), Step(4, _nothing, acts=_later)),
    ),
    ("unpaid", 9, (-5, 20), (Step(52, Model.buy), Step(20, _fail, seen=13), Step(8, _give_up))),
    ("paid late", 6, (-8, 15), (Step(60, Model.buy), Step(29, _fail, seen=22), Step(10, _pay))),
    ("paused", 4, (-9, 20), (Step(30, Model.buy), Step(10, lambda m: m.stripe.pause(m.sub, created=m.at)))),
    ("ended", 12, (-7.5, 20), (Step(47, Model.buy), Step(8, _cancel))),
    ("deleted", 5, (-8, 15), (Step(70, Model.buy), Step(45, _cancel, seen=15))),
    ("disputed", 2, (-1, 2), (Step(26, Model.buy), Step(2, _dispute))),
    ("dispute won", 2, (-3, 6), (Step(70, Model.buy), Step(40, _dispute), Step(5, _close("won")))),
    ("dispute lost", 2, (-3, 6), (Step(66, Model.buy), Step(38, _dispute), Step(6, _close("lost")))),
    (
        "refunded",
        3,
        (-3, 9),
        (Step(16, Model.buy), Step(4, lambda m: m.stripe.refund(m.paid, created=m.at))),
    ),
    (
        "refunded in part",
        4,
        (-5, 9),
        (Step(15, Model.buy), Step(6, lambda m: m.stripe.refund(m.paid, 500, created=m.at))),
    ),
    ("held by a person", 3, (-3, 9), (Step(18, Model.buy), Step(4, _nothing, acts=_hold))),
    (
        "suspended in the panel",
        3,
        (-5, 9),
        (Step(17, Model.buy), Step(7, lambda m: m.panel.suspend_by_hand(m.hosting), acts=_sync)),
    ),
    ("unmapped", 7, (-0.9, 1), (Step(1, lambda m: m.subscribe(SHOP)),)),
    ("without an address", 2, (-1, 4), (Step(2, lambda m: m.subscribe(email=False)),)),
    ("no domain", 3, (-2, 5), (Step(3, lambda m: m.subscribe(domain="not a domain")),)),
    ("domain of another", 2, (-2, 5), (Step(4, _taken),)),
    (
        "deleted by hand",
        2,
        (-1, 6),
        (Step(21, Model.buy), Step(2, lambda m: m.panel.delete_by_hand(m.hosting), acts=_sync)),
    ),
    ("too big for less", 2, (-1, 4), (Step(19, lambda m: m.buy(BIG)), Step(2, _too_big))),
    ("never paid", 3, (-0.5, 0.4), (Step(0.6, lambda m: m.subscribe(status="incomplete", payment="open")),)),
    ("moved", 20, (-9, 20), (Step(30, lambda m: m.buy(PRO)), Step(0.1, _edit, acts=_sync, braked=True))),
    ("move waits", 24, (-9, 20), (Step(30, lambda m: m.buy(PRO)), Step(0.1, _nothing, braked=True))),
)
"""In the order in which they are lived."""
