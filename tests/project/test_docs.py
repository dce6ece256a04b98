"""What is written for people stays true: settings, events, reasons, statements, commands, scripts and links."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
import stripe

from lib.config import REQUIRED, Settings
from lib.model.reason import Reason, Rule, SettingsFault, WaitReason
from lib.operators import bodies
from lib.stripe_events import SUBSCRIBE_TO, SUBSCRIBE_TO_FOR_ORDERS
from scripts import _docs
from scripts._environment import parse
from scripts._screenshots import SHOTS
from scripts.doctor_checks.stripe import STRIPE_PERMISSIONS
from tests.messages.receiver import Receiver, outlet, receiving
from tests.world import ADMIN_KEY, World

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
README = PAGES["README.md"]
DEPLOY = PAGES["docs/deploy.md"]
OPERATE = PAGES["docs/operate.md"]
SECURITY = PAGES["docs/security.md"]
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = {setting.env: setting.default for _, setting in Settings.each()}
SCRIPTS = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}

FIRST = ("health", "admin/dashboard", "admin/customers", "admin/sync")
"""What the README shows of the routes; the pages have the others."""

FIVE_MINUTES = 1500
"""Words that a newcomer reads; what is longer belongs into a page of its own."""


def section(page: str, title: str) -> str:
    """One section of a page, with what is below it."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a text, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = {number - 1 for number, row in enumerate(cells) if set(row[0]) == {"-"}}
    return [row for number, row in enumerate(cells) if number not in heads and set(row[0]) != {"-"}]


def blocks(language: str, *pages: str) -> list[str]:
    """The fenced blocks in one language, of all pages or of these."""
    texts = pages or tuple(PAGES.values())
    return [
        found for page in texts for found in re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    ]


# --- pages made from the code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", _docs.PAGES)
def test_what_is_made_from_the_code_is_as_it_would_be_made(name: str) -> None:
    """Nobody changed the page, or the code, alone: `python -m scripts._docs` writes it."""
    assert PAGES[f"docs/{name}"] == _docs.PAGES[name]()


def test_the_check_says_what_is_not_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or changed page is named with the command, and nothing is written; without --check it is written."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/settings.md").write_text("changed by hand")
    monkeypatch.setattr(_docs, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["_docs", "--check"])
    with pytest.raises(SystemExit, match="1"):
        _docs.main()
    said = capsys.readouterr().err
    assert all(f"docs/{name} is not up to date: python -m scripts._docs" in said for name in _docs.PAGES)
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["settings.md"]
    monkeypatch.setattr(sys, "argv", ["_docs"])
    _docs.main()
    assert {path.name: path.read_text() for path in (tmp_path / "docs").iterdir()} == {
        name: made() for name, made in _docs.PAGES.items()
    }
    monkeypatch.setattr(sys, "argv", ["_docs", "--check"])
    with pytest.raises(SystemExit, match="0"):
        _docs.main()


def test_every_setting_is_there_in_order() -> None:
    """Names, order and defaults are those of the code, and each says what it is for."""

    def shown(default: Any) -> str:
        return "needed" if default is REQUIRED else "" if default is None else f"`{default}`"

    table = rows(PAGES["docs/settings.md"])
    assert [(row[0].strip("`"), row[1]) for row in table] == [(name, shown(d)) for name, d in SETTINGS.items()]
    assert all(len(row[3]) > 15 for row in table)


def test_a_settings_limits_are_there() -> None:
    """A number says its range and a choice its words, as the refusal does."""
    allowed = {row[0].strip("`"): row[2] for row in rows(PAGES["docs/settings.md"])}
    assert allowed["GRACE_DAYS"] == "0 to 365"
    assert allowed["PROVISIONING_MODE"] == "live, shadow, paused"
    assert allowed["DATABASE_URL"] == "must start with postgresql://"


def test_every_reason_is_there() -> None:
    """Nobody is parked, failing or waiting for a word that is written nowhere."""
    words = [row[0].strip("`") for row in rows(PAGES["docs/reasons.md"])]
    assert words == [*Reason, *SettingsFault, *WaitReason, *Rule]


# --- .env.example -----------------------------------------------------------------------------------------------------


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


# --- deploying --------------------------------------------------------------------------------------------------------


def test_the_events_to_select_are_listed() -> None:
    """The endpoint is subscribed by hand, from this list."""
    (listed,) = [block for block in blocks("text", DEPLOY) if block.startswith("charge.")]
    assert listed.split() == list(SUBSCRIBE_TO)
    assert all(f"`{kind}`" in DEPLOY for kind in SUBSCRIBE_TO_FOR_ORDERS)
    assert f"**{stripe.api_version}**" in DEPLOY


def test_the_permissions_are_listed() -> None:
    """The doctor asks for what is said to be granted; each is explained once."""
    wanted = [*STRIPE_PERMISSIONS, "Webhook Endpoints"]
    (listed,) = [block for block in blocks("text", DEPLOY) if block.startswith("Subscriptions")]
    assert listed.splitlines() == wanted
    assert [row[0] for row in rows(section(SECURITY, "The Stripe key"))] == wanted


def test_only_settings_that_there_are_are_set() -> None:
    """Whatever is named like a setting in any page is one."""
    of_ctl = {"CTL_URL", "CTL_KEY", "CTL_PROFILE", "CTL_CONFIG"}  # the command line's own, on another machine
    of_the_build = {"VERCEL_PYTHON_COMPILEALL"}
    known = set(SETTINGS) | of_ctl | of_the_build
    named = {name for page in PAGES.values() for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[\w,]+)?`", page)}
    assert named - known == set()
    assert {row[0] for row in rows(section(DEPLOY, "4. The project"))} >= {"`PROVISIONING_MODE`"}


def test_the_mapping_is_the_contract() -> None:
    """This very statement is what operators type."""
    statement = (
        "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)"
        " VALUES ('stripe', 'price_basic_monthly', 'basic-hosting-plan');\n"
    )
    assert statement in README
    assert statement in PAGES["docs/selling.md"]


@pytest.mark.parametrize("block", blocks("sql"))
def test_statements_run(connection: psycopg.Connection, block: str) -> None:
    """What can be copied can be run."""
    connection.execute(block.encode())


# --- commands ---------------------------------------------------------------------------------------------------------


def commands(*pages: str) -> Iterator[list[str]]:
    """Every command of the shell blocks, in words, with what the page's shell settings stand for."""
    for block in blocks("sh", *pages):
        for line in block.replace("\\\n", " ").replace("$BRIDGE", "https://YOUR-DOMAIN").splitlines():
            words = shlex.split(line.replace("$KEY", "Authorization: Bearer YOUR_ADMIN_KEY"), comments=True)
            if words and not re.match(r"[A-Z]+=", words[0]):
                yield words


def curls(*pages: str) -> list[list[str]]:
    """The commands among them that ask the deployment, without what they are piped to."""
    ours = [words for words in commands(*pages) if words[0] == "curl" and "YOUR-DOMAIN" in words[1]]
    return [words[: words.index("|")] if "|" in words else words for words in ours]


async def sent(client: httpx.AsyncClient, words: list[str]) -> httpx.Response:
    """The answer to what a `curl` sends."""
    path, headers, body, method = words[1].removeprefix("https://YOUR-DOMAIN"), {}, None, "POST"
    for option, value in zip(words[2::2], words[3::2], strict=True):
        if option == "-H":
            name, _, content = value.partition(": ")
            headers[name] = content.replace("YOUR_ADMIN_KEY", ADMIN_KEY)
        elif option == "-d":
            body, headers["Content-Type"] = value, "application/x-www-form-urlencoded"  # as curl says of it
        elif option == "-X":
            method = value
        else:
            assert option == "-o", option
    if body is None:
        return await client.get(path, headers=headers)
    return await client.request(method, path, content=body, headers=headers)


NOT_AS_THINGS_STAND = {"not_behind", "nothing_gone", "not_ended", "mail_off"}
"""Why an action on somebody in good standing, of whom no mail was refused, may be declined."""


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if curls(page)])
async def test_what_curl_sends_is_understood(world: World, name: str) -> None:
    """Each line as it is printed does its work for a customer in good standing, or says why there is none to do."""
    customer = world.customer()
    subscription = world.buy(customer)
    with receiving(Receiver(status=500)) as url:
        environ = outlet(url)
        async with world.functions(**environ) as client:
            for event in list(world.stripe.undelivered()):
                await world.deliver(client, event)
            await each_is_understood(world, client, name, {"cus_...": customer, "sub_...": subscription})


async def each_is_understood(world: World, client: httpx.AsyncClient, name: str, known: dict[str, str]) -> None:
    """Send each line of a page, with what there is in the place of its placeholders."""
    customer = known["cus_..."]
    (event_id,) = world.sql("SELECT event_id FROM events LIMIT 1")[0].values()
    waiting = world.sql("SELECT endpoint, event_id FROM outbox ORDER BY id LIMIT 1")[0]
    known = {**known, "ep_...": waiting["endpoint"], "7d0cf5a1-...": "7d0cf5a1-0000-4000-8000-000000000000"}
    for words in curls(PAGES[name]):
        outgoing = "direction=out" in words[1] or any("ep_..." in word for word in words)
        known["evt_..."] = waiting["event_id"] if outgoing else event_id
        for held in world.sql("SELECT action_id::text AS id FROM actions WHERE kind = 'hold' AND state = 'noted'"):
            known["8f14e45f-..."] = held["id"]
        for placeholder, real in known.items():
            words = [word.replace(placeholder, real) for word in words]
        answer = await sent(client, words)
        told = (shlex.join(words), answer.text)
        assert answer.status_code in (200, 202, 409), told
        assert answer.status_code != 409 or answer.json()["code"] in NOT_AS_THINGS_STAND, told
        if "email=" in words[1]:
            assert [row["customerId"] for row in answer.json()["data"]] == [customer], told


def test_every_action_of_an_admin_is_written_down() -> None:
    """What an admin may decide is explained, and has a line to copy."""
    known = sorted(action.__struct_config__.tag for action in get_args(bodies.Work))
    assert sorted(row[0].strip("`") for row in rows(section(OPERATE, "Decide by hand"))) == known
    bodies_sent = [
        json.loads(words[words.index("-d") + 1]) for words in curls() if "/work" in words[1] and "-d" in words
    ]
    assert sorted({body["action"] for body in bodies_sent}) == known


def test_the_first_versions_lines_are_there() -> None:
    """Dashboard, sync of a subscription, a search by e-mail and health are in the first five minutes."""
    lines = [(urlsplit(words[1]), words[-1]) for words in curls(README)]
    assert {url.path for url, _ in lines} == {f"/api/{name}" for name in FIRST}
    assert ["email"] in [list(parse_qs(url.query)) for url, _ in lines]
    assert '{"subscriptionId": "sub_..."}' in [body for _, body in lines]


def test_every_script_is_written_down() -> None:
    """README and scripts know each other, and no page names another one."""
    assert set(re.findall(r"\./scripts/(\w+)", README)) == SCRIPTS
    assert {name for page in PAGES.values() for name in re.findall(r"\./scripts/(\w+)", page)} == SCRIPTS


OF_OTHERS = {"./scripts/ctl"}
"""Each of its commands has a help of its own: tests/scripts/test_ctl.py."""


@pytest.mark.parametrize(
    "script", sorted({words[0] for words in commands() if words[0].startswith("./scripts/")} - OF_OTHERS)
)
def test_what_scripts_are_given_they_take(script: str) -> None:
    """Each option, and each command of the demo, that a page shows is in the script's help."""
    name = script.rpartition("/")[2]
    told = subprocess.run(
        [sys.executable, "-c", f"from scripts._{'checks' if name == 'test' else name} import main; main()", "--help"],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shown = {word for words in commands() if words[0] == script for word in words[1:] if word.startswith("--")}
    assert [option for option in shown if option not in told] == []
    if name == "demo":
        named = set(re.findall(r"`(?:\./scripts/demo )?([a-z]+)`", section(README, "Try it")))
        assert {"buy", "fail", "pay", "cancel", "comeback", "dispute", "refund"} <= named
        assert [command for command in named if not re.search(rf"^ +{command} ", told, re.MULTILINE)] == []


# --- the whole --------------------------------------------------------------------------------------------------------


def test_a_newcomer_reads_five_minutes() -> None:
    """The README stays short: what is more is in the pages."""
    assert len(README.split()) <= FIVE_MINUTES


def anchors(page: str) -> set[str]:
    """What a link may point to within a page."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_links_and_paths_lead_somewhere(name: str) -> None:
    """Each heading, page, file, folder and route that is named exists."""
    page, folder = PAGES[name], (ROOT / name).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link
    files = re.findall(r"`((?:lib|scripts|tests|api|docs)/[\w./]+)`", page)
    assert [file for file in files if not (ROOT / file).exists()] == []
    for route in set(re.findall(r"/api/((?:admin/|cron/)?\w+)", page)) - {"api", "admin", "cron"}:
        parameter = ROOT / "api" / f"{route.rpartition('/')[0]}/[job].py"
        assert (ROOT / "api" / f"{route}.py").exists() or parameter.exists(), route


def test_every_picture_is_taken_and_shown() -> None:
    """Each picture of the page is one that the script takes anew, is shown somewhere, and two are in the README."""
    pictures = {path.stem for path in (ROOT / "docs" / "images").glob("*.png")}
    assert pictures == set(SHOTS)
    shown = {name: set(re.findall(r"!\[[^\]]+\]\((?:docs/)?images/(\w+)\.png\)", page)) for name, page in PAGES.items()}
    assert set().union(*shown.values()) == pictures
    assert len(shown["README.md"]) == 2


def test_every_page_is_in_the_index() -> None:
    """Whoever begins at the index or at the README finds every page."""
    for index, folder in (("docs/README.md", ""), ("README.md", "docs/")):
        linked = set(re.findall(rf"\]\({folder}(\w+\.md)(?:#[\w-]+)?\)", PAGES[index]))
        assert {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"} <= linked, index


def test_the_changelog_is_newest_first() -> None:
    """What is not released yet stands at the top."""
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert titles[1:] == sorted(titles[1:], reverse=True)
