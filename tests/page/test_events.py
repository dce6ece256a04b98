"""Events on the page: played again one by one or all that match, and those for the operator's own systems."""

import re

from playwright.sync_api import expect

from tests.page.desk import Desk, World

OUT = "/api/admin/events?direction=out"


def test_one_event_and_all_that_match_are_played_again(desk: Desk, world: World) -> None:
    """Whoever an event speaks of is looked at anew when it is replayed, alone or with all that match."""
    sam = world.buy("Sam Example")
    (newest, *_) = world.admin("GET", f"/api/admin/events?customer={sam.customer}")["data"]
    desk.come_in()
    desk.see("events", customer=sam.customer, sel=newest["eventId"])
    beside = desk.page.get_by_role("complementary")
    expect(beside.locator("pre")).to_contain_text(f'"id": "{newest["eventId"]}"')
    world.stage.stripe.set(sam.subscription, status="unpaid")  # and its event is lost
    beside.get_by_role("button", name="Replay this event").click()
    expect(beside).to_contain_text("Played again: 1 subject is due now.")
    world.settle()
    assert world.suspended(sam)

    world.stage.stripe.set(sam.subscription, status="active")
    desk.see("events", customer=sam.customer, type="customer.subscription.created")
    desk.page.get_by_role("button", name="Replay all that match").click()
    desk.confirm("Replay 1 event")
    expect(desk.dialog).to_contain_text("All of them have been looked at since.")
    assert not world.suspended(sam)


def test_a_receiver_is_tested_and_gets_what_it_missed(desk: Desk, world: World) -> None:
    """A test of a broken receiver says what it answered; once it is mended a test is taken, and an event is resent."""
    listener = world.stage.listener
    tia = world.order("Tia Example")
    world.wait(lambda: any(event["customerId"] == tia.customer for event, _ in listener.heard))
    desk.come_in()
    desk.see("events", direction="out", customer=tia.customer)
    listener.broken = True
    desk.page.get_by_role("button", name=re.compile("^Test http")).click()
    expect(desk.page.locator(".notice.bad")).to_contain_text("The test was not taken: 503")
    listener.broken = False
    desk.page.get_by_role("button", name=re.compile("^Test http")).click()
    expect(desk.page.locator(".notice.good")).to_contain_text("The test was taken: 204")
    assert listener.heard[-1][0]["type"] == "endpoint.test"
    desk.at_rest()

    desk.row("service.provisioned").get_by_role("link").first.click()
    heard = len(listener.heard)
    beside = desk.page.get_by_role("complementary")
    beside.get_by_role("button", name=re.compile("^Resend to")).click()
    expect(beside).to_contain_text("It is sent again.")
    world.wait(lambda: len(listener.heard) > heard)
    assert listener.heard[-1][0]["type"] == "service.provisioned"


def test_what_a_receiver_need_not_hear_is_skipped_and_it_is_enabled(desk: Desk, world: World) -> None:
    """What waits for a failing receiver is skipped by its number, and a click has it tried again at once."""
    listener = world.stage.listener
    listener.broken = True
    wes = world.buy("Wes Example")
    world.wait(lambda: bool(listener.refused))
    desk.come_in()
    desk.see("events", direction="out", customer=wes.customer, type="service.provisioned")
    expect(desk.page.get_by_role("table", name="Outgoing events", exact=True)).to_contain_text("waiting")
    choice = desk.page.get_by_role("combobox", name="Endpoint")
    choice.select_option(index=1)
    desk.at_rest()
    skip = desk.page.get_by_role("button", name="Skip all that match")
    desk.page.get_by_role("combobox", name="State").select_option("waiting")
    expect(skip).to_be_disabled()  # it would take those of every state
    desk.page.get_by_role("combobox", name="State").select_option("")
    desk.at_rest()
    skip.click()
    expect(desk.dialog).to_contain_text("last 7 days")
    desk.confirm("Skip 1 event")
    expect(desk.dialog).to_contain_text("Done")
    (told,) = world.admin("GET", f"{OUT}&customer={wes.customer}&type=service.provisioned")["data"]
    assert told["state"] == "skipped"
    desk.confirm("Close")
    listener.broken = False
    desk.page.get_by_role("button", name=re.compile("^Enable http")).click()
    expect(desk.page.locator(".notice.good")).to_contain_text("It is tried again at once.")
    world.settle()
    desk.see("events", direction="out")
    expect(desk.page.get_by_role("table", name="Where outgoing events go")).to_contain_text("ok")


def test_the_ledger_tells_who_did_what(desk: Desk, world: World) -> None:
    """The ledger over all customers is filtered by who did it, and leads to the customer."""
    uma = world.buy("Uma Example")
    world.admin("POST", "/api/admin/work", json={"action": "hold", "customerId": uma.customer, "reason": "asked"})
    desk.come_in()
    desk.see("events", direction="ledger", actor="admin", customer=uma.customer)
    line = desk.row("Held by hand").first
    expect(line).to_contain_text("admin")
    line.get_by_role("link", name=uma.customer).click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(uma.email)


def test_the_page_looks_again_by_itself_only_while_it_is_seen(desk: Desk, world: World) -> None:
    """What happens meanwhile is shown after 15 seconds without a click, and nothing is asked for while it is hidden."""
    desk.page.clock.install()
    desk.come_in()
    desk.see("customers", email="vic")
    expect(desk.page.locator("main")).to_contain_text("Nothing matches")
    vic = world.buy("Vic Example")
    desk.page.clock.fast_forward(16_000)
    desk.row(vic.email).wait_for()
    desk.page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.page.clock.fast_forward(120_000)
    desk.page.wait_for_timeout(200)
    assert asked == []
