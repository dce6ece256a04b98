"""What an operator does about customers on the page, by the state of the panel and the database that it leads to."""

import re

from playwright.sync_api import expect

from scripts.demo_world.stage import PLAN
from tests.page.desk import Desk, World


def test_the_door_opens_to_a_right_key_only(desk: Desk, world: World) -> None:
    """A wrong key is said to be wrong and is not kept; a right one opens the page, and locking forgets it."""
    page = desk.page
    desk.open("/?view=work")
    with desk.forgiving("status of 401"):
        page.get_by_label("Admin key").fill("admin_wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("This key is not known here").wait_for()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("Admin key").fill(world.key)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", name="Work")).to_be_visible()
    desk.at_rest()
    assert desk.secrets_left() == []
    page.get_by_role("button", name="Lock").click()
    page.get_by_label("Admin key").wait_for()
    assert page.evaluate("sessionStorage.getItem('bridge.key')") is None


def test_a_key_that_is_refused_meanwhile_locks_the_page(desk: Desk, world: World) -> None:
    """When the server refuses the key of an open page, it asks for another one and says why."""
    desk.come_in()
    desk.see("work")
    desk.page.route("**/api/**", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "title": "no"}))
    with desk.forgiving("status of 401"):
        desk.page.get_by_role("link", name="Customers").click()
        desk.page.get_by_text("The key is refused now").wait_for()


def test_somebody_is_found_and_understood_by_keyboard_alone(desk: Desk, world: World) -> None:
    """`/` finds, `j` and Enter open, `?` helps; the timeline tells what was done, why, and whether it is so."""
    ada = world.order("Ada Example")
    desk.come_in()
    desk.see("overview")
    keyboard = desk.page.keyboard
    keyboard.press("?")
    expect(desk.dialog).to_contain_text("next row")
    keyboard.press("Escape")
    expect(desk.dialog).to_have_count(0)
    keyboard.press("/")
    keyboard.type(ada.email)
    keyboard.press("Enter")
    desk.row(ada.email).wait_for()
    keyboard.press("Tab")
    desk.page.locator("body").press("j")
    keyboard.press("Enter")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(ada.email)
    desk.at_rest()
    made = desk.page.locator(".timeline li", has_text="Hosting made")
    expect(made).to_contain_text("verified")
    expect(made).to_contain_text("Rule active")
    expect(desk.page.locator("table.both")).to_contain_text("equal")
    expect(desk.page.get_by_text(ada.domain).first).to_be_visible()
    # Holding is possible without a mouse, too, and no single key does it.
    hold = desk.page.get_by_role("button", name="Hold", exact=True)
    hold.focus()
    keyboard.press("Enter")
    keyboard.type("by keyboard")
    assert not world.suspended(ada)
    keyboard.press("Enter")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    assert world.suspended(ada)
    assert world.value("SELECT count(*) FROM actions WHERE customer_id = %s AND kind = 'hold'", ada.customer) > 0


def test_a_hold_and_its_undoing_are_seen_applied_and_verified(desk: Desk, world: World) -> None:
    """A hold suspends in the panel and says so when the ledger does; its undo in the timeline lets it run again."""
    bo = world.buy("Bo Example")
    desk.come_in()
    desk.see_customer(bo)
    said = desk.act("Hold", Reason="looks like fraud")
    assert re.search("Applied.*Suspended.*Verified.*verified", said, re.DOTALL)
    assert world.suspended(bo)
    assert world.service(bo)["holds"] == ["admin"]
    said = desk.act("Lift")
    assert "Resumed" in said
    assert not world.suspended(bo)
    assert world.service(bo)["holds"] == []


def test_why_somebody_is_off_is_said_with_what_ends_it(desk: Desk, world: World) -> None:
    """Since when, by what, by whom and with which words, and what makes it run again; events can be left out."""
    owes, spam = world.buy("Vic Example"), world.buy("Wes Example")
    world.fall_unpaid(owes)
    world.settle()
    body = {"action": "hold", "customerId": spam.customer, "reason": "sends spam"}
    world.admin("POST", "/api/admin/work", json=body)
    desk.come_in()
    desk.see_customer(owes)
    service = desk.page.locator(".service")
    expect(service).to_contain_text(re.compile(r"Offsince .*unpaid.*Runs again by itself once what is owed is paid"))
    timeline = desk.page.locator(".timeline")
    expect(timeline).to_contain_text("invoice.payment_failed")
    desk.page.get_by_label("without events").check()
    desk.at_rest()
    expect(timeline).not_to_contain_text("invoice.payment_failed")
    expect(timeline).to_contain_text("Suspended")
    desk.see_customer(spam)
    expect(service).to_contain_text(re.compile(r"by hand by admin: sends spam, .*no payment lifts it"))
    desk.act("Undo this hold", go="Undo")
    assert not world.suspended(spam)
    expect(service).not_to_contain_text("Off")


def test_a_dispute_is_seen_and_waived(desk: Desk, world: World) -> None:
    """A disputed payment holds its service, the page says by what, and waiving it lets the service run again."""
    cy = world.order("Cy Example")
    world.dispute(cy)
    assert world.suspended(cy)
    desk.come_in()
    desk.see("customers", hold="dispute")
    desk.row(cy.email).get_by_role("link").first.click()
    desk.at_rest()
    expect(desk.page.locator("main")).to_contain_text("dispute")
    desk.act("Lift", Which_hold="dispute", Reason="they wrote to us")
    assert not world.suspended(cy)
    assert world.service(cy)["holds"] == []


def test_who_is_parked_by_a_mapping_heals_when_it_is_back(desk: Desk, world: World) -> None:
    """Taking a mapping away parks who lives by it and who buys it; mapping the price makes both right, by itself."""
    world.stage.stripe.create_price("price_gone")
    world.map("price_gone", PLAN)
    old = world.buy("Di Example", price="price_gone")
    desk.come_in()
    desk.see("plans")
    desk.page.get_by_role("button", name="Remove price_gone").click()
    desk.confirm("Preview")
    expect(desk.dialog).to_contain_text("1 customer lives by this price")
    desk.confirm("Apply exactly this")
    expect(desk.dialog).to_have_count(0)
    world.settle()
    new = world.buy("Ed Example", price="price_gone")
    assert world.problems(old) == ["mapping_changed"]
    assert world.problems(new) == ["unmapped_price"]
    assert not world.suspended(old)
    desk.see("work", state="parked")
    expect(desk.page.locator("tbody", has_text=old.email)).to_contain_text("mapping changed")
    expect(desk.page.locator("tbody", has_text=new.customer)).to_contain_text("unmapped price")

    desk.see("plans")
    waiting = desk.page.get_by_role("table", name="Prices without a mapping").locator("tr", has_text="price_gone")
    expect(waiting).to_contain_text("1")
    waiting.get_by_role("button").click()
    desk.fill(Panel_plan=PLAN)
    desk.confirm("Preview")
    expect(desk.dialog).to_contain_text("1 customer waits for this price")
    desk.confirm("Apply exactly this")
    expect(desk.dialog).to_have_count(0)
    world.settle()
    assert world.problems(old) == world.problems(new) == []
    assert not world.suspended(new)
    desk.see("work", state="parked")
    expect(desk.row(new.customer)).to_have_count(0)


def test_all_that_wait_are_retried_at_once(desk: Desk, world: World) -> None:
    """After an outage of the panel all that wait are retried by one button that says how many, with their progress."""
    waiting = [world.buy(f"{name} Example") for name in ("Flo", "Gil")]
    world.stage.panel.down = True
    for one in waiting:
        world.fall_unpaid(one)
    world.stage.courier.deliver_due()
    world.wait(lambda: len(world.sql("SELECT key FROM due WHERE attempts > 0 AND kind = 'customer'")) >= len(waiting))
    world.wait(lambda: not world.sql("SELECT key FROM due WHERE lease_id IS NOT NULL"))
    world.stage.panel.down = False
    desk.come_in()
    desk.see("work", state="waiting")
    for one in waiting:
        expect(desk.row(one.email)).to_contain_text("503")
    desk.page.get_by_role("button", name="Retry all").click()
    button = desk.dialog.locator("footer").get_by_role("button", name=re.compile(r"^Retry \d+$"))
    assert int(button.inner_text().split()[-1]) >= len(waiting)
    button.click()
    expect(desk.dialog).to_contain_text("All of them have been looked at since.")
    assert all(world.suspended(one) for one in waiting)


def test_the_brake_is_released_by_a_person_who_sees_whom_it_concerns(desk: Desk, world: World) -> None:
    """A mass suspension is stopped; the overview says so, and releasing suspends exactly those who were shown."""
    owing = [world.buy(f"Owing{number} Example") for number in range(8)]
    for one in owing:
        world.fall_unpaid(one)
    world.settle()
    stopped = [one for one in owing if not world.suspended(one)]
    assert stopped
    desk.come_in()
    desk.see("overview")
    release = desk.page.locator("main").get_by_role("button", name=re.compile(r"^Release \d+ suspensions?$"))
    assert int(release.inner_text().split()[1]) == len(stopped)
    release.click()
    expect(desk.dialog.locator("tbody tr")).to_have_count(len(stopped))
    desk.fill(Reason="they really owe it")
    desk.dialog.locator("footer").get_by_role("button", name=f"Release {len(stopped)} suspension").click()
    expect(desk.dialog.locator("footer").get_by_role("button", name="Close")).to_be_enabled()
    world.settle()
    assert all(world.suspended(one) for one in owing)


def test_a_server_that_is_away_is_said_to_be(desk: Desk, world: World) -> None:
    """When the API is down the page says what failed and what to do, keeps what it showed, and goes on by one click."""
    hal = world.buy("Hal Example")
    desk.come_in()
    desk.see("customers", email=hal.email)
    desk.row(hal.email).wait_for()
    desk.page.route("**/api/**", lambda route: route.abort())
    with desk.forgiving("ERR_FAILED"):
        desk.page.get_by_role("link", name="Plans").click()
        failure = desk.page.get_by_role("alert").first
        expect(failure).to_contain_text("the server did not answer")
        expect(failure).to_contain_text("/api/health")
    desk.page.unroute("**/api/**")
    failure.get_by_role("button", name="Try again").click()
    desk.row("price_basic_monthly").wait_for()


def test_each_part_of_the_queue_says_why_since_when_and_what_to_do(desk: Desk, world: World) -> None:
    """What failed and what a brake keeps have tabs with their number, and a reason, age and remedy in each row."""
    kit = world.buy("Kit Example")
    waits = "due_at = now() + interval '1 hour', created_at = now() - interval '3 hours'"
    row = "INSERT INTO due (kind, key) VALUES ('customer', %s) ON CONFLICT (kind, key) DO UPDATE SET priority = 1"
    world.sql(row, kit.customer)
    world.sql(f"UPDATE due SET {waits}, attempts = 3, last_error = 'panel_token: 401' WHERE key = %s", kit.customer)  # noqa: S608
    desk.come_in()
    desk.see("work", state="failing")
    expect(desk.row(kit.email)).to_contain_text("panel_token: 401")
    expect(desk.row(kit.email)).to_contain_text("Make a new token")
    expect(desk.row(kit.email)).to_contain_text("3 hr. ago")
    expect(desk.row(kit.email)).to_contain_text(re.compile("in (59 min|1 hr)"))
    expect(desk.page.get_by_role("link", name=re.compile("^Failing"))).to_contain_text("1")
    world.sql("UPDATE due SET last_error = NULL, waits_for = 'brake' WHERE key = %s", kit.customer)
    desk.see("work", state="braked")
    expect(desk.row(kit.email)).to_contain_text("releaseBrake")
    desk.row(kit.email).get_by_role("link", name="To the brake").click()
    expect(desk.page).to_have_url(re.compile("/$|view=overview"))
    world.sql("DELETE FROM due WHERE key = %s", kit.customer)
    desk.see("work", state="braked")
    expect(desk.page.locator("main .empty")).to_contain_text("No brake keeps anybody.")
