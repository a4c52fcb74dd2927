"""A job script that SLURM would read, run with stand-ins of srun, scancel and scontrol."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from weaksync.datamodules.sample_set import make_set
from weaksync.recipes import submit
from weaksync.recipes.cli import weaksync
from weaksync.recipes.settings import config
from weaksync.recipes.submit import script

QUICK = ["story/quickstart", "data.shards=set", "name=there"]
#: a step that runs until it is told to end, saves, and says that it was told
SRUN = """echo "$@" >> srun.txt
echo $$ > srun.pid
trap 'echo saved >> log.txt; exit 143' USR1
for turn in $(seq 200); do sleep 0.05; done
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a shard set, where the commands of SLURM can be put."""
    monkeypatch.chdir(tmp_path)
    make_set(tmp_path / "set", {"train": [6, 6], "val": [5]}, size=(16, 16), frames=1)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    put(tmp_path, "sbatch", 'echo "$@" > sbatch.txt; echo "71;main"')
    return tmp_path


def put(folder: Path, name: str, body: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def invoke(*arguments: str):
    return CliRunner().invoke(weaksync, ["submit", *QUICK, *arguments])


def options(text: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_the_script_asks_for_what_was_asked(cluster: Path) -> None:
    done = invoke("--nodes", "2", "--gpus", "4", "--time", "2-00", "--partition", "a100", "--sbatch", "account=us",
                  "data.workers=3")  # fmt: skip
    assert done.exit_code == 0 and "job 71: runs/there/submit.sh" in done.output
    assert (cluster / "sbatch.txt").read_text().split() == ["--parsable", "runs/there/submit.sh"]
    text = (cluster / "runs/there/submit.sh").read_text()
    asked = options(text)
    assert (asked["nodes"], asked["ntasks-per-node"], asked["gpus-per-node"], asked["time"]) == ("2", "4", "4", "2-00")
    assert (asked["partition"], asked["account"], asked["cpus-per-task"]) == ("a100", "us", "4")
    assert asked["signal"] == "B:USR1@120" and "requeue" in asked and "export PYTHONSAFEPATH=1" in text
    assert "trainer.devices=4 trainer.num_nodes=2" in text and "data.workers=3" in text
    assert subprocess.run(["bash", "-n", "runs/there/submit.sh"], cwd=cluster).returncode == 0
    on_cpu = options(script(config.load(QUICK[0], QUICK[1:]), QUICK[0], QUICK[1:], gpus=0))
    assert "gpus-per-node" not in on_cpu and on_cpu["ntasks-per-node"] == "1"


def test_the_command_of_each_task_is_one_that_trains(cluster: Path) -> None:
    """What a job of each task runs is read back as `weaksync train` reads it."""
    asked = {
        "story": "story/quickstart data.shards=set",
        "features": "story/neumatch data.shards=set data.features=features",
        "matching": "subtitles/quickstart data.clips=clips",
        "subtitles": "subtitles/soft_dsta data.clips=clips data.speech=speech data.video=lips data.text=spoken",
        "syncnet": "subtitles/syncnet data.clips=clips",
        "speaking": "subtitles/speaking data.tracks=tracks",
    }
    assert set(asked) == set(config.TASKS)
    for task, words in asked.items():
        name, *given = words.split()
        recipe = config.load(name, given)
        text = script(recipe, name, given)
        assert recipe.task == task and subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
        (line,) = (line for line in text.splitlines() if line.startswith("srun"))
        verb, name, *overrides = shlex.split(line.partition("weaksync ")[2].removesuffix(" $resume &"))
        read = config.load(name, overrides)
        assert verb == "train" and read == replace(recipe, trainer=read.trainer)


@pytest.mark.parametrize("several", [{"gpus": 2}, {"nodes": 2}])
def test_a_matcher_is_one_process(several: dict[str, int]) -> None:
    given = ["subtitles/quickstart", ["data.clips=clips"]]
    with pytest.raises(ValueError, match="one after the other in one process: leave --gpus and --nodes at 1"):
        script(config.load(*given), *given, **several)


def test_told_that_its_time_ends_the_job_saves_queues_again_and_goes_on(cluster: Path) -> None:
    invoke()
    put(cluster, "srun", SRUN)
    put(cluster, "scancel", 'echo "scancel $*" >> log.txt; kill -USR1 $(cat srun.pid)')
    put(cluster, "scontrol", 'echo "scontrol $*" >> log.txt')
    job = ["bash", "runs/there/submit.sh"]
    first = subprocess.Popen(job, cwd=cluster, env=os.environ | {"SLURM_JOB_ID": "71"})
    while not (cluster / "srun.pid").is_file():
        time.sleep(0.02)
    time.sleep(0.2)
    first.send_signal(signal.SIGUSR1)
    first.wait(timeout=20)
    assert (cluster / "log.txt").read_text().splitlines() == [
        "scancel --signal=USR1 71",
        "saved",
        "scontrol requeue 71",
    ]
    (cluster / "runs/there/recipe.yaml").write_text("")  # as the run leaves it
    put(cluster, "srun", 'echo "$@" >> srun.txt; exit 3')
    assert subprocess.run(job, cwd=cluster).returncode == 3  # what the run ends with is what the job ends with
    before, after = (cluster / "srun.txt").read_text().splitlines()
    assert "--resume" not in before and after == f"{before} --resume"


def test_without_a_cluster_the_script_is_there_and_said(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster / "bin/sbatch").unlink()
    monkeypatch.setenv("PATH", str(cluster / "bin"))
    done = invoke()
    assert isinstance(done.exception, FileNotFoundError)
    assert "no sbatch here: the script is runs/there/submit.sh" in str(done.exception)
    assert (cluster / "runs/there/submit.sh").is_file()
    put(cluster, "sbatch", "echo invalid partition >&2; exit 1")
    assert "sbatch refused runs/there/submit.sh: invalid partition" in str(invoke().exception)


def test_a_dry_run_prints_and_writes_nothing(cluster: Path) -> None:
    done = invoke("--dry-run")
    assert done.exit_code == 0 and done.output.startswith("#!/bin/bash\n#SBATCH --job-name=there")
    assert not (cluster / "runs").exists() and not (cluster / "sbatch.txt").exists()
    done = invoke("--dry-run", "data.shards=absent", "model.name=runs/none")
    assert done.output.startswith("#!/bin/bash")  # and what would end the job at once, model and data together
    assert all(words in str(done.exception) for words in ("2 faults", "no shard set in absent", "at runs/none"))


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("30", 1800), ("10:30", 630), ("1:00:01", 3601), ("2-00", 172800), ("1-02:03", 93780), ("1-00:00:07", 86407)],
)
def test_times_are_those_of_slurm(time: str, seconds: int) -> None:
    assert submit._seconds(time) == seconds


def test_what_would_end_the_job_at_once_is_found_before_it_queues(cluster: Path) -> None:
    for arguments, words in (
        (["--time", "soon"], "--time 'soon': write minutes"),
        (["--time", "3"], "--time 3 is 180 s: 120 s before its end the job saves"),
        (["--time", "0:30"], "give 4 minutes or more"),
        (["--sbatch", "comment=two words"], "sbatch could not read 'comment=two words'"),
        (["trainer.devices=2"], "leave out trainer.devices=2: --gpus and --nodes"),
        (["data.shards=absent"], "no shard set in absent"),
        (["model.name=runs/none"], "no run or checkpoint at runs/none"),
        (["optim.lrr=1"], "optim.lrr: unknown key"),
    ):
        assert words in str(invoke(*arguments).exception), arguments
    assert not (cluster / "runs").exists()
    assert invoke("model.name=runs/none", "--sbatch", "dependency=afterok:70").exit_code == 0  # another job makes it
    (cluster / "runs/there/recipe.yaml").write_text("")
    assert "runs/there holds a run: --resume goes on with it" in str(invoke().exception)
    assert invoke("--resume").exit_code == 0
