"""Every screen, as everybody must be able to use it: no obstacle, on a phone, by keyboard, with no secret anywhere."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from scripts.demo_world.stage import PRICE
from tests.page.desk import Desk, World

SCREENS = {
    "overview": "",
    "customers": "view=customers",
    "nobody found": "view=customers&email=nobody@example.com",
    "customer": "view=customer&id={customer}",
    "parked": "view=work&state=parked",
    "upcoming": "view=work&state=upcoming",
    "plans": "view=plans",
    "draft": "view=plans&price=price_new",
    "received": "view=events&sel={event}",
    "outgoing": "view=events&direction=out",
    "ledger": "view=events&direction=ledger",
    "orders": "view=orders",
    "order": "view=orders&id={order}&sel={order}",
    "an order beside": "view=orders&sel={order}",
    "not live": "view=orders&only=notLive",
    "disputes": "view=orders&only=disputed",
    "failing": "view=work&state=failing",
    "reconciliation": "view=orders&only=reconciliation",
}
"""Each screen by its address, the empty ones too."""


@pytest.fixture(scope="module")
def names(world: World) -> Iterator[dict[str, str]]:
    """Somebody with an order and a dispute, somebody parked, and an order that waits for a transfer; their ids."""
    world.stage.stripe.create_price("price_new")
    world.buy("Cy Example", price="price_new")
    bo = world.order("Bo Example")
    (order,) = world.admin("GET", f"/api/admin/orders?customer={bo.customer}")["data"]
    world.admin("POST", "/api/admin/orders", json={"action": "refund", "orderId": order["id"], "amount": 500})
    world.dispute(bo)
    world.transfer("Pia Example")
    event = world.admin("GET", f"/api/admin/events?customer={bo.customer}&limit=1")["data"][0]
    yield {"customer": bo.customer, "order": order["id"], "event": event["eventId"]}
    world.unmap("price_new")


@pytest.mark.parametrize("screen", SCREENS)
def test_everybody_can_use_it(desk: Desk, names: dict[str, str], screen: str) -> None:
    """A screen has no serious obstacle in either theme, needs no scrolling sideways anywhere, and holds no secret."""
    desk.come_in()
    desk.open("/?" + SCREENS[screen].format(**names))
    desk.at_rest()
    assert desk.page.locator("main h1").inner_text()
    assert desk.page.get_by_role("alert").count() == 0
    assert desk.obstacles() == []
    assert desk.cut_off() == []
    desk.theme("dark")
    assert desk.obstacles("color-contrast", "link-in-text-block") == []
    desk.on_a_phone()
    assert not desk.is_wider_than_the_screen()
    assert desk.secrets_left() == []


@pytest.mark.parametrize("screen", ["disputes", "reconciliation", "upcoming", "ledger"])
def test_the_tab_that_is_shown_is_in_sight_on_a_phone(desk: Desk, names: dict[str, str], screen: str) -> None:
    """Where not all tabs have room beside each other, the one that is shown is among those that are seen."""
    desk.on_a_phone()
    desk.come_in()
    desk.open("/?" + SCREENS[screen].format(**names))
    desk.at_rest()
    expect(desk.page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.99)


def test_a_link_leads_back_to_the_same_filters(desk: Desk, names: dict[str, str]) -> None:
    """What is filtered stands in the address: the same is shown after a reload and after the back key."""
    desk.come_in()
    desk.see("events")
    everything = desk.page.locator("main tbody tr").count()
    desk.page.get_by_label("Customer", exact=True).fill(names["customer"])
    desk.page.wait_for_url(re.compile("customer=" + names["customer"]))
    desk.page.get_by_role("combobox", name="Time", exact=True).select_option("-1h")
    desk.at_rest()
    assert "from=-1h" in desk.page.url
    shown = desk.page.locator("main tbody tr").count()
    assert 0 < shown < everything
    desk.page.reload()
    desk.at_rest()
    assert desk.page.locator("main tbody tr").count() == shown
    desk.page.get_by_role("link", name="Clear all").click()
    desk.at_rest()
    assert desk.page.locator("main tbody tr").count() == everything
    desk.page.go_back()
    desk.at_rest()
    assert desk.page.locator("main tbody tr").count() == shown


def test_what_is_typed_into_a_filter_is_kept_whole(desk: Desk) -> None:
    """Whoever pauses within a name and goes on loses no blank, and one filter set while another is being typed loses
    neither; a filter that is cleared from elsewhere is empty.
    """
    desk.come_in()
    desk.see("customers")
    name = desk.page.locator("#filter-name")
    name.press_sequentially("bo ")
    desk.page.wait_for_url(re.compile("name=bo"))
    expect(name).to_have_value("bo ")
    name.press_sequentially("exam")
    desk.page.locator("#filter-state").select_option("live")
    desk.page.wait_for_url(re.compile(r"(?=.*name=bo\+exam)(?=.*state=live)"))
    expect(name).to_have_value("bo exam")
    desk.page.get_by_role("link", name="Clear all").click()
    expect(name).to_have_value("")
    assert "name=" not in desk.page.url


def test_words_without_end_push_nothing_out_of_sight(desk: Desk, world: World) -> None:
    """Names, addresses and domains as long as Stripe takes them break where there is no room, on a phone, too."""
    email, domain = f"{'a' * 60}@{'b' * 60}.example", ".".join(["verylonglabel" * 4] * 3) + ".example"
    customer = world.stage.stripe.create_customer(email=email, name="Wolfeschlegelstein" * 10)["id"]
    world.stage.stripe.subscribe(customer, [PRICE], metadata={"domain": domain})
    world.settle()
    desk.come_in()
    for params in ({"view": "customers"}, {"view": "customer", "id": customer}):
        desk.see(**params)
        desk.page.locator("main tbody tr").first.wait_for()
        assert desk.cut_off() == []
        assert not desk.is_wider_than_the_screen()
        desk.on_a_phone()
        assert not desk.is_wider_than_the_screen()
        desk.page.set_viewport_size({"width": 1280, "height": 800})


def test_a_name_turns_nothing_around_but_itself(desk: Desk, world: World) -> None:
    """A name in a script that is written from right to left, or that begins with a sign that turns what follows, leaves
    the id beside it as it is.
    """
    names = ["\u05d9\u05d5\u05e1\u05d9 123", "\u202eevil"]
    ids = [
        world.stage.stripe.create_customer(email=f"turned{at}@example.com", name=name)["id"]
        for at, name in enumerate(names)
    ]
    for one in ids:
        world.stage.stripe.subscribe(one, [PRICE])
    world.settle()
    desk.come_in()
    desk.see("customers", email="turned")
    for one in ids:
        assert desk.row(one).locator(".under").evaluate(GOES_RIGHT, one)


GOES_RIGHT = """(place, text) => {
  const words = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  while (!words.nextNode().textContent.includes(text));
  const at = (index) => {
    const range = document.createRange();
    range.setStart(words.currentNode, index);
    range.setEnd(words.currentNode, index + 1);
    return range.getBoundingClientRect().left;
  };
  const first = words.currentNode.textContent.indexOf(text);
  return at(first) < at(first + text.length - 1);
}"""


def test_paper_is_white_whatever_the_screen_is(desk: Desk, world: World) -> None:
    """What is printed from a dark screen has the colours of a light one."""
    desk.come_in()
    desk.see("overview")
    colours = []
    for theme in ("light", "dark"):
        desk.page.emulate_media(media="print", color_scheme="dark" if theme == "dark" else "light")
        colours.append(desk.page.evaluate(COLOURS))
    assert colours[0] == colours[1]
    assert colours[0][0] == "#fff"


COLOURS = """() => {
  const style = getComputedStyle(document.documentElement);
  return ["card", "ink", "good", "good-tint", "warn", "bad"].map((name) => style.getPropertyValue(`--${name}`).trim());
}"""


def test_clearing_the_filters_clears_what_is_being_typed(desk: Desk) -> None:
    """What was typed a moment ago, and stands in no address yet, does not come back."""
    desk.come_in()
    desk.page.clock.install()
    desk.see("customers", state="live")
    desk.page.locator("#filter-name").press_sequentially("bo")
    desk.page.get_by_role("link", name="Clear all").click()
    desk.page.clock.run_for(1000)
    expect(desk.page).to_have_url(re.compile(r"view=customers$"))
    expect(desk.page.locator("#filter-name")).to_have_value("")
