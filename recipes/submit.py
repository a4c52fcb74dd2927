"""`weaksync submit`: a training run as a SLURM job that saves where it is before its time ends, and queues again."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from ..datamodules.files import whole_file
from .runs import RECIPE
from .settings import config
from .settings.config import Recipe, Settings
from .settings.story import StoryRecipe

SCRIPT = "submit.sh"
#: seconds before the end of a job's time at which it is told; a step and a checkpoint must fit
NOTICE = 120
#: seconds that a job must have, so that it gets beyond starting and saving
LEAST = 2 * NOTICE
_TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}")
_WORD = re.compile(r"[\w.,:=@%/+-]+")

_BODY = """
# The folder of the repository on sys.path would hide other packages of the same names.
export PYTHONSAFEPATH=1

# Told that its time is nearly over, the run saves at the end of a step, and the job queues again.
again() {{
    echo "time is nearly over: saving, then back into the queue"
    scancel --signal=USR1 "$SLURM_JOB_ID"  # to the processes of srun
    wait "$steps"
    scontrol requeue "$SLURM_JOB_ID"
}}
trap again USR1

cd {here}
resume=
if [ -f {recipe} ]; then resume=--resume; fi
srun --kill-on-bad-exit=1 {command} $resume &
steps=$!
wait "$steps"
"""


def script(
    recipe: Settings,
    name: str,
    overrides: list[str],
    *,
    nodes: int = 1,
    gpus: int = 1,
    time: str = "24:00:00",
    partition: str | None = None,
    options: list[str] | None = None,
) -> str:
    """The batch script of a run.

    Args:
        recipe: what `overrides` make of the recipe `name`.
        nodes: machines.
        gpus: of each, and as many processes; 0 for one process on the CPU.
        time: as SLURM writes it, such as ``24:00:00`` or ``2-00``.
        partition: which machines.
        options: further lines for sbatch, such as ``account=NAME``.

    Raises:
        ValueError: a time or an option that SLURM would not read, a time too short to train in, overrides that set what
            is decided here, or several processes for a matcher, whose stages take one.
    """
    if not _TIME.fullmatch(time):
        raise ValueError(
            f"--time {time!r}: write minutes, hours:minutes:seconds or days-hours, such as 24:00:00 or 2-00"
        )
    if 0 < _seconds(time) < LEAST:
        raise ValueError(
            f"--time {time} is {_seconds(time)} s: {NOTICE} s before its end the job saves and queues again, so it "
            f"would hardly train; give {LEAST // 60} minutes or more (SLURM reads 10 as minutes, and 10:00 too)"
        )
    further = [*([f"partition={partition}"] if partition else []), *(options or [])]
    if wrong := [option for option in further if not _WORD.fullmatch(option)]:
        raise ValueError(f"sbatch could not read {wrong[0]!r}: write name=value without spaces, such as account=NAME")
    processes = max(1, gpus)
    for override in overrides:
        if override.partition("=")[0] in ("trainer.devices", "trainer.num_nodes"):
            raise ValueError(f"leave out {override}: --gpus and --nodes say how many processes there are")
    given: list[str] = []
    if isinstance(recipe, Recipe):
        given = [f"trainer.devices={processes}", f"trainer.num_nodes={nodes}"]
    elif nodes * processes > 1:
        raise ValueError(
            f"{name} trains its stages one after the other in one process: leave --gpus and --nodes at 1; to train a "
            "stage on several, submit its own recipe, and name its run here: alignment.model=FOLDER"
        )
    config.load(name, [*overrides, *given])  # what the job will read
    header = {
        "job-name": re.sub(r"[^\w.-]", "-", recipe.name),
        "nodes": nodes,
        "ntasks-per-node": processes,
        "cpus-per-task": 1 + int(dict(config.flat(recipe)).get("data.workers", 0)),
        **({"gpus-per-node": gpus} if gpus else {}),
        "time": time,
        "signal": f"B:USR1@{NOTICE}",
        "output": f'"{recipe.folder / "slurm-%j.out"}"',
    }
    lines = [f"--{key}={value}" for key, value in header.items()]
    lines += [f"--{option}" for option in further] + ["--requeue", "--open-mode=append"]
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {line}" for line in lines)]) + _BODY.format(
        here=shlex.quote(str(Path.cwd())),
        recipe=shlex.quote(str(recipe.folder / RECIPE)),
        command=shlex.join([_console_script(), "train", name, *overrides, *given]),
    )


def check(recipe: StoryRecipe, *, waits: bool) -> None:
    """What would end the job as soon as it starts, found before it queues; see `preflight.check`.

    Args:
        waits: the job waits for another, which may be making what it starts from.
    """
    from .training import preflight  # imports torch

    if waits:
        preflight.check_data(recipe)
    else:
        preflight.check(recipe)


def submit(path: Path) -> str:
    """Send a batch script; returns the job's number.

    Raises:
        FileNotFoundError: there is no sbatch here.
        ValueError: it refused the script.
    """
    if shutil.which("sbatch") is None:
        raise FileNotFoundError(f"there is no sbatch here: the script is {path}; where there is one, run sbatch {path}")
    done = subprocess.run(["sbatch", "--parsable", str(path)], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"sbatch refused {path}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip().partition(";")[0]


def _seconds(time: str) -> int:
    """Of a time as SLURM writes it: minutes[:seconds], hours:minutes:seconds or days-hours[:minutes[:seconds]]."""
    days, _, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if not days and len(parts) < 3:
        parts = [0, *parts]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _console_script() -> str:
    """The `weaksync` beside this Python, so that a job runs in the environment that it was sent from."""
    beside = Path(sys.executable).with_name("weaksync")
    return str(beside) if beside.is_file() else "weaksync"


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1), help="Machines.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(0), help="Of each machine; 0 is the CPU.")
@click.option("--time", default="24:00:00", show_default=True, help="After which the job saves, and queues again.")
@click.option("--partition", help="Which machines.")
@click.option("--sbatch", "options", multiple=True, metavar="NAME=VALUE", help="Another option, such as account=NAME.")
@click.option("--resume", is_flag=True, help="Go on with a run that is there.")
@click.option("--dry-run", is_flag=True, help="Print the script and check what it names; write and send nothing.")
def command(
    recipe: str,
    overrides: tuple[str, ...],
    nodes: int,
    gpus: int,
    time: str,
    partition: str | None,
    options: tuple[str, ...],
    resume: bool,
    dry_run: bool,
) -> None:
    """Train RECIPE on a SLURM cluster, with OVERRIDES such as optim.lr=1e-4.

    Writes submit.sh to the folder of the run and sends it.  Two minutes before its time is over the job is told: it
    saves where it is, queues again, and goes on; so it does after a machine failed or somebody else came first.
    """
    read = config.load(recipe, list(overrides))
    if (read.folder / RECIPE).exists() and not resume:
        raise ValueError(f"{read.folder} holds a run: --resume goes on with it, name=OTHER starts another")
    text = script(
        read,
        recipe,
        list(overrides),
        nodes=nodes,
        gpus=gpus,
        time=time,
        partition=partition,
        options=list(options),
    )
    if dry_run:
        click.echo(text, nl=False)
    if isinstance(read, StoryRecipe):
        check(read, waits=any(option.startswith("dependency=") for option in options))
    if dry_run:
        return
    path = read.folder / SCRIPT
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode())
    click.echo(f"job {submit(path)}: {path}; its words go to {read.folder / 'slurm-JOB.out'}")
