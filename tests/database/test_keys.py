"""Keys of customers: written and read in one way, in the code and in statements."""

import pytest

from lib.config import Secret
from lib.database import Database, keys
from lib.model import CustomerKey
from lib.model.provider import Provider

KEYS = {
    "cus_1": CustomerKey(Provider.STRIPE, "cus_1"),
    "bank_transfer:cus_1": CustomerKey(Provider.BANK_TRANSFER, "cus_1"),
    "cash_on_delivery:a:b": CustomerKey(Provider.CASH_ON_DELIVERY, "a:b"),
    "nobody:cus_1": CustomerKey(Provider.STRIPE, "nobody:cus_1"),
    "bank_transfer:": CustomerKey(Provider.STRIPE, "bank_transfer:"),
    "stripe:cus_1": CustomerKey(Provider.STRIPE, "stripe:cus_1"),
}


@pytest.mark.parametrize(("text", "key"), KEYS.items())
def test_a_key_is_written_as_it_is_read(text: str, key: CustomerKey) -> None:
    """Stripe's ids are bare, and whatever names no other provider is one of them."""
    assert (CustomerKey.read(text), str(key)) == (key, text)


async def test_statements_agree_with_the_code(database_url: str) -> None:
    """A key that the database writes is read by the code, and the other way round."""
    db = Database(Secret(database_url))
    for text, key in KEYS.items():
        row = await db.row(
            f"SELECT {keys.as_text()} AS text, {keys.provider_in('%(text)s::text')} AS provider,"  # noqa: S608
            f" {keys.id_in('%(text)s::text')} AS id"
            " FROM (SELECT %(provider)s::text AS provider, %(customer)s::text AS customer_id) AS one",
            {"text": text, **keys.whose(key)},
        )
        assert row == {"text": text, "provider": key.provider.value, "id": key.id}
    await db.close()
