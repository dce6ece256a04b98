"""What is written for people stays true: settings, events, reasons, statements, scripts and links."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
import stripe

from lib.config import REQUIRED, Settings
from lib.operators import bodies
from lib.stripe_events import SUBSCRIBE_TO
from scripts._doctor import STRIPE_PERMISSIONS
from scripts._environment import parse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = {setting.metadata["env"]: setting.metadata["default"] for setting in fields(Settings)}
REASONED = {"Denied", "Problem", "Refused", "NotFound", "Conflict"}


def section(title: str) -> str:
    """One section of the README, with what is below it."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a text, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = {number - 1 for number, row in enumerate(cells) if set(row[0]) == {"-"}}
    return [row for number, row in enumerate(cells) if number not in heads and set(row[0]) != {"-"}]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shown(default: Any) -> str:
    """A default as the README's table has it."""
    if default is REQUIRED:
        return "needed"
    return "" if default is None else f"`{default}`"


def test_the_readme_has_every_setting_in_order() -> None:
    """Names, order and defaults are those of the code."""
    table = [(row[0].strip("`"), row[1]) for row in rows(section("Settings"))]
    assert table == [(name, shown(default)) for name, default in SETTINGS.items()]
    assert all(row[2] for row in rows(section("Settings")))


def test_the_example_has_every_setting_in_order() -> None:
    """Commented lines show the default, or an example where there is none."""
    lines = [line.removeprefix("# ") for line in EXAMPLE.splitlines() if re.match(r"(# )?[A-Z_]+=", line)]
    given = dict(parse("\n".join(lines)))
    assert list(given) == list(SETTINGS)
    optional = {name: default for name, default in SETTINGS.items() if default not in (REQUIRED, None)}
    assert {name: given[name] for name in optional} == {name: str(default) for name, default in optional.items()}


def test_the_example_is_readable_and_fake() -> None:
    """Filled in as it is, it loads; what is needed is not commented out, and no value is anybody's secret."""
    given = dict(parse(EXAMPLE))
    assert set(given) == {name for name, default in SETTINGS.items() if default is REQUIRED}
    Settings.load(given)
    Settings.load(dict(parse(EXAMPLE.replace("\n# ", "\n"))))
    for name in ("DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "ENHANCE_API_TOKEN", "CRON_SECRET"):
        assert "fake" in given[name]


def test_the_readme_lists_the_events_to_select() -> None:
    """The endpoint is subscribed by hand, from this list."""
    (listed,) = [block for block in blocks("text") if block.startswith("charge.")]
    assert listed.split() == list(SUBSCRIBE_TO)
    assert f"API version **{stripe.api_version}**" in README


def test_the_readme_lists_the_permissions() -> None:
    """The doctor asks for what the README says to grant."""
    table = [row[0] for row in rows(section("Deploy to Vercel and Neon")) if row[1] == "Read"]
    assert table == [*STRIPE_PERMISSIONS, "Webhook Endpoints"]


def reasons() -> Iterator[tuple[str, str]]:
    """Every reason that the code parks for, and where; those that are only passed on arise elsewhere."""
    for path in sorted((ROOT / "lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REASONED):
                continue
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_the_readme_lists_every_action_of_an_admin() -> None:
    """What an admin may decide, and what the README says they may, is the same."""
    written = [row[0].strip("`") for row in rows(section("A customer is stuck")) if len(row) == 2]
    known = [action.__struct_config__.tag for action in get_args(bodies.Work)]
    assert sorted(written) == sorted(known)


def test_the_readme_has_a_remedy_for_every_reason() -> None:
    """Nobody is parked for something that is written nowhere, and nothing is written that can't happen any more."""
    table = [row for row in rows(section("A customer is stuck")) if len(row) == 3]
    written = {reason for row in table for reason in re.findall(r"`(\w+)`", row[0])}
    arising = dict(reasons())
    assert [f"{reason} ({where})" for reason, where in arising.items() if reason not in written] == []
    assert written == set(arising)
    assert all(row[1] and row[2] for row in table)


def test_the_readme_explains_what_a_service_waits_for() -> None:
    """Each word that `waits_for` may hold is explained."""
    words = set(re.findall(r'waits_for="(\w+)"', "".join(p.read_text() for p in (ROOT / "lib/policy").glob("*.py"))))
    assert [word for word in words if f"`{word}`" not in section("A customer is stuck")] == []


@pytest.mark.parametrize("block", blocks("sql"))
def test_statements_run(connection: psycopg.Connection, block: str) -> None:
    """What can be copied can be run."""
    connection.execute(block.encode())


def test_the_mapping_is_the_contract() -> None:
    """This very statement is what operators type."""
    assert (
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('stripe', 'price_basic_monthly', 'basic-hosting-plan');\n" in README
    )


def test_every_script_is_written_down() -> None:
    """README and scripts know each other."""
    there = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    assert set(re.findall(r"\./scripts/(\w+)", README)) == there


def test_links_and_paths_lead_somewhere() -> None:
    """Each heading, file and folder that is named exists."""
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", README) if link not in headings] == []
    files = re.findall(r"\]\(([\w./-]+)\)", README) + re.findall(r"`((?:lib|scripts|tests|api)/[\w./]+)`", README)
    assert [file for file in files if not (ROOT / file).exists()] == []
    routes = set(re.findall(r"/api/((?:admin/|cron/)?\w+)", README))
    for route in routes - {"api"}:
        parameter = ROOT / "api" / f"{route.rpartition('/')[0]}/[job].py"
        assert (ROOT / "api" / f"{route}.py").exists() or parameter.exists(), route


def test_the_changelog_is_newest_first() -> None:
    """What is not released yet stands at the top."""
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert titles[1:] == sorted(titles[1:], reverse=True)
