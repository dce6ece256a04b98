"""What the tables themselves guard, whoever writes to them."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from lib.model.money import OrderState
from lib.policy.orders import MOVES
from scripts._postgres import Postgres
from tests.money.goods import NOW

Sql = psycopg.Connection[Any]
ANY = {
    "provider": "stripe",
    "origin": "checkout",
    "billing_plan_id": "price_basic_monthly",
    "buyer": "mail:ada@example.com",
    "currency": "eur",
    "amount": 1900,
    "created_at": NOW,
}
TRANSFER = {"provider": "bank_transfer", "origin": "admin", "buyer": None, "reference": "RF18539007547034"}
NUMBERS = {
    "subtotal": 1900,
    "discount": 200,
    "tax": 340,
    "tax_included": 0,
    "shipping": None,
    "total": 2040,
    "paid": 2040,
    "gross": 2040,
    "provider_fee": 85,
    "net": 1955,
    "balance_currency": "eur",
    "settled_at": NOW,
}


@pytest.fixture(scope="module")
def tables_url(postgres: Postgres, template_database: str) -> Iterator[str]:
    """The address of a database for all of these tests, of which each takes back what it did."""
    yield postgres.create_database("money_tables", template_database)
    postgres.drop_database("money_tables")


@pytest.fixture
def tables(tables_url: str) -> Iterator[Sql]:
    """A connection whose every change is undone at the end."""
    with psycopg.connect(tables_url) as connection, connection.transaction(force_rollback=True):
        yield connection


def run(connection: Sql, statement: str, values: Any = None) -> None:
    """One statement that may be refused without harm to the next."""
    with connection.transaction():
        connection.execute(statement, values)


def insert(connection: Sql, table: str, row: dict[str, Any]) -> None:
    """Write one row as plain SQL."""
    names, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    run(connection, f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 - names of this module


def add_order(connection: Sql, **others: Any) -> str:
    """An order; its id."""
    order_id = str(uuid.uuid4())
    insert(connection, "orders", {"order_id": order_id, **ANY, **others})
    return order_id


def add_payment(connection: Sql, order_id: str, **others: Any) -> str:
    """A succeeded payment whose numbers are still to come; its id."""
    payment_id = str(uuid.uuid4())
    row = {"payment_id": payment_id, "order_id": order_id, "provider": "stripe", "attempt": 1, "state": "succeeded"}
    insert(connection, "payments", {**row, "amount": 2040, "currency": "eur", "created_at": NOW, **others})
    return payment_id


def change(connection: Sql, table: str, row_id: str, **columns: Any) -> None:
    """Change one order, payment or rule."""
    key = {"orders": "order_id", "payments": "payment_id", "fee_rules": "id"}[table]
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    run(connection, f"UPDATE {table} SET {sets} WHERE {key} = %(id)s", {**columns, "id": row_id})  # noqa: S608


def one(connection: Sql, statement: str, *values: Any) -> Any:
    """The first value of the first row."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


def test_the_table_and_the_policy_allow_the_same_moves(tables: Sql) -> None:
    """The pairs in the database are those of the contract, and staying is always allowed."""
    for begin in OrderState:
        for end in OrderState:
            allowed = one(tables, "SELECT order_may_move(%s, %s)", begin, end)
            assert allowed == (begin is end or any((begin, end) == (a, b) for a, _, b in MOVES)), (begin, end)


def test_no_order_jumps(tables: Sql) -> None:
    """Neither begins an order anywhere else than as pending, nor does it take a way that the contract lacks."""
    with pytest.raises(psycopg.errors.CheckViolation, match="begins as pending"):
        add_order(tables, state="paid", paid_at=NOW)
    order_id = add_order(tables)
    with pytest.raises(psycopg.errors.CheckViolation, match="no order goes from pending to refunded"):
        change(tables, "orders", order_id, state="refunded", paid_at=NOW)


def test_one_open_order_for_the_same_thing(tables: Sql) -> None:
    """A second open order of the same buyer for the same thing can't exist, until the first is over."""
    first = add_order(tables)
    with pytest.raises(psycopg.errors.UniqueViolation, match="orders_open_idx"):
        add_order(tables)
    for other in (
        {"domain": "a.example"},
        {"quantity": 2},
        {"billing_plan_id": "p2"},
        {"livemode": False},
        {"buyer": None},
    ):
        add_order(tables, **other)
    add_order(tables, buyer=None)
    change(tables, "orders", first, state="paying")
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_order(tables)
    change(tables, "orders", first, state="paid", paid_at=NOW)
    add_order(tables)


@pytest.mark.parametrize(
    ("constraint", "row"),
    [
        ("orders_key_idx", {"idempotency_key": "k1"}),
        ("orders_session_idx", {"session_id": "cs_1"}),
        ("orders_reference_idx", TRANSFER),
    ],
)
def test_names_stand_for_one_order(tables: Sql, constraint: str, row: dict[str, Any]) -> None:
    """A caller's key, a session and a payment reference each belong to one order."""
    add_order(tables, **row)
    with pytest.raises(psycopg.errors.UniqueViolation, match=constraint):
        add_order(tables, **{"buyer": "mail:bob@example.com", **row})


@pytest.mark.parametrize(
    "row",
    [
        {"amount": -1},
        {"quantity": 0},
        {"currency": "EUR"},
        {"currency": None},
        {"provider": "wallet"},
        {"state": "done"},
        {"billing_plan_id": None},
        {"reference": "RF18539007547034"},
        {**TRANSFER, "reference": None},
        {**TRANSFER, "amount": None},
        {**TRANSFER, "period_start": NOW},
        {**TRANSFER, "period_start": NOW, "period_end": NOW},
        {"collected": 1},
        {"seller_net": 1900},
        {"seller_id": "acct_1", "seller_net": 1899},
        {"escrow": "held"},
        {"origin": "renewal"},
        {**TRANSFER, "returned": 1},
    ],
)
def test_an_order_makes_sense(tables: Sql, row: dict[str, Any]) -> None:
    """An order that contradicts itself is refused by its table."""
    with pytest.raises(psycopg.errors.CheckViolation):
        add_order(tables, **row)


def test_fees_and_the_sellers_net_add_up(tables: Sql) -> None:
    """What the seller is left with is the amount less the frozen fees."""
    fees = '[{"kind": "platform", "amount": 48}, {"kind": "shipping", "amount": 500}]'
    order_id = add_order(tables, seller_id="acct_1", fees=fees, seller_net=1352)
    assert one(tables, "SELECT fees_total FROM orders WHERE order_id = %s", order_id) == 548


@pytest.mark.parametrize(
    "column",
    [
        {"fees": '[{"amount": 1}]'},
        {"amount": 1800},
        {"currency": "usd"},
        {"request": '{"mode":  "payment"}'},
        {"request": None},
        {"livemode": False},
        {"created_at": NOW.replace(year=2027)},
        {"provider": "bank_transfer", "reference": "RF6518K5"},
        {"attempt": 1},
    ],
)
def test_what_was_frozen_at_the_start_stays(tables: Sql, column: dict[str, Any]) -> None:
    """Neither what Stripe is asked for, nor the price, nor the fees, nor a newer attempt is ever taken back."""
    order_id = add_order(tables, request='{"mode": "subscription",  "line_items": []}')
    change(tables, "orders", order_id, attempt=2)
    with pytest.raises(psycopg.errors.CheckViolation):
        change(tables, "orders", order_id, **column)


def test_the_request_is_kept_as_it_was_written(tables: Sql) -> None:
    """The order of its fields and its blanks are what an idempotency key is about."""
    text = '{"mode": "subscription",  "expires_at": 1796000000, "a": 1}'
    order_id = add_order(tables, request=text)
    assert one(tables, "SELECT request::text FROM orders WHERE order_id = %s", order_id) == text


def test_logs_are_only_added_to(tables: Sql) -> None:
    """A line in an order's log is neither changed nor taken away."""
    step = {"order_id": add_order(tables), "kind": "order", "state": "started", "cause": "event:evt_1"}
    insert(tables, "order_steps", step)
    for statement in ("UPDATE order_steps SET cause = 'x'", "DELETE FROM order_steps"):
        with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
            run(tables, statement)
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(tables, "order_steps", {**step, "cause": ""})


@pytest.mark.parametrize(
    "numbers",
    [
        {"total": 2041},
        {"net": 1956},
        {"gross": 2000, "net": 1915},
        {"balance_currency": "usd"},
        {"tax_included": None},
        {"discount": None},
        {"settled_at": None},
        {"paid": None},
        {"presentment_amount": 1},
    ],
)
def test_numbers_add_up_or_are_refused(tables: Sql, numbers: dict[str, Any]) -> None:
    """A breakdown whose parts do not make its total can't be written at all."""
    payment_id = add_payment(tables, add_order(tables))
    with pytest.raises(psycopg.errors.CheckViolation):
        change(tables, "payments", payment_id, **{**NUMBERS, **numbers})


def test_a_breakdown_is_frozen(tables: Sql) -> None:
    """Once settled no number changes, not to another set of right ones either; what is beside them may."""
    payment_id = add_payment(tables, add_order(tables), charge_id=None)
    change(tables, "payments", payment_id, **NUMBERS)
    for numbers in ({"provider_fee": 86, "net": 1954}, {"sources": '{"net": "session"}'}, {"exchange_rate": 2}):
        with pytest.raises(psycopg.errors.CheckViolation, match="frozen"):
            change(tables, "payments", payment_id, **numbers)
    change(tables, "payments", payment_id, charge_id="ch_1")


def test_only_money_that_came_settles_and_stays(tables: Sql) -> None:
    """Numbers need a succeeded payment, which is succeeded for good."""
    order_id = add_order(tables)
    payment_id = add_payment(tables, order_id, state="processing")
    with pytest.raises(psycopg.errors.CheckViolation):
        change(tables, "payments", payment_id, **NUMBERS)
    change(tables, "payments", payment_id, state="failed")
    change(tables, "payments", payment_id, state="succeeded")
    with pytest.raises(psycopg.errors.CheckViolation, match="for good"):
        change(tables, "payments", payment_id, state="failed")


def test_a_payment_intent_pays_once(tables: Sql) -> None:
    """Not two payments of one intent, in whichever orders, and not two attempts of one number."""
    first, second = add_order(tables), add_order(tables, buyer=None)
    add_payment(tables, first, payment_intent_id="pi_1")
    with pytest.raises(psycopg.errors.UniqueViolation, match="payments_intent_idx"):
        add_payment(tables, second, payment_intent_id="pi_1")
    with pytest.raises(psycopg.errors.UniqueViolation, match="attempt"):
        add_payment(tables, first)


def test_a_payment_is_locked_while_a_refund_is_asked_for(tables: Sql) -> None:
    """One request of a payment at a time; it holds no service as long as nobody has answered."""
    payment_id = add_payment(tables, add_order(tables))
    asked = {"refund_id": "r1", "payment_id": payment_id, "status": "requested", "amount": 1, "currency": "eur",
             "charge_refunded": False, "created_at": NOW}  # fmt: skip
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(tables, "refunds", {**asked, "request_id": str(uuid.uuid4())})
    insert(tables, "refunds", {**asked, "request_id": str(uuid.uuid4()), "waived": True})
    with pytest.raises(psycopg.errors.UniqueViolation, match="refunds_locked_idx"):
        insert(tables, "refunds", {**asked, "refund_id": "r2", "request_id": str(uuid.uuid4()), "waived": True})


def test_no_more_is_asked_back_than_came(tables: Sql) -> None:
    """Refunds that went or are going count, those that failed do not."""
    payment_id = add_payment(tables, add_order(tables))
    known = {"payment_id": payment_id, "amount": 1000, "currency": "eur", "charge_refunded": False, "created_at": NOW}
    insert(tables, "refunds", {**known, "refund_id": "re_1", "status": "pending"})
    insert(tables, "refunds", {**known, "refund_id": "re_2", "status": "failed"})
    asked = {**known, "refund_id": "r3", "request_id": str(uuid.uuid4()), "status": "requested", "waived": True}
    with pytest.raises(psycopg.errors.CheckViolation, match="left of payment"):
        insert(tables, "refunds", {**asked, "amount": 1041})
    insert(tables, "refunds", {**asked, "amount": 1040})


def test_fee_rules_are_versions(tables: Sql) -> None:
    """Plain SQL is enough; a rule is never changed, and a newer one of its scope is counted on."""
    run(tables, "INSERT INTO fee_rules (kind, percent, fixed, currency) VALUES ('platform', 2.5, 30, 'eur')")
    rows = "INSERT INTO fee_rules (kind, percent, currency, valid_from) VALUES ('platform', %s, %s, %s)"
    for percent, currency, year in ((3, "eur", 2031), (4, "usd", 2031), (0, "eur", 2032), (1, None, 2031)):
        run(tables, rows, (percent, currency, NOW.replace(year=year)))
    with tables.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute("SELECT percent, version FROM fee_rules ORDER BY id").fetchall()
    assert [(float(percent), version) for percent, version in found] == [(2.5, 1), (3, 2), (4, 1), (0, 3), (1, 1)]
    for statement in ("UPDATE fee_rules SET percent = 1", "DELETE FROM fee_rules"):
        with pytest.raises(psycopg.errors.CheckViolation, match="never changed"):
            run(tables, statement)
    with pytest.raises(psycopg.errors.UniqueViolation, match="fee_rules_scope_idx"):
        run(tables, rows, (9, "eur", NOW.replace(year=2031)))


@pytest.mark.parametrize(
    "rule",
    [
        {"percent": -1},
        {"percent": 101},
        {"fixed": 1, "currency": None},
        {"minimum": 2, "maximum": 1},
        {"kind": "wallet"},
        {"provider": "paypal"},
        {"currency": "EUR"},
        {"billing_plan_id": " "},
    ],
)
def test_a_fee_rule_makes_sense(tables: Sql, rule: dict[str, Any]) -> None:
    """Minor units need a currency, limits an order, and words are those of the lists."""
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(tables, "fee_rules", {"kind": "platform", "currency": "eur", **rule})


def test_what_was_collected_is_the_sum_of_its_lines(tables: Sql) -> None:
    """The same line counts once, other money not at all, nothing is written off, and a surplus is shown."""
    order_id = add_order(tables, **TRANSFER)
    line = {"order_id": order_id, "provider": "bank_transfer", "amount": 1500, "currency": "eur", "actor": "anna",
            "collected_at": NOW, "external_id": "line 1"}  # fmt: skip
    insert(tables, "collections", line)
    with pytest.raises(psycopg.errors.UniqueViolation, match="collections_external_idx"):
        insert(tables, "collections", line)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        insert(tables, "collections", {**line, "external_id": "line 2", "currency": "usd"})
    insert(tables, "collections", {**line, "external_id": "line 2", "amount": 500})
    with tables.cursor(row_factory=tuple_row) as cursor:
        assert cursor.execute("SELECT collected, overpaid FROM orders").fetchall() == [(2000, 100)]
    for statement in ("UPDATE collections SET amount = 1", "DELETE FROM collections"):
        with pytest.raises(psycopg.errors.CheckViolation):
            run(tables, statement)
    with pytest.raises(psycopg.errors.CheckViolation, match="sum of its collections"):
        change(tables, "orders", order_id, collected=1)
    change(tables, "orders", order_id, returned=100)
    assert one(tables, "SELECT overpaid FROM orders") == 0
    with pytest.raises(psycopg.errors.CheckViolation):
        change(tables, "orders", order_id, returned=101)


def test_a_period_is_continued_once(tables: Sql) -> None:
    """Two passes can't both ask for the same renewal."""
    first = add_order(tables, **TRANSFER)
    again = {**TRANSFER, "origin": "renewal", "renews": first, "reference": "RF6518K5"}
    add_order(tables, **again)
    with pytest.raises(psycopg.errors.UniqueViolation, match="orders_renews_idx"):
        add_order(tables, **{**again, "reference": "RF45G72UUR"})
