"""Any story of money, told badly: the books end as Stripe has it, by moves of the table, and nothing is told twice."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lib.model.money import OrderFact, OrderState
from lib.policy.orders import MOVES
from scripts.sim.stripe_sim import ApiError
from tests.money.happenings import MONTHLY
from tests.money.shop import ONCE, Shop, adds_up
from tests.money.test_money_told import OUT, told
from tests.world import World


@pytest.fixture
def shop(world: World) -> Shop:
    """A shop that sells what no hosting is made for."""
    world.stripe.create_price(MONTHLY)
    world.map_price(MONTHLY, None, kind="ignore")
    return Shop(world)


OPENED = ["needs_response", "warning_needs_response"]


@dataclass
class Story:
    """Purchases at Stripe, and what may happen to each of them."""

    shop: Shop
    noise: random.Random
    sessions: dict[str, str] = field(default_factory=dict)
    """Order -> session; of a Payment Link its session's own id, since nobody has an order of it yet."""

    async def begin(self) -> None:
        """Somebody begins a purchase."""
        order_id, session = await self.shop.begin(self.noise.choice([ONCE, MONTHLY]))
        self.sessions[order_id] = session

    def follow_a_link(self) -> None:
        """Somebody opens a Payment Link, of which nobody tells us."""
        session = self.shop.link(self.noise.choice([ONCE, MONTHLY]))
        self.sessions[session] = session

    def _pay_elsewhere(self, session: str) -> object:
        """The shop takes the money by a PaymentIntent of its own, whether or not it has come already, or too late."""
        stripe, order_id = self.shop.stripe, self.shop.stripe.get(session)["client_reference_id"]
        if order_id is None or stripe.get(session)["mode"] != "payment":
            return None
        customer = self.shop.order(order_id)["customer_id"]
        intent = stripe._intent(customer, 5000, "eur", stripe.now())
        stripe.set(intent["id"], metadata={"order_id": order_id})
        return stripe._charge(intent, True, stripe.now())

    def happen(self) -> None:
        """Something happens to one of them; what Stripe would not do just now does not."""
        stripe, session = self.shop.stripe, self.noise.choice(list(self.sessions.values()))
        thing = stripe.get(session)
        happens: list[Callable[[], object]] = [
            lambda: stripe.complete_checkout(session, "ada@example.com"),
            lambda: stripe.complete_checkout(session, "ada@example.com", payment="processing"),
            lambda: stripe.settle_checkout(session, ok=self.noise.random() < 0.5) if is_unpaid(thing) else None,
            lambda: stripe.expire_checkout(session),
            lambda: self._pay_elsewhere(session),
            lambda: stripe.renew(thing["subscription"], self.noise.choice(["paid", "failed", "processing"])),
            lambda: stripe.pay_open_invoice(thing["subscription"]),
            lambda: stripe.refund(session, self.noise.choice([None, 500, 700])),
            lambda: stripe.fail_refund(self._a_refund(session)),
            lambda: stripe.dispute(self._a_charge(session), self.noise.choice(OPENED)),
            lambda: stripe.close_dispute(self._a_dispute(session), self.noise.choice(["won", "lost"])),
        ]
        self.noise.shuffle(happens)
        for happening in happens:
            try:
                if happening() is not None:
                    return
            except (ApiError, LookupError, TypeError):
                continue

    def _a_charge(self, session: str) -> str:
        charge = self.shop.stripe.charge_of(session)
        if not charge["paid"]:
            raise LookupError(session)  # there is nothing that a bank could ask back
        return str(charge["id"])

    def _a_refund(self, session: str) -> str:
        charge = self.shop.stripe.charge_of(session)["id"]
        made = self.shop.stripe.refunds.newest_first({"charge": charge, "status": "succeeded"})
        return str(self.noise.choice(list(made))["id"])

    def _a_dispute(self, session: str) -> str:
        charge = self.shop.stripe.charge_of(session)["id"]
        made = self.shop.stripe.disputes.newest_first({"charge": charge})
        return str(self.noise.choice([one for one in made if one["status"].endswith("response")])["id"])

    async def tell(self) -> None:
        """Some of what was not told yet is heard of, in any order and some of it twice; the rest later, or never."""
        events = [event for event in self.shop.stripe.undelivered() if self.noise.random() < 0.7]
        events += [event for event in events if self.noise.random() < 0.2]
        self.noise.shuffle(events)
        await self.shop.hear(events, **OUT)
        for event in self.shop.stripe.undelivered():
            if self.noise.random() < 0.3:
                self.shop.stripe.drop(event)


def is_unpaid(session: dict[str, Any]) -> bool:
    """Whether a debit of a complete session is under way."""
    return (session["status"], session["payment_status"]) == ("complete", "unpaid")


def named(shop: Shop, session: dict[str, Any]) -> list[dict[str, Any]]:
    """The PaymentIntents that were made elsewhere and name the order of this session."""
    order_id, own = session["client_reference_id"], session["payment_intent"]
    found = [one for one in shop.stripe.payment_intents.values() if one["metadata"].get("order_id") == order_id]
    return [one for one in found if order_id is not None and one["id"] != own]


def money_of(shop: Shop, session: dict[str, Any]) -> list[dict[str, Any]]:
    """Every PaymentIntent of a purchase, oldest first; of those from elsewhere the ones that fitted the order."""
    stripe = shop.stripe
    known = {payment["payment_intent_id"] for payment in shop.payments()}
    others = [one for one in named(shop, session) if one["id"] in known]
    if session["mode"] == "payment":
        return [*([stripe.get(session["payment_intent"])] if session["payment_intent"] else []), *others]
    invoices = stripe._invoices_of(session["subscription"]) if session["subscription"] else []
    links = [stripe.invoice_payments.newest_first({"invoice": invoice["id"]}) for invoice in reversed(invoices)]
    return [stripe.get(link["payment"]["payment_intent"]) for found in links for link in found]


def expected(shop: Shop, session: dict[str, Any]) -> tuple[str, int, bool]:
    """(state, refunded, disputed) of a purchase, as Stripe has it now."""
    intents = money_of(shop, session)
    charges = [intent["latest_charge"] for intent in intents if intent["status"] == "succeeded"]
    came = sum(intent["amount_received"] for intent in intents)
    refunds = [refund for refund in shop.stripe.refunds.values() if refund["charge"] in charges]
    went = sum(refund["amount"] for refund in refunds if refund["status"] == "succeeded")
    disputes = [one for one in shop.stripe.disputes.values() if one["charge"] in charges]
    disputed = any(one["status"].endswith("response") for one in disputes)
    if came:
        return "refunded" if went >= came else "paid", went, disputed
    if session["status"] != "complete":
        return {"open": "pending", "expired": "expired"}[session["status"]], 0, False
    failed = intents[-1]["status"] == "requires_payment_method"
    return "failed" if failed else "paying", 0, False


@pytest.mark.parametrize("seed", range(10))
async def test_the_books_end_as_stripe_has_it(shop: Shop, seed: int) -> None:
    """Whatever happens, and however it is heard of; after a sweep nothing is missing, and no move was made up."""
    story = Story(shop, random.Random(seed))  # noqa: S311 - a test's own order of things
    for _ in range(2):
        await story.begin()
    story.follow_a_link()
    for _ in range(8):
        for _ in range(story.noise.randint(1, 4)):
            story.happen()
        await story.tell()
    shop.world.sql("UPDATE payments SET updated_at = updated_at - interval '2 days'")
    shop.world.sql("UPDATE orders SET updated_at = updated_at - interval '2 days'")
    await shop.sweep(**OUT)
    await shop.sweep(**OUT)
    for name, session in story.sessions.items():
        stripe = shop.stripe.get(session)
        if name == session and stripe["status"] != "complete":
            assert shop.world.sql("SELECT 1 AS found FROM orders WHERE session_id = %s", session) == []
            continue
        (known,) = shop.world.sql("SELECT order_id FROM orders WHERE session_id = %s", session)
        order_id = str(known["order_id"])
        row = shop.order(order_id)
        assert (row["state"], row["refunded"], row["disputed"]) == expected(shop, stripe), (seed, stripe)
        succeeded = [intent for intent in money_of(shop, stripe) if intent["status"] == "succeeded"]
        paid = [payment for payment in shop.payments(order_id) if payment["state"] == "succeeded"]
        assert {payment["payment_intent_id"] for payment in paid} == {intent["id"] for intent in succeeded}
        for payment in paid:
            adds_up(payment)
    moves_are_in_the_table(shop)
    said = [(kind, data.get("paymentId"), data.get("refundId"), data.get("disputeId"), data.get("orderId"))
            for kind, data in told(shop) if kind not in ("payment.failed", "customer.parked")]  # fmt: skip
    assert len(said) == len(set(said))
    parked = {row["key"]: row["parked_reason"] for row in shop.due() if row["parked_reason"]}
    assert parked == {key: reason for session in story.sessions.values() for key, reason in to_ask(shop, session)}


def to_ask(shop: Shop, session_id: str) -> list[tuple[str, str]]:
    """What a person has to be asked: money that fits no order, and what came once more for what is paid once."""
    session = shop.stripe.get(session_id)
    if session["mode"] != "payment":
        return []
    known = {payment["payment_intent_id"]: payment["attempt"] for payment in shop.payments()}
    charges = {one["id"]: shop.stripe.get(one["latest_charge"]) for one in named(shop, session)}
    found = [(one, "payment_unfit") for one in charges if one not in known and not charges[one]["refunded"]]
    intents = [one for one in money_of(shop, session) if one["status"] == "succeeded"]
    kept = 0
    for place, one in enumerate(sorted(intents, key=lambda one: int(known[one["id"]]))):
        back = [refund for refund in shop.stripe.refunds.values() if refund["charge"] == one["latest_charge"]]
        left = one["amount_received"] - sum(refund["amount"] for refund in back if refund["status"] == "succeeded")
        quarrels = [quarrel for quarrel in shop.stripe.disputes.values() if quarrel["charge"] == one["latest_charge"]]
        left -= sum(quarrel["amount"] for quarrel in quarrels if quarrel["status"] == "lost")
        if place > 0 and left > max(5000 - kept, 0):
            found.append((one["id"], "paid_twice"))
        kept += left
    return found


def moves_are_in_the_table(shop: Shop) -> None:
    """Every step of every order is one that the table has, and each goes on where the one before it ended."""
    rows = shop.world.sql("SELECT * FROM order_steps WHERE kind = 'order' ORDER BY order_id, id")
    at: dict[Any, OrderState | None] = {}
    for row in rows:
        begin = OrderState(row["from_state"]) if row["from_state"] else None
        assert row["state"] != "failed", row
        assert at.get(row["order_id"]) == begin
        at[row["order_id"]] = OrderState(row["to_state"])
        assert (begin, OrderFact(row["fact"]), at[row["order_id"]]) in MOVES
