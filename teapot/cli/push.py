"""`teapot push`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import calm_client, common, trust_options
from teapot.cli.show import print_json, print_verification

if TYPE_CHECKING:
    from teapot.usecases.push import Pushed, PushOptions, PushPlan
    from teapot.usecases.verify import VerifyOptions


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False),
                metavar="MODEL_DIR")  # fmt: skip
@click.argument("name", metavar="OWNER/NAME")
@click.option("--public", "is_public", is_flag=True,
              help="Make it public; needed, too, to push where it is public.")  # fmt: skip
@click.option("--revision", "branch", default="main", show_default=True, metavar="BRANCH",
              help="The branch, made from main where it is missing.")  # fmt: skip
@click.option("--message", metavar="TEXT", help="What the commit says.")
@click.option("--replace", is_flag=True,
              help="Overwrite other content, and remove what is not in the folder.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be sent; no network, no token.")
@trust_options
@common
def push(
    model: Path, dry_run: bool, believing: VerifyOptions, quiet: bool, as_json: bool, **named: Any
) -> int:
    """Verify a model folder, and send it to the Hub in one commit: private, unless you say so.

    The token is taken from HF_TOKEN in the environment. Only files that were verified are sent, and
    what the Hub then holds is compared with them. Where anything fails, nothing is committed.
    """
    from teapot.hubrepo import token_of
    from teapot.usecases.push import PushOptions, plan_push
    from teapot.usecases.push import push as send

    asked = PushOptions(**named)
    token = "" if dry_run else token_of(os.environ)
    verification, plan = plan_push(model, believing)
    if plan is None:
        if as_json:
            print_json({"pushed": None, "verification": verification.to_dict()})
        else:
            print_verification(verification)
            click.echo("nothing was sent", err=True)
        return verification.exit_code
    if dry_run:
        _show_plan(plan, asked, as_json=as_json)
        return 0
    calm_client(quiet=quiet)
    pushed = send(plan, asked, token)
    if asked.is_public and pushed.is_private and not quiet:
        click.echo("warning: it was there, and stays private; make it public on the Hub", err=True)
    _show(plan, pushed, as_json=as_json)
    return 0


def _show_plan(plan: PushPlan, asked: PushOptions, *, as_json: bool) -> None:
    if as_json:
        print_json({"pushed": None, "would_push": plan.to_dict()})
        return
    for file in plan.files:
        click.echo(harmless(f"{file.sha256}  {file.bytes:>14,}  {file.name}"))
    click.echo(f"would send {len(plan.files):,} files, {plan.bytes:,} bytes")
    seen = "public" if asked.is_public else "private"
    click.echo(harmless(f"to {asked.name}, branch {asked.branch}; {seen} where it is new"))
    _show_left_out(plan)


def _show(plan: PushPlan, pushed: Pushed, *, as_json: bool) -> None:
    if as_json:
        print_json({"pushed": pushed.to_dict(), "sent": plan.to_dict()})
        return
    done = "" if pushed.is_new else " (it held these files already)"
    for line in (
        f"pushed    {pushed.url}",
        f"          {'private' if pushed.is_private else 'public'}, branch {pushed.branch}",
        f"commit    {pushed.commit}{done}",
        f"files     {len(plan.files):,}, {plan.bytes:,} bytes, each as it was verified",
        *(f"removed   {name}" for name in pushed.removed),
    ):
        click.echo(harmless(line))
    _show_left_out(plan)
    click.echo(harmless(f"verify    {pushed.verify}"))


def _show_left_out(plan: PushPlan) -> None:
    for name in plan.left_out:
        click.echo(harmless(f"left out  {name}: the signature does not cover it"))
