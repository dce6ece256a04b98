"""What stands in for Vercel on this machine: paths, parameters, headers and settings as there."""

import json
import os
from pathlib import Path

import httpx
import pytest

from lib.errors import SettingsError
from scripts._environment import load_env_file, parse
from scripts._functions import function_files, functions_app

ECHO = """
from starlette.responses import JSONResponse

async def app(scope, receive, send):
    query = scope["query_string"].decode()
    await JSONResponse({"file": __file__, "path": scope["path"], "query": query})(scope, receive, send)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a function, one with a parameter beside it, and a page."""
    for name in ("api/cron/[job].py", "api/cron/exact.py", "api/_shared.py", "lib/secret.py", "public/index.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(ECHO)
    headers = [
        {"source": "/(.*)", "headers": [{"key": "X-Frame-Options", "value": "DENY"}]},
        {"source": "/api/(.*)", "headers": [{"key": "Cache-Control", "value": "no-store"}]},
    ]
    (tmp_path / "vercel.json").write_text(json.dumps({"headers": headers}))
    return tmp_path


@pytest.fixture
def client(project: Path) -> httpx.AsyncClient:
    """A client of that project."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(functions_app(project)), base_url="http://local")


async def test_a_name_in_brackets_becomes_a_parameter(client: httpx.AsyncClient) -> None:
    """The function sees the full path, and the parameter after whatever the caller sent under that name."""
    answer = (await client.get("/api/cron/drain?job=forged")).json()
    assert answer["path"] == "/api/cron/drain"
    assert answer["query"] == "job=forged&job=drain"


async def test_an_exact_name_wins(client: httpx.AsyncClient) -> None:
    """A file's own name goes before a parameter."""
    assert (await client.get("/api/cron/exact")).json()["file"].endswith("exact.py")


@pytest.mark.parametrize(
    "path", ["/api", "/api/_shared", "/api/cron", "/api/cron/a/b", "/lib/secret.py", "/../lib/secret.py"]
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    """Neither shared code nor a source file has an address."""
    assert (await client.get(path)).status_code == 404


async def test_headers_of_the_deployment_apply(client: httpx.AsyncClient) -> None:
    """What vercel.json promises can be seen before a deployment."""
    page, function = await client.get("/"), await client.get("/api/cron/drain")
    assert page.headers["x-frame-options"] == function.headers["x-frame-options"] == "DENY"
    assert "cache-control" not in page.headers
    assert function.headers["cache-control"] == "no-store"


def test_only_visible_files_are_functions(project: Path) -> None:
    """A leading underscore hides a file, as it does from Vercel."""
    assert [str(path) for path in function_files(project)] == ["api/cron/[job].py", "api/cron/exact.py"]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is read as a shell would read it, and never overrides what is set already."""
    (tmp_path / ".env").write_text("# a comment\nexport ONE='a # b'\nTWO=two # of them\nTHREE=\"x=y\"\n\nSET=file\n")
    for name in ("ONE", "TWO", "THREE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("SET", "environment")
    load_env_file(tmp_path / ".env")
    read = {name: os.environ[name] for name in ("ONE", "TWO", "THREE", "SET")}
    assert read == {"ONE": "a # b", "TWO": "two", "THREE": "x=y", "SET": "environment"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A=1\r\nB = 2\r\n", {"A": "1", "B": "2"}),
        ("export\tA=1", {"A": "1"}),
        ("A= # unset\nB=a#b\nC=c\t# tab", {"A": "", "B": "a#b", "C": "c"}),
        ("#A=1\nnothing\n\n", {}),
    ],
)
def test_lines_of_the_file_mean_what_a_shell_takes_them_for(text: str, read: dict[str, str]) -> None:
    """Windows line ends, tabs and comments in the place of a value are no part of any value."""
    assert dict(parse(text)) == read


def test_any_editors_file_is_read_or_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark does not hide the first setting; another encoding is named and no traceback shown."""
    file = tmp_path / ".env"
    monkeypatch.setenv("FIRST", "")
    monkeypatch.delenv("FIRST")
    file.write_bytes(b"\xef\xbb\xbfFIRST=1\n")
    load_env_file(file)
    assert os.environ["FIRST"] == "1"
    file.write_bytes(b"FIRST=\xe4\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_env_file(file)
