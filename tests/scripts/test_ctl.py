"""`./scripts/ctl` as a person types it, against the real functions over HTTP."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lib.bridge import forget
from scripts._functions import functions_app
from scripts._postgres import Postgres
from scripts.sim.server import serve
from tests.scripts.shell import Ctl, typist
from tests.world import ADMIN_KEY, World, make_world

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-c", "from scripts._ctl import main; main()"]


@dataclass
class Desk:
    """A deployment with a few customers, and somebody at a terminal."""

    url: str
    world: World
    ada: str
    ada_sub: str
    waits: str


@pytest.fixture(scope="module")
def desk(postgres: Postgres, template_database: str) -> Iterator[Desk]:
    """One deployment for all: somebody is live, two wait for a mapping, one is in grace."""
    before = dict(os.environ)
    with make_world(postgres.create_database("ctl", template_database)) as world:
        os.environ.update(
            {**world.environ, "ORDERS": "on", "RETENTION_DAYS": "30", "LOG_LEVEL": "error"}
            | {"ADMIN_API_KEY": f"admin:{ADMIN_KEY},courier:courier_fake_key", "KEY_SCOPES": "courier=collect"}
        )
        world.stripe.create_price("price_new_monthly")
        ada = world.customer()
        ada_sub = world.buy(ada)
        ben = world.customer("Ben Example", "ben@example.com")
        ben_sub = world.buy(ben, domain="ben.example")
        world.stripe.fail_payment(ben_sub)
        for number in (1, 2):
            waits = world.customer(f"Waits {number}", f"waits{number}@example.com")
            world.buy(waits, "price_new_monthly", domain=f"waits{number}.example")
        world.sql("INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                  " VALUES ('bank_transfer', 'offline', 'basic-hosting-plan')")  # fmt: skip
        for customer in list(world.stripe.customers):
            asyncio.run(world.sync(customer))
        with serve(functions_app(), at_end=forget) as url:
            yield Desk(url, world, ada, ada_sub, waits)
        os.environ.clear()
        os.environ.update(before)
    postgres.drop_database("ctl")


@pytest.fixture
def ctl(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Type a command."""
    monkeypatch.setenv("CTL_URL", desk.url)
    monkeypatch.setenv("CTL_KEY", ADMIN_KEY)
    return typist(capsys)


# --- looking ----------------------------------------------------------------------------------------------------------


def test_status_says_what_needs_somebody(ctl: Ctl, desk: Desk) -> None:
    """The verdict, the numbers, and each reason with its remedy; the exit code is for scripts."""
    ended = ctl("status")
    assert ended.code == 1
    assert ended.out.startswith("attention: ")
    assert re.search(r"unmapped_price +2 ", ended.out)
    assert re.search(r"services +live \d", ended.out)
    board = ctl("status", "--json").json
    assert board["verdict"]["state"] == "attention"
    desk.world.sql(
        "WITH opened AS (INSERT INTO alerts (cause, code, title, detail, remedy, severity)"
        " VALUES (%s, 'parked', 't', 'd', 'r', 'error') RETURNING cause)"
        " INSERT INTO alert_receivers (cause, receiver, error) SELECT cause, 'webhook', 'no: 403' FROM opened",
        board["openAlerts"][0]["cause"],
    )
    assert "Not everybody hears of alerts: the receiver said no: 403" in ctl("status").out
    desk.world.sql("DELETE FROM alerts")


def test_customers_are_found_and_shown(ctl: Ctl, desk: Desk) -> None:
    """By e-mail, domain or id, in part or whole; one with services and timeline."""
    for words in (["ada@example.com"], ["--domain", "shop"], [desk.ada_sub], ["--name", "ada"]):
        ended = ctl("customers", "find", *words)
        assert (ended.code, desk.ada in ended.out, "ben@" in ended.out) == (0, True, False)
    assert ctl("customers", "find", "--csv").out.startswith("customerId,")
    assert "Nobody matches" in ctl("customers", "find", "none@example.com").out
    shown = ctl("customer", "show", "shop.example")
    assert shown.code == 0
    assert re.search(r"At rest", shown.out)
    assert re.search(r"create_website +\S+ +applied +active +bridge", shown.out)
    assert ctl("customer", "show", desk.ada, "--json").json["customerId"] == desk.ada
    nobody = ctl("customer", "show", "nobody.example")
    assert (nobody.code, nobody.out) == (1, "")
    assert "Nobody is known by nobody.example" in nobody.err


def test_who_waits(ctl: Ctl, desk: Desk) -> None:
    """Tabs with counts; rows with reason and remedy."""
    ended = ctl("work")
    assert ended.code == 0
    assert re.match(r"parked 2, due 0, waiting \d", ended.out)
    assert desk.waits in ended.out
    assert {row["reason"] for row in ctl("work", "--state", "parked", "--json").json["data"]} == {"unmapped_price"}
    assert "Nobody is parked for no_email" in ctl("work", "--state", "parked", "--reason", "no_email").out


def test_what_comes(ctl: Ctl) -> None:
    """Whoever is suspended within the time, with the money; as CSV and as a calendar too."""
    ended = ctl("upcoming", "--days", "9")
    assert re.search(r"suspend +ben@example.com +ben\.example .*19\.00 EUR", ended.out)
    assert ctl("upcoming", "--days", "9", "--csv").out.count("\n") == 2
    assert ctl("upcoming", "--days", "9", "--ics").out.startswith("BEGIN:VCALENDAR")


def test_the_ledger_is_followed_until_ctrl_c(desk: Desk) -> None:
    """Old lines first, new ones as they come, each once; Ctrl-C ends it quietly."""
    environ = {**os.environ, "CTL_URL": desk.url, "CTL_KEY": ADMIN_KEY}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, "tail", "-n", "1", "--json"], cwd=ROOT, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None and process.stderr is not None
        first = json.loads(process.stdout.readline())
        for number in range(3):
            desk.world.sql(
                "INSERT INTO actions (action_id, customer_id, kind, state, actor)"
                " VALUES (gen_random_uuid(), 'cus_tail', 'hold', 'noted', %s)",
                f"person{number}",
            )
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert [line["actor"] for line in lines] == ["person0", "person1", "person2"]
    assert first["id"] < lines[0]["id"]


def test_the_ledgers_filters(ctl: Ctl, desk: Desk) -> None:
    """By customer and kind, and ended after the first lines."""
    ended = ctl("tail", "--customer", "ada@example.com", "--kind", "create_website", "--once")
    assert ended.code == 0
    assert [line.split()[2] for line in ended.out.splitlines()] == ["intent", "applied"]
    assert desk.ada in ended.out


# --- doing ------------------------------------------------------------------------------------------------------------


def test_hold_and_lift(ctl: Ctl, desk: Desk) -> None:
    """Somebody is suspended after a question, with the reason in the ledger, and live again."""
    ended = ctl("hold", desk.ada_sub, "--reason", "content")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"Suspend {desk.ada_sub} of {desk.ada} (ada@example.com)? ")
    assert "add --yes" in ended.err
    assert ctl("hold", "ada@example.com").err.startswith(f"Suspend everything of {desk.ada} (ada@example.com)? ")
    ended = ctl("hold", desk.ada_sub, "--reason", "content", "--yes")
    assert (ended.code, ended.out.splitlines()[0]) == (0, f"{desk.ada_sub} of {desk.ada} (ada@example.com):")
    assert re.search(r"suspend +sub_", ended.out)
    assert desk.world.service(desk.ada_sub)["holds"] == ["admin"]
    assert ctl("lift", "ada@example.com").code == 0
    assert desk.world.service(desk.ada_sub)["holds"] == []


@pytest.mark.parametrize(("word", "whole"), [("shop.exampl", "shop.example"), ("ada@example.co", "ada@example.com")])
def test_the_beginning_of_a_name_reaches_nobody(ctl: Ctl, desk: Desk, word: str, whole: str) -> None:
    """It may be another's whole name: nothing is done, and who begins so is listed."""
    ended = ctl("hold", word, "--yes")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"Nobody is known by {word}. ")
    assert desk.ada in ended.err
    assert whole in ended.err
    assert desk.world.service(desk.ada_sub)["holds"] == []


def test_an_act_on_everything_is_taken_back_for_what_it_changed(ctl: Ctl, desk: Desk) -> None:
    """The question names the one subscription that it reaches."""
    assert ctl("hold", "ada@example.com", "--yes").code == 0
    asked = ctl("undo", desk.ada)
    of_ada = rf"{desk.ada_sub} of \S+ \(ada@example\.com\)"
    assert re.match(rf"Lift this hold \(hold by admin, .+\): {of_ada}\?", asked.err)
    assert desk.world.service(desk.ada_sub)["holds"] == ["admin"]
    assert re.match(of_ada, ctl("undo", desk.ada, "--yes").out)
    assert desk.world.service(desk.ada_sub)["holds"] == []


def test_what_was_done_is_taken_back(ctl: Ctl, desk: Desk) -> None:
    """The newest act of a person, once; who has none is told so."""
    assert ctl("hold", desk.ada_sub, "--yes").code == 0
    ended = ctl("undo", desk.ada_sub, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert desk.world.service(desk.ada_sub)["holds"] == []
    nothing = ctl("undo", desk.waits, "--yes")
    assert nothing.code == 1
    assert nothing.err


def test_a_link_into_the_panel_is_printed_and_nothing_else(ctl: Ctl, desk: Desk) -> None:
    """For a script to open; who asked stands in the ledger."""
    ended = ctl("login", "shop.example")
    assert ended.code == 0
    assert re.fullmatch(r"https?://\S+\n", ended.out)
    assert "login" in ctl("tail", "--customer", desk.ada, "--once", "-n", "3").out


def test_grace_has_a_date_and_loses_it(ctl: Ctl, desk: Desk) -> None:
    """A date for who owes; for who does not, the refusal says so; a wrong one names the field."""
    assert ctl("grace", "ben@example.com", "--days", "20").code == 0
    (row,) = desk.world.sql("SELECT grace_override FROM services WHERE domain = 'ben.example'")
    assert row["grace_override"] is not None
    assert ctl("grace", "ben@example.com", "--end").code == 0
    refused = ctl("grace", desk.ada, "--days", "3")
    assert refused.code == 1
    assert refused.err
    wrong = ctl("grace", "ben@example.com", "--until", "tomorrow")
    assert wrong.code == 1
    assert wrong.err.startswith("until: until must be an ISO 8601 date")
    assert ctl("grace", "ben@example.com").code == 2


def test_everybody_gets_time(ctl: Ctl, desk: Desk) -> None:
    """An amnesty reaches who is in a running grace, after its number was shown; a wrong filter is refused by name."""
    ended = ctl("amnesty", "--days", "30", "--reason", "the bank is down", "--yes")
    assert (ended.code, ended.out.startswith("1 match: ")) == (0, True)
    assert re.search(r"suspended: \d", ctl("what-if", "GRACE_DAYS=3").out)
    assert ctl("what-if", "GRACE_DAYS").code == 2
    wrong = ctl("what-if", "GRACE_DAYS=never")
    assert (wrong.code, "GRACE_DAYS" in wrong.err) == (1, True)
    (row,) = desk.world.sql("SELECT grace_override > now() + interval '29 days' AS long FROM services"
                            " WHERE domain = 'ben.example'")  # fmt: skip
    assert row["long"]
    assert ctl("grace", "ben.example", "--end").code == 0
    refused = ctl("release", "--all", "--for", "no_email", "--yes")
    assert refused.code == 1
    assert refused.err.startswith("filter.reason: ")
    assert ctl("amnesty", "--yes").code == 2


def test_many_are_retried_and_a_price_is_mapped(ctl: Ctl, desk: Desk) -> None:
    """Who matches is shown before; then the mapping is previewed, made, and those who waited are live."""
    refused = ctl("retry", desk.waits)
    assert refused.code == 1
    assert "unmapped_price" in refused.err
    ended = ctl("retry", "--all", "--for", "unmapped_price", "--yes")
    assert ended.code == 0
    assert ended.out.startswith("2 match: ")
    assert "Done: 2." in ended.out
    assert "Nobody matches" in ctl("retry", "--all", "--for", "no_email", "--yes").out
    listed = ctl("plans", "list")
    assert re.search(r"price_new_monthly +2 ", listed.out)
    seen = ctl("plans", "preview", "price_basic_monthly", "big-hosting-plan")
    assert re.match(r"\d live by it: \d move", seen.out)
    assert ctl("plans", "map", "price_new_monthly", "basic-hosting-plan", "--yes").code == 0
    headers = {"Authorization": f"Bearer {desk.world.environ['CRON_SECRET']}"}
    live = "SELECT 1 FROM services WHERE domain LIKE 'waits_.example' AND state = 'live'"
    until = time.monotonic() + 60
    while len(desk.world.sql(live)) < 2 and time.monotonic() < until:  # the drain after an answer may have them in hand
        httpx.get(f"{desk.url}/api/cron/drain", headers=headers, timeout=60)
        time.sleep(0.05)
    assert len(desk.world.sql(live)) == 2


def test_a_mapping_keeps_what_was_not_said(ctl: Ctl, desk: Desk) -> None:
    """Changed in one thing, it is in all others what it was; taken away, nobody is touched."""
    desk.world.stripe.create_price("price_kept")
    desk.world.map_price("price_kept", "basic-hosting-plan", grace_days=3, create_website=False)
    assert ctl("plans", "map", "price_kept", "big-hosting-plan", "--yes").code == 0
    (row,) = desk.world.sql("SELECT * FROM plan_mappings WHERE billing_plan_id = 'price_kept'")
    assert (row["enhance_plan_id"], row["grace_days"], row["create_website"]) == ("big-hosting-plan", 3, False)
    assert re.search(r"price_kept +basic-hosting-plan +big-hosting-plan", ctl("plans", "revert").out)
    assert ctl("plans", "revert", "price_kept", "--yes").code == 0
    (row,) = desk.world.sql("SELECT * FROM plan_mappings WHERE billing_plan_id = 'price_kept'")
    assert (row["enhance_plan_id"], row["grace_days"], row["create_website"]) == ("basic-hosting-plan", 3, False)
    assert ctl("plans", "unmap", "price_kept", "--yes").code == 0
    assert desk.world.sql("SELECT 1 FROM plan_mappings WHERE billing_plan_id = 'price_kept'") == []


def test_orders_money_and_its_return(ctl: Ctl, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Money is typed as on paper, by the exponent of the currency; a part, too much precision, a courier, and back."""
    asked = {"action": "create", "provider": "bank_transfer", "billingPlanId": "offline", "amount": 1900}
    more = {"currency": "eur", "email": "cy@example.com", "name": "Cy Example", "domain": "cy.example"}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    made = httpx.post(f"{desk.url}/api/admin/orders", json=asked | more, headers=headers, timeout=60).json()["order"]
    whose = f"{made['customerId']} (cy@example.com)"
    assert f"came for the order of {whose} (" in ctl("collect", made["reference"], "9.00").err
    ended = ctl("collect", made["reference"], "9.00", "--key", "fake-key", "--yes")
    assert (ended.code, ended.out) == (0, f"The order of {whose} is paying. missing 10.00 EUR.\n")
    again = ctl("collect", made["reference"], "9.00", "--key", "fake-key", "--yes")
    assert (again.code, again.out) == (
        0,
        f"The order of {whose} is paying (it had been done before). missing 10.00 EUR.\n",
    )
    assert ctl("collect", made["id"], "9.00", "--key", "", "--yes").code == 2
    assert ctl("collect", made["id"], "9.001", "--yes").code == 2
    assert ctl("collect", made["id"], "0", "--yes").code == 2
    assert "write it such as 19 or 19.00" in ctl("collect", made["id"], "1,5", "--yes").err
    monkeypatch.setenv("CTL_KEY", "courier_fake_key")
    assert made["reference"].replace(" ", "") in ctl("orders", "list", "--open-offline", "--json").out.replace(" ", "")
    assert ctl("collect", made["reference"], "10", "--yes").out.startswith(f"The order of {whose} is paid")
    beyond = ctl("work")
    assert (beyond.code, beyond.out) == (1, "")
    assert beyond.err
    monkeypatch.setenv("CTL_KEY", ADMIN_KEY)
    listed = ctl("orders", "list", "--customer", made["customerId"])
    assert re.search(r"paid +bank_transfer +cy@example.com +cy\.example +19\.00 EUR", listed.out)
    shown = ctl("orders", "show", made["reference"]).out
    assert "cy.example" in shown and "{" not in shown
    assert re.search(r"Came without Stripe\n.*\n.*\n[-0-9]+ [0-9:]+ +9\.00 EUR +\w+", shown), shown
    assert re.search(r"order +collected +paid +admin:", shown), shown
    assert ctl("refund", made["id"], "--yes", "--reason", "wrong").code == 0
    assert ctl("orders", "show", made["id"], "--json").json["state"] == "refunded"
    assert ctl("orders", "show", "RF00 0000").code == 1


def test_what_was_paid_and_is_not_live_says_who_which_invoice_and_why(ctl: Ctl, desk: Desk) -> None:
    """An order learnt from Stripe is named by its customer's e-mail, with what was paid and why nothing runs."""
    (order,) = desk.world.sql(
        "INSERT INTO orders (order_id, provider, origin, state, customer_id, subscription_id, currency, amount,"
        " billing_plan_id, created_at) VALUES (gen_random_uuid(), 'stripe', 'learnt', 'pending', %s, 'sub_of_learnt',"
        " 'eur', 1900, 'price_new_monthly', now()) RETURNING order_id",
        desk.waits,
    )
    desk.world.sql("UPDATE orders SET state = 'paid', paid_at = now() WHERE order_id = %s", order["order_id"])
    desk.world.sql(
        "INSERT INTO payments (payment_id, order_id, provider, attempt, state, amount, currency, invoice_id,"
        " created_at, paid_at) VALUES (gen_random_uuid(), %s, 'stripe', 1, 'succeeded', 1900, 'eur',"
        " 'in_of_learnt', now(), now())",
        order["order_id"],
    )
    for told in (ctl("orders", "list", "--not-live").out, ctl("orders", "show", str(order["order_id"])).out):
        assert "waits2@example.com" in told
        assert "paid by in_of_learnt" in told
        assert "no hosting is there" in told


def test_events_are_listed_and_replayed(ctl: Ctl, desk: Desk) -> None:
    """Newest first with what came of each; one by its id, or all that match."""
    body, headers = desk.world.stripe.signed(desk.world.stripe.events[-1])
    assert httpx.post(f"{desk.url}/api/webhook", content=body, headers=headers, timeout=60).status_code == 200
    event = desk.world.stripe.events[-1]["id"]
    assert event in ctl("events", "list", "--from=-1h").out
    assert ctl("events", "show", event).json["eventId"] == event
    assert ctl("events", "replay", event).code == 0
    assert ctl("events", "replay", "--from=-1h", "--yes").out.startswith("1 match: ")
    assert ctl("events", "replay").code == 2
    assert ctl("events", "list", "--state", "waiting").code == 2
    assert "None in that time" in ctl("events", "list", "--out").out


def test_the_brake(ctl: Ctl, desk: Desk) -> None:
    """Nothing to release is said; what is engaged is shown and released with a reason."""
    assert "nothing to release" in ctl("brake", "release", "--yes").err
    desk.world.sql(
        "UPDATE brake SET engaged_at = now(), reason = '20 of them', released_at = NULL WHERE counts = 'suspensions'"
    )
    assert "suspensions: on since" in ctl("brake", "show").out
    assert ctl("brake", "release", "moves", "--yes").err.startswith("The brake of moves is off")
    assert "let 0 services be suspended or deleted?" in ctl("brake", "release").err
    desk.world.sql("UPDATE brake SET engaged_at = now(), reason = 'an edit' WHERE counts = 'moves'")
    which = ctl("brake", "release", "--yes")
    assert (which.code, "brake release moves" in which.err) == (2, True)
    assert ctl("brake", "release", "suspensions", "--yes", "--reason", "looked at").code == 0
    shown = ctl("brake", "show").out
    assert "suspensions: off" in shown
    assert "moves: on since" in shown
    assert ctl("brake", "release", "--yes").code == 0
    assert "moves: off" in ctl("brake", "show").out


def test_a_sweep_is_waited_for(ctl: Ctl, desk: Desk) -> None:
    """It begins, somebody drains, and what was compared is told."""

    def drain() -> None:
        while not desk.world.sql("SELECT id FROM sweeps WHERE finished_at IS NULL"):
            time.sleep(0.02)
        headers = {"Authorization": f"Bearer {desk.world.environ['CRON_SECRET']}"}
        httpx.get(f"{desk.url}/api/cron/sweep", headers=headers, timeout=60)

    thread = threading.Thread(target=drain)
    thread.start()
    ended = ctl("sweep")
    thread.join()
    assert ended.code == 0, ended.err
    assert re.search(r"Compared: .*subscriptions \d", ended.out)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_and_never_shown(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 with one sentence; the problem document with --json; no key in either."""
    monkeypatch.setenv("CTL_KEY", "wrong_hidden_key")
    ended = ctl("status", "--json")
    assert ended.code == 1
    assert ended.json["status"] == 401
    assert ended.err.count("\n") == 1
    assert "wrong_hidden_key" not in ended.out + ended.err


def test_profiles_are_read_from_a_file_that_only_we_can_read(
    ctl: Ctl, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that others can read is refused; a profile that is not there names those that are."""
    file = tmp_path / "ctl.toml"
    file.write_text(f'[default]\nurl = "{desk.url}"\nkey = "{ADMIN_KEY}"\n\n[broken]\nurl = 3\n')
    monkeypatch.delenv("CTL_URL")
    monkeypatch.delenv("CTL_KEY")
    monkeypatch.setenv("CTL_CONFIG", str(file))
    file.chmod(0o640)
    ended = ctl("work", "--json")
    assert ended.code == 2
    assert f"Type: chmod 600 {file}" in ended.err
    file.chmod(0o600)
    assert ctl("work", "--json").code == 0
    assert "There are: broken, default" in ctl("--profile", "test", "work").err
    assert "needs url and key" in ctl("--profile", "broken", "work").err
    file.write_text("[default\n")
    assert ctl("work").code == 2
