"""What everybody may see: the start page, and the sample of a shop; none of them holds data."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Route, expect

from scripts.demo_world.stage import PRICE
from tests.page.desk import Desk, World
from tests.page.routes import held_up


@pytest.fixture(scope="module")
def session(world: World) -> str:
    """A Checkout session that waits for its payment."""
    asked = {"priceId": PRICE, "email": "bo@example.com", "domain": "bo.example"}
    answer = httpx.post(f"{world.stage.base}/api/checkout", json=asked, timeout=30)
    assert answer.is_success, answer.text
    return str(answer.json()["sessionId"])


@pytest.mark.parametrize("path", ["/", "/buy.html", "/success.html?session_id={session}"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(desk: Desk, session: str, path: str, theme: str) -> None:
    """Nothing serious is in the way of anybody on a public page, in either theme, and the policy is kept."""
    desk.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    desk.open(path.format(session=session))
    assert desk.page.title()
    assert desk.obstacles() == []


def test_the_watch_over_the_browser_sees_what_is_forbidden(desk: Desk) -> None:
    """A breach of the policy, an error and a lost request are told; what was expected is not."""
    desk.open("/buy.html")
    desk.page.evaluate("document.body.setAttribute('style', 'color: red')")
    desk.page.evaluate("setTimeout(() => { throw new Error('by itself'); })")
    desk.page.evaluate("fetch('https://elsewhere.example/').catch(() => {})")
    told: list[str] = []

    def heard_of(*words: str) -> bool:
        told.extend(desk.trouble())
        return all(word in " ".join(told) for word in words)

    desk.wait(lambda: heard_of("securitypolicyviolation: style-src-attr", "by itself", "connect-src"))
    desk.page.wait_for_timeout(50)
    desk.trouble()
    with desk.forgiving("404"):
        desk.page.evaluate("fetch('/no/such/page')")
    assert desk.trouble() == []


# --- the page after a purchase ----------------------------------------------------------------------------------------

STATUS = "**/api/checkout?session_id=*"
TWO_MINUTES = 130_000
"""Milliseconds after which the buyer need not wait any more."""
STEP = 6000
"""Milliseconds until the next look."""


class Shop:
    """What the page is told: an answer of the API, or what stands for one that fails."""

    def __init__(self, desk: Desk) -> None:
        self.now: dict[str, Any] = {"status": 200, "json": self.stands("pending")}
        self.held: list[Route] | None = None
        """Where it is not, what is asked waits here without an answer."""
        desk.page.route(STATUS, self._answer)

    @staticmethod
    def stands(state: str, *done: str) -> dict[str, Any]:
        """How a purchase stands."""
        steps = [{"name": name, "done": name in done} for name in ("account", "hosting")]
        urls = {"pay": "https://checkout.stripe.com/c/1", "site": None, "panel": None, "again": None}
        return {"state": state, "steps": steps, "urls": urls}

    def _answer(self, route: Route) -> None:
        if self.held is None:
            route.fulfill(**self.now)
        else:
            self.held.append(route)


def test_a_purchase_is_said_as_it_changes_and_only_then(desk: Desk) -> None:
    """A look that finds nothing new changes nothing: the link keeps the focus, and nothing is read aloud again."""
    shop = Shop(desk)
    desk.page.clock.install()
    desk.open("/success.html?session_id=cs_test_1")
    pay = desk.page.get_by_role("link", name="Pay now")
    pay.focus()
    desk.page.evaluate(COUNTED)
    for _ in range(3):
        with desk.page.expect_response(STATUS):
            desk.page.clock.run_for(5000)
    expect(pay).to_be_focused()
    assert desk.page.evaluate("changes") == 0
    shop.now["json"] = shop.stands("provisioning", "account")
    desk.page.clock.run_for(6000)
    expect(desk.page.get_by_role("heading")).to_have_text("Thank you: your payment is here")
    expect(desk.page.locator("li.done")).to_have_text("Your account")
    expect(pay).to_be_focused()
    assert desk.page.locator("[aria-live=polite]").count() == 3


COUNTED = """() => {
  window.changes = 0;
  const count = (found) => { changes += found.length; };
  new MutationObserver(count).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.parametrize(
    "fails", [{"status": 503, "body": ""}, {"status": 200, "body": "<h1>", "content_type": "text/html"}]
)
def test_a_shop_that_is_away_is_said_to_be(desk: Desk, fails: dict[str, Any]) -> None:
    """Where it can't be seen how a purchase stands, the page says that and goes on by itself; after two minutes it says
    what to do, and looks again as soon as somebody comes back to it.
    """
    shop = Shop(desk)
    shop.now = fails
    desk.page.clock.install()
    with desk.forgiving("503"):
        desk.open("/success.html?session_id=cs_test_1")
        expect(desk.page.locator("#text")).to_contain_text("We can't look at it just now")
        desk.page.clock.run_for(TWO_MINUTES)
        while "Load this page again later" not in desk.page.locator("#text").inner_text():
            desk.page.clock.run_for(STEP)
    shop.now = {"status": 200, "json": shop.stands("pending")}
    desk.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(desk.page.get_by_role("heading")).to_have_text("Waiting for your payment")


def test_who_comes_back_from_paying_sees_that_it_is_paid(desk: Desk) -> None:
    """Two minutes are over and the page looks no more; whoever paid elsewhere meanwhile and comes back is not told that
    nothing was paid. An answer that hangs stops nothing.
    """
    shop = Shop(desk)
    desk.page.clock.install()
    desk.open("/success.html?session_id=cs_test_1")
    expect(desk.page.get_by_role("heading")).to_have_text("Waiting for your payment")
    desk.page.clock.run_for(TWO_MINUTES)
    while desk.page.evaluate("following"):
        desk.page.clock.run_for(STEP)
    shop.held = []
    desk.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    held_up(desk, shop.held)
    shop.now["json"], shop.held = shop.stands("paid"), None
    desk.page.clock.run_for(20_000)
    expect(desk.page.get_by_role("heading")).to_have_text("Thank you: your payment is here")
