"""The pictures of the page in docs/images, taken from the demo's world by the system's Chromium.

python -m scripts._screenshots                  take all of them anew
python -m scripts._screenshots plans order      take these
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from scripts import _browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from scripts.demo_world.stage import Stage

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WIDE, PHONE = (1280, 800), (390, 760)


def overview(page: Page, _: Stage) -> None:
    """How everything stands."""
    _go(page)


def phone(page: Page, _: Stage) -> None:
    """The same in the dark, on a phone."""
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.emulate_media(color_scheme="dark")
    _go(page)


def customer(page: Page, stage: Stage) -> None:
    """Somebody who is held, and why."""
    found = _ask(stage, "customers", hold="unpaid", limit=1)["data"][0]
    _go(page, view="customer", id=found["customerId"])


def work(page: Page, _: Stage) -> None:
    """Who waits for a person, and what to do."""
    _go(page, view="work", state="parked")


def upcoming(page: Page, _: Stage) -> None:
    """Who is suspended or deleted next, with the money at stake."""
    _go(page, view="work", state="upcoming", days=30)


def plans(page: Page, stage: Stage) -> None:
    """What a change of a mapping would do, before it is made."""
    mapped = _ask(stage, "plans")
    row = next(one for one in mapped["data"] if one["plan"] and one["plan"]["name"] == "big-hosting-plan")
    other = next(plan for plan in mapped["plans"] if plan["name"] == "basic-hosting-plan")
    one = next(each for each in stage.panel.subscriptions.values() if each.plan_id == row["plan"]["id"])
    stage.panel.set_usage(one.id, diskspace=14 * 10**9)
    _go(page, view="plans", price=row["billingPlanId"])
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Panel plan").select_option(label=other["name"])
    dialog.get_by_role("button", name="Preview").click()
    dialog.locator(".summary").wait_for(timeout=120_000)


def events(page: Page, stage: Stage) -> None:
    """What came in, with its body beside it."""
    found = _ask(stage, "events", limit=1)["data"][0]
    _go(page, view="events", sel=found["eventId"])


def orders(page: Page, _: Stage) -> None:
    """What was sold, and what became of its money."""
    _go(page, view="orders")


def order(page: Page, stage: Stage) -> None:
    """A disputed order."""
    found = _ask(stage, "orders", disputed="true", limit=1)["data"][0]
    _go(page, view="orders", id=found["id"])


SHOTS: dict[str, Callable[[Page, Stage], None]] = {
    shot.__name__: shot for shot in (overview, phone, customer, work, upcoming, plans, events, orders, order)
}


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m scripts._screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SHOTS))
    names = parser.parse_args().names or list(SHOTS)
    if unknown := set(names) - set(SHOTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    path = _browser.find()
    if path is None:
        raise SystemExit("Chromium is missing: install chromium.")
    with ExitStack() as stack:
        stage = _set_up(stack)
        browser = stack.enter_context(_browser.run(path))
        IMAGES.mkdir(exist_ok=True)
        for name in names:
            _take(browser, stage, name)


def _set_up(stack: ExitStack) -> Stage:
    from scripts.demo_world import crowd, stage, story
    from scripts.demo_world.place import Place

    place = Place(Path(stack.enter_context(tempfile.TemporaryDirectory())))
    stack.enter_context(place.claim("for its pictures"))
    made = stage.set_up(stack, place, populated=True)
    story.tell(made)
    crowd.fill(made)
    return made


def _take(browser: Any, stage: Stage, name: str) -> None:
    size = {"width": WIDE[0], "height": WIDE[1]}
    with browser.new_context(base_url=stage.base, viewport=size, timezone_id="UTC") as context:
        context.add_init_script(f"sessionStorage.setItem('bridge.key', '{stage.environ['ADMIN_API_KEY']}')")
        page = context.new_page()
        SHOTS[name](page, stage)
        file = IMAGES / f"{name}.png"
        page.screenshot(path=file, animations="disabled", caret="hide")
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} kB")


def _go(page: Page, **params: object) -> None:
    page.goto("/?" + urlencode(params))
    page.locator("main").wait_for()
    page.wait_for_load_state("networkidle")


def _ask(stage: Stage, what: str, **query: object) -> dict[str, Any]:
    import httpx

    headers = stage.bearer("ADMIN_API_KEY")
    answer = httpx.get(f"{stage.base}/api/admin/{what}", params=urlencode(query), headers=headers, timeout=60)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


if __name__ == "__main__":
    main()
