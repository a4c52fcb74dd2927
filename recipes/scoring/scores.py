"""What a run scores on the test videos of a language: computed once, and kept beside the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...datamodules.files import write_whole
from ...datamodules.index import open_set
from ...zoo.checkpoint import SUMS
from ...zoo.decoding import VideoSimilarity
from ...zoo.evaluation import UNTIMED, Row, evaluate, gap_closed
from ...zoo.metrics import AlignmentScores, Interval, bootstrap
from ...zoo.models.dual_encoder import DualEncoder
from ..runs import RECIPE, model_folder
from ..settings.story import load
from ..training.launch import is_rank_zero
from .similarities import limited, model_decoder, similarities

FOLDER = "evaluations"
#: raised where the same model and data would now score otherwise
VERSION = 2

#: decoded by similarity alone, as the paper's tables are; and within a second of the narration, as its Table 4
ALONE, WITHIN = UNTIMED, "within a second"
SECONDS = 1.0
FIGURES = ("clip_accuracy", "sentence_iou", "f1")


@dataclass(frozen=True)
class RunScores:
    """What a run scores on the annotated videos of one language.

    Attributes:
        ways: way to label -> video -> clip accuracy, sentence IoU, F1, as fractions.  The ways are ``model`` (decoded
            as it was tuned), `ALONE`, `WITHIN`, and the baselines and the oracle of `zoo.evaluation`.
        retrieval: R@1, R@5, R@10 as fractions and the mean rank, each with its interval: ``r1``, ``r5``, ``r10``,
            ``mean_rank``.
        films: video -> the film that it tells; several languages' videos may tell the same one.
    """

    ways: dict[str, dict[str, tuple[float, float, float]]]
    retrieval: dict[str, Interval]
    films: dict[str, str] = field(default_factory=dict)

    @property
    def videos(self) -> int:
        """How many videos were scored."""
        return len(self.ways["model"])

    def film(self, video: str) -> str:
        """The film that a video tells."""
        return self.films.get(video, video)

    def mean(self, way: str) -> Row:
        """The means over videos, with bootstrap intervals, in which a film told in several languages is one."""
        table = self.ways[way]
        accuracy, iou, f1 = bootstrap(table, film=self.film)
        return Row(way, accuracy, iou, f1, {video: AlignmentScores(*each) for video, each in table.items()})

    def gap_closed(self, way: str = "model") -> Interval:
        """How much of the way from the best baseline to the oracle a way to label goes."""
        rows = [self.mean(name) for name in self.ways if name not in ("model", ALONE, WITHIN)]
        own = self.mean(way)
        model = Row("model", own.clip_accuracy, own.sentence_iou, own.f1, own.per_video)
        return gap_closed([model, *rows], film=self.film)

    def figures(self) -> dict[str, Any]:
        """Means with intervals of every way, what the model closes of the gap, and retrieval: ready for JSON."""
        means = {way: {name: asdict(getattr(self.mean(way), name)) for name in FIGURES} for way in self.ways}
        closed = {way: asdict(self.gap_closed(way)) for way in ("model", ALONE)}
        return {"ways": means, "gap_closed": closed, "retrieval": {k: asdict(v) for k, v in self.retrieval.items()}}


def pooled(scores: Iterable[RunScores]) -> RunScores:
    """The videos of several languages together, labelled in the ways that all of them have; without retrieval."""
    found = list(scores)
    ways = [way for way in found[0].ways if all(way in each.ways for each in found)]
    together = {way: {v: row for each in found for v, row in each.ways[way].items()} for way in ways}
    return RunScores(together, {}, {video: film for each in found for video, film in each.films.items()})


def run_scores(
    run: str | Path,
    shards: str | Path,
    language: str,
    *,
    translations: str | Path | None = None,
    split: str = "test",
    workers: int = 0,
) -> RunScores:
    """Score a run on the annotated videos of a language, or read what was kept from the last time.

    Args:
        run: folder of a run that has ended, or a checkpoint folder.
        shards: folder of a shard set.
        language: code; only its videos are scored.
        translations: derived set whose texts stand in for the sentences'.
        workers: reading processes.

    Raises:
        ValueError: the run has not ended, or the split has no annotated video in that language.
    """
    folder, set_ = model_folder(run), open_set(shards)
    identity = {
        "version": VERSION,
        "model": hashlib.sha256((folder / SUMS).read_bytes()).hexdigest(),
        "data": set_.fingerprint(split),
        "validation": set_.fingerprint("val") if "val" in set_.splits else None,
        "translations": _fingerprint(translations, split),
        "language": language,
        "split": split,
    }
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    kept = Path(run) / FOLDER / f"{split}-{language}-{name}.json"
    if kept.is_file():
        found = _read(kept, identity)
        if found is not None:
            return found
    settings = load(str(Path(run) / RECIPE)).trainer if (Path(run) / RECIPE).is_file() else None
    model = DualEncoder.from_pretrained(folder)

    def read(which: str) -> list[VideoSimilarity]:
        return similarities(
            model,
            shards,
            split=which,
            languages=[language],
            translations=translations,
            workers=workers,
            settings=settings,
        )

    validation = read("val") if "val" in set_.splits else []
    scores = score(model, read(split), validation, f"{split} of {shards} in {language}")
    if is_rank_zero():
        kept.parent.mkdir(exist_ok=True)
        plain = {"of": identity} | asdict(scores)
        write_whole(kept, json.dumps(plain, indent=1).encode())
    return scores


def score(
    model: DualEncoder, videos: list[VideoSimilarity], validation: list[VideoSimilarity], where: str
) -> RunScores:
    """Label videos in every way, and score them.

    Args:
        model: whose similarities they are.
        videos: with vectors; of which those that nobody annotated are left out.
        validation: chooses the drop costs of `WITHIN`.
        where: names the videos in an error.

    Raises:
        ValueError: none of the videos is annotated.
    """
    if not any(video.annotated for video in videos):
        raise ValueError(f"no annotated video in {where}: nothing to score")
    decoder = model_decoder(model)
    others = {ALONE: decoder.without_times()}
    if any(not video.narrations.isnan().all() for video in videos):
        others[WITHIN] = limited(decoder, SECONDS, [video for video in validation if video.annotated])
    found = evaluate(videos, decoder, others=others, seek=True)
    ways = {
        row.name: {video: (each.clip_accuracy, each.sentence_iou, each.f1) for video, each in row.per_video.items()}
        for row in found.rows
    }
    sought = found.retrieval[0] if found.retrieval else None
    names = ("r1", "r5", "r10", "mean_rank")
    sought_figures = {name: getattr(sought, name) for name in names} if sought else {}
    return RunScores(ways, sought_figures, {video.id: video.film for video in videos if video.annotated})


def _read(path: Path, identity: dict[str, Any]) -> RunScores | None:
    """What was kept, or None where it is of something else or cannot be read: it is computed again."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["of"] != identity:
            return None
        ways = {way: {video: tuple(each) for video, each in table.items()} for way, table in plain["ways"].items()}
        retrieval = {name: Interval(**each) for name, each in plain["retrieval"].items()}
        return RunScores(ways, retrieval, dict(plain["films"]))
    except (KeyError, TypeError, ValueError):
        return None


def _fingerprint(translations: str | Path | None, split: str) -> str | None:
    return None if translations is None else open_set(translations).fingerprint(split)
