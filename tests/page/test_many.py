"""Acts on everybody whom a filter shows: the number first, then how far it has come, then how it is."""

import re

from playwright.sync_api import expect

from tests.page.desk import Desk, World


def test_holds_by_hand_are_lifted_for_everybody_who_has_one(desk: Desk, world: World) -> None:
    """Whoever is held by hand is let go by one act that says how many they are, and runs again."""
    held = [world.buy(f"{name} Example") for name in ("Hal", "Ida")]
    for one in held:
        world.admin("POST", "/api/admin/work", json={"action": "hold", "customerId": one.customer})
    assert all(world.suspended(one) for one in held)
    desk.come_in()
    desk.see("customers", hold="admin")
    for one in held:
        expect(desk.row(one.email)).to_contain_text("by hand")
    desk.page.get_by_role("button", name="Lift all").click()
    desk.dialog.get_by_label("Reason, for the ledger").fill("settled")
    desk.dialog.get_by_role("button", name="Preview").click()
    button = desk.dialog.get_by_role("button", name=re.compile(r"^Lift \d+$"))
    number = int(button.inner_text().split()[-1])
    assert number >= len(held)
    button.click()
    world.settle()
    expect(desk.dialog).to_contain_text(f"{number} of {number} done")
    assert not any(world.suspended(one) for one in held)
    desk.dialog.get_by_role("button", name="Close").last.click()
    desk.see("customers", hold="admin")
    expect(desk.page.locator("main")).to_contain_text("Nothing matches Held by by hand.")
