"""The OpenAPI document is what the functions do: made from their types, committed, and driven against the real ones."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lib import bridge, environment
from scripts import _openapi
from scripts._functions import function_files, functions_app
from scripts.sim.server import serve
from tests.world import ADMIN_KEY, CRON_SECRET, World, make_world

DOCUMENT = _openapi.document()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_committed_document_is_up_to_date() -> None:
    """Whoever changes a type or a route makes the document anew: python -m scripts._openapi."""
    assert _openapi.TARGET.read_text() == _openapi.rendered()


def test_it_has_every_function_and_no_other() -> None:
    """Each function file stands in the document, and each operation says who may ask."""
    expected = {
        "/" + file.with_suffix("").as_posix().replace("[job]", job)
        for file in function_files()
        for job in (_openapi.JOBS if "[job]" in file.as_posix() else ("",))
    }
    assert set(DOCUMENT["paths"]) == expected
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert all(isinstance(way, dict) for way in operation["security"])


def test_names_are_camel_case() -> None:
    """What callers send and are answered is spelt one way."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert "_" not in field, f"{name}.{field}"
            assert field[0].islower(), f"{name}.{field}"


@pytest.fixture(scope="module")
def running(postgres: object, template_database: str, request: pytest.FixtureRequest) -> Iterator[tuple[World, str]]:
    """The functions over HTTP, in front of a customer who has bought and one who is parked."""
    from scripts._postgres import Postgres

    assert isinstance(postgres, Postgres)
    url = postgres.create_database("openapi", template_database)
    before = dict(os.environ)
    with make_world(url) as world:
        os.environ.update(world.environ)
        environment.forget()
        customer = world.customer()
        world.buy(customer)
        other = world.customer("Ben", "ben@example.com")
        world.stripe.create_price("price_unmapped")
        world.buy(other, price="price_unmapped", domain="ben.example")
        with serve(functions_app(), at_end=bridge.forget) as address:
            yield world, address
    os.environ.clear()
    os.environ.update(before)
    environment.forget()
    postgres.drop_database("openapi")


pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")  # schemathesis' own

schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_nothing_outside_the_document(case: Any, running: tuple[World, str]) -> None:
    """Whatever is sent, the answer is one that the document knows, and never an unforeseen failure."""
    _, address = running
    key = CRON_SECRET if case.path.startswith("/api/cron") else ADMIN_KEY
    case.call_and_validate(base_url=address, headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)


def test_it_is_valid_json() -> None:
    """The committed file can be read by any tool."""
    assert json.loads(_openapi.TARGET.read_text())["openapi"].startswith("3.1")
