"""`weaksync data align`: the training videos as a trained model aligns them, for the next model to learn from.

Narration runs ahead of the picture and behind it, so many weak pairs are wrong.  A model that was trained on them
aligns whole videos better than their times do: its alignments are cleaner pairs, and more of them (self-training).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from ...datamodules.derived import ALIGNMENTS, origin, write_derived
from ...datamodules.index import open_set
from ...datamodules.records import AnnotatedVideo, overlap_seconds, weak_labels
from ...datamodules.shards import check_free
from ...zoo.models.dual_encoder import DualEncoder
from ..console import err, print_table
from ..derived.features import weights_hash
from ..models import dual_encoder
from ..scoring.similarities import model_decoder, similarities
from ..texts import translations_for
from ..training.launch import is_rank_zero, say

#: a pair is right where people's segment of the sentence covers so much of the clip
RIGHT = 0.5


@dataclass
class Pairs:
    """How good pairs are.

    Attributes:
        count: how many.
        right: the share that people agree with, over annotated videos; None where there are none.
    """

    count: int
    right: float | None


def align(
    model: DualEncoder,
    shards: str | Path,
    out: str | Path,
    *,
    languages: list[str] | None = None,
    translations: str | Path | None = None,
    workers: int = 1,
) -> dict[str, Pairs]:
    """Align the training videos of a shard set with a model and its decoder, and keep which sentence each clip got.

    Annotations are not looked at, except for the figures that are returned.

    Args:
        model: of `zoo.load`.
        shards: folder of a shard set.
        out: folder of the derived set; `data.alignments` of a recipe names it.
        languages: keep these alone.
        translations: folder of `weaksync data translate`, for a model that reads translations.
        workers: reading processes.

    Returns:
        ``weak`` pairs, by narration times, and ``aligned`` ones.

    Raises:
        ValueError: `out` holds a set, or there is no training video in these languages.
    """
    check_free(Path(out))
    parent = open_set(shards)
    decoder = model_decoder(model)
    videos = similarities(model, shards, split="train", languages=languages, translations=translations, workers=workers)
    decoded = decoder.decode([video.similarity for video in videos], [video.gaps for video in videos])
    labels = {video.id: found.numpy() for video, found in zip(videos, decoded, strict=True)}
    records = [record for record in parent.videos("train", languages) if record.id in labels]
    if not records:
        raise ValueError(f"{shards} has no training video with clips and sentences: there is nothing to align")
    if is_rank_zero():
        producer = f"{model.registry_name} {weights_hash(model)}"
        made = origin(parent, ALIGNMENTS, producer)
        rows = [
            ("train", {**record.to_dict(), "clips": None, "labels": labels[record.id].tolist()}) for record in records
        ]
        write_derived(Path(out), rows, {"producer": producer, "decoder": decoder.to_dict()}, made)
    weak = {record.id: weak_labels(record.clip_times(), record.narrations()) for record in records}
    return {"weak": quality(records, weak), "aligned": quality(records, labels)}


def quality(records: Sequence[AnnotatedVideo], labels: dict[str, np.ndarray]) -> Pairs:
    """How many pairs (n,) `labels` make of each video, and how many of them people agree with."""
    count = sum(int((labels[record.id] >= 0).sum()) for record in records)
    right = judged = 0
    for record in records:
        if not record.annotated:
            continue
        clips = record.clip_times()
        kept = np.flatnonzero(labels[record.id] >= 0)
        shared = overlap_seconds(clips[kept], record.segments())[np.arange(len(kept)), labels[record.id][kept]]
        right += int((shared >= RIGHT * (clips[kept, 1] - clips[kept, 0])).sum())
        judged += len(kept)
    return Pairs(count, right / judged if judged else None)


@click.command()
@click.argument("shards", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="A run, a checkpoint folder, or hf://org/repo.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the alignments.")
@click.option("--language", "languages", multiple=True, help="Keep these languages alone; may be given several times.")
@click.option("--translations", type=click.Path(), help="Folder of translations of the shards; by default the run's.")
@click.option("--workers", default=1, show_default=True, help="Reading processes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    shards: Path,
    model: str,
    out: Path,
    languages: tuple[str, ...],
    translations: str | None,
    workers: int,
    as_json: bool,
) -> None:
    """Align the training videos of SHARDS with a trained model, for another to learn from.

    \b
      weaksync data align shards --model runs/weak --out shards/aligned
      weaksync train story/self_training data.shards=shards data.alignments=shards/aligned model.name=runs/weak

    People's annotations are not used; where there are some, the table says how many pairs they agree with.
    """
    found = dual_encoder(model)
    kept = list(languages) or None
    texts = translations_for(model, found.translated, shards, kept, translations)
    pairs = align(found, shards, out, languages=kept, translations=texts, workers=workers)
    if is_rank_zero():
        rows = [[name, each.count, each.right] for name, each in pairs.items()]
        print_table(f"clip-sentence pairs of {shards}", ["pairs", "count", "people agree"], rows, as_json=as_json)
        if no_better(pairs["weak"], pairs["aligned"]):
            note = "note: people agree with these pairs no more than with the weak ones; they may teach nothing new"
            err.print(note, style="yellow", highlight=False)
        more = [f"data.languages=[{','.join(kept)}]"] if kept else []
        more += [f"data.translations={texts}"] if texts else []
        words = [f"data.shards={shards}", *more, f"data.alignments={out}", f"model.name={model}"]
        say(f"wrote {out}: weaksync train story/self_training {' '.join(words)}")


def no_better(weak: Pairs, aligned: Pairs) -> bool:
    """Whether people agree with aligned pairs no more than with weak ones; False where nobody annotated any."""
    return weak.right is not None and (aligned.right or 0.0) <= weak.right
