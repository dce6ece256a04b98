"""The measurements one after another, and what they came to as one page: `docs/performance.md` with its figures."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.ack import PLACES, Round, limit_of, medians
from bench.costs import call_lines, month_lines
from bench.lists import MOST as SLOWER
from bench.plot import bars
from bench.stage import ROOT

PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "docs" / "performance.json"
PLOT = ROOT / "docs" / "images" / "performance-ack.svg"


@dataclass(frozen=True)
class Part:
    """One measurement: its module, and what its figures are as lines of the page."""

    module: str
    full: Sequence[str]
    quick: Sequence[str]
    lines: Callable[[Any], list[str]]

    def command(self, *, quick: bool) -> list[str]:
        """What runs it alone."""
        return ["-m", self.module, *(self.quick if quick else self.full)]


def main() -> int:
    """Measure, print the page, and write it where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures how fast it acknowledges, starts, works off a burst and sweeps, beside what the machine "
        "can do. Figures mean something when nothing else runs on the machine.",
        epilog="Each part alone: .venv/bin/python -m bench.ack --help (cold, passes, drain ... in its place).",
    )
    parser.add_argument("--quick", action="store_true", help="short rounds and few: to see that it works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument(
        "--write", action="store_true", help=f"put these parts into {PAGE.relative_to(ROOT)}; the others stay"
    )
    options = parser.parse_args()
    measured, failed = {}, []
    for name in options.only:
        print(f"== {name}", flush=True)
        found = _measure(PARTS[name], quick=options.quick)
        if found is None or found["failed"]:
            failed.append(name)
        if found is not None:
            measured[name] = found
    print(page(measured))
    if options.write:
        known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        figures = {name: {**known, **measured}[name] for name in PARTS if name in known or name in measured}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
        PAGE.write_text(page(figures))
        if "ack" in measured:
            PLOT.write_text(_plot(measured["ack"]["figures"]))
    if failed:
        print(f"Failed, or beyond what its own limit allows: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(part: Part, *, quick: bool) -> dict[str, Any] | None:
    """The figures of a part with how they came about; `None` when it has none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        about = {
            "command": f".venv/bin/python {' '.join(part.command(quick=quick))}",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores ({platform.machine()}), {psutil.virtual_memory().total >> 30} GiB",
            "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2),
        }
        command = [sys.executable, *part.command(quick=quick), "--json", str(file)]
        failed = subprocess.run(command, cwd=ROOT, check=False).returncode != 0
        return {"about": about, "failed": failed, "figures": json.loads(file.read_text())} if file.exists() else None


def page(figures: Mapping[str, Any]) -> str:
    """The page, from the figures alone."""
    lines = [
        "# Performance",
        "",
        "`./scripts/bench --write` measures it on your machine. Look at the ratios: they are taken in one run, from",
        "medians of rounds in turns. Everything runs on one machine: senders, functions, PostgreSQL and the simulated",
        "other sides share its cores. The figures themselves are in [performance.json](performance.json).",
    ]
    for name, part in PARTS.items():
        if name in figures:
            about = figures[name]["about"]
            how = f"{about['date']}, {about['machine']}, Python {about['python']}, load {about['load_before']} before"
            lines += ["", *part.lines(figures[name]["figures"]), "", f"`{about['command']}`: {how}."]
    return "\n".join(lines) + "\n"


# --- the parts --------------------------------------------------------------------------------------------------------


def _ack(found: dict[str, Any]) -> list[str]:
    columns = (
        "connections", "acks/s", "of the limit", "p50 ms", "p99 ms", "trips", "server µs", "database µs", "writes",
        "WAL bytes", "server MB",
    )  # fmt: skip
    lines = [
        "## Acknowledgements",
        "",
        f"Signed events of 3.5 kB, answered once they are durable, sent by {found['sender']}. *limit*: `pgbench` with",
        "one insert of the same bytes and one upsert in a transaction; *least*: both in one statement, one way to the",
        "database instead of four. *serve*: one process of `./scripts/serve`, passes off; *vercel*: the bundle",
        "in Vercel's own runtime; *away*: the database further away (*trips*: the median answer in ways there and",
        "back); *passes*: with passes on, run by the same process. *again*: the same events delivered a second time.",
        "",
        "![Acknowledgements per second](images/performance-ack.svg)",
        "",
        f"| | | {' | '.join(columns)} |",
        "|---" * (2 + len(columns)) + "|",
    ]
    middle = medians([Round(**one) for one in found["rounds"]])
    for (place, what, connections), figures in sorted(middle.items(), key=lambda item: (item[0][2], _order(item[0]))):
        limit = limit_of(middle, place, connections)
        ratio = f"{figures['per_second'] / limit['per_second']:.2f}" if limit else ""
        lines.append(
            f"| {place} | {what} | {connections} | {figures['per_second']:,.0f} | {ratio} | {figures['p50_ms']:.2f} |"
            f" {figures['p99_ms']:.2f} | {figures['p50_ms'] / found['trips_ms'][place]:.1f} |"
            f" {figures['server_us']:.0f} | {figures['database_us']:.0f} | {figures['writes']:.2f} |"
            f" {figures['wal_bytes']:,.0f} | {figures['server_mb']:.0f} |"
        )
    return lines


def _order(key: tuple[str, str, int]) -> tuple[int, int]:
    return PLACES.index(key[0]), ("limit", "least", "first", "again").index(key[1])


def _plot(found: dict[str, Any]) -> str:
    middle = medians([Round(**one) for one in found["rounds"]])
    groups = sorted({connections for _, _, connections in middle})
    shown = {"limit": ("serve", "limit"), "serve": ("serve", "first"), "again": ("serve", "again"),
             "vercel": ("vercel", "first")}  # fmt: skip
    series = {
        name: [middle[*key, connections]["per_second"] for connections in groups]
        for name, key in shown.items()
        if (*key, groups[0]) in middle
    }
    return bars("Acknowledgements per second", [f"{count} connections" for count in groups], series)


def _route(function: str) -> str:
    path, blank, what = function.partition(" ")
    return f"`/{path.removesuffix('.py')}`{blank}{what}" if "/" in path else function


def _cold(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Cold start",
        "",
        "From the start of a process to the end of its first answer, beside a function that does nothing. A plain",
        "process has no server; in Vercel's runtime, the bundle and its start-up are on the bill of both.",
        "",
        "| | function | ms | of nothing | ms of CPU | of nothing | ms without .pyc | modules |",
        "|---|---|---|---|---|---|---|---|",
    ]
    vercel = found["vercel"]
    for where, rows in (("process", found["process"]), ("Vercel", vercel["functions"] if vercel else [])):
        lines += [
            f"| {where} | {_route(row['function'])} | {row['ms']:.0f} | {row['of_nothing']:.2f} |"
            f" {_or_none(row, 'cpu_ms', '.0f')} | {_or_none(row, 'cpu_of_nothing', '.2f')} |"
            f" {row['ms_without_pyc']:.0f} | {row.get('modules', '')} |"
            for row in rows
        ]
    return lines + (_bundle(vercel) if vercel else [])


def _or_none(row: Mapping[str, Any], name: str, how: str) -> str:
    return format(row[name], how) if name in row else ""


def _bundle(vercel: Mapping[str, Any]) -> list[str]:
    bundle = vercel["bundle"]
    biggest = ", ".join(f"`{part}` {size:.1f}" for part, size in bundle["biggest"].items())
    dearest = ", ".join(f"{one['package']} {one['ms']:.0f} ({one['modules']})" for one in vercel["imports"])
    return [
        "",
        f"The bundle: {bundle['files']:,} files, {bundle['megabytes']:.1f} MB; compiled, another",
        f"{bundle['compiled_megabytes']:.1f} MB. Most of it, in MB: {biggest}.",
        "",
        f"What the webhook imports, in ms of their own (modules): {dearest}.",
    ]


def _burst(found: dict[str, Any]) -> list[str]:
    columns = {
        "acks/s": f"{found['acks_per_second']:,}",
        "seconds until quiet": found["seconds_until_quiet"],
        "passes per customer": found["passes_per_customer"],
        "claims per event": found["claims_per_event"],
        "panel calls at once": f"{found['panel_calls_at_once']} (of {found['panel_concurrency']})",
        "lost or left due": found["lost"] + found["left_due"],
        "not equal": found["unequal"],
    }
    return [
        "## A burst",
        "",
        f"{found['events']:,} events of {found['customers']:,} customers who are live, one of ten to be suspended;",
        f"passes on, {found['processes']} processes, a panel that takes {found['panel_ms']:.0f} ms for each call. The",
        "database logs all statements, for the count of claims; that costs some of the rate.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        f"| {' | '.join(map(str, columns.values()))} |",
    ]


def _drain(rows: list[dict[str, Any]]) -> list[str]:
    rates = {
        (sense, slots): median(row["per_second"] for row in rows if (row["sense"], row["slots"]) == (sense, slots))
        for sense, slots in dict.fromkeys((row["sense"], row["slots"]) for row in rows)
    }
    least = min(slots for _, slots in rates)
    one = {sense: rates.get((sense, least), rates["slots", least]) for sense, _ in rates}
    lines = [
        "## A drain",
        "",
        "Customers who are moved to another plan because a mapping was edited: three calls to a panel that takes",
        f"{rows[0]['panel_ms']:.0f} ms for each. *slots*: passes at one time in one process; *processes*: with one",
        "each; *provisioning*: first provisionings in one process, whose websites are created one at a time.",
        "",
        "| | at one time | passes/s | of one |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {sense} | {slots} | {rate:.2f} | {rate / one[sense]:.1f} |"
        for (sense, slots), rate in sorted(rates.items())
    ]


def _passes(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## A pass",
        "",
        "One place, one customer after another. What is sent to the database together is one round trip; a drain's own",
        "looks at the queue are shared out.",
        "",
        "| | statements | round trips | Stripe calls | panel calls | CPU ms |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['kind']} | {row['statements']:.1f} | {row['round_trips']:.1f} | {row['stripe_calls']:.1f} |"
        f" {row['panel_calls']:.1f} | {row['cpu_ms']:.1f} |"
        for row in rows
    ]


def _sweep(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## A sweep that finds nothing",
        "",
        "Every subscription of both sides is compared and found equal, beside the same list pages read by the same",
        "clients and thrown away. The next page is read while one is compared.",
        "",
        "| subscriptions | calls | pages | seconds | pages alone | ratio | CPU s | pages' CPU s | peak MB | grown MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['subscriptions']:,} | {row['stripe_calls'] + row['panel_calls']:,} | {row['pages']:,} |"
        f" {row['seconds']} | {row['pages_seconds']} | {row['of_pages']} | {row['cpu_seconds']} | {row['pages_cpu']} |"
        f" {row['peak_mb']} | {row['grown_mb']} |"
        for row in rows
    ]


def _costs(found: dict[str, Any]) -> list[str]:
    return [
        "## What it costs",
        "",
        "Calls as their functions make them, and a month of them; [costs.md](costs.md) says how it is reckoned.",
        "",
        "| call | CPU ms | seconds |",
        "|---|---|---|",
        *call_lines(found),
        "",
        "| a month | calls | CPU hours | GB hours | Vercel's usage | Neon awake | CU hours | Launch | Scale |",
        "|---|---|---|---|---|---|---|---|---|",
        *month_lines(found),
    ]


def _machines(found: dict[str, Any]) -> list[str]:
    cut = found["cut_off"]
    apart = (
        "Each host is a network namespace with an address of its own."
        if found["namespaces"]
        else "Network namespaces were refused here: each host is a process on loopback."
    )
    lines = [
        "## Several machines",
        "",
        f"{apart} `./scripts/worker --places {found['places_of_a_host']}` on each, the functions on one more, one",
        f"database; {found['customers']} customers, a panel that takes {found['panel_ms']:.0f} ms for each call,",
        f"`PANEL_CONCURRENCY={found['panel_concurrency']}`.",
        "",
        "| hosts | passes/s | of one host | passes at one time | left due |",
        "|---|---|---|---|---|",
    ]
    first = found["hosts"][0]["passes_per_second"]
    lines += [
        f"| {row['hosts']} | {row['passes_per_second']} | {row['passes_per_second'] / first:.2f} |"
        f" {row['passes_at_once']} | {row['left_due']} |"
        for row in found["hosts"]
    ]
    return [
        *lines,
        "",
        f"Calls at the panel at one time, over all of them: {found['panel_calls_at_once']}. Of two hosts one was cut",
        f"off in the middle: all was done after {cut['seconds']} s (a lease lasts {cut['lease_seconds']:.0f}), with",
        f"{cut['changes_at_the_panel']} changes at the panel, where nothing was to be changed.",
    ]


def _reads(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Reads below Stripe's limit",
        "",
        "Processes that know nothing of each other read all the time, against a Stripe that takes 25 a second.",
        "",
        "| processes | reads at one time | answered/s | refused % | put off | failed | longest s |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['processes']} | {row['reads_at_once']} | {row['answered_per_second']} | {row['refused_percent']} |"
        f" {row['put_off']} | {row['failed']} | {row['longest_seconds']} |"
        for row in rows
    ]


SHOWN = 15


def _lists(found: Mapping[str, Any]) -> list[str]:
    few, many = found["sizes"]
    lists = sorted(found["lists"], key=lambda one: -one["ratio"])
    within = sum(one["ratio"] <= SLOWER for one in lists)
    lines = [
        "## Lists and screens",
        "",
        f"{len(lists)} requests: every list with every filter, each screen's first answer, one customer, metrics,",
        f"the first thousand lines of a list as CSV; with {few['customers']:,} and {many['customers']:,} customers",
        f"({many['ledger']:,} lines of the ledger, {many['events']:,} events, {many['megabytes']:,} MB, filled in",
        f"{many['fill_seconds']} s). {within} of them take at most {SLOWER} times as long with the larger; the median",
        f"ratio is {median(one['ratio'] for one in lists):.2f}. What grows with what it shows: the rest of a list as",
        "CSV, a dry run over a filter, and `whatIf`, which looks at 10,000 services at most. The largest ratios:",
        "",
        "| request | ms with few | ms with many | ratio |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| `{one['list']}` | {one['few_ms']} | {one['many_ms']} | {one['ratio']} |" for one in lists[:SHOWN]
    ]


def _room(found: dict[str, Any]) -> list[str]:
    lines = [
        "## Room in the database",
        "",
        f"Rows and bytes of a customer after a year of renewals, indexes included, among {found['customers']:,}. A",
        f"renewal writes {found['renewal_wal_bytes']:,} bytes of the log in {found['renewal_commits']:.0f} commits, a",
        f"purchase {found['purchase_wal_bytes']:,} in {found['purchase_commits']:.0f}, an event alone",
        f"{found['renewal_wal_bytes_per_event']:,}; [capacity.md](capacity.md) reckons with it.",
        "",
        "| table | rows | bytes a row | of it indexes | bytes a customer |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| `{row['table']}` | {row['rows_per_customer']} | {row['bytes_per_row']:,} | {row['indexes_percent']} % |"
        f" {row['bytes_per_customer']:,} |"
        for row in found["tables"]
    ]


PARTS: dict[str, Part] = {
    "ack": Part("bench.ack", (), ("--seconds", "1", "--rounds", "1", "--connections", "1", "8"), _ack),
    "cold": Part("bench.cold", ("--rounds", "3"), ("--rounds", "1", "--only", "api/webhook.py"), _cold),
    "passes": Part("bench.passes", (), ("--customers", "5"), _passes),
    "drain": Part("bench.drain", (), ("--slots", "1", "2", "--each", "2", "--rounds", "1"), _drain),
    "burst": Part("bench.burst", (), ("--customers", "50", "--events", "500"), _burst),
    "sweep": Part("bench.sweep", (), ("--sizes", "200", "1000", "--rounds", "1"), _sweep),
    "lists": Part("bench.lists", (), ("--customers", "1000", "5000", "--rounds", "2"), _lists),
    "costs": Part("bench.costs", (), ("--rounds", "2", "--customers", "100"), _costs),
    "machines": Part("bench.machines", (), ("--hosts", "1", "2", "--customers", "30"), _machines),
    "reads": Part("bench.reads", (), ("--processes", "1", "2", "--seconds", "3"), _reads),
    "room": Part("bench.room", (), ("--copies", "20"), _room),
}
