"""Evaluation of subtitle matching: every clip of a split asks, and chooses from the subtitles of all, and of more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ... import zoo
from ...datamodules.files import write_whole
from ...datamodules.streams import TEXT_STREAMS, open_stream, producer_of, read_stream, stream_info, stream_of
from ...datamodules.subtitle_steps import PairedDataModule
from ...zoo.encoded import EncodedText, Pool
from ...zoo.metrics import Interval, interval
from ...zoo.models.gsm import GSM
from ...zoo.models.lipspeech import LipSpeech
from ...zoo.models.syncnet import SyncNet
from ...zoo.pool import join_ranks
from ...zoo.subtitles import SubtitleMatching, encode_texts
from ..console import err, print_table
from ..derived.streams import producer_name
from ..matching.pool import is_index
from ..report.pool import curves
from ..runs import RECIPE, SYNCNET, check_path, model_folder
from ..settings import config as recipes
from ..settings.subtitles import SubtitleRecipe
from ..training.launch import is_rank_zero, progress_bar, say, signal_exit_codes, trainer
from ..training.subtitles import check_streams, clips_of, digest, least_steps
from .comparison import shown, shown_chance
from .paper_subtitles import MEDIAN, RECALLS
from .pools import SHARES, PoolScores, Query

#: subtitles of a pool that are encoded together
_AT_ONCE = 64


@dataclass(frozen=True)
class Evaluation:
    """What a run scores, beside another one where that was asked for.

    Attributes:
        scores: of ``model``, and of ``against``.
        names: of these two, as the user calls them.
    """

    scores: PoolScores
    names: dict[str, str]

    def figures(self, which: str) -> dict[str, Interval]:
        """R@1, R@5, R@10 in per cent and the median rank, with bootstrap intervals over clips."""
        found = self.scores.cells(which)
        figures = {name: value for name in RECALLS if isinstance(value := found[name], Interval)}
        (ranks,) = self.scores.ranks[which]
        return {**figures, MEDIAN: median_interval(ranks.expected())}

    def hidden_most(self) -> float | None:
        """The share of hidden lips that half of the clips exceed or reach; None where it is not known."""
        known_ones = [query.hidden for query in self.scores.queries if query.hidden is not None]
        return float(np.median(known_ones)) if known_ones else None

    def gains(self) -> dict[str, Interval]:
        """By how many points of R@1 ``model`` is above ``against``: over all clips, and where lips are hidden most."""
        if len(self.names) < 2:
            return {}
        found = {"all clips": self.scores.gain("model", "against")}
        least = self.hidden_most()
        if least is not None:

            def most(query: Query) -> bool:
                return query.hidden is not None and query.hidden >= least

            where = f"{sum(map(most, self.scores.queries))} clips with lips hidden in {least:.0%} of the frames or more"
            found[where] = self.scores.gain("model", "against", most)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        ranks = {which: each[0].expected().tolist() for which, each in self.scores.ranks.items()}
        return {
            "clips": len(self.scores.queries),
            "pool": self.scores.pool,
            "chance": self.scores.chance,
            "rows": [
                {"name": name, "figures": {key: asdict(value) for key, value in self.figures(which).items()}}
                for which, name in self.names.items()
            ],
            "gains": {where: asdict(value) for where, value in self.gains().items()},
            "curves": {
                share: {
                    name: [asdict(part) for part in self.scores.curve(which, share)]
                    for which, name in self.names.items()
                }
                for share in self.scores.known_shares
            },
            "per_clip": [
                {**asdict(query), "rank": {self.names[which]: each[place] for which, each in ranks.items()}}
                for place, query in enumerate(self.scores.queries)
            ],
        }


def median_interval(ranks: np.ndarray[Any, np.dtype[np.float64]], *, resamples: int = 2000, seed: int = 0) -> Interval:
    """The median of (V,) ranks with its percentile bootstrap interval over clips."""
    draws = np.random.default_rng(seed).integers(0, len(ranks), (resamples, len(ranks)))
    (found,) = interval(np.median(ranks, keepdims=True), np.median(ranks[draws], axis=1, keepdims=True))
    return found


def evaluate(
    model: LipSpeech | GSM,
    recipe: SubtitleRecipe,
    *,
    split: str = "test",
    more: Sequence[str | Path] = (),
    syncnet: SyncNet | None = None,
) -> PoolScores:
    """Rank the subtitles of a split, and further ones, for every clip of it.

    Under several processes each ranks for its share of the clips; the figures are the same.

    Args:
        model: of `zoo.load`.
        recipe: says which clips and streams, and on what machine.
        split: of the clips.
        more: folders of the stream that the model reads of texts, made of further subtitles.
        syncnet: that learnt with the model; None where the recipe names streams.

    Returns:
        The scores of all clips, under the name ``model``, the same in every process.

    Raises:
        FileNotFoundError: there is no such set.
        ValueError: no such split, no clip in it, or streams of another kind or producer than the model's.
    """
    producer = producer_name(syncnet, recipe.name) if syncnet is not None else ""
    clips = clips_of(recipe, syncnet, producer, least=least_steps(model), test_split=split)
    check_streams(model, clips)
    if not len(clips.split(split)):
        raise ValueError(f"no clip of the {split} split has both streams: nothing to score")
    task = SubtitleMatching(model.eval(), alignment_weight=0.0, syncnet=syncnet)
    task.distractors = further(model, more, clips) if more else None
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "callbacks": progress_bar()}
    with signal_exit_codes():
        trainer(recipe.trainer, **quiet).test(task, datamodule=clips, verbose=False)
    of_id = {clip.id: clip for clip in clips.split(split).clips}
    asked = [of_id[each.id] for each in task.ranked]
    queries = [Query(clip.id, clip.domain, clip.hidden, clip.offscreen) for clip in asked]
    return PoolScores(queries, task.pool, {"model": [join_ranks(each.ranks for each in task.ranked)]})


@torch.no_grad()
def further(model: LipSpeech | GSM, folders: Sequence[str | Path], clips: PairedDataModule) -> Pool:
    """Subtitles of further sets as a pool; those that are too short are left out, which is said.

    Raises:
        ValueError: a set holds another stream than the model reads, or was made by another.
    """
    codes: list[EncodedText] = []
    languages: list[str] = []
    wanted, short = clips.names[1], 0
    for folder in folders:
        if is_index(Path(folder)):
            raise ValueError(
                f"{folder} is the index of a matcher; this run chooses from {wanted} by {clips.producers['text']}: "
                f"weaksync data features SPEECH --stream {wanted} makes them, of the speech of a pool"
            )
        features = open_stream(folder, None, TEXT_STREAMS)
        if stream_of(features) != wanted or digest(producer_of(features)) != digest(clips.producers["text"]):
            raise ValueError(
                f"{folder} holds {stream_of(features)} by {producer_of(features)}; the pool must be {wanted} by "
                f"{clips.producers['text']}, as the split's own"
            )
        texts = [stream_info(features, name) for name in features.entries]
        kept = [text for text in texts if text.steps >= least_steps(model)]
        short += len(texts) - len(kept)
        for first in range(0, len(kept), _AT_ONCE):
            some = kept[first : first + _AT_ONCE]
            steps = [torch.from_numpy(read_stream(features, text.id)[wanted]) for text in some]
            codes += encode_texts(
                model, pad_sequence(steps, batch_first=True), torch.tensor([len(each) for each in steps])
            )
            languages += [text.language for text in some]
    if short:
        say(f"{short} subtitles of the pool are too short, and left out")
    return Pool.of(codes, languages)


def evaluate_run(
    run: Path, split: str = "test", more: Sequence[str | Path] = (), against: Path | None = None
) -> Evaluation:
    """Score a run, and another on the same clips and pool.

    Raises:
        ValueError: also where the other run's clips are others, or it is no run of subtitle matching.
    """
    scores = _scores(run, split, more)
    if against is None:
        return Evaluation(scores, {"model": str(run)})
    other = _scores(against, split, more)
    if other.queries != scores.queries or other.pool != scores.pool:
        raise ValueError(
            f"{against} was trained on other clips than {run}: {len(other.queries)} of them ask in a pool of "
            f"{other.pool}, not {len(scores.queries)} in one of {scores.pool}"
        )
    ranks = {"model": scores.ranks["model"], "against": other.ranks["model"]}
    return Evaluation(PoolScores(scores.queries, scores.pool, ranks), {"model": str(run), "against": str(against)})


def _scores(run: Path, split: str, more: Sequence[str | Path]) -> PoolScores:
    if not (run / RECIPE).is_file():
        raise FileNotFoundError(f"{run} is no run, so nobody knows its clips: name the folder that train wrote")
    recipe = recipes.load(str(run / RECIPE))
    if not isinstance(recipe, SubtitleRecipe):
        raise ValueError(f"{run} is no run of subtitle matching, but of task {recipe.task}")
    for key in ("clips", "speech", "video", "text"):
        check_path(run, f"data.{key}", getattr(recipe.data, key), "call weaksync from there, or set it right there")
    model = zoo.load(model_folder(run))
    if not isinstance(model, LipSpeech | GSM):
        raise ValueError(f"{run} holds a {type(model).__name__}, which matches no subtitles from streams")
    syncnet = None if recipe.syncnet is None else SyncNet.from_pretrained(run / SYNCNET)
    return evaluate(model, recipe, split=split, more=more, syncnet=syncnet)


def present(evaluation: Evaluation, split: str, out: Path | None, as_json: bool) -> None:
    """Print an evaluation, and write its files to `out`; the first process alone."""
    if not is_rank_zero():
        return
    plain = evaluation.to_dict()
    if as_json:
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        columns = ["run", *RECALLS, MEDIAN]
        rows = [[name, *map(shown, evaluation.figures(which).values())] for which, name in evaluation.names.items()]
        rows.append(["chance", *map(shown_chance, plain["chance"].values())])
        title = f"{plain['clips']} clips of {split}, a pool of {plain['pool']} subtitles; recalls in %, 95 % intervals"
        print_table(title, columns, rows)
        for where, gain in evaluation.gains().items():
            err.print(
                f"R@1 over {evaluation.names['against']}, {where}: {shown(gain)} points",
                highlight=False,
                soft_wrap=True,
            )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "evaluation.json", json.dumps(plain, indent=2, ensure_ascii=False).encode())
        if evaluation.scores.known_shares:
            found = {
                share: {name: evaluation.scores.curve(which, share) for which, name in evaluation.names.items()}
                for share in evaluation.scores.known_shares
            }
            curves(found, SHARES, out / "curves.png", chance=plain["chance"]["r@1"])
            say(f"drew {out / 'curves.png'}")
        else:
            say("nobody knows what cannot be seen in these clips: no curves over it")
        say(f"wrote {out / 'evaluation.json'}")
