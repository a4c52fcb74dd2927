"""What is shown of a subtitle that was found: its alignment with the clip, where it is said, and other settings."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace as with_changes

import torch
from torch import Tensor

from ...zoo.encoded import EncodedClip
from ...zoo.matcher import Matcher
from ...zoo.models.lipspeech import LipSpeech
from .fitting import fit, stretches
from .matches import Candidate, Variant
from .pool import SubtitleIndex
from .query import Query
from .ranking import Ranking

#: settings that are tried in the report (Figures 4 and 5 of Video2Subtitle), beside the model's own
ORDER_WEIGHTS, DURATION_WEIGHTS = (0.0, 0.1, 1.0), (0.0, 0.1, 1.0)


def candidate(
    matcher: Matcher, clip: EncodedClip, query: Query, searched: SubtitleIndex, found: Ranking, row: int
) -> Candidate:
    """A subtitle of a ranking, aligned with the clip and fitted to it."""
    column = int(found.columns[row])
    subtitle = searched.subtitles[column]
    model = matcher.lipspeech
    lips, speech, lengths = _pair(matcher, clip, searched, column)
    labels = model.labels(lips, speech, *lengths)[0].cpu()
    times = matcher.speech_times(len(speech[0]))
    spoken, said = list(subtitle.spans), searched.speech(column)
    made = fit(spoken, times[labels].numpy(), clip.times.numpy(), query.duration, speaking=speaking_of(query))
    return Candidate(
        id=subtitle.id,
        language=subtitle.language,
        sentences=subtitle.sentences,
        ranks={name: int(places[row]) for name, places in found.places.items()},
        costs={name: float(costs[row]) for name, costs in found.costs.items()},
        spoken=spoken,
        labels=labels.numpy(),
        similarity=_cosines(lips, speech).numpy(),
        video_times=clip.times.numpy(),
        text_times=times.numpy(),
        fit=made,
        words=made.words(spoken, said.words),
        speech=said,
    )


def speaking_of(query: Query) -> list[tuple[float, float]]:
    """Stretches of the clip in which its face speaks, in seconds of the clip."""
    return stretches(query.speaking.double().numpy(), query.record.fps, least=0.5 * float(query.speaking.max()))


def variants(matcher: Matcher, clip: EncodedClip, searched: SubtitleIndex, column: int) -> dict[str, list[Variant]]:
    """A subtitle aligned by other weights of the order and the duration, and by DTW (Figures 4, 5 and 6)."""
    own = matcher.lipspeech.config
    lips, speech, lengths = _pair(matcher, clip, searched, column)

    def aligned(name: str, chosen: bool, **changes: float | str) -> Variant:
        model: LipSpeech = copy.copy(matcher.lipspeech)
        model.config = with_changes(own, **changes)  # type: ignore[arg-type]
        return Variant(name, model.labels(lips, speech, *lengths)[0].cpu().numpy(), chosen)

    def weights(tried: Sequence[float], own_weight: float) -> list[float]:
        return sorted({*tried, own_weight})

    return {
        "order": [
            aligned(f"{weight:g}", weight == own.order_weight, order_weight=weight, aligner="dsta")
            for weight in weights(ORDER_WEIGHTS, own.order_weight)
        ],
        "duration": [
            aligned(f"{weight:g}", weight == own.duration_weight, duration_weight=weight)
            for weight in weights(DURATION_WEIGHTS, own.duration_weight)
        ],
        "aligner": [aligned(name.upper(), own.aligner.endswith(name), aligner=name) for name in ("dtw", "dsta")],
    }


@torch.inference_mode()
def _pair(
    matcher: Matcher, clip: EncodedClip, searched: SubtitleIndex, column: int
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Steps of a clip (1, n, d) and of a subtitle (1, m, d + 1) with its rate, and both lengths."""
    steps = searched.pool.steps_of(column).float()[None].to(matcher.device)
    speech = matcher.lipspeech.with_rates(steps, [searched.subtitles[column].language])
    lips = clip.steps[None].to(matcher.device)
    lengths = (torch.tensor([len(each[0])], device=matcher.device) for each in (lips, speech))
    return lips, speech, tuple(lengths)  # type: ignore[return-value]


def _cosines(lips: Tensor, speech: Tensor) -> Tensor:
    return (torch.nn.functional.normalize(lips[0], dim=-1) @ speech[0, :, :-1].T).cpu()
