"""Answers that come late, in another order or not at all: what is shown belongs together and is known."""

import re
from typing import Any

from playwright.sync_api import Route, expect

from tests.page.desk import Desk, World
from tests.page.routes import answered, held_up

EVENTS = "**/api/admin/events?*"
CUSTOMERS = "**/api/admin/customers?*"
TURN = 16_000
"""Milliseconds after which everything on the screen has been looked at again."""


class Log:
    """A list that grows at its top, by pages of three, as the API gives it; what is held back is answered later."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.held: list[Route] | None = None

    def page(self, cursor: str | None = None) -> dict[str, Any]:
        """Three lines from the newest or behind a cursor."""
        first = int(cursor) - 1 if cursor else self.newest
        lines = [self.line(number) for number in range(first, first - 3, -1)]
        return {"data": lines, "nextCursor": str(first - 2)}

    @staticmethod
    def line(number: int) -> dict[str, Any]:
        """One line of the ledger."""
        common = {"customerId": f"cus_{number}", "service": None, "kind": "hold", "state": "noted", "rule": None}
        return {"id": number, "at": "2026-05-01T10:00:00Z", "actor": "admin", "actionId": None, "error": None} | common

    def __call__(self, route: Route, query: dict[str, str]) -> dict[str, Any] | None:
        cursor = query.get("cursor")
        if cursor and self.held is not None:
            self.held.append(route)
            return None
        return self.page(cursor)


def shown(desk: Desk) -> list[int]:
    """The numbers of the lines that are shown."""
    return [int(text.removeprefix("cus_")) for text in desk.page.locator("tbody a[href*=cus_]").all_inner_texts()]


def more(desk: Desk) -> Any:
    """The button that loads more."""
    return desk.page.locator("p.more button")


def test_no_line_is_lost_between_the_pages_of_a_list(desk: Desk) -> None:
    """The first page is read anew while new lines come in at its top; what follows it is asked for after the last line
    that is shown, and so neither loses a line nor shows one twice, also after the next looks.
    """
    log = Log(newest=20)
    desk.come_in()
    desk.page.clock.install()
    answered(desk, EVENTS, log)
    desk.see("events", direction="ledger")
    assert shown(desk) == [20, 19, 18]
    log.newest = 21
    with desk.page.expect_response(EVENTS):
        desk.page.clock.run_for(TURN)
    expect(desk.row("cus_21")).to_be_visible()
    log.newest, log.held = 23, []
    more(desk).click()
    (late,) = held_up(desk, log.held)
    desk.page.clock.run_for(TURN)  # while the next page is on its way
    late.fulfill(json=log.page("19"))
    expect(desk.row("cus_16")).to_be_visible()
    desk.page.clock.run_for(TURN)
    assert shown(desk) == [21, 20, 19, 18, 17, 16]


def test_a_page_that_comes_too_late_is_of_another_list(desk: Desk) -> None:
    """It neither stands behind the list of another filter nor takes that one's own pages away, and where a list is read
    anew after an act it is not put behind that.
    """
    log = Log(newest=20)
    log.held = []
    desk.come_in()
    answered(desk, EVENTS, log)
    desk.see("events", direction="ledger")
    more(desk).evaluate("one => { one.click(); one.click(); }")
    expect(more(desk)).to_have_text("Loading …")
    (late,) = held_up(desk, log.held)
    log.held, log.newest = None, 40
    desk.page.locator("#filter-state").select_option("noted")
    expect(desk.row("cus_40")).to_be_visible()
    more(desk).click()
    expect(desk.row("cus_35")).to_be_visible()
    late.fulfill(json=log.page("18"))
    desk.at_rest()
    assert shown(desk) == [40, 39, 38, 37, 36, 35]


def test_the_button_for_more_keeps_the_focus(desk: Desk) -> None:
    """By keyboard one goes on with Enter; where the next page fails, that is said beside the button, which tries it
    again and keeps what is there.
    """
    log = Log(newest=20)
    log.held = []
    desk.come_in()
    answered(desk, EVENTS, log)
    desk.see("events", direction="ledger")
    more(desk).focus()
    desk.page.keyboard.press("Enter")
    expect(more(desk)).to_have_attribute("aria-disabled", "true")
    with desk.forgiving("503"):
        held_up(desk, log.held)[0].fulfill(status=503, json={"code": "unavailable", "detail": "the database is away"})
        expect(desk.page.get_by_role("alert")).to_contain_text("the database is away")
    expect(more(desk)).to_be_focused()
    desk.page.keyboard.press("Enter")
    held_up(desk, log.held)[0].fulfill(json=log.page("18"))
    expect(desk.row("cus_15")).to_be_visible()
    expect(more(desk)).to_be_focused()
    expect(desk.page.get_by_role("alert")).to_have_count(0)
    assert shown(desk) == [20, 19, 18, 17, 16, 15]


# --- the timeline -----------------------------------------------------------------------------------------------------


class Past:
    """A timeline that grows, by pages of three, of a customer as the API really answers."""

    def __init__(self, answer: dict[str, Any], newest: int) -> None:
        self.answer, self.newest = answer, newest
        self.state = "intent"
        self.held: list[Route] | None = None

    def __call__(self, route: Route, query: dict[str, str]) -> dict[str, Any] | None:
        if query.get("live"):
            return self.answer
        if self.held is not None and (query.get("cursor") or query.get("planned")):
            self.held.append(route)
            return None
        return self.page(query)

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """Three entries from the newest or behind a cursor; what was planned has a word of its own."""
        first = int(query["cursor"]) - 1 if "cursor" in query else self.newest
        kind = "planned" if query.get("planned") else "was"
        entries = [self.entry(number, kind) for number in range(first, first - 3, -1)]
        return self.answer | {"timeline": {"data": entries, "nextCursor": str(first - 2)}}

    def entry(self, number: int, kind: str) -> dict[str, Any]:
        """One entry."""
        told = {"source": "action", "id": str(number), "at": "2026-05-01T10:00:00Z", "kind": kind, "state": self.state}
        rest = dict.fromkeys(["service", "actor", "rule", "undo", "passId"])
        return told | rest | {"facts": {"number": number}, "steps": []}


def past(desk: Desk) -> list[tuple[str, int]]:
    """What the timeline shows: kind and number of each entry."""
    found = desk.page.locator(".timeline .entry").evaluate_all(
        "all => all.map((one) => ['strong', '.facts b'].map((part) => one.querySelector(part).innerText))"
    )
    return [(kind, int(number)) for kind, number in found]


def test_the_timeline_has_no_gap_while_it_grows(desk: Desk, world: World) -> None:
    """New entries move older ones off its newest page, which is read again and again: they stay, in their newest state.
    Where so much came meanwhile that the pages don't meet, what is older is loaded anew.
    """
    gil = world.buy("Gil Example")
    time = Past(world.admin("GET", f"/api/admin/customers?id={gil.customer}&limit=3"), newest=20)
    desk.come_in()
    desk.page.clock.install()
    answered(desk, CUSTOMERS, time)
    desk.see_customer(gil)
    time.held = []
    more(desk).evaluate("one => { one.click(); one.click(); }")
    (late,) = held_up(desk, time.held)
    time.held, time.newest, time.state = None, 22, "verified"
    with desk.page.expect_response(CUSTOMERS):
        desk.page.clock.run_for(TURN)
    late.fulfill(json=time.page({"cursor": "18"}))
    expect(desk.page.locator(".timeline .entry")).to_have_count(8)
    assert [number for _, number in past(desk)] == [22, 21, 20, 19, 18, 17, 16, 15]
    assert desk.page.locator(".timeline .entry.intent").count() == 2  # 19 and 18: as they were read last
    time.newest = 30
    with desk.page.expect_response(CUSTOMERS):
        desk.page.clock.run_for(TURN)
    expect(desk.page.locator(".timeline .entry")).to_have_count(3)
    more(desk).click()
    expect(desk.page.locator(".timeline .entry")).to_have_count(6)
    assert [number for _, number in past(desk)] == [30, 29, 28, 27, 26, 25]


def test_the_timeline_is_never_of_two_filters(desk: Desk, world: World) -> None:
    """While it is read with what was only planned it stays as it is and can't go on, and the switch keeps the focus; a
    page of before that comes then is not put behind it.
    """
    gus = world.buy("Gus Example")
    time = Past(world.admin("GET", f"/api/admin/customers?id={gus.customer}&limit=3"), newest=20)
    desk.come_in()
    answered(desk, CUSTOMERS, time)
    desk.see_customer(gus)
    time.held = []
    more(desk).click()
    switch = desk.page.get_by_role("checkbox", name="also what shadow mode would have done")
    switch.focus()
    desk.page.keyboard.press("Space")
    desk.page.wait_for_url(re.compile("planned=true"))
    expect(switch).to_be_focused()
    assert past(desk) == [("was", 20), ("was", 19), ("was", 18)]
    expect(more(desk)).to_have_count(0)
    late, new = held_up(desk, time.held, 2)
    new.fulfill(json=time.page({"planned": "true"}))
    expect(desk.page.locator(".timeline .entry").first).to_contain_text("planned")
    late.fulfill(json=time.page({"cursor": "18"}))
    desk.at_rest()
    assert past(desk) == [("planned", 20), ("planned", 19), ("planned", 18)]
    expect(switch).to_be_focused()
    time.held = None
    more(desk).click()
    expect(desk.page.locator(".timeline .entry")).to_have_count(6)
    assert past(desk)[-1] == ("planned", 15)


# --- the focus --------------------------------------------------------------------------------------------------------


def test_the_focus_stays_near_what_had_it(desk: Desk) -> None:
    """When the next look does not find the row any more, its table has the focus, where `j` goes on; who had left it
    before is not moved.
    """
    log = Log(newest=20)
    desk.come_in()
    desk.page.clock.install()
    answered(desk, EVENTS, log)
    desk.see("events", direction="ledger")
    desk.row("cus_20").get_by_role("link").focus()
    log.newest = 30
    desk.page.clock.run_for(TURN)
    expect(desk.row("cus_30")).to_be_visible()
    expect(desk.page.get_by_role("region", name="Ledger")).to_be_focused()
    desk.page.keyboard.press("j")
    expect(desk.row("cus_30").get_by_role("link")).to_be_focused()
    desk.page.locator("h1").click()
    log.newest = 40
    desk.page.clock.run_for(TURN)
    expect(desk.row("cus_40")).to_be_visible()
    expect(desk.page.locator("main")).to_be_focused()


def test_the_focus_stays_in_a_dialog_and_on_what_was_pressed(desk: Desk, world: World) -> None:
    """While an act is under way and afterwards its dialog has the focus, whatever of it has gone; what is typed after a
    key that was wrong takes its place.
    """
    ora = world.buy("Ora Example")
    desk.come_in()
    desk.see_customer(ora)
    desk.page.locator("main").get_by_role("button", name="Run the pass").click()
    desk.confirm("Run the pass")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    expect(desk.dialog).to_be_focused()
    desk.confirm("Close")
    desk.page.get_by_role("button", name="Lock").click()
    field = desk.page.get_by_label("Admin key")
    field.fill("wrong")
    with desk.forgiving("status of 401"):
        desk.page.get_by_role("button", name="Open").click()
        desk.page.get_by_text("This key is not known here").wait_for()
    expect(field).to_be_focused()
    desk.page.keyboard.type("x")
    expect(field).to_have_value("x")
