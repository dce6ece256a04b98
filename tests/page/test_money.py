"""Orders on the page: refunds, disputes and money without Stripe, by what Stripe and the database then say."""

import inspect
import json
import re

from playwright.sync_api import Route, expect

from lib.policy import currencies as server
from tests.page.desk import Buyer, Desk, World


def order_of(world: World, buyer: Buyer) -> str:
    """The one order of somebody."""
    (order,) = world.admin("GET", f"/api/admin/orders?customer={buyer.customer}")["data"]
    return str(order["id"])


def test_a_part_is_refunded_once_and_never_more_than_is_left(desk: Desk, world: World) -> None:
    """A typed amount is refunded at Stripe, more than is left can't be asked for, and the rest is then the maximum."""
    ida = world.order("Ida Example")
    desk.come_in()
    desk.see("orders", id=order_of(world, ida))
    desk.page.get_by_role("button", name="Refund", exact=True).click()
    expect(desk.dialog).to_contain_text("At most 19.00 EUR can be given back.")
    desk.fill(Amount="19.01")
    expect(desk.dialog).to_contain_text("more than 19.00 EUR")
    expect(desk.dialog.locator("footer").get_by_role("button", name="Refund")).to_be_disabled()
    desk.fill(Amount="5.00", Reason="a bad week")
    desk.confirm("Refund 5.00 EUR")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    expect(desk.dialog).to_contain_text("is succeeded")
    (refund,) = [one for one in world.stage.stripe.refunds.values() if one["charge"] == world.charge(ida)["id"]]
    assert refund["amount"] == 500
    world.settle()
    assert world.value("SELECT refunded FROM orders WHERE order_id = %s", order_of(world, ida)) == 500
    desk.dialog.locator("footer").get_by_role("button", name="Close").click()
    desk.at_rest()
    desk.page.get_by_role("button", name="Refund", exact=True).click()
    expect(desk.dialog).to_contain_text("At most 14.00 EUR can be given back.")


def test_a_refund_whose_answer_was_lost_is_not_made_twice(desk: Desk, world: World) -> None:
    """A refund under way can't be closed, and asked for anew after its answer was lost it is still one refund."""
    kim = world.order("Kim Example")
    held: list[Route] = []
    desk.page.route("**/api/admin/orders", lambda route: held.append(route) if not held else route.continue_())
    desk.come_in()
    desk.see("orders", id=order_of(world, kim))
    ask_for_a_refund(desk)
    expect(desk.dialog).to_contain_text("waiting for the answer")
    for _ in range(3):
        desk.page.keyboard.press("Escape")
    expect(desk.dialog).to_contain_text("waiting for the answer")
    expect(desk.dialog.locator("header").get_by_role("button", name="Close")).to_be_disabled()
    with desk.forgiving("orders"):
        held[0].fetch()
        held[0].abort()
        expect(desk.dialog).to_contain_text("the server did not answer")
    desk.page.keyboard.press("Escape")
    expect(desk.dialog).to_have_count(0)
    desk.at_rest()
    ask_for_a_refund(desk)
    expect(desk.dialog).to_contain_text("It had been asked for before")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    refunds = [one for one in world.stage.stripe.refunds.values() if one["charge"] == world.charge(kim)["id"]]
    assert [one["amount"] for one in refunds] == [500]


def test_a_refund_that_was_refused_can_be_asked_for_again(desk: Desk, world: World) -> None:
    """Stripe has no money for it just now; when there is, the same refund in the same words is made, once."""
    mia = world.order("Mia Example")
    desk.come_in()
    desk.see("orders", id=order_of(world, mia))
    world.stage.stripe.fail_next("POST", "/v1/refunds", 400)
    with desk.forgiving("status of 409"):
        ask_for_a_refund(desk)
        expect(desk.dialog.get_by_role("alert")).to_contain_text("The refund failed")
    desk.confirm("Change")
    desk.confirm("Refund 5.00 EUR")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    refunds = [one for one in world.stage.stripe.refunds.values() if one["charge"] == world.charge(mia)["id"]]
    assert [one["amount"] for one in refunds] == [500]


def ask_for_a_refund(desk: Desk) -> None:
    """Ask for five euros back, each time in the same words."""
    desk.page.locator("main").get_by_role("button", name="Refund", exact=True).click()
    desk.fill(Amount="5.00", Reason="a bad week")
    desk.confirm("Refund 5.00 EUR")


def test_a_dispute_shows_when_it_is_due_and_what_to_send(desk: Desk, world: World) -> None:
    """The overview leads to the disputes by their dates, with the text to send, which one click copies or saves."""
    jo = world.order("Jo Example")
    dispute = world.dispute(jo)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.come_in()
    desk.see("overview")
    desk.page.get_by_role("link", name=re.compile("disputes? to answer")).click()
    desk.at_rest()
    row = desk.row(dispute)
    expect(row).to_contain_text("needs response")
    expect(row).to_contain_text(re.compile("1[0-9] days left"))
    expect(row).to_contain_text("19.00 EUR")
    row.get_by_role("link", name="its order").click()
    desk.at_rest()
    expect(desk.page.get_by_role("heading", level=1)).to_contain_text(jo.email)
    expect(desk.row(dispute)).to_contain_text("needs response")
    desk.page.go_back()
    desk.at_rest()
    desk.page.get_by_role("button", name=f"What to send for {dispute}").click()
    expect(desk.dialog.locator("pre")).to_contain_text(jo.domain)
    desk.confirm("Copy the text")
    copied = desk.page.evaluate("navigator.clipboard.readText()")
    assert copied == desk.dialog.locator("pre").text_content()
    assert (
        copied.splitlines()[:5] == world.admin("GET", f"/api/admin/orders?dispute={dispute}")["text"].splitlines()[:5]
    )
    with desk.page.expect_download() as saved:
        desk.confirm("Save as a file")
    assert saved.value.suggested_filename == f"{dispute}.txt"
    assert saved.value.path().read_text().splitlines()[:5] == copied.splitlines()[:5]


def test_a_dispute_of_no_order_is_listed_with_what_to_do(desk: Desk, world: World) -> None:
    """Nobody is known and no order kept: it stands among the others by its date, in its own currency, and says so."""
    for name, currency, amount, days in (("dp_stranger", "kwd", 1234567, 2), ("dp_stranger_later", "jpy", 5000, 90)):
        world.sql(
            "INSERT INTO disputes (dispute_id, charge_id, status, amount, currency, created_at, due_by)"
            " VALUES (%s, 'ch_stranger', 'needs_response', %s, %s, now(), now() + make_interval(days => %s))",
            name, amount, currency, days,
        )  # fmt: skip
    desk.come_in()
    desk.see("orders", only="disputed")
    rows = desk.page.locator("main tbody tr").all_inner_texts()
    assert "1,234.567 KWD" in rows[0] and "5,000 JPY" in rows[-1]
    expect(desk.row("dp_stranger").first).to_contain_text("1,234.567 KWD")
    expect(desk.row("dp_stranger").first).to_contain_text("no order kept here")
    expect(desk.row("dp_stranger").first).to_contain_text("hold that customer by hand")
    expect(desk.row("dp_stranger_later")).to_contain_text("5,000 JPY")
    desk.page.get_by_role("link", name="JSON of dp_stranger", exact=True).click()
    shown = json.loads(desk.page.locator("aside.beside pre").inner_text())
    (one, *_) = world.admin("GET", "/api/admin/orders?view=disputes")["data"]
    assert shown == one
    world.sql("DELETE FROM disputes WHERE dispute_id LIKE 'dp_stranger%%'")


def test_the_json_of_an_order_stands_beside_the_list_and_below_it_on_a_phone(desk: Desk, world: World) -> None:
    """It is what the API sends, can be copied, and of one order also that of its payment."""
    ned = world.order("Ned Example")
    order = order_of(world, ned)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.come_in()
    desk.see("orders", customer=ned.customer)
    desk.page.get_by_role("link", name=f"JSON of {ned.email}").click()
    beside = desk.page.get_by_role("complementary", name=f"Order {order}")
    beside.get_by_role("button", name="Copy the JSON").click()
    told = world.admin("GET", f"/api/admin/orders?id={order}")
    desk.page.get_by_role("status").filter(has_text="Copied").wait_for()
    assert json.loads(desk.page.evaluate("navigator.clipboard.readText()")) == told
    table, box = desk.page.get_by_role("table").bounding_box(), beside.bounding_box()
    assert table and box and box["x"] >= table["x"] + table["width"]
    desk.on_a_phone()
    table, box = desk.page.get_by_role("table").bounding_box(), beside.bounding_box()
    assert table and box and box["y"] >= table["y"] + table["height"]
    assert not desk.is_wider_than_the_screen()
    beside.get_by_role("link", name="Open").click()
    desk.page.get_by_role("link", name="JSON of Payment 1").click()
    shown = json.loads(desk.page.locator("aside.beside pre").inner_text())
    assert shown == told["payments"][0]


def test_money_by_transfer_is_ordered_collected_and_returned(desk: Desk, world: World) -> None:
    """An offline order is written, collected in two parts, pays for hosting, and what came too much is written off."""
    world.sell_by_transfer()
    desk.come_in()
    desk.see("orders")
    said = desk.act(
        "Write an offline order", go="Write the order",
        What_is_sold="basic-by-transfer", Amount="19.00", E_mail="kai@example.com", Domain="kai.example",
    )  # fmt: skip
    assert re.search(r"reference: RF\d\d", said)
    (order,) = world.admin("GET", "/api/admin/orders?email=kai@example.com")["data"]
    assert (order["amount"], order["currency"], order["state"]) == (1900, "eur", "pending")
    desk.see("orders", only="openOffline")
    desk.row("kai@example.com").get_by_role("link").first.click()
    desk.at_rest()
    assert "still to come: 10.00 EUR" in desk.act("Collect", go="Collect 9.00 EUR", Amount="9")
    assert "The order is paid." in desk.act("Collect", go="Collect 12.00 EUR", Amount="12")
    world.settle()
    (order,) = world.admin("GET", "/api/admin/orders?email=kai@example.com")["data"]
    assert (order["state"], order["overpaid"]) == ("paid", 200)
    assert [site.domain for site in world.stage.panel.websites.values() if site.domain == "kai.example"]
    desk.act("Surplus returned", go="Write down 2.00 EUR", Amount="2.00")
    (order,) = world.admin("GET", "/api/admin/orders?email=kai@example.com")["data"]
    assert (order["overpaid"], order["returned"]) == (0, 200)
    desk.see("orders", only="reconciliation")
    expect(desk.row(order["reference"])).to_contain_text("21.00 EUR")


def test_every_number_tells_where_it_came_from(desk: Desk, world: World) -> None:
    """A payment shows its numbers by the exponent of their currency, each with its source."""
    lee = world.order("Lee Example")
    world.sql("UPDATE due SET due_at = now() WHERE kind = 'payment'")
    world.drain()
    desk.come_in()
    desk.see("orders", id=order_of(world, lee))
    numbers = desk.page.get_by_role("table", name=re.compile("Numbers of this payment"))
    expect(numbers.get_by_role("row", name=re.compile("^Total"))).to_contain_text("19.00 EUR")
    expect(numbers.get_by_role("row", name=re.compile("^Provider's fee"))).to_contain_text("balance transaction")


def test_what_was_paid_and_does_not_run_is_listed(desk: Desk, world: World) -> None:
    """Who paid for a price that nobody mapped is listed with invoice, amount, cause and remedy; who runs is not."""
    world.stage.stripe.create_price("price_not_live")
    mia, noa = world.order("Mia Example", "price_not_live"), world.order("Noa Example")
    desk.come_in()
    desk.see("orders", only="notLive")
    row = desk.row(mia.email)
    expect(row).to_contain_text("19.00 EUR")
    expect(row).to_contain_text("price price_not_live")
    invoice = world.admin("GET", f"/api/admin/orders?id={order_of(world, mia)}")["payments"][0]["invoiceId"]
    expect(row.get_by_role("link", name="Stripe")).to_have_attribute("href", re.compile(f"/invoices/{invoice}$"))
    expect(desk.row(noa.email)).to_have_count(0)
    row.get_by_role("link", name=mia.email, exact=True).click()
    expect(desk.page.locator(".notice.bad")).to_contain_text(invoice)
    desk.page.go_back()
    desk.page.get_by_role("link", name="Map it here").first.click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Plans")


def test_an_amount_is_read_by_stripes_table_of_currencies(desk: Desk) -> None:
    """What is typed for a new order means as many minor units as the server itself would say, in every currency."""
    currencies = sorted({*re.findall('"([a-z]{3})"', inspect.getsource(server)), "eur", "usd"})
    desk.open("/buy.html")
    digits = "async (all) => { const {digits} = await import('/app/currencies.js'); return all.map(digits); }"
    assert desk.page.evaluate(digits, currencies) == [server.digits(currency) for currency in currencies]


def test_what_an_act_changed_is_read_even_while_an_older_answer_is_on_its_way(desk: Desk, world: World) -> None:
    """An answer from before an act doesn't stay on the screen: after it the order is read once more."""
    order = world.transfer("Lou Example")
    desk.page.clock.install()
    desk.come_in()
    desk.see("orders", id=order["id"])
    cancel = desk.page.locator("main").get_by_role("button", name="Cancel the order", exact=True)
    held: list[Route] = []
    desk.page.route("**/api/admin/orders?id=*", lambda route: route.continue_() if held else held.append(route))
    desk.page.clock.fast_forward(16_000)
    desk.wait(lambda: bool(held))
    before = held[0].fetch()
    cancel.click()
    desk.confirm("Cancel the order")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    desk.confirm("Close")
    held[0].fulfill(response=before)
    expect(cancel).to_have_count(0)
