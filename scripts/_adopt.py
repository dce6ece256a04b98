"""Link what exists in the panel to who pays for it: preview first, and nothing in the panel is touched, ever."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from scripts._console import actor, bridge, confirmed, finish, table

if TYPE_CHECKING:
    from lib.bridge import Bridge
    from lib.policy.adoption import Refusal
    from lib.policy.rebuild import Unexplained
    from scripts._survey import Case, Survey


def main() -> None:
    """Preview, or link with --apply; the exit code says whether anything was refused."""
    parser = argparse.ArgumentParser(
        prog="scripts/adopt",
        description="Links existing organisations and hosting subscriptions of the panel to Stripe customers, from a "
        "CSV file, by e-mail, or, after the database was lost, by the marks that this bridge left in the panel. "
        "Without --apply it only shows what would be linked, what is refused and why, and what the passes afterwards "
        "would do. Nothing is created or changed in the panel or at Stripe, ever. "
        "Settings come from the environment or from .env; the environment wins.",
        epilog="The first line of the file names its columns: customer_id or email, org_id, and optionally "
        "subscription_id (Stripe), panel_subscription_id, and website or domain. Before: PROVISIONING_MODE=shadow or "
        "paused, because in live mode whoever has paid and is not linked is provisioned anew. Linking twice is "
        "harmless. Exit code: 0 nothing was refused, 1 something was, 2 it could not be done, 130 Ctrl-C.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE.csv", help="who is linked to what; - reads standard input")
    parser.add_argument(
        "--by-email",
        action="store_true",
        help="instead of a file: customers whose e-mail is the owner's of one organisation, and unique on both sides",
    )
    parser.add_argument(
        "--by-marks",
        action="store_true",
        help="instead of a file: what was remembered before, from this bridge's marks on hosting and organisations",
    )
    parser.add_argument(
        "--ours",
        action="append",
        default=[],
        metavar="ID",
        help="with --by-marks: suspensions that the panel shows with this id were made by this bridge, so that a"
        " payment lifts them; the preview names the ids that are in doubt",
    )
    parser.add_argument("--apply", action="store_true", help="link, after you have typed yes")
    parser.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    parser.add_argument(
        "--accept-plan-changes",
        action="store_true",
        help="link hosting on another plan than the one bought too; the next pass moves it",
    )
    parser.add_argument("--actor", help="the name in the ledger (default: $USER)")
    options = parser.parse_args()
    if [options.file is not None, options.by_email, options.by_marks].count(True) != 1:
        parser.error("name a file, or --by-email, or --by-marks, and one of them only")
    if options.ours and not options.by_marks:
        parser.error("--ours goes with --by-marks")

    finish(
        lambda: _adopt(options),
        "It could not be done",
        "Who is linked already stays linked, each customer whole; run this again.",
    )


async def _adopt(options: argparse.Namespace) -> int:
    async with bridge() as manager:
        survey = _survey(options, manager)
        await manager.ensure_schema(migrates=False)
        await survey.read_panel()
        rows = await survey.rows()
        cases = [case async for case in survey.cases(rows)]
        refused = [*survey.refused, *((case.who, refusal) for case in cases for refusal in case.match.refusals)]
        ready = [case for case in cases if case.match.services or case.alone]
        _show(cases, refused)
        _show_unexplained(getattr(survey, "unexplained", ()))
        if not options.apply:
            if ready:
                print("\nThis is a preview: nothing was written. Add --apply to link.")
        elif ready and (options.yes or confirmed(f"\nCustomers to be linked as shown: {len(ready)}.")):
            refused += await _link(survey, manager, ready, actor(options.actor))
        elif ready:
            print("Nothing was written.")
        if refused and manager.settings.provisioning_mode == "live":
            print(
                "\nPROVISIONING_MODE is live: the next pass provisions anew who has paid and is not linked. Set it to"
                " shadow until nothing that matters is refused."
            )
        return 1 if refused else 0


def _survey(options: argparse.Namespace, manager: Bridge) -> Survey:
    if options.by_marks:
        from scripts._survey_marks import ByMarks

        return ByMarks(manager, ours=frozenset(options.ours))
    if options.by_email:
        from scripts._survey import ByEmail

        return ByEmail(manager, accept_plan_changes=options.accept_plan_changes)
    from scripts._survey_file import FromFile, read_text

    text = read_text(options.file)
    return FromFile(manager, options.file, text, accept_plan_changes=options.accept_plan_changes)


async def _link(survey: Survey, manager: Bridge, ready: Sequence[Case], who: str) -> list[tuple[str, Refusal]]:
    from lib.database import adoption, money_back
    from lib.policy.adoption import Refusal

    for dispute in getattr(survey, "disputes", ()):
        await manager.db.transact(partial(money_back.remember_dispute, dispute=dispute))
    refused = []
    for case in ready:
        declined = await adoption.link(
            manager.db,
            case.memory,
            case.match.services,
            livemode=manager.settings.livemode,
            actor=who,
            how=survey.how,
        )
        if declined:
            refused.append((case.who, Refusal("changed", declined)))
    print(f"\nCustomers linked: {len(ready) - len(refused)}. They are due: the next pass looks at each.")
    if refused:
        _show_refused(refused)
    return refused


# --- for people -------------------------------------------------------------------------------------------------------


def _show(cases: Sequence[Case], refused: Sequence[tuple[str, Refusal]]) -> None:
    rows = [
        (case.who, case.org, service.key, service.panel_subscription_id, service.plan, service.domain, ahead)
        for case in cases
        for service in case.match.services
        for ahead in ["; ".join(case.ahead) or "nothing"]
    ]
    if rows:
        print("To be linked")
        heads = ("CUSTOMER", "ORGANISATION", "BOUGHT", "HOSTING", "PLAN", "WEBSITE", "PASSES AFTERWARDS WOULD")
        print(table(heads, rows))
    alone = [case for case in cases if case.alone]
    if alone:
        print("\nTo be linked without hosting")
        print(table(("CUSTOMER", "ORGANISATION"), [(case.who, case.org) for case in alone]))
    linked = [case for case in cases if case.match.linked and not case.match.refusals]
    if linked:
        print("\nLinked already")
        print(table(("CUSTOMER", "BOUGHT"), [(case.who, ", ".join(map(str, case.match.linked))) for case in linked]))
    if refused:
        _show_refused(refused)
    ready = sum(bool(case.match.services) or case.alone for case in cases)
    print(f"\nCustomers: {ready} to be linked, {len(linked)} linked already, {len(refused)} refused.")


def _show_unexplained(found: Sequence[Unexplained]) -> None:
    if not found:
        return
    print("\nSuspended, and nothing at Stripe asks for it: stays off as the panel's own suspension, whoever pays")
    rows = [(one.service, one.panel_subscription_id, one.suspended_by) for one in found]
    print(table(("SERVICE", "HOSTING", "SUSPENDED BY"), rows))
    print("  -> Resume in the panel what should run; or --ours ID, if suspensions by that id were this bridge's.")


def _show_refused(refused: Sequence[tuple[str, Refusal]]) -> None:
    print("\nRefused")
    print(table(("WHO", "REASON", "WHY"), [(who, refusal.reason, refusal.detail) for who, refusal in refused]))
