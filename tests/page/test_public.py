"""What everybody may see: the start page, and the sample of a shop; none of them holds data."""

import httpx
import pytest

from scripts.demo_world.stage import PRICE
from tests.page.desk import Desk, World


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
    desk.page.wait_for_timeout(100)
    told = " ".join(desk.trouble())
    assert "securitypolicyviolation: style-src-attr" in told
    assert "by itself" in told
    assert "connect-src" in told
    with desk.forgiving("404"):
        desk.page.evaluate("fetch('/no/such/page')")
    assert desk.trouble() == []
