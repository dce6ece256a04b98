"""Plans on the page: what a change would do is shown, and exactly that is done."""

import re

from playwright.sync_api import expect

from scripts.demo_world.stage import PLAN
from tests.page.desk import Desk, World


def test_a_change_moves_whom_it_showed_and_can_be_reverted(desk: Desk, world: World) -> None:
    """The preview counts who moves and who is refused, and why; exactly those are moved, and back by a revert."""
    big = world.stage.panel.add_plan("big-hosting-plan")
    small = world.stage.panel.add_plan("small-hosting-plan", resources={"diskspace": 100})
    world.stage.stripe.create_price("price_moving")
    world.map("price_moving", "big-hosting-plan")
    ones = [world.buy(f"{name} Example", price="price_moving") for name in ("Ole", "Pam", "Quin")]
    world.fill_up(ones[2], diskspace=150)
    desk.come_in()
    desk.see("plans")
    desk.page.get_by_role("button", name="Change price_moving").click()
    desk.fill(Panel_plan="small-hosting-plan")
    desk.confirm("Preview")
    effect = desk.dialog.locator(".summary")
    expect(effect).to_have_text(re.compile(r"2 move, 1 is refused: .*150 of 100"))
    # Another draft is another change: what was shown can't be applied to it.
    desk.fill(Days_of_grace="5")
    expect(desk.dialog.get_by_role("button", name=re.compile("^Apply"))).to_have_count(0)
    desk.confirm("Preview")
    desk.confirm("Apply exactly this: 2 moves")
    expect(desk.dialog).to_have_count(0)
    world.settle()
    assert [world.plan(one) for one in ones] == [small, small, big]
    assert world.problems(ones[2]) == ["downgrade_blocked"]

    expect(desk.page.get_by_role("table", name="The newest changes").locator("tbody tr").first).to_contain_text(
        "price_moving"
    )
    desk.page.get_by_role("button", name="Revert the change of price_moving").first.click()
    desk.confirm("Preview")
    desk.confirm("Apply exactly this: 2 moves")
    expect(desk.dialog).to_have_count(0)
    world.settle()
    assert [world.plan(one) for one in ones] == [big, big, big]
    assert world.problems(ones[2]) == []


def test_a_fault_in_a_draft_is_told_beside_its_field(desk: Desk, world: World) -> None:
    """What the server refuses is said at the field that is wrong, and nothing is written."""
    desk.come_in()
    desk.see("plans", price="price_faulty")
    desk.fill(Panel_plan=PLAN, Days_of_grace="many")
    with desk.forgiving("status of 422"):
        desk.confirm("Preview")
        expect(desk.dialog.locator("label", has_text="Days of grace").locator(".fault")).to_contain_text("whole number")
    assert not world.sql("SELECT billing_plan_id FROM plan_mappings WHERE billing_plan_id = 'price_faulty'")


def test_what_other_settings_would_do_is_computed_and_not_done(desk: Desk, world: World) -> None:
    """With no grace, who is in grace now would be suspended now: they are named, and stay on."""
    rex = world.buy("Rex Example")
    world.stage.stripe.fail_payment(rex.subscription)
    world.settle()
    assert world.service(rex)["grace_until"] is not None
    desk.come_in()
    desk.see("plans")
    desk.page.get_by_label(re.compile("^GRACE_DAYS")).fill("0")
    desk.page.get_by_role("button", name="Show what would change").click()
    expect(desk.page.locator("main")).to_contain_text(re.compile(r"\d+ would be suspended now"))
    expect(desk.page.locator("main")).to_contain_text(rex.domain)
    assert not world.suspended(rex)


def test_when_the_panel_is_away_plans_say_so(desk: Desk, world: World) -> None:
    """A side that can't be asked is named with its reason, and its cells are empty and not called wrong."""
    world.map("price_basic_monthly", PLAN)
    desk.come_in()
    world.stage.panel.down = True
    try:
        desk.see("plans")
        expect(desk.page.locator("main")).to_contain_text("can't be asked just now")
        expect(desk.row("price_basic_monthly")).not_to_contain_text("the panel has no plan")
    finally:
        world.stage.panel.down = False
