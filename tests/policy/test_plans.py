"""One reading of a plan reference, wherever it is compared."""

import pytest

from lib.model import PanelPlan, PanelSubscription, Service, ServiceKey
from lib.policy import on_plan, plans_meant
from lib.policy.plan_references import plan_number, put_on
from scripts.doctor_checks.plans import _plan as examined

PLANS = (PanelPlan(7, "Basic"), PanelPlan(8, "²"), PanelPlan(9, "Pro "), PanelPlan(10, "٣"), PanelPlan(11, "7up"))


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("Basic", 7),
        (" Basic", 7),
        ("Pro", 9),
        ("²", 8),
        ("٣", 10),
        ("7up", 11),
        ("basic", None),
        ("3", None),
        ("-7", None),
        ("7.0", None),
        ("1" * 5000, None),
        ("99999999999", None),
        ("", None),
    ],
)
def test_every_place_reads_a_reference_alike(reference: str, number: int | None) -> None:
    """ASCII digits are the id, all else an exact name but for blanks around it; list, comparison and doctor agree."""
    assert [plan.id for plan in plans_meant(reference, PLANS)] == ([] if number is None else [number])
    for plan in PLANS:
        assert on_plan(PanelSubscription(1, plan.id, plan.name, "x"), reference) is (plan.id == number)
    assert (examined("price", reference, {plan.id: plan.name for plan in PLANS}) is None) is (number is not None)


@pytest.mark.parametrize(
    ("reference", "same"), [("Basic", True), ("7", True), (" 7 ", True), ("007", True), ("8", False), ("Pro", False)]
)
def test_what_a_service_was_put_on_is_the_same_plan_however_it_is_written(reference: str, same: bool) -> None:
    """A mapping that says the plan's id instead of its name, or with blanks and zeros, buys the plan it is on."""
    service = Service(ServiceKey("sub_1", 1), "si_1", "price_1", plan="Basic", panel_plan_id=7)
    assert put_on(service, reference) is same


@pytest.mark.parametrize("reference", ["²", "①", "٣", "１２", "1" * 5000, "", "one"])
def test_what_is_no_ascii_number_is_a_name(reference: str) -> None:
    """What Python calls a digit or a decimal is not therefore an id, and no length of digits breaks anything."""
    assert plan_number(reference) is None


def test_hosting_on_a_plan_that_was_renamed_is_on_it_by_the_list() -> None:
    """A name that the hosting no longer shows is looked up: what counts is the id it stands for."""
    renamed = PanelSubscription(1, 7, "Basic 2027", "x")
    assert not on_plan(renamed, "Basic")
    assert on_plan(renamed, "Basic", PLANS)
    assert not on_plan(renamed, "Pro", PLANS)
