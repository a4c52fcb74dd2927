"""What a recipe of subtitle matching on cached streams may say; free of torch, like `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..zoo.optim import StepOptimConfig
from .config import ModelConfig, TrainerConfig


@dataclass
class SubtitleDataConfig:
    """Which clips with which subtitles, and the streams that were made of them.

    Attributes:
        clips: folder of conversational clips (`weaksync data build subtitles`).
        speech: folder of `weaksync data speech`, made of `clips`.
        video: folder of `weaksync data features`, a stream of `clips`: lips, object, scene or action.
        text: the same of `speech`: speech for lips, words for the others.
        domain: train and evaluate on clips of this alone, such as ``movie``; none: on all.
        languages: codes to train and evaluate on; none: all that the set has.
        global_batch: clips per step over all processes; each is compared with the subtitles of all.
        workers: reading processes for each rank.
    """

    clips: str
    speech: str
    video: str
    text: str
    domain: str | None = None
    languages: list[str] | None = None
    global_batch: int = 4
    workers: int = 0


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


@dataclass
class SubtitleRecipe:
    """A run of subtitle matching: everything that decides its outcome.

    Attributes:
        task: says that this is one.
        name: of the run; it writes to ``<root>/<name>/``.
        root: folder of all runs.
        seed: of weights and order.
        save_every_n_steps: also save ``last.ckpt`` in mid-epoch; none: at the end of each epoch alone.
    """

    task: Literal["subtitles"]
    name: str
    data: SubtitleDataConfig
    root: str = "runs"
    seed: int = 0
    model: ModelConfig = field(default_factory=lambda: ModelConfig("lipspeech"))
    loss: SubtitleLossConfig = field(default_factory=SubtitleLossConfig)
    optim: StepOptimConfig = field(default_factory=StepOptimConfig)
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_epochs=40))
    save_every_n_steps: int | None = None

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.root) / self.name


def impossible(config: SubtitleRecipe) -> list[str]:
    """Settings that are well-typed and cannot work."""
    data, epochs = config.data, config.trainer.max_epochs
    aligner = config.model.arguments.get("aligner", "")
    checks = [
        (config.name is not None and not config.name.strip("./"), "name should be a folder's name below root"),
        (data.global_batch < 2, f"data.global_batch should be at least 2 (one wrong pair), not {data.global_batch}"),
        (data.workers < 0, f"data.workers should be 0 or more, not {data.workers}"),
        (epochs < 0, f"trainer.max_epochs should be 0 (save the model as it is) or more, not {epochs}"),
        (
            epochs > 0 and aligner in ("dsta", "dtw"),
            f"{aligner} has no gradient: model.arguments.aligner should be soft-{aligner}, or trainer.max_epochs 0",
        ),
    ]
    return [fault for wrong, fault in checks if wrong]
