"""What tells who speaks while clips are built: the baseline, or a model that was trained for it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...zoo.models.speaking import Speaking
from ...zoo.speaking import LipsAndVoice, ScoreSpeaking, check
from ..derived.features import weights_hash
from ..models import load_model

#: what `--speaking` says for lip motion times voice activity
BASELINE = "baseline"


@dataclass(frozen=True)
class LearntSpeaking:
    """A `ScoreSpeaking` of a trained model.

    Attributes:
        model: in evaluation mode.
        producer: its registry name and the hash of its weights.
    """

    model: Speaking
    producer: str

    def __call__(self, frames: Tensor, sound: Tensor) -> Tensor:
        check(frames, sound)
        return self.model.score(frames, sound)


def choose(name: str) -> ScoreSpeaking:
    """The baseline, or the model of a run, a checkpoint folder or ``hf://org/repo``.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no model that tells who speaks.
    """
    if name == BASELINE:
        return LipsAndVoice()
    advice = f"weaksync train subtitles/speaking makes a model that does, and {BASELINE} needs none"
    model = load_model(name, Speaking, "tell who speaks", advice=advice)
    return LearntSpeaking(model, f"{model.registry_name} {weights_hash(model)}")
