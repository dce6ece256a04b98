"""Orders that were paid and for which nothing runs: what paid them, why it is so, and what to do."""

import csv
import io

import pytest

from lib.model import Hold
from lib.policy.not_live import HOLDS, Stands, why
from lib.structs import replace
from tests.money.shop import ON, Shop
from tests.world import ADMIN_KEY, World

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
ROUTE = "/api/admin/orders"


async def test_a_paid_order_that_does_not_run_names_its_invoice_its_cause_and_the_remedy(world: World) -> None:
    """Bought for a price that nobody mapped: the list and the order itself say so; who runs stands in neither."""
    shop = Shop(world)
    shop.stripe.create_price("price_new")
    for price, domain, email in (
        ("price_new", "ada.example", "ada@example.com"),
        ("price_basic_monthly", "bo.example", "bo@example.com"),
    ):
        _, session = await shop.begin(price, domain)
        shop.stripe.complete_checkout(session, email)
    await shop.hear()
    await world.come_to_rest(**ON)
    async with world.functions(**ON) as client:
        (row,) = (await client.get(ROUTE, params={"notLive": "true"}, headers=BEARER)).json()["data"]
        one = (await client.get(ROUTE, params={"id": row["id"]}, headers=BEARER)).json()
        every = (await client.get(ROUTE, headers=BEARER)).json()["data"]
        (runs,) = [order["id"] for order in every if order["id"] != row["id"]]
        other = (await client.get(ROUTE, params={"id": runs}, headers=BEARER)).json()
        as_csv = await client.get(ROUTE, params={"notLive": "true"}, headers={**BEARER, "Accept": "text/csv"})
    found = row["notLive"]
    payments = {pay["invoiceId"] for pay in one["payments"]}
    assert found["invoiceId"] in payments and found["invoiceId"].startswith("in_")
    assert (found["since"], found["reason"]) == (row["paidAt"], "unmapped_price")
    assert "price_new" in found["detail"] and "plan_mappings" in found["remedy"]
    assert one["notLive"] == found
    assert other["notLive"] is None and other["servedAt"] is not None
    (line,) = csv.DictReader(io.StringIO(as_csv.text))
    assert (line["invoiceId"], line["reason"], line["remedy"]) == (
        found["invoiceId"],
        "unmapped_price",
        found["remedy"],
    )


PAID = Stands(customer="cus_1", price="price_1", subscription="sub_1")


@pytest.mark.parametrize(
    ("stands", "reason", "said"),
    [
        (replace(PAID, customer=None), "no_customer", "./scripts/sweep"),
        (replace(PAID, customer=None, order_parked="order_move_unknown"), "order_move_unknown", ""),
        (replace(PAID, customer=None, order_error="stripe_key: 401"), "failing", "doctor"),
        (
            replace(
                PAID,
                parked="no_email",
                problems=[
                    {"reason": "no_email", "detail": "none", "subject": "cus_1"},
                    {"reason": "unmapped_price", "detail": "price_1 has no row", "subject": "price_1"},
                ],
            ),
            "unmapped_price",
            "plan_mappings",
        ),
        (replace(PAID, parked="no_email"), "no_email", "e-mail"),
        (replace(PAID, holds=("admin", "unpaid")), "held", "Lift the hold."),
        (replace(PAID, state="waiting", error="the panel did not answer"), "failing", "retry"),
        (replace(PAID, state="waiting", error="panel_token: 401"), "failing", "new token"),
        (replace(PAID, state="working"), "working", "look again"),
        (replace(PAID, state="due"), "due", "look again"),
        (replace(PAID, services=("live",)), "runs", "sync"),
        (replace(PAID, state="waiting", waits_for="website_turn"), "website_turn", "Nothing."),
        (replace(PAID, services=("pending",), service_waits="settlement"), "settlement", "Nothing"),
        (PAID, "nothing_due", "sync"),
    ],
)
def test_there_is_one_cause_for_each_and_what_to_do(stands: Stands, reason: str, said: str) -> None:
    """Whatever stands in the way, somebody is told what it is and what to do about it."""
    found = why(stands, "live")
    assert found.reason == reason
    assert said in found.remedy and found.detail


def test_while_nothing_is_made_at_all_that_is_the_cause() -> None:
    """In shadow mode nobody's own trouble is to blame."""
    assert why(replace(PAID, parked="no_email"), "shadow").reason == "mode"


def test_every_hold_says_what_lets_it_go() -> None:
    """No hold is shown without what to do about it."""
    assert set(HOLDS) == {hold.value for hold in Hold}
