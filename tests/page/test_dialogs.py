"""Dialogs: closed by Esc, focus back where it was, asked once, and no answer that comes too late changes anything."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from lib.model import ActionKind
from scripts.demo_world.stage import PLAN, PRICE
from tests.page.desk import Buyer, Desk, World
from tests.page.routes import held_back

BRAKES = "UPDATE brake SET engaged_at = now(), reason = 'too many', released_at = NULL, released_by = NULL"


def stop(world: World, counts: str, *buyers: Buyer) -> None:
    """Have a brake be on and these wait for it, as a mass of others would leave them."""
    kind, plan = ("change_plan", "another-plan") if counts == "moves" else ("suspend", "")
    world.sql(f"{BRAKES} WHERE counts = %s", counts)
    for one in buyers:
        world.sql(
            "INSERT INTO braked (customer_id, subscription_id, slot, counts, kind, plan)"
            " VALUES (%s, %s, 1, %s, %s, %s)",
            one.customer, one.subscription, counts, kind, plan,
        )  # fmt: skip
        world.sql(
            "INSERT INTO due (kind, key, lane, waits_for, due_at)"
            " VALUES ('customer', %s, 'panel', 'brake', now() + interval '1 day') ON CONFLICT (kind, key)"
            " DO UPDATE SET waits_for = 'brake', due_at = excluded.due_at",
            one.customer,
        )


@pytest.fixture
def both(world: World) -> Any:
    """Both brakes are on: two wait to be suspended, one to be moved; off again afterwards."""
    moving, *going = (world.buy(f"{name} Example") for name in ("Moe", "Gus", "Guy"))
    stop(world, "moves", moving)
    stop(world, "suspensions", *going)
    yield going
    world.sql("UPDATE brake SET engaged_at = NULL, reason = NULL, released_at = now(), released_by = 'test'")
    world.sql("DELETE FROM braked WHERE released_at IS NULL")
    world.settle()


def engaged(world: World) -> list[str]:
    """Which brakes are on."""
    return [row["counts"] for row in world.sql("SELECT counts FROM brake WHERE engaged_at IS NOT NULL ORDER BY counts")]


def test_each_brake_has_a_button_that_releases_it_alone(desk: Desk, world: World, both: Any) -> None:
    """Its button says for how many it is; the other one stays on with who waits for it."""
    desk.come_in()
    desk.see("overview")
    desk.page.set_viewport_size({"width": 1000, "height": 240})
    desk.page.get_by_role("button", name="Release 2 suspensions", exact=True).click()
    top = "one => one.scrollHeight > one.clientHeight && one.scrollTop"
    assert desk.dialog.evaluate(top) == 0  # what happens is read before the reason is typed
    desk.page.keyboard.press("Escape")
    desk.act("Release 2 suspensions", Reason="looked at each")
    assert engaged(world) == ["moves"]
    expect(desk.page.get_by_role("button", name="Release 1 move", exact=True)).to_be_visible()
    (line,) = world.sql("SELECT facts FROM actions WHERE kind = 'release_brake' ORDER BY id DESC LIMIT 1")
    assert (line["facts"]["counts"], line["facts"]["reason"]) == (["suspensions"], "looked at each")


def test_who_came_to_wait_meanwhile_is_shown_before_they_are_let_go(desk: Desk, world: World, both: Any) -> None:
    """Nothing is released, the dialog says why, and what stands now is read and can be released."""
    desk.come_in()
    desk.see("overview")
    late = world.buy("Lee Example")
    desk.page.get_by_role("button", name="Release 2 suspensions", exact=True).click()
    stop(world, "suspensions", late)
    with desk.forgiving("status of 409"):
        desk.confirm("Release 2 suspensions")
        expect(desk.dialog.get_by_role("alert")).to_contain_text("3 wait for it by now, not 2")
    assert engaged(world) == ["moves", "suspensions"]
    desk.confirm("Look again")
    desk.act("Release 3 suspensions")
    assert engaged(world) == ["moves"]


def test_an_act_on_all_that_finds_others_shows_them_first(desk: Desk, world: World) -> None:
    """As many match as were shown, but not the same: nothing is done, and the button is for those of now."""
    world.stage.stripe.create_price("price_others")
    waiting = [world.buy(f"{name} Example", price="price_others") for name in ("Ray", "Roy")]
    desk.come_in()
    desk.see("work", state="parked", reason="unmapped_price")
    desk.page.get_by_role("button", name="Retry all").first.click()
    go = desk.dialog.locator("footer").get_by_role("button", name=re.compile(r"^Retry \d+$"))
    number = go.inner_text()
    gone = world.sql("DELETE FROM due WHERE key = %s RETURNING parked_reason, problems, lane", waiting[0].customer)[0]
    new = world.buy("Rae Example", price="price_others")
    with desk.forgiving("status of 409"):
        go.click()
        expect(desk.dialog.get_by_role("alert")).to_contain_text("others than were shown")
    assert gone["parked_reason"] == "unmapped_price"
    expect(desk.dialog).to_contain_text(new.customer)
    desk.confirm(number)
    expect(desk.dialog).to_contain_text("All of them have been looked at since.")
    for one in (*waiting, new):
        world.sql("DELETE FROM due WHERE key = %s", one.customer)


def test_a_hold_of_several_is_undone_for_those_it_held(desk: Desk, world: World) -> None:
    """The dialog names them; what was held before stays held."""
    zed = world.buy("Zed Example")
    more = [
        world.stage.stripe.subscribe(zed.customer, [PRICE], metadata={"domain": f"{name}.example"})["id"]
        for name in ("zed-two", "zed-three")
    ]
    world.settle()
    first, second, third = zed.subscription, *more
    world.admin("POST", "/api/admin/work", json={"action": "hold", "subscriptionId": third})
    desk.come_in()
    desk.see_customer(zed)
    desk.act("Hold", Reason="by mistake")
    assert holds(world, first, second, third) == [["admin"]] * 3
    desk.page.locator("main").get_by_role("button", name="Undo", exact=True).first.click()
    expect(desk.dialog).to_contain_text("Lift this hold of 2 services")
    expect(desk.dialog).to_contain_text("zed-two.example")
    expect(desk.dialog).not_to_contain_text("zed-three.example")
    desk.confirm("Undo")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    assert holds(world, first, second, third) == [[], [], ["admin"]]


def holds(world: World, *subscriptions: str) -> list[list[str]]:
    """What holds each."""
    return [world.value("SELECT holds FROM services WHERE subscription_id = %s", one) for one in subscriptions]


# --- how dialogs behave -----------------------------------------------------------------------------------------------


def test_esc_closes_and_the_focus_goes_back(desk: Desk, world: World) -> None:
    """Of each way to make a dialog: nothing is asked for, and the button that opened it has the focus again."""
    ivy = world.buy("Ivy Example")
    desk.come_in()
    places = [
        ({"view": "customer", "id": ivy.customer}, "Hold"),
        ({"view": "work", "state": "parked"}, "Grace for all unpaid"),
        ({"view": "plans"}, "Map another price"),
    ]
    for params, name in places:
        desk.see(**params)
        button = desk.page.locator("main").get_by_role("button", name=name, exact=True)
        button.click()
        expect(desk.dialog).to_be_visible()
        desk.page.keyboard.press("Escape")
        expect(desk.dialog).to_have_count(0)
        expect(button).to_be_focused()
    assert world.sql("SELECT id FROM actions WHERE kind = 'hold' AND customer_id = %s", ivy.customer) == []


def test_what_is_typed_next_goes_into_the_dialog(desk: Desk, world: World) -> None:
    """A dialog is open, with its field focused, before the browser can hand on another key, and gone as soon; no later
    step of the page takes the focus from whoever types on.
    """
    ida = world.buy("Ida Example")
    desk.come_in()
    desk.see_customer(ida)
    hold = desk.page.locator("main").get_by_role("button", name="Hold", exact=True)
    hold.focus()
    assert hold.evaluate(AT_ONCE % "one.click()") == [True, "INPUT"]
    cross = desk.dialog.get_by_role("button", name="Close", exact=True)
    assert cross.evaluate(AT_ONCE % "one.click()") == [False, "BUTTON"]
    back = desk.page.get_by_role("navigation").get_by_role("link", name="Plans")
    assert back.evaluate(AT_ONCE % "one.click()") == [False, "MAIN"]


AT_ONCE = """
async (one) => {
  %s;
  for (let turn = 0; turn < 10; turn += 1) await null; // microtasks: no other event comes before they are done
  return [Boolean(document.querySelector("dialog")?.open), document.activeElement.tagName];
}
"""


def test_an_act_is_asked_once_and_can_not_be_left_before_its_answer(desk: Desk, world: World) -> None:
    """Two clicks are one act; Esc, twice as well, leaves it open until the answer is there, and what is read anew
    meanwhile does not take it away.
    """
    max_ = world.buy("Max Example")
    desk.come_in()
    desk.see_customer(max_)
    asked = held_back(desk, "**/api/admin/work", "POST")
    desk.page.locator("main").get_by_role("button", name="Hold", exact=True).click()
    desk.dialog.locator("footer").get_by_role("button", name="Hold").evaluate("one => { one.click(); one.click(); }")
    expect(desk.dialog).to_contain_text("waiting for the answer")
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("Escape")
    expect(desk.dialog).to_be_visible()
    assert len(asked) == 1
    asked[0].continue_()
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    assert world.suspended(max_)
    desk.confirm("Close")
    expect(desk.dialog).to_have_count(0)


def test_a_result_stays_when_its_button_has_gone(desk: Desk, world: World) -> None:
    """The timeline offers the undoing no more as soon as it is read anew; what came of it is still to be read."""
    una = world.buy("Una Example")
    world.admin("POST", "/api/admin/work", json={"action": "hold", "customerId": una.customer})
    desk.come_in()
    desk.page.clock.install()
    desk.see_customer(una)
    desk.page.locator("main").get_by_role("button", name="Undo", exact=True).click()
    desk.confirm("Undo")
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    with desk.page.expect_response("**/api/admin/customers?*"):
        desk.page.clock.run_for(16_000)
    expect(desk.page.locator(".timeline").get_by_text("Hold lifted")).to_be_attached()
    expect(desk.dialog.locator("li.done")).to_have_count(3)
    desk.confirm("Close")
    expect(desk.dialog).to_have_count(0)


def test_a_preview_that_comes_too_late_is_of_another_draft(desk: Desk, world: World) -> None:
    """It is not shown, also not in the dialog that is opened next, and applying can't be left before its answer."""
    world.stage.stripe.create_price("price_late")
    desk.come_in()
    desk.see("plans")
    asked = held_back(desk, "**/api/admin/plans", "PUT")
    desk.page.get_by_role("button", name="Map another price").click()
    desk.fill(Price="price_late", Panel_plan=PLAN)
    desk.confirm("Preview")
    expect(desk.dialog).to_contain_text("Looking at each customer")
    desk.fill(Days_of_grace="3")
    apply = desk.dialog.get_by_role("button", name=re.compile("^Apply"))
    asked.pop().continue_()
    desk.at_rest()
    expect(apply).to_have_count(0)
    desk.confirm("Preview")
    desk.page.keyboard.press("Escape")
    desk.page.get_by_role("button", name="Map another price").click()
    asked.pop().continue_()
    desk.at_rest()
    expect(apply).to_have_count(0)
    desk.fill(Price="price_late", Panel_plan=PLAN)
    desk.confirm("Preview")
    asked.pop().continue_()
    apply.evaluate("one => { one.click(); one.click(); }")
    expect(desk.dialog).to_contain_text("Writing it")
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("Escape")
    expect(desk.dialog).to_be_visible()
    assert len(asked) == 1
    asked.pop().continue_()
    expect(desk.dialog).to_have_count(0)
    expect(desk.row("price_late").first).to_be_visible()


def test_a_double_click_presses_nothing_that_came_in_between(desk: Desk, world: World) -> None:
    """Where the preview is fast, its second click would apply what nobody has read; so would Enter that is held down on
    the button that opens a dialog.
    """
    world.stage.stripe.create_price("price_fast")
    una = world.buy("Una Example")
    desk.come_in()
    desk.see("plans", price="price_fast")
    desk.fill(Panel_plan=PLAN)
    for name, count in ((re.compile("^Preview"), 1), (re.compile("^Apply"), 2)):
        desk.dialog.get_by_role("button", name=name).hover()
        desk.page.mouse.down(click_count=count)
        desk.page.mouse.up(click_count=count)
    expect(desk.dialog.get_by_role("button", name=re.compile("^Apply"))).to_be_enabled()
    desk.see_customer(una)
    assert not world.sql("SELECT kind FROM plan_mappings WHERE billing_plan_id = 'price_fast'")
    desk.page.locator("main").get_by_role("button", name="Hold", exact=True).focus()
    for _ in range(5):
        desk.page.keyboard.down("Enter")
    desk.page.keyboard.up("Enter")
    expect(desk.dialog.get_by_label("Reason")).to_be_focused()
    desk.page.keyboard.press("Escape")
    assert world.service(una)["holds"] == []


# --- how each kind of action ends -------------------------------------------------------------------------------------


def test_every_kind_of_action_comes_to_an_end(desk: Desk, world: World) -> None:
    """What the same pass reads back waits for that; of all else the page says what will read it back, or that nothing
    can, and waits for nothing. The ledger bears that out: after a sweep only what nothing reads back is unproven.
    """
    desk.come_in()
    desk.see("overview")
    told = desk.page.evaluate("import('/app/screens/customer/acts.js').then(({ READ_BACK }) => READ_BACK)")
    assert sorted(told) == sorted(kind.value for kind in ActionKind)
    ends = {kind: stands(desk, kind, "applied")["state"] for kind in told}
    assert {kind for kind, state in ends.items() if state == "waiting"} == {k for k, by in told.items() if by == "pass"}
    assert set(ends.values()) == {"waiting", "later"}
    for state, ended in {"verified": "done", "noted": "done", "failed": "failed", "unknown": "waiting"}.items():
        assert {stands(desk, kind, state)["state"] for kind in told} == {ended}
    assert stands(desk, "suspend", "intent") is None

    world.buy("Una Example")
    assert unproven(world) & {kind for kind, by in told.items() if by == "pass"} == set()
    world.admin("POST", "/api/admin/sync", json={"all": True})
    world.wait(lambda: unproven(world) <= {kind for kind, by in told.items() if by == "word"})


def stands(desk: Desk, kind: str, state: str) -> Any:
    """What the page makes of an entry of the ledger."""
    script = "(entry) => import('/app/screens/customer/acts.js').then((acts) => acts.standing(entry))"
    return desk.page.evaluate(script, {"kind": kind, "state": state})


def unproven(world: World) -> set[str]:
    """Kinds of what was applied to who is there still, and never read back."""
    return {
        row["kind"]
        for row in world.sql(
            "SELECT DISTINCT kind FROM actions a WHERE state = 'applied' AND NOT EXISTS (SELECT FROM actions v"
            " WHERE v.action_id = a.action_id AND v.state = 'verified')"
        )
    }


def test_a_new_customer_who_is_retried_is_done(desk: Desk, world: World) -> None:
    """Everything is made by the act itself: it ends, says what the next sweep reads back, and is told as done."""
    world.stage.stripe.create_price("price_silent")
    kim = world.buy("Kim Example", price="price_silent")
    desk.come_in()
    desk.see_customer(kim)
    said = desk.act("Run the pass")
    assert "A person must act" in said
    assert "Nothing had to be changed" not in said
    world.sql("ALTER TABLE plan_mappings DISABLE TRIGGER USER")  # nobody is told that it is there by now
    world.map("price_silent", PLAN)
    world.sql("ALTER TABLE plan_mappings ENABLE TRIGGER USER")
    said = desk.act("Run the pass")
    assert "Website made: applied; the next sweep reads it back" in said
    assert "Welcome mail sent: applied; the panel took it" in said
    assert "not seen in the panel yet" not in said
