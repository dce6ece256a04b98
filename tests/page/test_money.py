"""Orders on the page: refunds, disputes and money without Stripe, by what Stripe and the database then say."""

import inspect
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


def ask_for_a_refund(desk: Desk) -> None:
    """Ask for five euros back, each time in the same words."""
    desk.page.locator("main").get_by_role("button", name="Refund", exact=True).click()
    desk.fill(Amount="5.00", Reason="a bad week")
    desk.confirm("Refund 5.00 EUR")


def test_a_dispute_shows_when_it_is_due_and_what_to_send(desk: Desk, world: World) -> None:
    """The order of a disputed payment shows the due date, and the text to send, which one click copies."""
    jo = world.order("Jo Example")
    dispute = world.dispute(jo)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.come_in()
    desk.see("orders", only="disputed")
    desk.row(jo.email).get_by_role("link").first.click()
    desk.at_rest()
    expect(desk.row(dispute)).to_contain_text("needs response")
    expect(desk.row(dispute)).to_contain_text(re.compile("in 1[0-9] days"))
    desk.page.get_by_role("button", name=f"What to send for {dispute}").click()
    expect(desk.dialog.locator("pre")).to_contain_text(jo.domain)
    desk.confirm("Copy the text")
    copied = desk.page.evaluate("navigator.clipboard.readText()")
    assert copied == desk.dialog.locator("pre").text_content()
    assert (
        copied.splitlines()[:5] == world.admin("GET", f"/api/admin/orders?dispute={dispute}")["text"].splitlines()[:5]
    )


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
    """Who paid for a price that nobody mapped stands under "Paid, not live", and who runs does not."""
    world.stage.stripe.create_price("price_not_live")
    mia, noa = world.order("Mia Example", "price_not_live"), world.order("Noa Example")
    desk.come_in()
    desk.see("orders", only="notLive")
    expect(desk.row(mia.email)).to_contain_text("not live")
    expect(desk.row(noa.email)).to_have_count(0)


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
    desk.page.wait_for_timeout(50)
    before = held[0].fetch()
    cancel.click()
    desk.confirm("Cancel the order")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    desk.confirm("Close")
    held[0].fulfill(response=before)
    expect(cancel).to_have_count(0)
