"""Adopting what exists: linked exactly when it is certain, and never with a change in the panel."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.world import BASIC, World

ROOT = Path(__file__).resolve().parent.parent.parent
ADA = "ada@example.com"

Done = subprocess.CompletedProcess[str]


def launch(world: World, script: str, *arguments: str, answer: str = "", **environ: str) -> Done:
    """Run a script as an operator does, with what they type."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *arguments],
        cwd=ROOT,
        env={**os.environ, **world.environ, "USER": "anna", **environ},
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )


def run(world: World, *arguments: str, answer: str = "", **environ: str) -> Done:
    """Run adopt."""
    return launch(world, "adopt", *arguments, answer=answer, **environ)


def by_hand(
    world: World, email: str | None = ADA, domain: str | None = "shop.example", plan: int | None = None
) -> tuple[str, int]:
    """An organisation that somebody made in the panel years ago, with one hosting subscription."""
    org = world.panel.add_customer("Ada's old account", email)
    hosting = world.panel.add_subscription(org, plan or world.plan_id, "Hosting since 2019")
    if domain:
        world.panel.add_website(hosting, domain)
    return org, hosting


def csv(tmp_path: Path, *lines: str) -> str:
    """A file of rows; its path."""
    path = tmp_path / "customers.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def panel(world: World) -> list[dict[str, Any]]:
    """Everything that the panel shows."""
    there: list[int | str] = [*world.panel.orgs, *world.panel.subscriptions, *world.panel.websites]
    return [world.panel.show(one) for one in there]


def links(world: World) -> list[tuple[str, int, int | None, str | None]]:
    """What is linked: subscription, slot, hosting, domain."""
    rows = world.sql("SELECT * FROM services ORDER BY subscription_id, slot")
    return [(row["subscription_id"], row["slot"], row["panel_subscription_id"], row["domain"]) for row in rows]


def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, down to the transaction that wrote it."""
    names = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    tables = [row["tablename"] for row in names]
    return {name: world.sql(f"SELECT *, xmin::text FROM {name} ORDER BY 1, 2") for name in tables}  # noqa: S608


async def rests(world: World, customer: str) -> None:
    """Passes in shadow mode and live find nothing to do, and write nothing to the panel."""
    before = panel(world)
    world.panel.forget_calls()
    shadow = await world.sync(customer, PROVISIONING_MODE="shadow")
    assert shadow.actions == ()
    assert world.sql("SELECT * FROM shadow_plans") == []
    live = await world.sync(customer)
    assert live.actions == ()
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert panel(world) == before
    assert world.panel.recovery_mails == []
    assert world.due() == []


# --- the straight way -------------------------------------------------------------------------------------------------


async def test_a_preview_shows_and_writes_nothing(world: World) -> None:
    """Without --apply not one row changes, and the panel is only read."""
    customer = world.customer(email="Ada@Example.com")
    subscription = world.buy(customer, domain=None)
    org, hosting = by_hand(world)
    before, there = everything(world), panel(world)
    done = run(world, "--by-email")
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in (customer, subscription, org, str(hosting), BASIC, "shop.example", "nothing was written"):
        assert shown in done.stdout
    assert everything(world) == before
    assert panel(world) == there
    assert {call.method for call in world.panel.calls} == {"GET"}


async def test_what_is_linked_by_email_is_left_in_peace(world: World) -> None:
    """A customer in good standing is remembered whole, and every later pass and sweep finds nothing to do."""
    customer = world.customer(email="Ada@Example.com")
    subscription = world.buy(customer, domain=None)
    org, hosting = by_hand(world)
    there = panel(world)
    done = run(world, "--by-email", "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert panel(world) == there
    assert {call.method for call in world.panel.calls} == {"GET"}
    (row,) = world.sql("SELECT * FROM customers")
    login = world.panel.show(org)
    assert (str(row["org_id"]), str(row["login_id"]), str(row["member_id"])) == (
        org,
        login["ownerLoginId"],
        login["ownerId"],
    )
    assert (row["customer_id"], row["org_name"], row["welcomed_at"] is not None) == (customer, "Ada Example", True)
    service = world.service(subscription)
    (site,) = world.panel.websites
    assert (service["panel_subscription_id"], service["panel_plan_id"]) == (hosting, world.plan_id)
    assert (service["plan"], service["state"], service["adopted"]) == (BASIC, "live", True)
    assert (str(service["website_id"]), service["domain"]) == (site, "shop.example")
    noted = world.sql("SELECT kind, state, rule, actor FROM actions")
    assert noted == [{"kind": "adopted", "state": "noted", "rule": "adopted_by_email", "actor": "anna"}] * 2
    await rests(world, customer)
    swept = launch(world, "sweep")
    assert swept.returncode == 0
    assert panel(world) == there


async def test_linking_twice_is_harmless(world: World) -> None:
    """The second run says so and writes nothing."""
    customer = world.customer()
    world.buy(customer)
    by_hand(world)
    run(world, "--by-email", "--apply", "--yes")
    before = everything(world)
    again = run(world, "--by-email", "--apply", "--yes")
    assert again.returncode == 0
    assert "Linked already" in again.stdout
    assert everything(world) == before


@pytest.mark.parametrize(("answer", "linked"), [("yes\n", 1), ("no\n", 0), ("\n", 0), ("", 0)])
async def test_nothing_is_linked_before_somebody_says_yes(world: World, answer: str, linked: int) -> None:
    """Anything but yes, and nobody there at all, is a no."""
    world.buy(world.customer())
    by_hand(world)
    run(world, "--by-email", "--apply", answer=answer)
    assert len(links(world)) == linked


async def test_a_file_may_name_everything(world: World, tmp_path: Path) -> None:
    """Two subscriptions to one plan are told apart by the ids in the file, and the actor is the one that was given."""
    customer = world.customer()
    first, second = world.buy(customer, domain=None), world.buy(customer, domain=None)
    org, one = by_hand(world, domain="one.example")
    two = world.panel.add_subscription(org, world.plan_id)
    rows = [f"{customer},{org},{first},{two}", f"{customer},{org},{second},{one}"]
    file = csv(tmp_path, "customer_id,org_id,subscription_id,panel_subscription_id", *rows)
    done = run(world, file, "--apply", "--yes", "--actor", "bob")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(links(world)) == {(first, 1, two, None), (second, 1, one, "one.example")}
    assert {row["actor"] for row in world.sql("SELECT actor FROM actions")} == {"bob"}
    await rests(world, customer)


async def test_a_file_may_name_an_email_and_a_website(world: World, tmp_path: Path) -> None:
    """The website says which of two hosting subscriptions it is, however it is spelt."""
    customer = world.customer(email="Ada@example.com")
    subscription = world.buy(customer, domain=None)
    org, _ = by_hand(world, domain="old.example")
    newer = world.panel.add_subscription(org, world.plan_id)
    world.panel.add_website(newer, "new.example")
    file = csv(tmp_path, "email, org_id, website", f"ada@EXAMPLE.com, {org}, https://www.New.example/")
    done = run(world, file, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert links(world) == [(subscription, 1, newer, "new.example")]
    await rests(world, customer)


async def test_a_quantity_takes_as_many(world: World) -> None:
    """Services of one item are equal: two bought and two there are linked as slots 1 and 2."""
    customer = world.customer()
    subscription = str(world.stripe.subscribe(customer, [("price_basic_monthly", 2)])["id"])
    org, one = by_hand(world)
    two = world.panel.add_subscription(org, world.plan_id)
    run(world, "--by-email", "--apply", "--yes")
    assert links(world) == [(subscription, 1, one, "shop.example"), (subscription, 2, two, None)]
    await rests(world, customer)


async def test_domains_tell_equal_plans_apart(world: World) -> None:
    """Two subscriptions to one plan find their hosting by the domain in Stripe's metadata."""
    customer = world.customer()
    second, first = world.buy(customer, domain="two.example"), world.buy(customer, domain="one.example")
    org, one = by_hand(world, domain="one.example")
    two = world.panel.add_subscription(org, world.plan_id)
    world.panel.add_website(two, "two.example")
    run(world, "--by-email", "--apply", "--yes")
    assert set(links(world)) == {(first, 1, one, "one.example"), (second, 1, two, "two.example")}
    await rests(world, customer)


async def test_addons_count(world: World) -> None:
    """Base and add-on together buy the plan that the rule names, and hosting on that plan is the one."""
    world.stripe.create_price("price_more")
    world.map_price("price_more", None, kind="addon")
    world.sql("INSERT INTO plan_rules VALUES ('stripe', 'price_basic_monthly', 'price_more', 1, 'big-hosting-plan')")
    customer = world.customer()
    world.stripe.subscribe(customer, ["price_basic_monthly", "price_more"])
    _, hosting = by_hand(world, plan=world.big_plan_id)
    run(world, "--by-email", "--apply", "--yes")
    assert [link[2] for link in links(world)] == [hosting]
    await rests(world, customer)


async def test_hosting_with_several_websites_links_none_of_them(world: World) -> None:
    """Which one was bought is not known, so none is answered for, and none is made."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    _, hosting = by_hand(world, domain="one.example")
    world.panel.add_website(hosting, "two.example")
    run(world, "--by-email", "--apply", "--yes")
    assert links(world) == [(subscription, 1, hosting, None)]
    await rests(world, customer)


async def test_a_new_subscription_of_a_linked_customer_may_be_linked_later(world: World) -> None:
    """What an earlier run linked stays as it is."""
    customer = world.customer()
    first = world.buy(customer, domain=None)
    org, one = by_hand(world)
    run(world, "--by-email", "--apply", "--yes")
    second = world.buy(customer, domain=None)
    two = world.panel.add_subscription(org, world.plan_id)
    run(world, "--by-email", "--apply", "--yes")
    assert set(links(world)) == {(first, 1, one, "shop.example"), (second, 1, two, None)}


async def test_who_was_erased_is_linked_without_a_name(world: World) -> None:
    """Ids, plan and domain are remembered; the name is read from Stripe and kept nowhere."""
    customer = world.customer()
    subscription = world.buy(customer, domain=None)
    world.sql("INSERT INTO customers (customer_id, erased_at) VALUES (%s, now())", customer)
    _, hosting = by_hand(world)
    done = run(world, "--by-email", "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert links(world) == [(subscription, 1, hosting, "shop.example")]
    await rests(world, customer)
    assert world.sql("SELECT name, email, org_name FROM customers") == [{"name": None, "email": None, "org_name": None}]


# --- not in good standing ---------------------------------------------------------------------------------------------


async def test_a_suspension_that_was_there_stays(world: World) -> None:
    """It is somebody else's: shown, and never lifted by a payment."""
    customer = world.customer()
    subscription = world.buy(customer)
    _, hosting = by_hand(world)
    world.panel.suspend_by_hand(hosting)
    run(world, "--by-email", "--apply", "--yes")
    service = world.service(subscription)
    assert (service["state"], service["panel_suspended"], service["suspended_by"]) == ("live", True, None)
    await rests(world, customer)


async def test_who_does_not_pay_is_linked_and_the_preview_says_what_follows(world: World) -> None:
    """An unpaid customer is theirs all the same; the next pass suspends."""
    customer = world.customer()
    subscription = world.buy(customer)
    world.stripe.mark_unpaid(subscription)
    _, hosting = by_hand(world)
    done = run(world, "--by-email", "--apply", "--yes")
    assert f"suspend {subscription} (unpaid)" in done.stdout
    assert world.panel.subscriptions[hosting].suspended_by is None
    await world.sync(customer)
    assert world.panel.subscriptions[hosting].suspended_by is not None
    assert world.service(subscription)["holds"] == ["unpaid"]


async def test_an_accepted_plan_change_is_made_by_the_next_pass(world: World) -> None:
    """With --accept-plan-changes hosting on another plan is linked as it is, and moved later."""
    customer = world.customer()
    subscription = world.buy(customer)
    _, hosting = by_hand(world, plan=world.big_plan_id)
    done = run(world, "--by-email", "--apply", "--yes", "--accept-plan-changes")
    assert f"change_plan {subscription}" in done.stdout
    assert world.panel.subscriptions[hosting].plan_id == world.big_plan_id
    await world.sync(customer)
    assert world.panel.subscriptions[hosting].plan_id == world.plan_id


async def test_what_is_bought_and_not_there_is_announced(world: World) -> None:
    """Two bought and one there: the one is linked, and the preview says that a pass makes the other."""
    customer = world.customer()
    world.buy(customer, domain=None)
    big = world.buy(customer, price="price_big_monthly", domain=None)
    by_hand(world)
    assert f"create_subscription {big}" in run(world, "--by-email").stdout


# --- refused ----------------------------------------------------------------------------------------------------------


def two_organisations(world: World, _: str) -> None:
    """Two panel organisations with the e-mail."""
    world.panel.add_customer("Another", "other@example.com")
    by_hand(world)
    world.panel.logins[next(iter(world.panel.logins))].email = ADA


def two_customers(world: World, _: str) -> None:
    """Two paying customers with the e-mail."""
    world.buy(world.customer(email="ADA@example.com"))
    by_hand(world)


def linked_org(world: World, _: str) -> None:
    """The organisation belongs to another customer."""
    org, _hosting = by_hand(world)
    world.sql("INSERT INTO customers (customer_id, org_id) VALUES ('cus_other', %s)", org)


def linked_hosting(world: World, customer: str) -> None:
    """The hosting answers to another service."""
    _, hosting = by_hand(world)
    world.sql("INSERT INTO customers (customer_id) VALUES ('cus_other')")
    world.sql(
        "INSERT INTO services (customer_id, subscription_id, slot, item_id, price_id, state, panel_subscription_id)"
        " VALUES ('cus_other', 'sub_other', 1, 'si', 'price', 'live', %s)",
        hosting,
    )


def other_org_of_customer(world: World, customer: str) -> None:
    """The customer was provisioned already."""
    by_hand(world)
    world.sql("INSERT INTO customers (customer_id, org_id) VALUES (%s, gen_random_uuid())", customer)


def two_fitting(world: World, _: str) -> None:
    """Two hosting subscriptions of the plan and one purchase."""
    org, _hosting = by_hand(world)
    world.panel.add_subscription(org, world.plan_id)


def two_purchases(world: World, customer: str) -> None:
    """Two purchases of the plan and one hosting subscription."""
    by_hand(world)
    world.buy(customer, domain=None)


def other_plan(world: World, _: str) -> None:
    """The hosting is on another plan."""
    by_hand(world, plan=world.big_plan_id)


def unmapped(world: World, _: str) -> None:
    """The price has no mapping."""
    by_hand(world)
    world.sql("DELETE FROM plan_mappings")


def deleted_org(world: World, _: str) -> None:
    """The organisation is deleted."""
    org, _hosting = by_hand(world)
    world.panel.delete_by_hand(org)


def deleted_hosting(world: World, _: str) -> None:
    """The hosting subscription is deleted."""
    _, hosting = by_hand(world)
    world.panel.delete_by_hand(hosting)


def reseller(world: World, _: str) -> None:
    """The hosting is a reseller's."""
    plan = world.panel.add_plan("reseller", resources={"customers": None, "websites": 100})
    world.sql("UPDATE plan_mappings SET enhance_plan_id = 'reseller'")
    by_hand(world, plan=plan)


def no_org(world: World, _: str) -> None:
    """Nobody in the panel has the e-mail."""
    by_hand(world, email="other@example.com")


REFUSED: dict[str, tuple[Callable[[World, str], None], str]] = {
    "two organisations": (two_organisations, "ambiguous_email"),
    "two customers": (two_customers, "ambiguous_email"),
    "linked organisation": (linked_org, "org_linked"),
    "linked hosting": (linked_hosting, "nothing_fits"),
    "another organisation": (other_org_of_customer, "customer_linked"),
    "two fit": (two_fitting, "ambiguous"),
    "two purchases": (two_purchases, "ambiguous"),
    "another plan": (other_plan, "plan_mismatch"),
    "unmapped price": (unmapped, "unmapped_price"),
    "deleted organisation": (deleted_org, "no_organisation"),
    "deleted hosting": (deleted_hosting, "nothing_fits"),
    "reseller": (reseller, "nothing_fits"),
    "no organisation": (no_org, "no_organisation"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_certain_is_refused(world: World, case: str) -> None:
    """Each with its reason, with exit code 1, and without a trace on either side."""
    customer = world.customer()
    world.buy(customer, domain=None)
    arrange, reason = REFUSED[case]
    arrange(world, customer)
    before, there = everything(world), panel(world)
    done = run(world, "--by-email", "--apply", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    refused = done.stdout.partition("\nRefused\n")[2]
    assert f" {reason} " in refused
    assert everything(world) == before
    assert panel(world) == there


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("panel_subscription_id", "4711", "panel_unknown"),
        ("panel_subscription_id", "six", "incomplete"),
        ("panel_subscription_id", "99999999999", "incomplete"),
        ("subscription_id", "sub_nobody", "subscription_unknown"),
        ("website", "nobody.example", "domain_unknown"),
        ("website", "no domain", "incomplete"),
        ("org_id", "", "incomplete"),
        ("org_id", "not-an-id", "org_unknown"),
        ("customer_id", "cus_nobody", "customer_unknown"),
    ],
)
async def test_a_row_that_names_what_is_not_there(
    world: World, tmp_path: Path, column: str, value: str, reason: str
) -> None:
    """It is refused by its line, and the rows beside it are linked."""
    anna, ben = world.customer("Anna", "anna@example.com"), world.customer("Ben", "ben@example.com")
    world.buy(anna, domain=None)
    good = world.buy(ben, domain=None)
    org, _ = by_hand(world, "anna@example.com", None)
    bens_org, bens = by_hand(world, "ben@example.com", None)
    row = {"customer_id": anna, "org_id": org, "subscription_id": "", "panel_subscription_id": "", "website": ""}
    lines = [",".join(row), ",".join((row | {column: value}).values()), f"{ben},{bens_org},,{bens},"]
    done = run(world, csv(tmp_path, *lines), "--apply", "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f" {reason} " in done.stdout.partition("\nRefused\n")[2]
    assert links(world) == [(good, 1, bens, None)]


@pytest.mark.parametrize(("email", "linked"), [("somebody-else@example.com", 0), (" ADA@example.com", 1), ("", 1)])
async def test_a_customer_and_an_email_must_be_of_one_person(
    world: World, tmp_path: Path, email: str, linked: int
) -> None:
    """A row that names two people is wrong about one of them, so nothing is linked."""
    customer = world.customer()
    world.buy(customer)
    org, _ = by_hand(world)
    done = run(world, csv(tmp_path, "customer_id,email,org_id", f"{customer},{email},{org}"), "--apply", "--yes")
    assert done.returncode == (0 if linked else 1)
    assert (" ambiguous " in done.stdout) == (not linked)
    assert len(links(world)) == linked


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "semicolons": (b"customer_id;org_id\nCUS;ORG\n", "unknown column"),
    "a column twice": (b"customer_id,org_id,customer_id\nCUS,ORG,CUS\n", "twice"),
    "too few columns": (b"customer_id\nCUS\n", "org_id are needed"),
    "nothing": (b"", "org_id are needed"),
    "a NUL byte": (b"customer_id,org_id\nCUS\0,ORG\n", "line 2 holds a NUL byte"),
    "a huge field": (b"customer_id,org_id\nCUS,ORG" + b"x" * 200_000 + b"\n", "line 2: field larger"),
    "another encoding": (b"customer_id,org_id,domain\nCUS,ORG,m\xfcller.example\n", "not UTF-8"),
    "UTF-16": ("customer_id,org_id\nCUS,ORG\n".encode("utf-16"), "not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_FILES)
async def test_a_file_that_is_none_is_said_to_be_so(world: World, tmp_path: Path, case: str) -> None:
    """One plain line and exit code 2, and nothing is linked."""
    customer = world.customer()
    world.buy(customer)
    org, _ = by_hand(world)
    content, said = BAD_FILES[case]
    path = tmp_path / "customers.csv"
    path.write_bytes(content.replace(b"CUS", customer.encode()).replace(b"ORG", org.encode()))
    done = run(world, str(path), "--apply", "--yes")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert links(world) == []


@pytest.mark.parametrize("source", ["file", "-"])
async def test_the_mark_before_a_spreadsheets_file_is_no_content(world: World, tmp_path: Path, source: str) -> None:
    """What was saved as CSV UTF-8 is read, from a file as from standard input."""
    customer = world.customer()
    world.buy(customer)
    org, _ = by_hand(world)
    text = f"\ufeffcustomer_id,org_id\r\n{customer},{org}\r\n"
    path = tmp_path / "customers.csv"
    path.write_bytes(text.encode())
    done = run(world, str(path) if source == "file" else "-", "--apply", "--yes", answer=text, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(links(world)) == 1


@pytest.mark.parametrize("ended", ["canceled", "incomplete"])
async def test_what_has_ended_or_was_never_paid_links_nothing(world: World, tmp_path: Path, ended: str) -> None:
    """Hosting is linked to a purchase that runs."""
    customer = world.customer()
    world.stripe.subscribe(customer, ["price_basic_monthly"], ended)
    org, _ = by_hand(world)
    done = run(world, csv(tmp_path, "customer_id,org_id", f"{customer},{org}"), "--apply", "--yes")
    assert " not_subscribed " in done.stdout
    assert links(world) == []


async def test_a_deleted_customer_is_refused(world: World, tmp_path: Path) -> None:
    """Who is gone from Stripe pays for nothing."""
    customer = world.customer()
    world.buy(customer)
    org, _ = by_hand(world)
    world.stripe.delete_customer(customer)
    done = run(world, csv(tmp_path, "customer_id,org_id", f"{customer},{org}"), "--apply", "--yes")
    assert done.returncode == 1
    assert links(world) == []


async def test_one_organisation_is_not_linked_twice(world: World, tmp_path: Path) -> None:
    """A file that gives it to two customers is wrong about one of them, so it is refused for both."""
    anna, ben = world.customer("Anna", "anna@example.com"), world.customer("Ben", "ben@example.com")
    world.buy(anna)
    world.buy(ben)
    org, _ = by_hand(world)
    done = run(world, csv(tmp_path, "customer_id,org_id", f"{anna},{org}", f"{ben},{org}"), "--apply", "--yes")
    assert done.stdout.count("is named for") == 2
    assert links(world) == []


async def test_half_a_customer_is_not_linked(world: World, tmp_path: Path) -> None:
    """One bad row refuses the customer's good ones too: what is left out would be provisioned anew."""
    customer = world.customer()
    first, second = world.buy(customer, domain=None), world.buy(customer, domain=None)
    org, hosting = by_hand(world)
    rows = [f"{customer},{org},{first},{hosting}", f"{customer},{org},{second},4711"]
    file = csv(tmp_path, "customer_id,org_id,subscription_id,panel_subscription_id", *rows)
    assert run(world, file, "--apply", "--yes").returncode == 1
    assert links(world) == []


async def test_an_organisation_without_an_owner_is_refused(world: World, tmp_path: Path) -> None:
    """Linked as it is, the next pass would make a login."""
    customer = world.customer()
    world.buy(customer)
    org, _ = by_hand(world, email=None)
    done = run(world, csv(tmp_path, "customer_id,org_id", f"{customer},{org}"), "--apply", "--yes")
    assert " no_owner " in done.stdout
    assert links(world) == []


async def test_a_pass_that_is_under_way_wins(world: World) -> None:
    """Nothing is linked beneath a running pass; the refusal says to run it again."""
    customer = world.customer()
    world.buy(customer)
    by_hand(world)
    world.sql(
        "INSERT INTO due (kind, key, lease_id, leased_until)"
        " VALUES ('customer', %s, gen_random_uuid(), now() + interval '1 minute')",
        customer,
    )
    before = everything(world)
    done = run(world, "--by-email", "--apply", "--yes")
    assert done.returncode == 1
    assert "run this again" in done.stdout
    assert everything(world) == before


# --- how it is called -------------------------------------------------------------------------------------------------


async def test_a_file_that_can_not_be_meant(world: World, tmp_path: Path) -> None:
    """Unknown columns, missing columns and a missing file are said in one line, and nothing is done."""
    for head in ("customer,org_id", "customer_id", "org_id,website"):
        done = run(world, csv(tmp_path, head, "a,b"))
        assert done.returncode == 2 and "the first line names columns" in done.stderr
    gone = run(world, str(tmp_path / "gone.csv"))
    assert gone.returncode == 2 and "Traceback" not in gone.stderr
    assert run(world).returncode == 2


async def test_live_mode_is_warned_of(world: World) -> None:
    """Who is refused is provisioned anew by the next live pass, so the operator is told."""
    world.buy(world.customer())
    assert "PROVISIONING_MODE is live" in run(world, "--by-email").stdout
    assert "PROVISIONING_MODE is live" not in run(world, "--by-email", PROVISIONING_MODE="shadow").stdout
