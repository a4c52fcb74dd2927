"""What a recipe of subtitle matching may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ...zoo.optim import StepOptimConfig
from .config import Check, ModelConfig, Recipe, Settings, TrainerConfig


@dataclass
class SubtitleDataConfig:
    """Which clips with which subtitles, and the streams that were made of them, if they were.

    Attributes:
        clips: folder of conversational clips (`weaksync data build subtitles`).
        speech: folder of `weaksync data speech`, made of `clips`.
        video: folder of `weaksync data features`, a stream of `clips`: lips, object, scene or action; none where a
            SyncNet learns with the front end (`syncnet`).
        text: the same of `speech`: speech for lips, words for the others.
        domain: train and evaluate on clips of this alone, such as ``movie``; none: on all.
        languages: codes to train and evaluate on; none: all that the set has.
        global_batch: clips per step over all processes; each is compared with the subtitles of all.
        workers: reading processes for each rank.
    """

    clips: str
    speech: str
    video: str | None = None
    text: str | None = None
    domain: str | None = None
    languages: list[str] | None = None
    global_batch: int = 4
    workers: int = 0


@dataclass
class LearntSyncNetConfig(ModelConfig):
    """A SyncNet that learns together with the front end, from pictures and sound instead of cached streams.

    Attributes:
        name, arguments: as of `model`; ``checkpoint_activations`` is true unless it is said to be false.
        lr: factor of `optim.lr` for it; 0 leaves it as it is.
    """

    name: str = "syncnet"
    lr: float = 0.1

    def __post_init__(self) -> None:
        if self.lr < 0:
            raise ValueError(f"lr is a factor of 0 or more, not {self.lr}")


@dataclass
class SubtitleLossConfig:
    """The ranking loss (Video2Subtitle, Eq. 14 and 16) and, beside it, the alignment loss (Eq. 15).

    Attributes:
        margin: by how much a wrong pair should cost more; per video step, where there is an alignment.
        directions: wrong subtitles for each clip (``video``), wrong clips for each subtitle (``text``), or ``both``.
        alignment: weight of the alignment loss, for lips with speech; 0 leaves it out.
    """

    margin: float = 0.1
    directions: Literal["video", "text", "both"] = "video"
    alignment: float = 1.0

    def __post_init__(self) -> None:
        if self.alignment < 0:
            raise ValueError(f"alignment is a weight of 0 or more, not {self.alignment}")


@dataclass(kw_only=True)
class SubtitleRecipe(Recipe):
    """A run of subtitle matching: everything that decides its outcome.

    Attributes:
        syncnet: what makes the features in training; none where they are cached streams.
    """

    task: ClassVar[str] = "subtitles"
    data: SubtitleDataConfig
    model: ModelConfig = field(default_factory=lambda: ModelConfig("lipspeech"))
    optim: StepOptimConfig = field(default_factory=StepOptimConfig)
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_epochs=40))
    syncnet: LearntSyncNetConfig | None = None
    loss: SubtitleLossConfig = field(default_factory=SubtitleLossConfig)

    def checks(self) -> list[Check]:
        data, epochs = self.data, self.trainer.max_epochs
        streams = [key for key in ("video", "text") if getattr(data, key) is not None]
        aligner = self.model.arguments.get("aligner", "")
        return [
            *Settings.checks(self),  # not a recipe's of a model: without an epoch it is saved as it is
            (
                data.global_batch < 2,
                "data.global_batch",
                f"should be at least 2 (one wrong pair), not {data.global_batch}",
            ),
            (data.workers < 0, "data.workers", f"should be 0 or more, not {data.workers}"),
            (epochs < 0, "trainer.max_epochs", f"should be 0 (save the model as it is) or more, not {epochs}"),
            (
                self.syncnet is None and len(streams) < 2,
                "data",
                "video and text should name streams (weaksync data features); or syncnet, what makes them",
            ),
            (
                self.syncnet is not None and bool(streams),
                "syncnet",
                f"makes the features: leave {' and '.join(f'data.{key}' for key in streams)} out, or syncnet",
            ),
            (
                epochs > 0 and aligner in ("dsta", "dtw"),
                "model.arguments.aligner",
                f"{aligner} has no gradient: take soft-{aligner}, or trainer.max_epochs 0",
            ),
        ]
