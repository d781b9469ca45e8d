"""tune: measures which engine arguments serve a model best on this machine."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from vbatch.chassis.files import LockHeld
from vbatch.chassis.settings import BadSettings, load
from vbatch.cli.exits import CommandError, Misused, ending
from vbatch.cli.models_file import write_profile
from vbatch.cli.options import out, print_table, table_of
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.core.tuning import Trial, coarser_gain, profile_of
from vbatch.gpu_runner.flows.tuning import Untunable
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.gpu_runner.wiring import tune_model

SHOWN_FAULT_CHARS = 160

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id in the models file.")]
ModelsFile = Annotated[Path, typer.Option("--models", envvar="VBATCH_GATEWAY_MODELS_FILE", help="The models file.")]
Write = Annotated[bool, typer.Option("--write", help="Also write the best profile into the models file.")]


def tune(model: ModelArgument, models: ModelsFile = Path("models.toml"), write: Write = False) -> None:
    """Measure engine arguments for a model, dtype and quantization too, and show the best. The server must be down."""
    with ending():
        definition = _definition(models, model)
        trials: list[Trial] = []
        try:
            best, device = asyncio.run(tune_model(_settings(), definition, lambda setting: _print(setting, trials)))
        except LockHeld as error:
            raise CommandError("the device is in use: run `vbatch down` first") from error
        except Untunable as error:
            raise CommandError(f"no profile of {model} started and answered: {error}") from error
        _show(trials)
        _tell_of_coarser(trials)
        profile = profile_of(definition, device, best)
        out.print(f"\nBest: {best}. In {models}, for {model}:\n\n{profile}", markup=False)
        if write:
            write_profile(models, definition.id, profile)
            out.print(f"\nWritten to {models}.", markup=False)


def _tell_of_coarser(trials: list[Trial]) -> None:
    """Say what quantization would win: whether coarser answers are worth it is for people to decide."""
    if gain := coarser_gain(trials):
        candidate, ratio = gain
        told = f"{candidate} was {ratio:.2f} times as fast, but its answers are coarser"
        out.print(f"\n{told}: it is not part of the best profile.", markup=False)


def _definition(models: Path, model: str) -> ModelDefinition:
    try:
        entries = tomllib.loads(models.read_text())["model"]
        found = [definition for definition in msgspec.convert(entries, list[ModelDefinition]) if definition.id == model]
    except (OSError, KeyError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misused(f"{models} cannot be read: {error}") from error
    if not found:
        raise Misused(f"{models} has no model {model}")
    if found[0].engine is EngineKind.HTTP:
        raise Misused(f"{model} is served elsewhere: its arguments cannot be tuned here")
    return found[0]


def _settings() -> RunnerSettings:
    try:
        return load(RunnerSettings)
    except BadSettings as error:
        raise Misused(str(error)) from error


def _print(trial: Trial, trials: list[Trial]) -> None:
    trials.append(trial)
    fault = trial.fault.partition("\n")[0][:SHOWN_FAULT_CHARS]
    done = f"{trial.requests_a_second:.1f} requests/s, up in {trial.start_seconds:.0f} s"
    said = f"failed: {fault}" if trial.fault else done
    out.print(f"{trial.requests} requests, {trial.candidate}: {said}", markup=False)


def _show(trials: list[Trial]) -> None:
    table = table_of("profile", "requests", "requests/s", "up in s", numbers={"requests", "requests/s", "up in s"})
    for trial in sorted(trials, key=lambda trial: (-trial.requests, -trial.requests_a_second)):
        came = (f"{trial.requests_a_second:.1f}", f"{trial.start_seconds:.0f}")
        table.add_row(str(trial.candidate), str(trial.requests), *(("failed", "") if trial.fault else came))
    out.print()
    print_table(table)
