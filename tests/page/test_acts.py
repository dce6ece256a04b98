"""Acts that reach over time or over many: what comes, grace for everybody, undoing, and logging in as somebody."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect

from tests.page.desk import Desk, World


def test_what_comes_is_shown_with_the_money_at_stake_and_as_files(desk: Desk, world: World) -> None:
    """Who is in grace stands in the list of what comes, with date and amount, in the CSV and in the calendar, too."""
    abe = world.buy("Abe Example")
    world.stage.stripe.fail_payment(abe.subscription)
    world.settle()
    desk.come_in()
    desk.see("work", state="upcoming")
    desk.page.get_by_role("combobox", name="Days").select_option("30")
    desk.at_rest()
    expect(desk.row(abe.email)).to_contain_text("19.00 EUR")
    expect(desk.row(abe.email)).to_contain_text(abe.domain)
    assert re.search(rf"{abe.email}|{abe.customer}", saved(desk, "CSV"))
    calendar = saved(desk, "Calendar")
    assert calendar.startswith("BEGIN:VCALENDAR")
    assert f"{world.service(abe)['grace_until']:%Y%m%d}" in calendar


def test_everybody_who_is_unpaid_gets_grace_at_once(desk: Desk, world: World) -> None:
    """One act switches on who owes, and keeps on whoever is in grace, until a date; another takes it back."""
    held, behind = world.buy("Bea Example"), world.buy("Cal Example")
    world.fall_unpaid(held)
    world.stage.stripe.fail_payment(behind.subscription)
    world.settle()
    assert world.suspended(held)
    until = (datetime.now(UTC) + timedelta(days=30)).replace(second=0, microsecond=0)
    desk.come_in()
    desk.see("work", state="upcoming")
    desk.page.get_by_role("button", name="Grace for all unpaid").click()
    desk.fill(Reason="the bank is out")
    expect(desk.dialog.get_by_role("button", name="Preview")).to_be_disabled()  # no date is no date
    desk.fill(On_until=f"{until:%Y-%m-%dT%H:%M}", Reason="the bank is out")
    desk.confirm("Preview")
    go = desk.dialog.locator("footer").get_by_role("button", name=re.compile(r"^Give grace to \d+$"))
    assert int(go.inner_text().split()[-1]) >= 2
    go.click()
    expect(desk.dialog).to_contain_text("All of them have been looked at since.")
    assert not world.suspended(held)
    assert {world.service(one)["grace_override"] for one in (held, behind)} == {until}
    assert world.sql("SELECT id FROM actions WHERE kind = 'grace' AND strpos(actions::text, 'the bank is out') > 0")

    desk.confirm("Close")
    desk.at_rest()
    desk.page.get_by_role("button", name="Take grace back from all").click()
    desk.fill(Reason="the bank is back")
    desk.confirm("Preview")
    desk.dialog.locator("footer").get_by_role("button", name=re.compile(r"^Take grace back from \d+$")).click()
    expect(desk.dialog).to_contain_text("All of them have been looked at since.")
    assert world.suspended(held)
    assert {world.service(one)["grace_override"] for one in (held, behind)} == {None}


def test_a_hold_is_undone_from_the_timeline(desk: Desk, world: World) -> None:
    """What somebody did offers its inverse where it stands in the ledger, as long as it is in effect."""
    dot = world.buy("Dot Example")
    desk.come_in()
    desk.see_customer(dot)
    desk.act("Hold", Reason="by mistake")
    assert world.suspended(dot)
    desk.act("Undo")
    assert not world.suspended(dot)
    expect(desk.page.locator(".timeline")).to_contain_text("by admin")


def test_logging_in_as_somebody_leaves_no_trace_of_the_link(desk: Desk, world: World) -> None:
    """The link is made on click, works once, and is gone with its dialog; the ledger says who asked."""
    eve = world.buy("Eve Example")
    desk.come_in()
    desk.see_customer(eve)
    desk.page.locator("main").get_by_role("button", name="Log in as").click()
    desk.confirm("Log in as")
    link = desk.dialog.get_by_role("link").get_attribute("href") or ""
    assert link.startswith("http")
    desk.dialog.locator("footer").get_by_role("button", name="Close").click()
    desk.at_rest()
    assert link not in desk.page.content()
    assert world.value("SELECT count(*) FROM actions WHERE customer_id = %s AND kind = 'login_as'", eve.customer) == 1
    assert link not in str(world.sql("SELECT actions::text FROM actions"))


def saved(desk: Desk, button: str) -> str:
    """What a button saves as a file."""
    with desk.page.expect_download() as download:
        desk.page.locator("main").get_by_role("button", name=button).first.click()
    return Path(download.value.path()).read_text()
