"""What receivers are promised of the bodies: made from the types, and true of what is sent."""

import json
from datetime import UTC, datetime

import jsonschema
import pytest

from lib.config import Endpoint, Outlet, Secret
from lib.database import Database, outbox
from lib.model import CustomerKey
from lib.model.outgoing import OutgoingType, Told
from lib.model.payloads import (
    PAYLOADS,
    DisputeData,
    EndpointTestData,
    EscrowData,
    OrderData,
    ParkedData,
    ParkedProblem,
    Payload,
    PaymentData,
    RefundData,
    ServiceBefore,
    ServiceData,
)
from scripts import _events
from tests.messages.receiver import SECRET

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLES: dict[type[Payload], Payload] = {
    OrderData: OrderData(
        order_id="o", provider="stripe", state="paid", billing_plan_id="price_1", quantity=1, mode="subscription",
        total=1900, currency="eur", subscription_id="sub_1", client_reference=None, seller_id=None, paid_at=NOW,
    ),
    PaymentData: PaymentData(
        payment_id="p", order_id="o", provider="stripe", state="succeeded", attempt=1, amount=1900, currency="eur",
        payment_intent_id="pi_1", charge_id="ch_1", invoice_id="in_1", failure_code=None, hosted_invoice_url=None,
        paid_at=NOW,
    ),
    RefundData: RefundData(
        refund_id="re_1", order_id="o", payment_id="p", charge_id="ch_1", amount=100, currency="jpy", full=False
    ),
    DisputeData: DisputeData(
        dispute_id="dp_1", order_id=None, payment_id=None, charge_id="ch_1", subscription_id="sub_1",
        status="needs_response", reason="fraudulent", amount=1900, currency="eur", due_by=NOW,
    ),
    EscrowData: EscrowData(
        order_id="o", seller_id="s", seller_net=1700, seller_due=1200, came=1900, went_back=500, currency="eur",
        payment_ids=["p"],
    ),
    ServiceData: ServiceData(
        subscription_id="sub_1", slot=1, state="live", price_id="price_1", plan="basic", domain="schön.example",
        holds=["unpaid"], organisation_id="org", panel_subscription_id=1, website_id=None, adopted=False,
        before=ServiceBefore(plan="old", domain=None, website_id=None),
    ),
    ParkedData: ParkedData(
        problems=[ParkedProblem(reason="unmapped_price", detail="\x00 \ud7ff é", subject=None, remedy="Map it.")]
    ),
    EndpointTestData: EndpointTestData(message="hello"),
}  # fmt: skip
OUTLET = Outlet((Endpoint("https://one.example/", (Secret(SECRET),), frozenset(OutgoingType)),), False, False)


def test_the_file_is_as_it_would_be_written() -> None:
    """Nobody changed the file, or the types, alone: `python -m scripts._events` writes it."""
    assert _events.TARGET.read_text() == _events.written()


def test_every_type_has_a_payload() -> None:
    """None is told without saying what it carries."""
    assert list(PAYLOADS) == list(OutgoingType)
    assert set(EXAMPLES) == set(PAYLOADS.values())


async def written(url: str, *told: Told) -> list[str]:
    """The bodies as they are stored."""
    db = Database(Secret(url))
    async with db.transaction() as connection:
        await outbox.write(connection, OUTLET, told)
    rows = await db.rows("SELECT body FROM outbox ORDER BY id")
    await db.close()
    return [row["body"] for row in rows]


@pytest.mark.parametrize("type_", list(OutgoingType))
async def test_what_is_stored_is_what_its_schema_says(database_url: str, type_: OutgoingType) -> None:
    """Each type validates as itself and as no other."""
    told = Told(type_, CustomerKey.stripe("cus_1"), EXAMPLES[PAYLOADS[type_]], rule="unpaid", pass_id="p")
    (body,) = await written(database_url, told)
    jsonschema.Draft202012Validator(_events.document()).validate(json.loads(body))


async def test_one_that_would_be_too_large_is_told_without_its_data(database_url: str) -> None:
    """Below 20 kB whatever happens, so that no fact is undone over what is told of it."""
    problems = [ParkedProblem(reason="gave_up", detail="é" * 500, subject="s" * 200, remedy="r") for _ in range(20)]
    (body,) = await written(
        database_url, Told(OutgoingType.CUSTOMER_PARKED, CustomerKey.stripe("cus_1"), ParkedData(problems=problems))
    )
    assert len(body.encode()) < 20_000
    jsonschema.Draft202012Validator(_events.document()).validate(json.loads(body))
    assert json.loads(body)["data"] is None


async def test_one_fact_is_told_once(database_url: str) -> None:
    """Written twice under one name, in one transaction or two, it takes one number."""
    test = EndpointTestData(message="x")
    one = Told(OutgoingType.ENDPOINT_TEST, None, test, once="order.paid:1")
    bodies = [await written(database_url, one) for _ in range(2)][-1]
    assert [json.loads(body)["sequence"] for body in bodies] == [1]
    other = Told(OutgoingType.ENDPOINT_TEST, None, test, once="order.paid:2")
    assert [json.loads(body)["sequence"] for body in await written(database_url, one, other)] == [1, 2]
