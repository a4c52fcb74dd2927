"""The parts of a matcher, made one after the other: what has ended is taken, what was stopped goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ... import zoo
from ...datamodules.derived import SPEECH, open_derived
from ...datamodules.index import ShardSet, open_set
from ...datamodules.manifest import MANIFEST
from ...datamodules.speech import Espeak
from ...datamodules.speech_set import speak_clips
from ...datamodules.spoken import open_clips
from ...datamodules.streams import TEXT_STREAMS, VIDEO_STREAMS, open_stream, stream_info
from ...zoo.checkpoint import CONFIG
from ...zoo.models.syncnet import SyncNet
from ...zoo.registry import check_arguments, did_you_mean
from ..console import counted, progress
from ..derived.content_streams import content_stream
from ..derived.streams import HASHED, make_stream
from ..runs import MODEL, RECIPE, model_folder, source_of
from ..settings.config import ModelConfig
from ..settings.matching import CUES, CueConfig, MatchingRecipe, StageConfig
from ..settings.schema import ConfigError, Fault
from ..settings.stages import ALIGNMENT, SYNCNET, dotted, setting_faults, stage_faults, stage_kind, stage_recipe
from ..train import train
from .launch import part, say


class Stages:
    """The stages of a recipe, each in a folder of its own below the run's.

    A stage that is asked for makes what it needs.  Figures of time are said as each ends.

    Args:
        recipe: of the whole.
    """

    def __init__(self, recipe: MatchingRecipe) -> None:
        self.recipe = recipe
        self.folder = recipe.folder
        self.seconds: dict[str, float] = {}

    def check(self, *, anew: bool = False) -> None:
        """Find what is wrong with any stage before the first begins.

        Args:
            anew: what has ended is to be made again too, and needs what it is made of.

        Raises:
            ConfigError: with all of it: settings of stages; clips, speech, weights or words that are to be taken and
                are not there.
        """
        if faults := [*setting_faults(self.recipe), *self._absent(anew)]:
            raise ConfigError(faults, self.recipe.name)

    def _absent(self, anew: bool) -> Iterator[Fault]:
        """What is to be taken and is not there, or is another kind of model."""
        data, key, examples = self.recipe.data, "data.clips", inf
        try:
            clips = open_clips(data.clips)
            yield from _too_few(clips)
            examples = _count(clips, "train")
            key = "data.voice" if data.speech is None else "data.speech"
            if data.speech is not None:
                open_derived(data.speech, clips, SPEECH)
            elif anew or not (self.folder / SPEECH / MANIFEST).is_file():
                for language in clips.manifest.languages:
                    Espeak(data.voice).voice_for(language)
        except (ValueError, OSError) as fault:
            yield Fault(key, str(fault))
        for name, stage in self.recipe.stages.items():
            kind = stage_kind(name)
            if stage.model is not None:
                yield from _weights(f"{name}.model", stage.model, kind.model)
            elif (anew or not (self.folder / name / MODEL).is_dir()) and not stage_faults(self.recipe, name, stage):
                made: Any = stage_recipe(self.recipe, name, stage, dict.fromkeys(kind.given, "made"))
                yield from _start(f"{name}.set.model", made.model, kind.model)
                if name == SYNCNET and examples < made.data.global_batch:  # of other stages, steps may be smaller
                    few = f"a step of {made.data.global_batch} is more than the {examples} for training: lower it"
                    yield Fault(f"{name}.set.data.global_batch", few)
        for name, cue in self.recipe.cues.items():
            if cue.net not in {row.name for row in zoo.list_models()}:
                yield from _weights(f"{name}.net", cue.net)
        if self.recipe.cues and data.words != HASHED and not Path(data.words).is_file():
            yield Fault("data.words", f"no such file of vectors: {data.words}; data.words=hashed needs none")

    def syncnet(self) -> str | Path:
        """The checkpoint of SyncNet."""
        return self._learnt(SYNCNET, self.recipe.syncnet, {"data.clips": self.recipe.data.clips})

    def speech(self) -> Path:
        """The set of speech of the clips' subtitles."""
        data = self.recipe.data
        if data.speech is not None:
            return Path(data.speech)
        folder = self.folder / SPEECH
        if not (folder / MANIFEST).is_file():
            with self._timed(SPEECH), progress("sentences") as bar:
                task = bar.add_task("speaking", total=None)
                report = speak_clips(
                    folder,
                    data.clips,
                    Espeak(data.voice),
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
            for name, reason in report.left_out.items():
                say(f"left out: {name}: {reason}")
        return folder

    def lips(self, *, content: bool = False) -> Path:
        """Features of lips; of `content`, in the space in which SyncNet compares them with speech."""
        folder = self.stream("lips", self.recipe.data.clips, model=str(self.syncnet()))
        return self.content(folder) if content else folder

    def spoken(self, *, content: bool = False) -> Path:
        """Features of speech; of `content`, as for `lips`."""
        folder = self.stream("speech", self.speech(), model=str(self.syncnet()))
        return self.content(folder) if content else folder

    def content(self, features: Path) -> Path:
        """A stream of lips or speech as SyncNet's content head sees it, beside it."""
        out = features.with_name(f"{features.name}-content")
        if not (out / MANIFEST).is_file():
            with self._timed(f"content of {features.name}"):
                syncnet = zoo.load(self.syncnet()).eval()
                assert isinstance(syncnet, SyncNet)
                content_stream(features, syncnet, out)
        return out

    def words(self) -> Path:
        """Vectors of the subtitles' words."""
        return self.stream("words", self.speech(), words=self.recipe.data.words)

    def net(self, cue: str) -> str | Path:
        """The checkpoint of the network that sees a clip for a global cue; each cue draws random weights of its own."""
        name = self.recipe.cues[cue].net
        if name not in {row.name for row in zoo.list_models()}:
            return source_of(name)
        folder = self.folder / "nets" / cue
        if not (folder / CONFIG).is_file():
            say(f"{cue}: {name} has random weights; {cue}.net=FOLDER takes others")
            torch.manual_seed(self.recipe.seed * len(CUES) + CUES.index(cue))
            zoo.create(name).save_pretrained(folder)
        return folder

    def pictures(self, cue: str) -> Path:
        """Features of what a global cue sees."""
        return self.stream(cue, self.recipe.data.clips, model=str(self.net(cue)))

    def stream(self, name: str, source: str | Path, *, folder: str | None = None, **made_by: Any) -> Path:
        """A stream of a set, as `make_stream` makes it, in ``features/<folder>``, by default its name.

        Raises:
            ValueError: what is there was made of another set.
        """
        out = self.folder / "features" / (folder or name)
        if (out / MANIFEST).is_file():
            open_stream(out, open_set(source), [name])
        else:
            with self._timed(f"features of {folder or name}"), progress("clips") as bar:
                task = bar.add_task(folder or name, total=None)
                made = make_stream(
                    source,
                    name,
                    out,
                    per_second=self.recipe.data.per_second,
                    workers=self.recipe.data.workers,
                    seed=self.recipe.seed,
                    started=lambda total: bar.update(task, total=total),
                    advance=lambda: bar.advance(task),
                    **made_by,
                )
            for clip, reason in made.left_out.items():
                say(f"left out: {clip}: {reason}")
        return out

    def alignment(
        self, stage: StageConfig | None = None, name: str = ALIGNMENT, *, content: bool = False
    ) -> str | Path:
        """The checkpoint of the front end and its aligner; another `stage` on the same features goes by its `name`."""
        video, text = self.lips(content=content), self.spoken(content=content)
        chosen = stage or self.recipe.alignment
        given = {**self._sets(), "data.video": video, "data.text": text}
        starts_anew = dotted(chosen.set).get("model.name", "lipspeech") in {row.name for row in zoo.list_models()}
        rate = {"model.arguments.rate": measured_rate(video, text)} if starts_anew else {}  # a checkpoint has its own
        return self._learnt(name, chosen, given, rate)

    def cue(self, name: str) -> str | Path:
        """The checkpoint of the model of a global cue."""
        streams = {"data.video": self.pictures(name), "data.text": self.words()}
        return self._learnt(name, self.recipe.cues[name], {**self._sets(), **streams})

    def _sets(self) -> dict[str, Any]:
        return {"data.clips": self.recipe.data.clips, "data.speech": self.speech()}

    def _learnt(
        self, name: str, stage: StageConfig | CueConfig, given: dict[str, Any], usual: dict[str, Any] | None = None
    ) -> str | Path:
        """The checkpoint folder of a stage, trained where it has not ended; `usual` is what its `set` may change."""
        if stage.model is not None:
            return source_of(stage.model)
        recipe = stage_recipe(self.recipe, name, stage, given, usual)
        resume = (recipe.folder / RECIPE).is_file()
        if not (recipe.folder / MODEL).is_dir():
            with self._timed(name):
                train(recipe, resume=resume)
        return recipe.folder / MODEL

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        say(f"{name} ...")
        with part(f"stage {name}"):
            yield
        self.seconds[name] = time.monotonic() - start
        say(f"{name}: {self.seconds[name]:.0f} s")


def measured_rate(video: Path, text: Path) -> float:
    """Steps of the synthesised speech to a step of the lips, the median over training clips: omega of Eq. 5.

    The paper takes 0.85; it is a matter of how fast people speak, and how fast the synthesiser.
    """
    lips, speech = open_stream(video, None, VIDEO_STREAMS), open_stream(text, None, TEXT_STREAMS)
    names = [entry.id for entry in lips.split("train") if entry.id in speech.entries]
    steps = [(stream_info(lips, name).steps, stream_info(speech, name).steps) for name in names]
    rates = [spoken / seen for seen, spoken in steps if seen]
    if not rates:
        raise ValueError(f"no training clip of {video} has its speech in {text}")
    return round(median(rates), 3)


def _weights(key: str, source: str, kind: str | None = None) -> Iterator[Fault]:
    """What is wrong with weights that are to be taken, of a model of the class `kind`; a hub's are not looked at."""
    if source.startswith("hf://"):
        return
    try:
        named = json.loads((model_folder(source) / CONFIG).read_text(encoding="utf-8")).get("model")
    except (FileNotFoundError, NotADirectoryError):
        yield Fault(key, f"{source} holds no checkpoint: name a run or a checkpoint folder")
        return
    except ValueError as fault:  # a run that has not ended, or no JSON
        yield Fault(key, f"{source}: {fault}")
        return
    row = next((row for row in zoo.list_models() if row.name == named), None)
    if kind is not None and row is not None and row.model != kind:
        yield Fault(key, f"{source} is a {row.model}; this stage takes a {kind}")


def _too_few(clips: ShardSet) -> Iterator[Fault]:
    """Splits that have fewer clips than a matcher needs."""
    for split, least, use in (
        ("train", 2, "from which to learn to tell them apart"),
        ("val", 1, "on which epochs and the weights of the cues are chosen"),
    ):
        found = _count(clips, split)
        if found < least:
            yield Fault(
                "data.clips",
                f"{clips.folder} has {counted(found, 'clip')} of split {split}, {use}: build it of more videos, or "
                f"give the build --splits FILE that names some of them for {split}",
            )


def _count(clips: ShardSet, split: str) -> int:
    return len(clips.split(split)) if split in clips.splits else 0


def _start(key: str, model: ModelConfig, kind: str) -> Iterator[Fault]:
    """What is wrong with the model from which a stage starts."""
    names = [row.name for row in zoo.list_models()]
    if model.name not in names:
        for fault in _weights(f"{key}.name", model.name, kind):
            yield Fault(fault.path, fault.message + did_you_mean(model.name, names))
        return
    try:
        check_arguments(model.name, model.arguments)
    except ValueError as fault:
        yield Fault(f"{key}.arguments", str(fault))
