"""The bundle that a deployment builds: what is in it, and that its functions run under Vercel's runtime."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts._bundle import Bundle
from scripts._functions import function_files
from scripts._postgres import Postgres
from scripts.sim.cache_sim import CacheSim
from scripts.sim.server import serve
from tests.vercel import Running, build, run

WEBHOOK_SECRET = "whsec_fake_bundle"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """A database that nothing but the build itself brings up to date."""
    return postgres.create_database("bundle")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, database: str) -> Bundle:
    """The working tree, built once."""
    return build(tmp_path_factory.mktemp("deployment"), {"DATABASE_URL": database})


@pytest.fixture(scope="module")
def settings(database: str) -> dict[str, str]:
    """What an operator would set, with nobody behind the addresses of Stripe and the panel."""
    nobody = "http://127.0.0.1:9"
    return {
        "DATABASE_URL": database,
        "STRIPE_SECRET_KEY": "sk_test_fake",
        "STRIPE_API_BASE": nobody,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ENHANCE_API_URL": nobody,
        "ENHANCE_API_TOKEN": "fake-panel-token",
        "ENHANCE_ORG_ID": "00000000-0000-4000-8000-000000000001",
        "ADMIN_API_KEY": "fake-admin-key",
        "CRON_SECRET": "fake-cron-secret",
    }


@pytest.fixture(scope="module")
def webhook(bundle: Bundle, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The built webhook function, up."""
    with run(bundle, "api/webhook", tmp_path_factory.mktemp("webhook") / "f", settings) as running:
        yield running


def event_body(event_id: str) -> bytes:
    """A Stripe event about an invoice, as the wire has it."""
    event: dict[str, Any] = {
        "id": event_id, "object": "event", "api_version": "2026-09-30.dahlia", "created": 1_700_000_000,
        "livemode": False, "type": "invoice.paid",
        "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_bundle"}},
    }  # fmt: skip
    return json.dumps(event, indent=2).encode()


def signature(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    """The header that Stripe signs a body with."""
    now = str(int(time.time()))
    digest = hmac.new(secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={now},v1={digest}", "content-type": "application/json"}


def test_every_function_file_is_built(bundle: Bundle) -> None:
    """A file that Vercel's static look does not recognise would vanish without a word."""
    assert bundle.functions() == {str(path.with_suffix("")) for path in function_files()}


def test_every_cron_path_is_served(bundle: Bundle) -> None:
    """Vercel calls a path that does not exist, gets 404 and says nothing."""
    crons = {cron["path"] for cron in bundle.config["crons"]}
    assert crons == {"/api/cron/drain", "/api/cron/sweep"}
    assert "api/cron/[job]" in bundle.functions()


def test_only_the_page_is_public(bundle: Bundle) -> None:
    """Source, SQL and settings never become static files."""
    published = {str(path.relative_to(bundle.output / "static")) for path in _files(bundle.output / "static")}
    assert published == {str(path.relative_to(bundle.project / "public")) for path in _files(bundle.project / "public")}


def test_a_bundle_holds_what_runs_and_no_more(bundle: Bundle) -> None:
    """The migrations are in, for the cron to apply; tests, simulators and local data are not."""
    migrations = {f"scripts/migrations/{path.name}" for path in (bundle.project / "scripts/migrations").glob("*.sql")}
    for function in bundle.functions():
        files = set(bundle.function(function)["filePathMap"])
        ours = {file for file in files if not file.startswith("_vendor/")}
        assert migrations
        assert migrations <= ours
        assert {"notices/en/suspended.txt", "notices/de/words.txt", "notices/en/layout.html"} <= ours
        unwanted = (
            "tests/",
            "bench/",
            "docs/",
            ".local/",
            ".ci/",
            ".vercel_python_packages/",
        )
        assert not [file for file in ours if file.startswith(unwanted) or file.startswith(".env")]
        assert {file for file in ours if file.startswith("scripts/")} == migrations
        assert not [file for file in files if file.startswith(("_vendor/pytest", "_vendor/uvicorn-"))]
        size = sum(
            (bundle.project / source).stat().st_size for source in bundle.function(function)["filePathMap"].values()
        )
        assert size < 45 * MEGABYTE


def test_the_build_brings_the_database_up_to_date(bundle: Bundle, database: str) -> None:
    """A deployment that knows its database leaves it as its own code expects it."""
    newest = max(int(path.name[:4]) for path in (bundle.project / "scripts/migrations").glob("*.sql"))
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchone() == (newest,)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One function as Vercel's own machines build it: with its compiled files; no database is known."""
    return build(tmp_path_factory.mktemp("compiled"), {"VERCEL_PYTHON_COMPILEALL": "1"}, only=["api/webhook.py"])


def test_a_build_without_an_address_still_succeeds(compiled: Bundle) -> None:
    """Where the build does not know the database, the first cron migrates it."""
    assert compiled.functions() == {"api/webhook"}


def test_a_bundle_brings_its_modules_compiled(compiled: Bundle) -> None:
    """Every module of ours and of the packages, valid whatever the times of the files are: none is compiled anew."""
    function = compiled.function("api/webhook")
    tag = function["runtime"].replace("python", "cpython-").replace(".", "")
    modules = {Path(target) for target in function["filePathMap"] if target.endswith(".py")}
    there = {Path(target): source for target, source in function["filePathMap"].items() if target.endswith(".pyc")}
    assert there.keys() == {path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in modules}
    headers = {(compiled.project / source).read_bytes()[4:8] for source in there.values()}
    assert headers == {(1).to_bytes(4, "little")}  # by a hash of the source, which nobody checks (PEP 552)


def test_a_signed_event_is_stored_byte_for_byte(webhook: Running, database: str) -> None:
    """The built function answers 200 only once the event is in Postgres, as it came."""
    body = event_body("evt_bundle")
    assert webhook.request("POST", "/api/webhook", body, signature(body)).status == 200
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT event_id, body FROM events WHERE event_id = 'evt_bundle'").fetchall()
    assert rows == [("evt_bundle", body.decode())]


def test_a_wrong_signature_is_refused(webhook: Running, database: str) -> None:
    """An event that Stripe did not sign leaves no trace."""
    body = event_body("evt_forged")
    assert webhook.request("POST", "/api/webhook", body, signature(body, "whsec_fake_other")).status == 400
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT event_id FROM events WHERE event_id = 'evt_forged'").fetchall() == []


def test_health_answers(bundle: Bundle, settings: dict[str, str], tmp_path: Path) -> None:
    """The built health function reports on the database, whatever it says of Stripe and the panel."""
    with run(bundle, "api/health", tmp_path / "f", settings) as health:
        answer = health.request("GET", "/api/health")
    report = json.loads(answer.body)
    assert answer.status in (200, 503)
    assert set(report) == {"status", "version", "checks"}
    assert set(report["checks"]) == {"database", "stripe", "enhance"}


def test_the_runtime_hands_its_cache_to_a_function(
    bundle: Bundle, settings: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    """The built cron reads and writes the cache that comes with its requests, and lets the database rest."""
    cache = CacheSim()
    quiet = settings | {"DATABASE_URL": postgres.create_database("quiet")}  # where no other function is at work
    with serve(cache) as url, run(bundle, "api/cron/[job]", tmp_path / "f", quiet) as cron:
        bearer = {"authorization": f"Bearer {settings['CRON_SECRET']}"}
        answers = [cron.request("GET", "/api/cron/drain", headers={**bearer, **offer(cache, url)}) for _ in range(2)]
        alone = cron.request("GET", "/api/cron/drain", headers=bearer)
    assert [answer.status for answer in (*answers, alone)] == [200] * 3
    assert ["restsUntil" in json.loads(answer.body) for answer in (*answers, alone)] == [False, True, False]


def test_an_event_is_told_to_the_cron(webhook: Running) -> None:
    """The built webhook says in the cache that something became due, after its answer and within its invocation."""
    cache, body = CacheSim(), event_body("evt_told")
    with serve(cache) as url:
        answer = webhook.request("POST", "/api/webhook", body, {**signature(body), **offer(cache, url)})
        webhook.wait_for_end()
    assert answer.status == 200
    assert [key for key in cache.values if "-stir-" in key]


def offer(cache: CacheSim, url: str) -> dict[str, str]:
    """The headers in which the platform tells the runtime where the cache is."""
    return {
        "x-vercel-sc-headers": json.dumps(cache.headers),
        "x-vercel-sc-host": url.removeprefix("http://"),
        "x-vercel-sc-protocol": "http",
        "x-vercel-sc-no-header-leak": "1",
    }


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
