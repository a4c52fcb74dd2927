"""What a recipe of a whole matcher may say: which recipes make its parts; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from .config import Check, Settings

CUES = ("object", "scene", "action")
HOLDS = {"holds": "{0} holds the settings of its recipe: {0}.trainer.max_epochs=4"}


@dataclass
class StageConfig:
    """A part that is learnt, by an ordinary recipe in a folder of the run.

    Attributes:
        recipe: its name, such as ``subtitles/soft_dsta``, or a YAML file.
        model: a run or a checkpoint folder whose weights are taken as they are; nothing is trained then.
        set: what the recipe is overridden with, such as ``{optim: {lr: 1e-3}}``.
    """

    recipe: str
    model: str | None = None
    set: dict[str, Any] = field(default_factory=dict, metadata=HOLDS)


@dataclass
class CueConfig:
    """A global cue.

    Attributes:
        net: what sees the pictures: a registry name (random weights), a checkpoint folder, or ``hf://org/repo``.
        recipe, model, set: of the model that matches its features with words, as of `StageConfig`.
    """

    net: str
    recipe: str
    model: str | None = None
    set: dict[str, Any] = field(default_factory=dict, metadata=HOLDS)


@dataclass
class MatchingDataConfig:
    """Which clips, and how their subtitles are spoken and read.

    Attributes:
        clips: folder of conversational clips (`weaksync data build subtitles`).
        speech: folder of `weaksync data speech`, made of `clips`; none: they are spoken here, by eSpeak NG.
        voice: of eSpeak NG, as for `weaksync data speech`; empty for the usual one of each language.
        words: ``hashed``, random vectors that know words apart, or a file of vectors as GloVe publishes them.
        per_second: pictures a second that the object and scene cues see.
        workers: reading processes.
    """

    clips: str
    speech: str | None = None
    voice: str = ""
    words: str = "hashed"
    per_second: float = 8.0
    workers: int = 1


@dataclass
class MachineConfig:
    """Where every stage runs, in one process on one device: Lightning's settings, under their own names."""

    accelerator: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"


@dataclass(kw_only=True)
class MatchingRecipe(Settings):
    """A matcher, part by part: each stage has its own folder below the run's, and is skipped where it has ended.

    Attributes:
        syncnet: features of lips and of speech.
        alignment: the front end on them, and the aligner; the rate of its duration prior is measured on the training
            clips, unless ``set`` says one.
        object, scene, action: global cues; none leaves one out.
        trainer: for every stage.
    """

    task: ClassVar[str] = "matching"
    data: MatchingDataConfig
    syncnet: StageConfig
    alignment: StageConfig
    object: CueConfig | None = None
    scene: CueConfig | None = None
    action: CueConfig | None = None
    trainer: MachineConfig = field(default_factory=MachineConfig)

    @property
    def cues(self) -> dict[str, CueConfig]:
        """The global cues that it has, by name."""
        return {name: cue for name in CUES if (cue := getattr(self, name)) is not None}

    @property
    def stages(self) -> dict[str, StageConfig | CueConfig]:
        """All that is learnt, by name."""
        return {"syncnet": self.syncnet, "alignment": self.alignment, **self.cues}

    def checks(self) -> list[Check]:
        data = self.data
        return [
            *super().checks(),
            (data.workers < 0, "data.workers", f"should be 0 or more, not {data.workers}"),
            (data.per_second <= 0, "data.per_second", f"is pictures a second, above 0, not {data.per_second}"),
            (
                data.speech is not None and bool(data.voice),
                "data.voice",
                "is for clips that are spoken here: leave it out where data.speech names their speech",
            ),
        ]
