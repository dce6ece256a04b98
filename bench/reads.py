"""How a burst of reads is spread over Stripe's 25 a second: several processes that know nothing of each other.

    .venv/bin/python -m bench.reads [--processes 1 2 4 --at-once 16 --seconds 12]

Each process reads customers' subscriptions as passes do, so many at one time, against a Stripe that refuses what is
more than its limit. The figures to look at: what is answered a second comes close to the limit and does not fall with
more processes, few requests are refused, and no read fails.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.stage import ROOT
from lib.config import Secret
from lib.errors import Limited
from lib.stripe_client import StripeClient
from lib.stripe_client.pace import Pace
from scripts.sim.server import serve
from scripts.sim.stripe_sim import StripeSim
from scripts.sim.stripe_sim.limits import Limits

KEY = "sk_test_bench_fake"


def main() -> None:
    """Measure each number of processes and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.reads", description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--at-once", type=int, default=16, help="reads at one time in each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--read", nargs=2, metavar=("URL", "CUSTOMER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        url, customer = options.read
        print(json.dumps(asyncio.run(read(url, customer, options.at_once, options.seconds))))
        return
    result = [measure(processes, options.at_once, options.seconds) for processes in options.processes]
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def measure(processes: int, at_once: int, seconds: float) -> dict[str, Any]:
    """So many processes side by side."""
    stripe = StripeSim(secret_key=KEY)
    stripe.create_price("price_bench")
    customer = str(stripe.create_customer("bench@customers.example", "Bench")["id"])
    stripe.subscribe(customer, ["price_bench"])
    stripe.limits = Limits()
    with serve(stripe.app) as url:
        command = [sys.executable, "-m", "bench.reads", "--at-once", str(at_once), "--seconds", str(seconds), "--read"]
        readers = [
            subprocess.Popen([*command, url, customer], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        found = [json.loads(reader.communicate()[0]) for reader in readers]
    answered, calls = sum(one["answered"] for one in found), len(stripe.calls)
    return {
        "processes": processes,
        "reads_at_once": processes * at_once,
        "answered_per_second": round(answered / max(one["seconds"] for one in found), 1),
        "refused_percent": round(100 * stripe.limits.refused / max(1, calls), 1),
        "put_off": sum(one["put_off"] for one in found),
        "failed": sum(one["failed"] for one in found),
        "longest_seconds": max(one["longest"] for one in found),
    }


async def read(url: str, customer: str, at_once: int, seconds: float) -> dict[str, Any]:
    """Read the same customer again and again; what came of it."""
    client = StripeClient(Secret(KEY), url)
    client.pace = Pace(limited=True)  # as at Stripe's own address
    began = time.monotonic()
    found = {"answered": 0, "put_off": 0, "failed": 0, "longest": 0.0}

    async def reader() -> None:
        while (asked := time.monotonic()) < began + seconds:
            try:
                await client.payer(customer)
                found["answered"] += 1
            except Limited:  # the pass would come again a little later
                found["put_off"] += 1
            except Exception:  # noqa: BLE001 - counted
                found["failed"] += 1
            found["longest"] = round(max(found["longest"], time.monotonic() - asked), 2)

    await asyncio.gather(*(reader() for _ in range(at_once)))
    await client.close()
    return {**found, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    main()
