"""The command line of the operators: a deployment looked after over its admin API, from any machine."""

from __future__ import annotations

import json
import sys
from typing import NoReturn

import click
from click.shell_completion import get_completion_class

from scripts._console import INTERRUPTED
from scripts.ctl_commands import show
from scripts.ctl_commands.common import Said, example
from scripts.ctl_commands.connection import USAGE, Failed
from scripts.ctl_commands.customers import customer, customers, login
from scripts.ctl_commands.events import events
from scripts.ctl_commands.orders import collect, orders, refund
from scripts.ctl_commands.overview import brake, status, sweep, tail, upcoming, what_if
from scripts.ctl_commands.plans import plans
from scripts.ctl_commands.work import amnesty, grace, hold, lift, recreate, release, retry, sync, undo, work

EPILOG = (
    example("status", "work", "customer show ada@example.com", "retry --all --state parked", "tail")
    + """

\b
CTL_URL and CTL_KEY say which deployment, or a profile of ~/.config/stripe-to-enhance/ctl.toml
(url and key under [default]; chmod 600). Times are in UTC.

\b
Exit code: 0 done, 1 refused or something needs you, 2 a command line or setting that can't be used,
3 the deployment can't be reached, 130 Ctrl-C."""
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--profile", metavar="NAME", help="Which profile of the config file (CTL_PROFILE, else default).")
@click.pass_context
def cli(context: click.Context, profile: str | None) -> None:
    """Look after a deployment: who waits and why, and putting it right."""
    context.obj = Said(profile)
    context.call_on_close(context.obj.close)


@cli.command(epilog=example("completion bash >> ~/.bashrc", "completion zsh > ~/.zfunc/_ctl", "completion fish"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete ctl's commands and options."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "ctl", "_CTL_COMPLETE").source())


for command in (
    status, work, customers, customer, retry, release, hold, lift, grace, amnesty, undo, recreate, sync, plans, events,
    orders, collect, refund, brake, sweep, upcoming, what_if, tail, login,
):  # fmt: skip
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command to its exit code."""
    try:
        cli.main(args=arguments, prog_name="ctl", complete_var="_CTL_COMPLETE", standalone_mode=False)
    except Failed as failed:
        if failed.document is not None and "--json" in (arguments if arguments is not None else sys.argv):
            print(json.dumps(failed.document, indent=2, ensure_ascii=False))
        print(show.clean(str(failed)), file=sys.stderr)
        raise SystemExit(failed.code) from None
    except click.exceptions.NoArgsIsHelpError as nothing:
        print(nothing.format_message(), file=sys.stderr)
        raise SystemExit(USAGE) from None
    except click.ClickException as wrong:
        wrong.show()
        raise SystemExit(USAGE) from None
    except (click.Abort, KeyboardInterrupt):
        print("\nInterrupted. What was asked for by then may be under way.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0)
