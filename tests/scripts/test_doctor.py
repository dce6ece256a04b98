"""The doctor, against simulators: a sound deployment is fine, and what is broken is named with its remedy."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import stripe

from lib.config import Secret, Settings
from lib.database import Database
from lib.stripe_events import SUBSCRIBE_TO, subscribe_to
from scripts._doctor import examine, redactor
from scripts._postgres import Postgres
from scripts.doctor_checks.alerting import check_alerting
from scripts.doctor_checks.finding import Verdict
from scripts.doctor_checks.sleep import WORKER, check_sleep
from scripts.doctor_checks.webhook import webhook_address
from scripts.sim.server import serve
from tests.messages.receiver import Receiver, receiving
from tests.world import World, make_world

ROOT = Path(__file__).resolve().parent.parent.parent
URL = "https://billing.example.com"


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A deployment in which nothing is wrong."""
    with make_world(database_url) as world:
        world.environ |= {"ADMIN_API_KEY": f"anna:{'a' * 32},bob:{'b' * 32}", "CRON_SECRET": "c" * 32}
        add_endpoint(world)
        yield world


def add_endpoint(world: World, **changes: Any) -> None:
    """A webhook endpoint as docs/deploy.md says, or with something else about it."""
    sdk = stripe.StripeClient(world.stripe.secret_key, base_addresses={"api": world.environ["STRIPE_API_BASE"]})
    wanted: Any = {
        "url": f"{URL}/api/webhook?x-vercel-protection-bypass=fake_bypass",
        "enabled_events": list(SUBSCRIBE_TO),
        "api_version": stripe.api_version,
        **changes,
    }
    sdk.v1.webhook_endpoints.create(wanted)


def change_endpoint(world: World, **changes: Any) -> None:
    """Change the only endpoint."""
    (endpoint,) = world.stripe.tables["webhook_endpoint"].values()
    endpoint.update(changes)


def keep_orders_without_balance(world: World) -> None:
    """Orders are kept, with every event that they need, by a key that may not read what Stripe takes."""
    world.environ["ORDERS"] = "on"
    change_endpoint(world, enabled_events=list(subscribe_to(orders=True)))
    world.stripe.forbid("/v1/balance_transactions")


async def diagnosis(world: World, url: str | None = None, **environ: str) -> dict[str, tuple[Verdict, str, str]]:
    """Everything but what is fine, as section -> (verdict, said, remedy); the worst of a section counts."""
    found: dict[str, tuple[Verdict, str, str]] = {}
    async for section, finding in examine({**world.environ, **environ}, url):
        entry = finding.verdict, finding.said, finding.remedy
        if finding.verdict is not Verdict.OK and entry > found.get(section, (Verdict.OK, "", "")):
            found[section] = entry
    return found


def run(world: World, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person does."""
    command = [sys.executable, "-c", "from scripts._doctor import main; main()", *arguments]
    settings = {**os.environ, **world.environ, **environ}
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)


def test_a_sound_deployment_is_fine(world: World) -> None:
    """Exit code 0, no warning, and not one secret in what it prints; nothing was changed anywhere."""
    before = world.panel.world(), world.sql("SELECT count(*) FROM pg_tables")
    done = run(world)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "WARN" not in done.stdout and "FAIL" not in done.stdout
    for section in ("Settings", "Database", "Stripe", "Webhook endpoint", "Panel", "Plans"):
        assert f"\n{section}\n  OK" in done.stdout
    secrets = [
        world.stripe.secret_key,
        world.stripe.webhook_secret,
        world.panel.token,
        "a" * 32,
        "c" * 32,
        "fake_bypass",
    ]
    password = psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["password"]
    assert [secret for secret in [*secrets, password] if str(secret) in done.stdout] == []
    assert (world.panel.world(), world.sql("SELECT count(*) FROM pg_tables")) == before
    assert {call.method for call in world.panel.calls} == {"GET"}
    assert world.stripe.count("POST") == 1  # the fixture's own


def test_the_exit_code_is_the_worst_of_it(world: World) -> None:
    """1 for a warning, 2 for a failure."""
    assert run(world, PROVISIONING_MODE="shadow").returncode == 1
    done = run(world, ENHANCE_API_TOKEN="wrong_fake_token", PROVISIONING_MODE="shadow")
    assert done.returncode == 2
    assert "wrong_fake_token" not in done.stdout


def test_wrong_settings_are_named_all_at_once(world: World) -> None:
    """One run is enough to correct everything."""
    done = run(world, STRIPE_SECRET_KEY="pk_test_fake", GRACE_DAYS="soon", CRON_SECRET="")
    assert done.returncode == 2
    for name in ("STRIPE_SECRET_KEY must start with", "GRACE_DAYS must be a whole number", "CRON_SECRET is missing"):
        assert f"FAIL  {name}" in done.stdout
    assert "pk_test_fake" not in done.stdout


@pytest.mark.parametrize(
    ("environ", "verdict", "said", "remedy"),
    [
        ({"CRON_SECRET": "short_fake"}, Verdict.WARN, "CRON_SECRET is shorter", "openssl rand -hex 32"),
        ({"CRON_SECRET": "a" * 32}, Verdict.WARN, "are equal", "its own"),
        ({"GRACE_DAY": "9"}, Verdict.WARN, "GRACE_DAY is no setting", "GRACE_DAYS"),
        ({"PROVISIONING_MODE": "shadow"}, Verdict.WARN, "nothing is written to the panel", "live"),
        ({"PROVISIONING_MODE": "paused"}, Verdict.WARN, "nothing is done at all", "live"),
    ],
)
async def test_doubtful_settings(
    world: World, environ: dict[str, str], verdict: Verdict, said: str, remedy: str
) -> None:
    """What can be read and is still not right."""
    found = await diagnosis(world, **environ)
    assert list(found) == ["Settings"]
    assert found["Settings"][0] is verdict
    assert said in found["Settings"][1] and remedy in found["Settings"][2]


async def test_an_unencrypted_panel_is_refused(world: World) -> None:
    """The token must not travel readable; nothing is sent there by this check."""
    found = [f async for _, f in examine({**world.environ, "ENHANCE_API_URL": "http://127.0.0.1:1"})]
    assert any("panel can't be reached" in f.said and "ENHANCE_API_URL" in f.remedy for f in found)


Break = Callable[[World], object]


@pytest.mark.parametrize(
    ("section", "broken", "verdict", "said", "remedy"),
    [
        pytest.param(*case[1:], id=case[0])
        for case in [
            (
                "behind",
                "Database",
                lambda w: (w.sql("DROP SCHEMA public CASCADE"), w.sql("CREATE SCHEMA public")),
                Verdict.FAIL,
                "waits for its migrations",
                "./scripts/migrate",
            ),
            (
                "ahead",
                "Database",
                lambda w: w.sql("INSERT INTO schema_migrations VALUES (9999, 'later')"),
                Verdict.WARN,
                "newer than this code",
                "Update",
            ),
            (
                "key",
                "Stripe",
                lambda w: w.environ.update(STRIPE_SECRET_KEY="rk_test_other"),
                Verdict.FAIL,
                "not accepted",
                "API keys",
            ),
            (
                "permission",
                "Stripe",
                lambda w: w.stripe.forbid("/v1/disputes"),
                Verdict.FAIL,
                "may not read Disputes (rak_dispute_read)",
                "Disputes: Read",
            ),
            (
                "orders_permission",
                "Stripe",
                keep_orders_without_balance,
                Verdict.FAIL,
                "may not read Balance Transaction Sources",
                "Balance Transaction Sources: Read",
            ),
            (
                "orders_events",
                "Webhook endpoint",
                lambda w: w.environ.update(ORDERS="on"),
                Verdict.FAIL,
                "is not sent payment_intent.canceled",
                "Select these",
            ),
            ("stripe_down", "Stripe", lambda w: setattr(w.stripe, "down", True), Verdict.FAIL, "be reached", "status"),
            (
                "no_endpoint",
                "Webhook endpoint",
                lambda w: (
                    w.stripe.tables["webhook_endpoint"].clear() or w.stripe.tables["webhook_endpoint"]._order.clear()
                ),
                Verdict.WARN,
                "no test mode endpoint",
                "Add destination",
            ),
            (
                "disabled",
                "Webhook endpoint",
                lambda w: change_endpoint(w, status="disabled"),
                Verdict.FAIL,
                "is disabled",
                "Enable it",
            ),
            (
                "events",
                "Webhook endpoint",
                lambda w: change_endpoint(w, enabled_events=[e for e in SUBSCRIBE_TO if e != "invoice.paid"]),
                Verdict.FAIL,
                "is not sent invoice.paid",
                "Select these",
            ),
            (
                "all_events",
                "Webhook endpoint",
                lambda w: change_endpoint(w, enabled_events=["*"]),
                Verdict.WARN,
                "every event (*)",
                "Select those",
            ),
            (
                "old_version",
                "Webhook endpoint",
                lambda w: change_endpoint(w, api_version="2020-08-27"),
                Verdict.WARN,
                "speaks 2020-08-27",
                stripe.api_version,
            ),
            (
                "default_version",
                "Webhook endpoint",
                lambda w: change_endpoint(w, api_version=None),
                Verdict.WARN,
                "the default version of your account",
                stripe.api_version,
            ),
            (
                "unseen",
                "Webhook endpoint",
                lambda w: w.stripe.forbid("/v1/webhook_endpoints"),
                Verdict.WARN,
                "can't be examined",
                "Webhook Endpoints: Read",
            ),
            (
                "doubled",
                "Webhook endpoint",
                lambda w: add_endpoint(w, url="https://old.example/api/webhook"),
                Verdict.WARN,
                "several endpoints",
                "delete",
            ),
            (
                "address_list",
                "Panel",
                lambda w: setattr(w.panel, "allowed_ip", "198.51.100.7"),
                Verdict.FAIL,
                "not allowed for your IP, 127.0.0.1",
                "address list",
            ),
            (
                "token",
                "Panel",
                lambda w: w.environ.update(ENHANCE_API_TOKEN="other_fake_token"),
                Verdict.FAIL,
                "token is wrong",
                "SuperAdmin",
            ),
            (
                "organisation",
                "Panel",
                lambda w: w.environ.update(ENHANCE_ORG_ID="5f1d7a90-0000-4000-8000-00000000beef"),
                Verdict.FAIL,
                "no organisation",
                "ENHANCE_ORG_ID",
            ),
            (
                "customer_token",
                "Panel",
                lambda w: w.environ.update(ENHANCE_ORG_ID=w.panel.add_customer("A customer")),
                Verdict.FAIL,
                "may not list plans",
                "SuperAdmin",
            ),
            (
                "no_panel",
                "Panel",
                lambda w: w.environ.update(ENHANCE_API_URL=w.environ["STRIPE_API_BASE"]),
                Verdict.FAIL,
                "no Enhance panel",
                "address of the control panel",
            ),
            (
                "away",
                "Panel",
                lambda w: setattr(w.panel, "down", True),
                Verdict.FAIL,
                "the panel is away just now",
                "tried again by itself",
            ),
            (
                "updating",
                "Panel",
                lambda w: setattr(w.panel, "status_value", "updating"),
                Verdict.WARN,
                "not ready: updating",
                "Wait",
            ),
            (
                "licence",
                "Panel",
                lambda w: setattr(w.panel.knobs, "licence", "unpaid"),
                Verdict.FAIL,
                "licence is unpaid",
                "Renew",
            ),
            (
                "nothing_mapped",
                "Plans",
                lambda w: w.sql("DELETE FROM plan_mappings"),
                Verdict.FAIL,
                "no price is mapped",
                "INSERT INTO plan_mappings",
            ),
            (
                "unknown_price",
                "Plans",
                lambda w: w.map_price("price_of_other_mode", "basic-hosting-plan"),
                Verdict.FAIL,
                "no price price_of_other_mode",
                "a product's (prod_...) is none of a price",
            ),
            (
                "archived",
                "Plans",
                lambda w: w.stripe.update_price("price_basic_monthly", active=False),
                Verdict.WARN,
                "archived",
                "older subscriptions",
            ),
            (
                "one_time",
                "Plans",
                lambda w: w.map_price(w.stripe.create_price("price_setup", interval=None)["id"], "basic-hosting-plan"),
                Verdict.WARN,
                "one-time price",
                "'ignore'",
            ),
            (
                "unmapped",
                "Plans",
                lambda w: w.stripe.create_price("price_new_monthly"),
                Verdict.WARN,
                "without a mapping: price_new_monthly",
                "unmapped_price",
            ),
            (
                "misspelt_plan",
                "Plans",
                lambda w: w.sql("UPDATE plan_mappings SET enhance_plan_id = 'basic-hosting' WHERE kind = 'service'"),
                Verdict.FAIL,
                "no plan 'basic-hosting'",
                "The panel has 'basic-hosting-plan'",
            ),
            (
                "plan_id",
                "Plans",
                lambda w: w.sql("UPDATE plan_mappings SET enhance_plan_id = '4711' WHERE kind = 'service'"),
                Verdict.FAIL,
                "no plan '4711'",
                "enhance_plan_id",
            ),
            (
                "ambiguous_plan",
                "Plans",
                lambda w: w.panel.add_plan("basic-hosting-plan", id=77),
                Verdict.FAIL,
                "2 plans named",
                "or 77",
            ),
            (
                "addon_without_rule",
                "Plans",
                lambda w: w.map_price(w.stripe.create_price("price_addon")["id"], None, kind="addon"),
                Verdict.WARN,
                "no row in plan_rules",
                "INSERT INTO plan_rules",
            ),
            (
                "row_from_before",
                "Plans",
                lambda w: w.sql(
                    "ALTER TABLE plan_mappings DISABLE TRIGGER plan_mappings_tidy;"
                    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                    " VALUES ('Stripe', 'price_basic_monthly', '1')"
                ),
                Verdict.FAIL,
                "('Stripe', 'price_basic_monthly') of plan_mappings has no effect",
                "type it anew",
            ),
            (
                "blanks_from_before",
                "Plans",
                lambda w: w.sql(
                    "ALTER TABLE plan_rules DISABLE TRIGGER plan_rules_tidy;"
                    "INSERT INTO plan_rules VALUES ('strype', 'price_a ', 'price_b', 1, 'big-hosting-plan')"
                ),
                Verdict.FAIL,
                "('strype', 'price_a  with price_b') of plan_rules has no effect",
                "blanks",
            ),
            (
                "rule_of_nothing",
                "Plans",
                lambda w: w.sql(
                    "INSERT INTO plan_rules VALUES ('stripe', 'price_a', 'price_b', 1, 'big-hosting-plan')"
                ),
                Verdict.FAIL,
                "mapped as nothing",
                "kind",
            ),
            (
                "offline_plan",
                "Plans",
                lambda w: w.sql(
                    "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
                    " VALUES ('bank_transfer', 'basic-yearly', 'basic-hosting')"
                ),
                Verdict.FAIL,
                "bank_transfer basic-yearly: the panel has no plan 'basic-hosting'",
                "Correct enhance_plan_id",
            ),
        ]
    ],
)
async def test_each_broken_thing_is_named(
    world: World, section: str, broken: Break, verdict: Verdict, said: str, remedy: str
) -> None:
    """In plain words, in its own section, with what to do about it."""
    broken(world)
    found = await diagnosis(world)
    assert list(found) == [section]
    assert found[section][0] is verdict
    assert said in found[section][1] and remedy in found[section][2], found[section]


async def test_a_database_that_is_away(world: World) -> None:
    """The other sides are examined all the same."""
    found = await diagnosis(world, DATABASE_URL="postgresql://postgres:fake_password@127.0.0.1:1/none")
    assert list(found) == ["Database"]
    assert found["Database"][0] is Verdict.FAIL
    assert found["Database"][1].startswith("DATABASE_URL: the database can't be reached: nobody answers at its address")


def test_the_driver_says_nothing_beside_it(world: World) -> None:
    """Of a database that is away only our own sentence is printed: the driver's lines quote the address at each try."""
    found = run(world, DATABASE_URL="postgresql://postgres:fake_password@127.0.0.1:1/none")
    assert (found.returncode, found.stderr) == (2, "")
    assert found.stdout.count("can't be reached") == 1


async def test_a_user_who_may_only_read(world: World) -> None:
    """The webhook would answer 503 for ever; better to know before."""
    name = world.environ["DATABASE_URL"].rpartition("/")[2]
    world.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    found = await diagnosis(world)
    assert found["Database"][1].startswith("this user may not create tables")


async def test_another_programs_tables_are_named(world: World) -> None:
    """Before anything is migrated, the operator reads that this database is somebody else's."""
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    world.sql("CREATE TABLE customers (id integer)")
    found = await diagnosis(world)
    assert found["Database"][0] is Verdict.FAIL
    assert "another program's tables are in this database: customers" in found["Database"][1]
    assert "database of its own" in found["Database"][2]
    world.sql("CREATE TABLE schema_migrations (version varchar)")
    assert "schema_migrations in it is another program's" in (await diagnosis(world))["Database"][1]


async def test_a_database_in_another_encoding(world: World, postgres: Postgres) -> None:
    """It would take the migrations and fail at the first foreign name."""
    name = f"ascii_{os.getpid()}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        options = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
        admin.execute(f"CREATE DATABASE {name} {options}".encode())
    found = await diagnosis(world, DATABASE_URL=postgres.dsn(name))
    postgres.drop_database(name)
    assert found["Database"][0] is Verdict.FAIL
    assert "encoding is SQL_ASCII" in found["Database"][1] and "ENCODING 'UTF8'" in found["Database"][1]


async def test_a_role_without_rights_is_told_which(world: World) -> None:
    """Tables that it may not write, tables that it does not own, and a schema in which it may create nothing."""
    role = f"poor_doctor_{os.getpid()}"
    world.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'fake'")
    parts = urlsplit(world.environ["DATABASE_URL"])
    address = parts._replace(netloc=f"{role}:fake@{parts.hostname}:{parts.port}").geturl()
    try:
        world.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        said = [f for s, f in [pair async for pair in examine({**world.environ, "DATABASE_URL": address})]
                if s == "Database" and f.verdict is Verdict.FAIL]  # fmt: skip
        assert said[0].said.startswith("this user may not write actions, alert_receivers, alerts")
        assert "postgres" in said[0].remedy
        assert "permission denied for schema public" in said[1].said and "GRANT CREATE" in said[1].remedy
        world.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        world.sql(f"GRANT CREATE ON SCHEMA public TO {role}")
        found = await diagnosis(world, DATABASE_URL=address)
        assert found["Database"][0] is Verdict.WARN
        assert found["Database"][1].startswith("this user does not own actions, alert_receivers, alerts")
    finally:
        world.sql(f"DROP OWNED BY {role}")
        world.sql(f"DROP ROLE {role}")


async def test_a_shard_wants_its_database_and_an_endpoint_for_each(world: World) -> None:
    """Half the customers: an endpoint too few is a warning, and the database of another half is a failure."""
    found = await diagnosis(world, SHARD="0/2")
    assert found.keys() == {"Webhook endpoint"}
    assert found["Webhook endpoint"][:2] == (
        Verdict.WARN,
        "1 enabled endpoints lead to a bridge, and there are 2 shards",
    )
    add_endpoint(world, url="https://second.example/api/webhook")
    await world.drain(SHARD="0/2")
    assert await diagnosis(world, SHARD="0/2") == {}
    assert (await diagnosis(world))["Database"][:2] == (
        Verdict.FAIL,
        "this database is shard 0/2 and SHARD is not set: set SHARD=0/2, or DATABASE_URL to the right database",
    )


async def test_a_live_key_wants_an_endpoint_and_less_power(world: World) -> None:
    """With real money, a missing endpoint is a failure and a full key is a warning."""
    world.stripe.secret_key = world.environ["STRIPE_SECRET_KEY"] = "sk_live_fake"
    found = await diagnosis(world, url="http://127.0.0.1:1")
    assert (
        "http://127.0.0.1:1/api/webhook" in found["Webhook endpoint"][1]
        and found["Webhook endpoint"][0] is Verdict.FAIL
    )
    assert "move your money" in found["Stripe"][1]


async def test_a_deployment_is_asked_for_its_health(world: World) -> None:
    """With --url its own webhook and its health count; a page that is no health page is a failure."""
    with serve(world.panel.app) as url:
        add_endpoint(world, url=f"{url}/api/webhook")
        found = await diagnosis(world, url=url)
        assert list(found) == ["Deployment"]
        assert f"{url}/api/health gives no health" in found["Deployment"][1]
        world.panel.forget_calls()


@pytest.mark.parametrize(
    "url",
    ["billing.example.com", "https://billing.example.com/", "https://billing.example.com/api/webhook?bypass=fake"],
)
def test_an_address_may_be_typed_in_several_ways(url: str) -> None:
    """The webhook's address follows from any of them."""
    assert webhook_address(url) == "https://billing.example.com/api/webhook"


def test_stars_cover_secrets_wherever_they_are_quoted() -> None:
    """Errors of others may quote what they were given."""
    environ = {
        "DATABASE_URL": "postgresql://me:p%40ss@db.example/app",
        "STRIPE_WEBHOOK_SECRET": "whsec_fake1,whsec_fake2",
        "ADMIN_API_KEY": "anna:key_fake",
        "ENHANCE_API_TOKEN": "token_fake",
    }
    said = "p%40ss p@ss whsec_fake2 key_fake token_fake of anna at db.example"
    assert redactor(environ)(said) == "******** ******** ******** ******** ******** of anna at db.example"


async def test_who_sells_is_told_what_the_key_must_write(world: World) -> None:
    """Only where it is switched on; and asking makes nothing at Stripe."""
    pages = {
        "CHECKOUT_SUCCESS_URL": "https://shop.example/thanks",
        "CHECKOUT_CANCEL_URL": "https://shop.example/plans",
        "PORTAL_RETURN_URL": "https://shop.example/account",
    }
    assert "Selling" not in await diagnosis(world)
    assert "Selling" not in await diagnosis(world, **pages)
    half = await diagnosis(world, CHECKOUT_SUCCESS_URL=pages["CHECKOUT_SUCCESS_URL"])
    assert half["Selling"][:2] == (Verdict.WARN, "public checkout is off: CHECKOUT_CANCEL_URL is not set")
    world.stripe.forbid("/v1/billing_portal/sessions")
    portal = await diagnosis(world, **pages)
    assert portal["Selling"][0] is Verdict.FAIL
    assert portal["Selling"][2] == "Stripe: Developers > API keys > edit the restricted key: Customer portal: Write."
    assert not world.stripe.tables["checkout.session"]
    assert not world.stripe.tables["billing_portal.session"]


async def test_a_test_alert_is_sent_when_it_is_asked_for(world: World) -> None:
    """The receiver takes it and its end; unasked it is reached and sent nothing, and a refusal is a failure."""
    with receiving(receiver := Receiver()) as url:
        environ = {"ALERT_WEBHOOK_URL": url, "ALERT_FORMAT": "json", "OUTBOX_ALLOW_PRIVATE": "1"}
        database = Database(Secret(world.environ["DATABASE_URL"]))
        settings = Settings.load({**world.environ, **environ})
        (found,) = [finding async for finding in check_alerting(settings, database, test=False)]
        assert (found.verdict, receiver.taken) == (Verdict.OK, [])
        (found,) = [finding async for finding in check_alerting(settings, database, test=True)]
        assert found.verdict is Verdict.OK
        assert [word["what"] for word in receiver.taken] == ["open", "over"]
        receiver.status = 404
        (found,) = [finding async for finding in check_alerting(settings, database, test=True)]
        assert (found.verdict, found.said) == (Verdict.FAIL, "the test was not taken: 127.0.0.1: it answered 404")
        await database.close()


NEON = "postgresql://app:fake_password@ep-fake-pooler.eu-central-1.aws.neon.tech/app?sslmode=require"


async def awake(world: World, url: str = NEON, **environ: str) -> list[tuple[Verdict, str, str]]:
    """What is said of a deployment whose address is this one, with the database of the test behind it."""
    settings = Settings.load({**world.environ, "DATABASE_URL": url, **environ})
    database = Database(Secret(world.environ["DATABASE_URL"]))
    try:
        return [(f.verdict, f.said, f.remedy) async for f in check_sleep(settings, database)]
    finally:
        await database.close()


async def test_an_idle_month_fits_into_neons_free_plan(world: World) -> None:
    """As it comes it does, and the figure is told; of a database that is nobody's at Neon nothing is."""
    ((verdict, said, _),) = await awake(world)
    assert (verdict, "61 CU hours in an idle month, of 100" in said) == (Verdict.OK, True)
    assert await awake(world, world.environ["DATABASE_URL"]) == []


@pytest.mark.parametrize(("minutes", "hours"), [("0", "182"), ("1", "182"), ("5", "182"), ("8", "114")])
async def test_looking_often_outlasts_the_free_plan(world: World, minutes: str, hours: str) -> None:
    """A cron that asks more often than Neon falls asleep uses more than the plan has: that is a warning with remedy."""
    ((verdict, said, remedy),) = await awake(world, QUIET_MINUTES=minutes)
    assert verdict is Verdict.WARN
    assert f"{hours} CU hours" in said
    assert "the plan has 100" in said
    assert "QUIET_MINUTES" in remedy
    assert "NEON_CU_HOURS" in remedy
    ((verdict, _, _),) = await awake(world, QUIET_MINUTES=minutes, NEON_CU_HOURS="0")
    assert verdict is Verdict.OK


async def test_a_worker_keeps_neon_awake(world: World) -> None:
    """Whoever runs one against Neon is told what that comes to, whatever the crons do."""
    with psycopg.connect(world.environ["DATABASE_URL"], application_name=WORKER):
        ((verdict, said, _),) = await awake(world)
        assert (verdict, "a worker looks every two seconds" in said) == (Verdict.WARN, True)
        ((verdict, _, _),) = await awake(world, NEON_CU_HOURS="300")
        assert verdict is Verdict.OK


async def test_a_compute_that_never_sleeps_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neon starts PostgreSQL anew each time it wakes: one that has run for hours was kept awake."""
    monkeypatch.setattr("scripts.doctor_checks.sleep.SLEEPLESS", -1)
    (_, (verdict, said, remedy)) = await awake(world)
    assert verdict is Verdict.WARN
    assert "has not slept" in said
    assert "docs/costs.md" in remedy
