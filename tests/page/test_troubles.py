"""Slow networks, proxies and keys that change: no more is said than is known, and nothing is lost on the way."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from scripts.demo_world.stage import PLAN
from tests.page.desk import Desk, World
from tests.page.routes import held_back, held_up

HTML = {"content_type": "text/html", "body": "<h1>Sign in</h1>"}
UNKNOWN: list[dict[str, Any] | None] = [
    None,  # the connection was lost
    {"status": 504} | HTML,  # the function was cut off
    {"status": 200} | HTML,  # a proxy
    {"status": 200, "body": ""},
    {"status": 200, "body": "null", "content_type": "application/json"},
    {"status": 200, "json": {}},
]
"""Answers to an act that leave open whether it was done."""

DECLINED: list[tuple[dict[str, Any], str]] = [
    ({"status": 422, "json": {"code": "invalid_field", "detail": "reason: too long"}}, "Correct it"),
    ({"status": 429} | HTML, "Wait a few minutes"),
]
"""Answers that say that it was not done, and what the page then says."""


def test_an_act_whose_answer_is_not_known_is_not_called_failed(desk: Desk, world: World) -> None:
    """Where an act may have been done all the same, that is what is said, once, and one can go back to what was typed;
    where it was not done, what to do is said.
    """
    pat = world.buy("Pat Example")
    desk.come_in()
    desk.see_customer(pat)
    asked = held_back(desk, "**/api/admin/work", "POST")
    desk.page.locator("main").get_by_role("button", name="Hold", exact=True).click()
    desk.fill(Reason="to see")
    told = desk.dialog.get_by_role("alert")
    with desk.forgiving("Failed to load resource", "ERR_FAILED"):
        for answer, says in [*((one, "may have been done all the same") for one in UNKNOWN), *DECLINED]:
            desk.confirm("Hold")
            (route,) = held_up(desk, asked)
            if answer is None:
                route.abort()
            else:
                route.fulfill(**answer)
            expect(told).to_contain_text(says)
            expect(told).to_contain_text("Holding may have failed, or not" if answer in UNKNOWN else "Holding failed")
            expect(desk.page.locator(".said")).to_be_empty()  # it is read aloud as the alert that it is
            expect(desk.dialog.locator("footer").get_by_role("button", name="Close")).to_be_enabled()
            desk.confirm("Change")
            expect(desk.dialog.get_by_label("Reason")).to_have_value("to see")
    assert world.service(pat)["holds"] == []


def test_a_preview_whose_answer_was_lost_has_done_nothing(desk: Desk) -> None:
    """What changes nothing is never said to be done perhaps: a preview for all, one of a mapping, other settings."""
    desk.come_in()
    for path in ("work", "plans", "dashboard"):
        no = lambda route: route.continue_() if route.request.method == "GET" else route.abort()  # noqa: E731
        desk.page.route(f"**/api/admin/{path}", no)
    with desk.forgiving("Failed to load resource", "ERR_FAILED"):
        desk.see("work", state="parked")
        desk.page.get_by_role("button", name="Grace for all unpaid").click()
        desk.fill(On_until=f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M}", Reason="to see")
        desk.confirm("Preview")
        lost(desk)
        desk.see("plans")
        desk.page.get_by_role("button", name="Map another price").click()
        desk.fill(Price="price_lost", Panel_plan=PLAN)
        desk.confirm("Preview")
        lost(desk)
        desk.page.keyboard.press("Escape")
        desk.page.get_by_label("GRACE_DAYS").fill("3")
        desk.page.get_by_role("button", name="Show what would change").click()
        lost(desk)


def lost(desk: Desk) -> None:
    """The answer is said to be lost, and nothing to be done perhaps."""
    told = desk.page.get_by_role("alert")
    expect(told).to_contain_text("the server did not answer")
    expect(told).to_contain_text("failed:")
    expect(told).not_to_contain_text("all the same")


def test_a_page_of_its_own_is_left_when_an_answer_makes_no_sense(desk: Desk) -> None:
    """What can't be drawn takes nothing away but itself: there is a word for it, and a way on."""
    desk.come_in()
    desk.page.route("**/api/admin/dashboard", lambda route: route.fulfill(json={"mode": "live"}))
    with desk.forgiving("TypeError"):
        desk.open("/?view=plans")
        expect(desk.page.get_by_role("alert")).to_contain_text("Showing this failed")
        desk.page.unroute("**/api/admin/dashboard")
        desk.page.get_by_role("button", name="Try again").click()
        expect(desk.page.get_by_role("heading", name="Plans", level=1)).to_be_visible()
    desk.at_rest()


def test_what_somebody_typed_takes_no_screen_away(desk: Desk, world: World) -> None:
    """A reason that looks like a date, and is none, stands in the timeline as it was typed."""
    nan = world.buy("Nan Example")
    body = {"action": "hold", "customerId": nan.customer, "reason": "2026-99-99T10:00:00Z"}
    world.admin("POST", "/api/admin/work", json=body)
    desk.come_in()
    desk.see_customer(nan)
    expect(desk.page.locator(".timeline")).to_contain_text(body["reason"])


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_refusal_of_the_last_key_does_not_lock_out_the_next(desk: Desk, world: World) -> None:
    """Who enters another key while something that was asked with the one before is under way goes on with theirs."""
    desk.come_in()
    desk.see("customers")
    held: list[Route] = []

    def answer(route: Route) -> None:
        if "text/csv" in route.request.headers["accept"]:
            held.append(route)
        else:
            route.continue_(headers=route.request.headers | {"authorization": f"Bearer {world.key}"})

    desk.page.route("**/api/**", answer)
    desk.page.get_by_role("button", name="CSV").evaluate("one => { one.click(); one.click(); }")
    (late,) = held_up(desk, held)
    desk.page.get_by_role("button", name="Lock").click()
    desk.page.get_by_label("Admin key").fill("another-key")
    desk.page.get_by_role("button", name="Open").click()
    expect(desk.page.locator("tbody tr").first).to_be_visible()
    with desk.forgiving("status of 401"):
        late.fulfill(status=401, json={"code": "unauthorized", "title": "no"})
        desk.at_rest()
    expect(desk.page.get_by_role("heading", name="Customers")).to_be_visible()
    expect(desk.dialog).to_have_count(0)


@pytest.mark.parametrize("refused", ["the act", "a look meanwhile"])
def test_a_key_that_is_refused_in_the_middle_of_an_act(desk: Desk, world: World, refused: str) -> None:
    """Who must enter another key is told what became of what they had asked for."""
    lou = world.buy("Lou Example")
    desk.come_in()
    desk.page.clock.install()
    desk.see_customer(lou)
    asked = held_back(desk, "**/api/admin/work", "POST")
    desk.page.locator("main").get_by_role("button", name="Hold", exact=True).click()
    desk.confirm("Hold")
    (act,) = held_up(desk, asked)
    no: dict[str, Any] = {"status": 401, "json": {"code": "unauthorized", "title": "no"}}
    with desk.forgiving("status of 401"):
        if refused == "the act":
            act.fulfill(**no)
            expect(desk.dialog).to_contain_text("What you asked for was not done.")
        else:
            desk.page.route("**/api/admin/dashboard", lambda route: route.fulfill(**no))
            desk.page.clock.run_for(16_000)
            expect(desk.dialog).to_contain_text("What you asked for may have been done")
        expect(desk.page.get_by_label("Admin key")).to_be_focused()


def test_the_page_opens_where_a_browser_keeps_nothing(desk: Desk, world: World) -> None:
    """Where cookies and site data are blocked the page asks for the key each time, and works."""
    blocked = "{ get() { throw new DOMException('blocked', 'SecurityError'); } }"
    desk.page.add_init_script(f"Object.defineProperty(window, 'sessionStorage', {blocked})")
    desk.open("/?view=work")
    desk.page.get_by_label("Admin key").fill(world.key)
    desk.page.get_by_role("button", name="Open").click()
    expect(desk.page.get_by_role("heading", name="Work")).to_be_visible()
    desk.page.get_by_role("combobox", name="Times").select_option("utc")
    desk.at_rest()


# --- the back key -----------------------------------------------------------------------------------------------------


def test_an_act_is_not_left_by_the_back_key_before_its_answer(desk: Desk, world: World) -> None:
    """What Esc can't close the back key does not take away either; before it is sent, it does."""
    rex = world.buy("Rex Example")
    desk.come_in()
    desk.see("customers", email=rex.email)
    desk.row(rex.email).get_by_role("link").first.click()
    desk.at_rest()
    hold = desk.page.locator("main").get_by_role("button", name="Hold", exact=True)
    hold.click()
    desk.page.go_back()
    expect(desk.dialog).to_have_count(0)
    desk.page.go_forward()
    asked = held_back(desk, "**/api/admin/work", "POST")
    hold.click()
    desk.confirm("Hold")
    (act,) = held_up(desk, asked)
    desk.page.go_back()
    expect(desk.page.get_by_role("heading", name="Customers")).to_be_attached()
    expect(desk.dialog).to_contain_text("waiting for the answer")
    act.continue_()
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    desk.confirm("Close")
    expect(desk.dialog).to_have_count(0)
    assert world.suspended(rex)


def test_a_change_of_a_mapping_is_told_wherever_one_is_by_then(desk: Desk, world: World) -> None:
    """A draft is gone with its address, but not while it is being applied; that it was applied is said, though its
    dialog closes at that moment.
    """
    world.stage.stripe.create_price("price_back")
    desk.come_in()
    desk.see("plans")
    desk.page.evaluate("import('/app/router.js').then(({ go }) => go({ view: 'plans', price: 'price_back' }))")
    expect(desk.dialog).to_contain_text("price_back")
    desk.page.go_back()
    expect(desk.dialog).to_have_count(0)
    desk.page.go_forward()
    desk.fill(Panel_plan=PLAN)
    desk.confirm("Preview")
    apply = desk.dialog.get_by_role("button", name=re.compile("^Apply"))
    expect(apply).to_be_enabled()
    asked = held_back(desk, "**/api/admin/plans", "PUT")
    apply.click()
    (act,) = held_up(desk, asked)
    desk.page.go_back()
    expect(desk.page).to_have_url(re.compile("view=plans$"))
    expect(desk.dialog).to_be_visible()
    act.continue_()
    expect(desk.dialog).to_have_count(0)
    expect(desk.page.locator(".said")).to_contain_text("price_back")
    expect(desk.row("price_back").first).to_be_visible()
    world.unmap("price_back")


# --- what is read aloud -----------------------------------------------------------------------------------------------


def test_what_changes_is_read_aloud(desk: Desk, world: World) -> None:
    """Where it is said was there before its words were: how many rows a filter leaves, how many an act on all concerns,
    and what other settings would do.
    """
    world.buy("Zoe Example")
    desk.come_in()
    desk.see("customers")
    rows = desk.page.locator(".head").get_by_role("status").element_handle()
    desk.page.locator("#filter-email").fill("zoe")
    desk.page.wait_for_function("(one) => one.isConnected && one.innerText === '1 row'", arg=rows)
    desk.see("plans")
    told = desk.page.locator("section", has=desk.page.locator("#what-if")).get_by_role("status").element_handle()
    desk.page.get_by_label("GRACE_DAYS").fill("3")
    desk.page.get_by_role("button", name="Show what would change").click()
    desk.page.wait_for_function("(one) => one.isConnected && one.innerText", arg=told)
    desk.see("work", state="parked")
    desk.page.get_by_role("button", name="Grace for all unpaid").click()
    number = desk.dialog.locator("[role=status].hidden").element_handle()
    desk.fill(On_until=f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M}", Reason="to hear")
    desk.confirm("Preview")
    desk.page.wait_for_function("(one) => one.isConnected && /match/i.test(one.innerText)", arg=number)


def test_a_year_of_five_digits_is_no_date(desk: Desk, world: World) -> None:
    """It is refused where it was typed, and nothing is asked for."""
    desk.come_in()
    desk.see("work", state="parked")
    desk.page.get_by_role("button", name="Grace for all unpaid").click()
    desk.fill(On_until="12026-01-01T10:00", Reason="a slip")
    asked = held_back(desk, "**/api/admin/work", "POST")
    desk.confirm("Preview")
    assert desk.dialog.get_by_label("On until").evaluate("one => one.validity.rangeOverflow")
    assert asked == []
