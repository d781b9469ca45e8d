"""The `vbatch` command: registers its subcommands, which are implemented in `commands`."""

from __future__ import annotations

import typer

from vbatch.chassis.files import keep_private
from vbatch.cli.commands import (
    administration,
    audit,
    backup,
    batches,
    compare,
    dataset,
    dead,
    doctor,
    erase,
    evaluate,
    events,
    fanouts,
    judge,
    keys,
    label,
    limits,
    lines,
    manifest,
    models,
    rebuild,
    results,
    retrying,
    stack,
    steering,
    trace,
    trying,
    tune,
    usage,
    webhooks,
)
from vbatch.cli.demo import demo

NAME = "vbatch"
app = typer.Typer(
    name=NAME,
    help="An OpenAI-compatible batch inference server on your own GPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

SERVER = "The server on this machine"
WORK = "Batches"
CURATION = "From answers to data sets"
ACCESS = "Who may do what"
LOG = "The event log"
NEGATIVE = {"ignore_unknown_options": True}
"""Allows an argument that begins with a minus, such as a negative number."""

app.callback(help=app.info.help)(keep_private)
app.command(rich_help_panel=SERVER)(stack.up)
app.command(rich_help_panel=SERVER)(stack.down)
app.command(rich_help_panel=SERVER)(stack.status)
app.command(rich_help_panel=SERVER)(stack.logs)
app.command(rich_help_panel=SERVER)(demo)
app.command(rich_help_panel=SERVER)(doctor.doctor)
app.command(rich_help_panel=SERVER)(tune.tune)
app.command(rich_help_panel=SERVER)(administration.settings)
app.command("support-bundle", rich_help_panel=SERVER)(administration.support_bundle)
app.command(name="try", rich_help_panel=WORK)(trying.try_file)
app.command(rich_help_panel=WORK)(batches.submit)
app.command(rich_help_panel=WORK)(batches.watch)
app.command(rich_help_panel=WORK)(results.results)
app.command(rich_help_panel=WORK)(lines.lines)
app.command(rich_help_panel=WORK)(compare.compare)
app.command(rich_help_panel=WORK)(batches.cancel)
app.command(rich_help_panel=WORK)(retrying.retry)
app.command(rich_help_panel=WORK)(fanouts.fanout)
app.command(rich_help_panel=WORK)(manifest.manifest)
app.command(rich_help_panel=WORK)(batches.batches)
app.command(rich_help_panel=WORK)(steering.queue)
app.command(rich_help_panel=WORK)(steering.why)
app.command(rich_help_panel=WORK)(trace.trace)
app.command(rich_help_panel=WORK)(compare.timeline)
app.command(rich_help_panel=WORK)(steering.pause)
app.command(rich_help_panel=WORK)(steering.resume)
app.command(rich_help_panel=WORK, context_settings=NEGATIVE)(steering.priority)
app.command(rich_help_panel=WORK)(models.models)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=WORK)
judge.app.command()(evaluate.evaluate)
judge.app.command()(evaluate.evaluations)
judge.app.command()(evaluate.agreement)
app.add_typer(judge.app, name="judge", rich_help_panel=CURATION)
app.add_typer(label.app, name="label", rich_help_panel=CURATION)
app.add_typer(dataset.app, name="dataset", rich_help_panel=CURATION)
app.add_typer(keys.app, name="keys", rich_help_panel=ACCESS)
app.command(rich_help_panel=ACCESS)(limits.me)
app.command(rich_help_panel=ACCESS)(usage.usage)
app.command(rich_help_panel=ACCESS, context_settings=NEGATIVE)(limits.quota)
app.command(rich_help_panel=ACCESS)(limits.limits)
app.command(rich_help_panel=ACCESS)(audit.audit)
app.add_typer(events.app, name="events", rich_help_panel=LOG)
app.add_typer(dead.app, name="dead", rich_help_panel=LOG)
app.command(rich_help_panel=LOG)(rebuild.rebuild)
app.command(rich_help_panel=LOG)(backup.backup)
app.command(rich_help_panel=LOG)(backup.restore)
app.command(rich_help_panel=LOG)(erase.erase)
