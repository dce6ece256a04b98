"""The demo, run as a person runs it: a process of its own, nothing assumed, nothing left behind, nobody disturbed."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lib.config import Settings
from scripts import _leash, _postgres
from scripts._environment import load_env_file
from scripts.demo_world import DemoError, control, menu
from scripts.demo_world.acts import ACTS
from scripts.demo_world.courier import Courier
from scripts.demo_world.place import Place
from scripts.demo_world.stage import settings_of_functions
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim

ROOT = Path(__file__).resolve().parent.parent.parent
# As the launcher ends up, with the interpreter of this run instead of the project's own.
COMMAND = [sys.executable, "-c", "from scripts._demo import main; main()"]

PLACE = "a place"
"""The folder of a demo's files; its blank is for the commands that are printed."""

FOREIGN = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "DATABASE_URL_UNPOOLED": "postgresql://nobody@127.0.0.1:1/none",
    "PGDATABASE": "none",
    "PGSSLMODE": "require",
    "PROVISIONING_MODE": "paused",
    "STRIPE_SECRET_KEY": "sk_live_fake",
    "HTTP_PROXY": "http://127.0.0.1:1",
}
"""Settings around the demo that would spoil everything."""


def surroundings(folder: Path) -> dict[str, str]:
    """An environment in which leftovers would be seen, with settings that must not take part."""
    folder.mkdir()
    return {**os.environ, **FOREIGN, "TMPDIR": str(folder)}


@contextmanager
def demo(folder: Path, *arguments: str, preexec: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a demo with its own files, away from one that a person runs here; it does not outlive the test."""
    temporary = folder / "tmp"
    environ = surroundings(temporary) if not temporary.exists() else {**os.environ, **FOREIGN, "TMPDIR": str(temporary)}
    # Tests that run in the background ignore Ctrl-C, and all that they start inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, "--at", str(folder / PLACE), *arguments],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,  # noqa: PLW1509 - no thread of ours holds a lock that it needs
    )
    signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def read_until(process: subprocess.Popen[str], beginning: str) -> str:
    """What it tells up to the line that begins so."""
    assert process.stdout is not None and process.stderr is not None
    told = ""
    for line in process.stdout:
        told += line
        if line.startswith(beginning):
            return told
    raise AssertionError(told + process.stderr.read())


@dataclass
class Serving:
    """A demo that has told its story and serves."""

    folder: Path
    process: subprocess.Popen[str]
    told: str

    @property
    def place(self) -> Place:
        """Where its files are."""
        return Place(self.folder / PLACE)

    def found(self, pattern: str) -> re.Match[str]:
        """A part of what it told."""
        match = re.search(pattern, self.told)
        assert match, self.told
        return match


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One demo for all that can be asked of a running one; at last Ctrl-C ends it and all that belongs to it."""
    folder = tmp_path_factory.mktemp("serving")
    with demo(folder) as process:
        told = read_until(process, "Serving")
        yield Serving(folder, process, told)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read().endswith("\nStopping.\n")
        assert process.stderr.read() == ""
        assert process.wait() == 0
    for address in re.findall(r"^   (?:Stripe|Enhance panel|Functions) +(http://\S+?),", told, re.MULTILINE):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
    assert leftovers(folder) == [f"{PLACE}/demo.lock", f"{PLACE}/demo.log"]


def leftovers(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def ask(serving: Serving, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`./scripts/demo ...` against the one that serves: what it printed."""

    def command(*words: str) -> str:
        options = vars(menu.parser().parse_args(words))
        act = options.pop("act")
        capsys.readouterr()
        control.send(serving.place, act, {name: options[name] for name in options if name not in ("at", "once")})
        return capsys.readouterr().out

    return command


# --- the story, and its end -------------------------------------------------------------------------------------------


def test_killed_it_leaves_no_process_and_the_next_one_clears_the_rest(tmp_path: Path) -> None:
    """After `kill -9` nothing serves; the next demo tells the story to its end, and no file is left over."""
    with demo(tmp_path) as process:
        told = read_until(process, "3. ")
        process.kill()
        process.wait()
    ports = re.findall(r"^   (?:PostgreSQL|Functions) .*?127\.0\.0\.1:(\d+)", told, re.MULTILINE)
    assert len(ports) == 2, told
    wait_until(lambda: not any(listens(int(port)) for port in ports), f"the ports {ports} to be closed")
    assert any("PG_VERSION" in name for name in leftovers(tmp_path))
    with demo(tmp_path, "--once") as process:
        told, errors = process.communicate()
    assert (process.returncode, errors) == (0, ""), told + errors
    assert "Provisioned: shop.example is there" in told
    assert "INSERT INTO plan_mappings (billing_provider, billing_plan_id, enhance_plan_id)" in told
    for fact in ("hosting suspended", "hosting live again", "1 org, 1 login, 1 member, 1 subscription, 1 website"):
        assert fact in told
    assert "pass_ended" not in told
    assert leftovers(tmp_path) == [f"{PLACE}/demo.lock", f"{PLACE}/demo.log"]


def test_the_story_says_where_time_is_skipped(serving: Serving) -> None:
    """Whoever reads that a site stays live for days, and a line later that it is suspended, is told why."""
    grace, suspended = serving.told.index("stays live in its grace period"), serving.told.index("hosting suspended")
    assert "skipped: the weeks" in serving.told[grace:suspended]


@pytest.mark.parametrize(("beginning", "name"), [("From a payment", "SIGINT"), ("3. ", "SIGINT"), ("3. ", "SIGTERM")])
def test_it_can_be_stopped_half_way(tmp_path: Path, beginning: str, name: str) -> None:
    """Whoever has seen enough, in its set-up too, leaves nothing behind, sees no traceback and gets no success."""
    with demo(tmp_path, "--once") as process:
        read_until(process, beginning)
        process.send_signal(getattr(signal, name))
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == 130
    assert set(leftovers(tmp_path)) <= {f"{PLACE}/demo.lock", f"{PLACE}/demo.log"}


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Files that can't be written end it at once, with the file, the reason and the remedy."""

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with demo(tmp_path, "--once", preexec=no_room) as process:
        told, errors = process.communicate()
    assert (process.returncode, told) == (1, "")
    assert re.fullmatch(rf"\S+/{PLACE}/demo\.json can't be written: File too large\. .+ with --at\.\n", errors), errors
    assert leftovers(tmp_path) == [f"{PLACE}/demo.lock"]


# --- beside others ----------------------------------------------------------------------------------------------------


def test_a_second_demo_names_the_first_and_leaves_it_alone(serving: Serving) -> None:
    """It says which process runs since when and how to see it; log, settings and commands of the first stay."""
    files = (serving.place.settings, serving.place.log, serving.folder / PLACE / "demo.json")
    before = [file.read_bytes() for file in files]
    with demo(serving.folder, "--once") as process:
        told, errors = process.communicate()
    assert (process.returncode, told) == (1, "")
    running = json.loads(before[2])["pid"]
    assert re.match(
        rf"A demo is running here already, process {running}, since \d\d:\d\d: \./scripts/demo status", errors
    )
    assert [file.read_bytes() for file in files] == before
    assert serving.place.running().pid == running


def test_its_settings_are_all_of_them_and_win_over_a_real_env_file(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a `.env` or a shell around says, a script under demo.env knows the demo's world and nothing else."""
    script = f""". '{serving.place.settings}'; exec "$0" -c 'import json, os; print(json.dumps(dict(os.environ)))'"""
    foreign = dict.fromkeys(known_settings(), "foreign")
    shell = subprocess.run(
        ["sh", "-ac", script, sys.executable], env={**os.environ, **foreign, **FOREIGN}, capture_output=True, check=True
    ).stdout
    environ: dict[str, str] = json.loads(shell)
    assert set(known_settings()) <= set(environ)
    assert "foreign" not in environ.values()
    assert [name for name in environ if name.startswith("PG")] == []
    assert environ["NO_PROXY"] == environ["no_proxy"] == "127.0.0.1,localhost"
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}=foreign\n" for name in known_settings()))
    load_env_file(file)
    loaded = Settings.load(os.environ)
    assert loaded.database_url_unpooled is None
    assert loaded.stripe_api_base.startswith("http://127.0.0.1:")
    assert loaded == Settings.load(environ)
    assert loaded.database_url.reveal() == serving.found(r"Database +psql (\S+)")[1]


def known_settings() -> list[str]:
    """The names of all that the product reads from its environment."""
    return [setting.env for _, setting in Settings.each()]


def test_the_functions_get_every_setting_or_its_absence() -> None:
    """A setting that is added to the product can't leak into the demo from a `.env`."""
    assert set(known_settings()) <= set(settings_of_functions({}))


# --- a demo that serves -----------------------------------------------------------------------------------------------


def test_where_to_look_is_true(serving: Serving) -> None:
    """Each address, key and command that it prints works as printed."""
    url, key, body = serving.found(r"Sync +curl (http://\S+) -H 'Authorization: (Bearer \S+)' -d '(.+)'").groups()
    answer = httpx.post(url, headers={"Authorization": key}, content=body, timeout=60).json()
    assert answer["customerId"] == json.loads(body)["customerId"]
    assert (answer["outcome"]["state"], answer["actions"]) == ("settled", [])
    url, key = serving.found(r"Panel +curl '(http://\S+)' -H 'Authorization: (Bearer \S+)'").groups()
    names = [org["name"] for org in httpx.get(url, headers={"Authorization": key}).json()["items"]]
    assert "Ada Example" in names
    url, key = serving.found(r"Stripe +curl (http://\S+) -u (sk_test_\w+):").groups()
    assert httpx.get(f"{url}/sub_1Sim00000001", auth=(key, "")).json()["status"] == "active"
    assert httpx.get(url, auth=(key, "")).json()["has_more"]
    settings, script, customer = serving.found(r"Explain +\(set -a; \. (.+); \./scripts/(\w+) (cus_\w+)\)").groups()
    command = f'set -a; . {settings}; exec "$0" -c "from scripts._{script} import main; main()" {customer}'
    environ = {**os.environ, **FOREIGN}
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "shop.example" in ended.stdout


def test_a_customers_life_by_one_line_commands(ask: Callable[..., str]) -> None:
    """Each command says what happened, how long it took, and how Stripe and the panel stand afterwards."""
    told = ask("buy", "--email", "bo@shop9.example", "--name", "Bo Example", "--domain", "shop9.example")
    assert re.search(r"POST /api/webhook  200  3 events", told)
    assert re.search(r"\d\.\d s  website created: shop9\.example", told)
    assert "Panel    shop9.example live, basic-hosting-plan (Bo Example)" in told
    found = re.search(r"sub_\w+", told)
    assert found
    sub = found[0]

    told = ask("fail", "BO@shop9.example")
    assert "that time is skipped" in told
    assert "nothing changed in the panel" in told
    assert re.search(r"Bridge +in grace: suspended on \d+ \w+ \d{4} unless it is paid before", told)
    told = ask("fail", sub)
    assert "Panel    shop9.example suspended" in told
    assert "Bridge   held because of: unpaid" in told
    told = ask("pay", "shop9.example")
    assert "hosting live again" in told
    assert "Stripe   active, paid until" in told

    told = ask("dispute", "bo")
    assert "Bridge   held because of: dispute" in told
    told = ask("dispute", "bo", "--won")
    assert "Panel    shop9.example live" in told

    told = ask("cancel", "bo", "--at-period-end")
    assert re.search(r"Stripe +active, ends on ", told)
    told = ask("cancel", "bo")
    assert "Panel    shop9.example suspended" in told
    told = ask("comeback", "bo")
    assert re.search(r"Bo Example, whose \S+ has ended, buys again with the domain shop9\.example: sub_", told)
    assert "website moved to the new hosting subscription" in told
    told = ask("refund", "bo", "--amount", "5")
    assert re.search(r"Stripe +active, .*5\.00 EUR refunded", told)
    assert ask("status", "bo").count("Bo Example: bo@shop9.example") == 2


def test_somebody_pays_by_bank_transfer(ask: Callable[..., str]) -> None:
    """A reference, a part of the money, the rest, and a website; Stripe has heard nothing of it."""
    told = ask("transfer", "--name", "Cy Example", "--domain", "garden.example")
    assert re.search(r"reference RF\d\d [\d ]+, customer bank_transfer:c_", told)
    assert "9.00 EUR come: the order is paying, 10.00 EUR are missing" in told
    assert re.search(r"The rest comes: paid, and paid until \d{4}-\d\d-\d\d", told)
    assert re.search(r"\d\.\d s  website created: garden\.example", told)
    assert "POST /api/webhook" not in told


def test_somebody_buys_by_the_form(ask: Callable[..., str]) -> None:
    """Two clicks are one order and one page; paid, it becomes a website, and the buyer's page says so."""
    told = ask("order", "--name", "Di Example", "--domain", "form.example")
    assert re.search(r"one order [\w-]+, one page at Stripe: cs_test_\w+", told)
    assert "before the money: pending" in told
    assert re.search(r"\d\.\d s  website created: form\.example", told)
    assert "the buyer's page: ready" in told


def test_status_shows_everybody_and_where_to_look(ask: Callable[..., str], serving: Serving) -> None:
    """One line for each subscription, and the addresses again for whoever has closed the first terminal."""
    told = ask("status")
    assert re.search(r"ada@example\.com +sub_1Sim00000001 +active, paid until .+ +shop\.example live", told)
    assert serving.found(r"   Sync .+")[0] in told


def test_what_no_command_did_is_delivered_too(ask: Callable[..., str], serving: Serving) -> None:
    """A subscription cancelled by curl is suspended in the panel by itself, and the demo's terminal tells of it."""
    found = re.search(r"sub_\w+", ask("buy", "--domain", "curl.example"))
    assert found
    url, key = serving.found(r"Stripe +curl (http://\S+) -u (sk_test_\w+):").groups()
    assert httpx.delete(f"{url}/{found[0]}", auth=(key, "")).json()["status"] == "canceled"
    read_until(serving.process, "   POST /api/webhook  200  1 event: customer.subscription.deleted")
    wait_until(lambda: "curl.example suspended" in ask("status", found[0]), "the panel to follow")


def test_what_is_broken_waits_and_is_mended(ask: Callable[..., str]) -> None:
    """Who buys while the panel is down waits with the reason, a mapping that is gone parks; nobody is lost."""
    assert "answers 503" in ask("break", "panel")
    told = ask("buy", "--email", "ed@waits.example", "--domain", "waits.example")
    assert re.search(r"Bridge +tried (once|\d+ times), again in", told)
    assert "answers again" in ask("mend", "panel")
    ask("break", "stripe")
    with pytest.raises(DemoError, match="Nobody can buy while Stripe answers nothing; first: "):
        ask("buy")
    ask("mend", "stripe")
    assert "The mapping of price_big_monthly is gone" in ask("unmap")
    told = ask("buy", "--price", "price_big_monthly", "--email", "flo@unmapped.example", "--domain", "unmapped.example")
    assert "Parked   unmapped_price" in told
    assert "buys big-hosting-plan again" in ask("unmap", "--back")
    wait_until(lambda: "unmapped.example live" in ask("status", "unmapped.example"), "the mapping to be seen")


def test_the_page_and_who_is_on_it(serving: Serving) -> None:
    """The printed address is the operators' page, the printed key opens it, and there are hundreds to look at."""
    address, key = serving.found(r"Page +(http://\S+)   with the key (\S+)").groups()
    page = httpx.get(address)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    serving.found(r"(\d{3}) in \d+ situations")
    query = {"state": "live", "limit": "200"}
    headers = {"Authorization": f"Bearer {key}"}
    live = httpx.get(f"{address}api/admin/customers", params=query, headers=headers, timeout=60).json()
    assert (len(live["data"]), bool(live["nextCursor"])) == (200, True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["fail", "nobody@example.com"], "Nobody is called 'nobody@example.com'. There are: .*ada@example.com"),
        (["pay", "ada"], "There is no open invoice of ada@example.com; first: ./scripts/demo fail"),
        (["comeback", "ada@example.com"], "There is no subscription that ended of ada@example.com; first: "),
        (["dispute", "ada", "--lost"], "There is no open dispute of ada@example.com; first: "),
        (["refund", "ada", "--amount", "100000"], "Stripe refuses it: Refund amount .* is greater than"),
    ],
)
def test_what_can_not_be_done_is_said(ask: Callable[..., str], words: list[str], reason: str) -> None:
    """A wrong name lists the right ones, a wrong moment names the command that comes before; nothing is changed."""
    before = ask("status", "ada")
    with pytest.raises(DemoError, match=reason):
        ask(*words)
    assert ask("status", "ada") == before


def test_commands_are_programs(serving: Serving) -> None:
    """As a person types them: exit code 0 with the answer on stdout, 1 with one sentence on stderr."""
    for words, code in ((["status", "ada"], 0), (["pay", "nobody"], 1)):
        ended = subprocess.run(
            [*COMMAND, "--at", str(serving.folder / PLACE), *words],
            cwd=ROOT, env={**os.environ, **FOREIGN}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stderr
        assert bool(ended.stdout) == (code == 0)
        assert len(ended.stderr.splitlines()) == code


def test_without_a_running_demo_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    """Also in a folder that holds the files of one that was killed."""
    place = Place(tmp_path)
    for _ in range(2):
        with pytest.raises(DemoError, match=rf"No demo is running\. .*: \./scripts/demo --at {tmp_path}"):
            control.send(place, "buy", {})
        with place.claim("12:03"):
            left = (tmp_path / "demo.json").read_bytes()
            with pytest.raises(DemoError, match="still telling its story"):
                control.send(place, "buy", {})
        (tmp_path / "demo.json").write_bytes(left)


def test_the_menu_and_the_acts_are_the_same() -> None:
    """Every command can be played, every act can be typed, and the help has an example of each."""
    explained = menu.parser().format_help()
    for name in ACTS:
        needed = ["panel"] if name in ("break", "mend") else []
        assert vars(menu.parser().parse_args([name, *needed]))["act"] == name
        assert f"./scripts/demo {name}" in explained
    listed = re.findall(r"^    (\w+) ", explained, re.MULTILINE)
    assert sorted(listed) == sorted(ACTS)


@pytest.mark.parametrize("amount", ["0", "-1", "1.234", "1,5", "²", "x", ""])
def test_an_amount_is_read_strictly(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is refunded for a slip of the finger."""
    with pytest.raises(SystemExit):
        menu.parser().parse_args(["refund", f"--amount={amount}"])
    assert "such as 5 or 5.00" in capsys.readouterr().err


# --- its parts --------------------------------------------------------------------------------------------------------


def test_a_delivery_is_repeated_until_it_is_taken() -> None:
    """Like Stripe: later each time, the other events meanwhile, and no more once it is taken."""
    answers, got, now = iter([503, 200, 500, 200]), [], [0.0]

    async def take(request: Request) -> Response:
        got.append((await request.json())["type"])
        return Response(status_code=next(answers))

    stripe = StripeSim()
    with serve(Starlette(routes=[Route("/", take, methods=["POST"])])) as url:
        wanted = {"url": url, "enabled_events": ["product.created", "price.created"]}
        stripe.put({"id": "we_1", "object": "webhook_endpoint", "status": "enabled", **wanted})
        courier = Courier(stripe, waits=(1.0, 10.0), clock=lambda: now[0])
        stripe.create_price("price_1")
        stripe.create_customer("nobody@wants.example")
        assert [one.answer for one in courier.deliver(stripe.events)] == ["503", "200"]
        courier.deliver_due()
        assert got == ["product.created", "price.created"]
        assert [courier.seconds_until(one) for one in courier.waiting()] == [1.0]
        now[0] = 1.0
        courier.deliver_due()
        assert [courier.seconds_until(one) for one in courier.waiting()] == [10.0]
        now[0] = 11.0
        courier.deliver_due()
        courier.deliver_due()
    assert got == ["product.created", "price.created", "product.created", "product.created"]
    assert courier.waiting() == []


def test_a_receiver_that_is_away_gets_its_events_later_or_not_at_all() -> None:
    """A refused connection is a failed delivery like any other; what was given up stays undelivered for a sweep."""
    stripe = StripeSim()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        stripe.put(
            {"id": "we_1", "object": "webhook_endpoint", "status": "enabled", "url": url, "enabled_events": ["*"]}
        )
        courier = Courier(stripe, waits=(0.0,), clock=lambda: 0.0)
        event = stripe.create_product() and stripe.events[-1]
        (delivery,) = courier.deliver([event])
        assert "refused" in delivery.answer
        assert courier.waiting() == [delivery]
        courier.deliver_due()
    assert (delivery.tries, delivery.over, delivery.taken) == (2, True, False)
    assert courier.waiting() == []
    assert stripe.is_open(event["id"])


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import time; from scripts._leash import hold; hold(); print('up', flush=True); time.sleep(600)"],
        [_leash.__file__, sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"],
    ],
    ids=["itself", "another"],
)
def test_who_is_on_the_leash_ends_with_whoever_holds_it(command: list[str]) -> None:
    """The pipe ends when its holder is killed; on every system the process behind it ends then."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"up\n"
        process.stdin.close()
        assert process.stdout.read() == b""  # nobody holds it any more
        assert process.wait() != 0


def test_a_port_that_was_found_free_is_given_to_nobody_by_chance() -> None:
    """Whoever listens on any port gets one of the system's choice: between the look and the use ours stays free."""
    with ExitStack() as stack:
        given = {stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(100)}
    assert given.isdisjoint(_postgres.PORTS)
    assert _postgres.free_port() in _postgres.PORTS


def listens(port: int) -> bool:
    """Whether somebody takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Wait for what happens by itself; the limit only ends a test that fails."""
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
