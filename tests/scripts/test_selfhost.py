"""The files for machines of one's own: what can be tried here is tried, as an operator copies them."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from lib.config import Secret, Settings
from lib.database import Database, latest_version, schema_version
from scripts._environment import parse
from scripts._postgres import Postgres, free_port, programs
from tests.scripts.test_first_run import _outer_python
from tests.scripts.test_serve import serving
from tests.tools import require_tool
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "selfhost"
PAGE = (ROOT / "docs" / "selfhost.md").read_text()
UNITS = sorted(FOLDER.glob("*.service"))
DOCKERFILE = [line.split(maxsplit=1) for line in (FOLDER / "Dockerfile").read_text().splitlines() if line[:1].isupper()]
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_every_file_is_explained() -> None:
    """The page names each, and no other."""
    named = set(re.findall(r"docs/selfhost/([\w.-]+)", PAGE + "".join(path.read_text() for path in FOLDER.iterdir())))
    there = {path.name for path in FOLDER.iterdir()}
    assert named - there == set()
    assert there - named == {"Dockerfile.dockerignore"}  # found by docker itself


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: str(path.name))
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    """No unknown word, no wrong value, and a command that exists."""
    program = require_tool("systemd-analyze", "systemd")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/bridge", str(ROOT)).replace("User=bridge\nGroup=bridge\n", ""))
    checked = subprocess.run(
        [program, "verify", "--man=no", here], capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, said) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: str(path.name))
def test_a_units_command_takes_its_arguments(unit: Path) -> None:
    """The options of today's scripts."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    script, *arguments = line.replace("/opt/bridge", str(ROOT)).split()
    ended = subprocess.run([script, *arguments, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


# --- web servers ------------------------------------------------------------------------------------------------------


@contextmanager
def nginx(upstream: int, folder: Path) -> Iterator[str]:
    """nginx with the snippet in it, on ports of this test; its address."""
    program = require_tool("nginx", "nginx-light")
    secure, plain = free_port(), free_port()
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bridge.example.com",
         "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    snippet = (FOLDER / "nginx.conf").read_text()
    snippet = re.sub(r"listen \[::\].*\n", "", snippet)
    snippet = snippet.replace("443", f"127.0.0.1:{secure}").replace("listen 80", f"listen 127.0.0.1:{plain}")
    snippet = re.sub(r"(ssl_certificate\s+)\S+;", rf"\1{certificate};", snippet)
    snippet = re.sub(r"(ssl_certificate_key\s+)\S+;", rf"\1{key};", snippet)
    snippet = snippet.replace("127.0.0.1:3000", f"127.0.0.1:{upstream}")
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "all.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{snippet} }}\n"
    )
    command = [program, "-p", str(folder), "-c", str(folder / "all.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"https://127.0.0.1:{secure}"
        finally:
            process.terminate()


@contextmanager
def caddy(upstream: int, folder: Path) -> Iterator[str]:
    """Caddy with the Caddyfile, without its TLS, on a port of this test; its address."""
    program = require_tool("caddy", "caddy")
    address = f"http://127.0.0.1:{free_port()}"
    environ = {**os.environ, "DOMAIN": address, "BRIDGE": f"127.0.0.1:{upstream}", "HOME": str(folder)}
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n}\n" + (FOLDER / "Caddyfile").read_text())
    command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield address
        finally:
            process.terminate()


def answering(address: str) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + 60
    while True:
        try:
            httpx.get(address, verify=False, timeout=10)  # noqa: S501 - a certificate made a moment ago
            return
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.parametrize("front", [nginx, caddy])
def test_a_web_server_passes_everything_on_unchanged(world: World, tmp_path: Path, front: Any) -> None:
    """A signed event counts, what is too large is refused, crons are nobody's business, the page has its headers."""
    world.buy(world.customer())
    port = free_port()
    with serving(world.environ, port), front(port, tmp_path) as address:
        answering(address)
        with httpx.Client(base_url=address, verify=False, timeout=60) as client:  # noqa: S501
            for event in list(world.stripe.events):
                body, headers = world.stripe.signed(event)
                answer = client.post("/api/webhook", content=body, headers=headers)
                assert answer.status_code == 200, answer.text
            assert client.post("/api/webhook", content=b"x" * (1 << 20 | 1)).status_code == 413
            # Caddy says 502 when the function has refused before it got everything.
            assert client.post("/api/webhook", content=b"x" * (3 << 20)).status_code in (413, 502)
            bearer = {"Authorization": f"Bearer {world.environ['CRON_SECRET']}"}
            assert client.get("/api/cron/drain", headers=bearer).status_code == 404
            assert client.get("/").headers["x-frame-options"] == "DENY"
            assert client.get("/api/admin/dashboard").status_code == 401
    assert world.sql("SELECT count(*) AS n FROM events WHERE outcome = 'accepted'")[0]["n"] > 0


# --- containers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the Dockerfile makes, its steps done by hand: there is no engine in a test."""
    app = tmp_path_factory.mktemp("image") / "app"
    app.mkdir()
    for word, rest in DOCKERFILE:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                place = (app / target / source).resolve() if target.endswith("/") else app / target
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, place)
        elif word == "RUN" and "useradd" not in rest:
            shell = rest.replace("python3", shlex.quote(_outer_python()))
            path = f"{Path(_outer_python()).parent}:{os.environ['PATH']}"
            subprocess.run(["sh", "-ec", shell], cwd=app, env={**os.environ, "PATH": path}, check=True, timeout=300)
    return app


def test_the_images_command_serves(image: Path, world: World) -> None:
    """Without another set-up, and with nothing but the settings."""
    (command,) = [json.loads(rest) for word, rest in DOCKERFILE if word == "CMD"]
    port = free_port()
    command = [word.replace("0.0.0.0", "127.0.0.1").replace("3000", str(port)) for word in command]  # noqa: S104
    with subprocess.Popen(command, cwd=image, env={**os.environ, **world.environ}) as process:
        try:
            answering(f"http://127.0.0.1:{port}")
            answer = httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=60)
            assert answer.json()["checks"]["database"] == "ok"
        finally:
            process.terminate()


def test_the_image_takes_what_it_copies_and_no_secret() -> None:
    """What docker may see is exactly what is copied."""
    copied = {name for word, rest in DOCKERFILE if word == "COPY" for name in rest.split()[:-1]}
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert "*" in lines
    assert all((ROOT / name).exists() for name in copied)


def test_compose_names_what_exists() -> None:
    """Commands, files, volumes and services, and settings that load."""
    services = COMPOSE["services"]
    given = dict(parse((ROOT / ".env.example").read_text()))
    for name, service in services.items():
        assert {"image", "build"} & set(service), name
        for other in service.get("depends_on", ()):
            assert other in services
        if "build" in service:
            assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).exists()
            assert (FOLDER / service["env_file"]).resolve() == ROOT / ".env"
            script, *arguments = service["command"]
            ended = subprocess.run(
                [sys.executable, ROOT / script, *arguments, "--help"], capture_output=True, check=False
            )
            assert ended.returncode == 0, (name, ended.stderr)
            settings = Settings.load({**given, **_filled(service["environment"])})
            assert settings.database_url_unpooled is None
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists(), volume
    for variable in set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text())):
        assert f"\n{variable}=" in PAGE


def _filled(environment: dict[str, str]) -> dict[str, str]:
    return {name: re.sub(r"\$\{\w+:\?[^}]*\}", "fake", value) for name, value in environment.items()}


# --- backup -----------------------------------------------------------------------------------------------------------


async def test_a_backup_restores_as_written(world: World, postgres: Postgres, tmp_path: Path) -> None:
    """The two commands of the page bring everything back, and the bridge goes on with it."""
    customer = world.customer()
    world.buy(customer)
    await world.sync(customer)
    before = world.sql("SELECT * FROM services") + world.sql("SELECT * FROM actions ORDER BY id")
    restored = f"restored_{os.getpid()}"
    address = postgres.create_database(restored)
    dump, restore = re.findall(r"^(pg_(?:dump|restore) .*)$", PAGE, re.MULTILINE)
    for line, database in ((dump, world.environ["DATABASE_URL"]), (restore, address)):
        environ = {"PATH": f"{programs()}:{os.environ['PATH']}", "DATABASE_URL": database}
        await asyncio.to_thread(subprocess.run, ["sh", "-ec", line], cwd=tmp_path, env=environ, check=True, timeout=120)
    handle = Database(Secret(address))
    assert await schema_version(handle) == latest_version()
    await handle.close()
    with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
        after = connection.execute("SELECT * FROM services").fetchall()
        after += connection.execute("SELECT * FROM actions ORDER BY id").fetchall()
    assert after == before
    report = await world.sync(customer, DATABASE_URL=address)
    assert report.actions == ()
    postgres.drop_database(restored)
