"""Figure 7 of Video2Subtitle: clips with their own subtitle, and with the best other one in its place."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from ...datamodules.files import write_whole
from ...datamodules.records import Interval
from ...datamodules.speech_set import cue_spans, open_speech
from ...datamodules.spoken import open_clips, scene, spoken_clip
from ...datamodules.streams import TEXT_STREAMS, open_stream, read_stream, stream_info
from ...zoo.matcher import ALIGNMENT
from ...zoo.models.lipspeech import LipSpeech, pooled_times
from ...zoo.pool import zero_based_ranks
from ..console import print_table
from ..matching.costs import Costs, CueModel
from ..matching.fitting import fit
from ..scoring.paper_subtitles import CUES, PICTURES
from .subtitle_runs import SubtitleRuns

#: clips that are shown where none are named
SHOWN = 3
FUSION = "fusion"


@dataclass(frozen=True)
class Retelling:
    """A subtitle in a clip.

    Attributes:
        clip: id.
        subtitle: id; the clip's own has that of the clip.
        ranks: cue, and ``fusion`` -> place in the pool, from 0 as the figure counts.
        sentences: what it says.
        spans: (start, end) seconds of the clip of each sentence: of the clip's own when it is said, of another one
            where the alignment fits it.
    """

    clip: str
    subtitle: str
    ranks: dict[str, int]
    sentences: list[str]
    spans: list[Interval]

    @property
    def own(self) -> bool:
        """Whether it is what is really said."""
        return self.clip == self.subtitle

    def lines(self) -> list[str]:
        """Each sentence, and when it is said."""
        return [
            f"{start:.1f} to {end:.1f} s: {said}" for (start, end), said in zip(self.spans, self.sentences, strict=True)
        ]


def retold(runs: SubtitleRuns, seed: int, clips: Sequence[str] | None = None) -> list[Retelling]:
    """The own subtitle of each clip, and the best other one of the pool.

    Args:
        clips: ids of test clips; by default some whose own subtitle is found.

    Raises:
        ValueError: there is no such test clip, or no other subtitle.
    """
    (costs,) = replace(runs, seeds=(seed,)).fused()
    fused = costs.costs[FUSION if FUSION in costs.costs else ALIGNMENT]
    names = [clip.id for clip in costs.clips]
    if unknown := [clip for clip in clips or [] if clip not in names]:
        raise ValueError(f"no test clip {unknown[0]!r} with a subtitle; there are {', '.join(names[:5])}, ...")
    if fused.shape[1] < 2:
        raise ValueError("the pool has no other subtitle than the clip's own: --pool names further ones")
    own = zero_based_ranks(fused, costs.right)
    found_first = [place for place in range(len(names)) if int(own[place]) == 0] or list(range(len(names)))
    spread = np.linspace(0, len(found_first) - 1, min(SHOWN, len(found_first))).round().astype(int).tolist()
    rows = [names.index(clip) for clip in clips] if clips else [found_first[place] for place in spread]
    others = fused.scatter(1, costs.right[:, None], torch.inf).argmin(dim=1)
    aligner = runs.cues(seed)[ALIGNMENT]
    tellings = []
    for row in rows:
        tellings.append(_own(runs, costs, row))
        tellings.append(_other(runs, seed, aligner, costs, row, int(others[row])))
    return tellings


def _ranks(costs: Costs, row: int, column: int) -> dict[str, int]:
    shown = [name for name in (*CUES["fusion"], FUSION) if name in costs.costs]
    return {name: int(zero_based_ranks(costs.costs[name][row : row + 1], torch.tensor([column]))[0]) for name in shown}


def _own(runs: SubtitleRuns, costs: Costs, row: int) -> Retelling:
    clip = spoken_clip(open_clips(runs.clips), costs.clips[row].id)
    spans = [(cue.start, cue.end) for cue in clip.cues]
    return Retelling(clip.id, clip.id, _ranks(costs, row, int(costs.right[row])), [c.text for c in clip.cues], spans)


@torch.inference_mode()
def _other(runs: SubtitleRuns, seed: int, aligner: CueModel, costs: Costs, row: int, column: int) -> Retelling:
    clip, name = costs.clips[row].id, costs.subtitles[column]
    further = column >= costs.own
    speech = open_speech(runs.pool if further and runs.pool is not None else runs.stages[seed].speech())
    texts = open_stream(aligner.more if further and aligner.more is not None else aligner.text, None, TEXT_STREAMS)
    model = aligner.model
    assert isinstance(model, LipSpeech)
    video, text = read_stream(open_stream(aligner.video, None, ("lips",)), clip), read_stream(texts, name)
    lips, n = model.encode_lips(_one(video["lips"]), torch.tensor([len(video["lips"])]))
    said, m = model.encode_speech(_one(text["speech"]), torch.tensor([len(text["speech"])]))
    labels = model.labels(lips, model.with_rates(said, [stream_info(texts, name).language]), n, m)[0].numpy()
    times = pooled_times(torch.from_numpy(video["times"]), model.lips.groups).numpy()
    heard = pooled_times(torch.from_numpy(text["times"]), model.speech.groups).numpy()
    length = spoken_clip(open_clips(runs.clips), clip).duration
    fitted = fit([(float(a), float(b)) for a, b in cue_spans(speech, name)], heard[labels], times, length)
    sentences = [sentence.text for sentence in speech.record(name).sentences]
    return Retelling(clip, name, _ranks(costs, row, column), sentences, list(fitted.spans))


def _one(steps: np.ndarray) -> Tensor:
    return torch.from_numpy(steps)[None]


def show(found: Sequence[Retelling]) -> None:
    """Print the places under each cue, and what is said when."""
    cues = list(found[0].ranks)
    rows = [[one.clip, "original" if one.own else one.subtitle, *(one.ranks[cue] for cue in cues)] for one in found]
    print_table(f"Figure 7: {PICTURES['figure7']}; places from 0", ["clip", "subtitle", *cues], rows)
    for one in found:
        click.echo(f"{one.clip}, {'original' if one.own else f're-generated from {one.subtitle}'}")
        for line in one.lines():
            click.echo(f"  {line}")


def write(found: Sequence[Retelling], runs: SubtitleRuns, folder: Path) -> list[Path]:
    """Write ``figure7.csv``, ``.md`` and ``.png``; returns their paths."""
    from ..report.retold import retold_figure  # matplotlib takes longer to import than the rest

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"figure7{suffix}" for suffix in (".csv", ".md", ".png")]
    cues = list(found[0].ranks)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "subtitle", *cues, "start", "end", "sentence"])
    lines = [f"# Figure 7: {PICTURES['figure7']}", "", "Places in the pool are counted from 0, as the paper does."]
    for one in found:
        places = [one.ranks[cue] for cue in cues]
        for (start, end), sentence in zip(one.spans, one.sentences, strict=True):
            writer.writerow([one.clip, one.subtitle, *places, round(start, 3), round(end, 3), sentence])
        title = "original" if one.own else f"re-generated from {one.subtitle}"
        ranks = ", ".join(f"{cue} {one.ranks[cue]}" for cue in cues)
        lines += ["", f"## {one.clip}, {title}", "", f"{ranks}", ""]
        lines += [f"- {line}" for line in one.lines()]
    write_whole(paths[0], text.getvalue().encode())
    write_whole(paths[1], "\n".join([*lines, ""]).encode())
    shards = open_clips(runs.clips)
    pictures = {one.clip: scene(shards, one.clip, fps=0.25).permute(0, 2, 3, 1).numpy() for one in found}
    retold_figure(found, pictures, paths[2])
    return paths
