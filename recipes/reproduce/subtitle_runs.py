"""The runs behind Video2Subtitle's tables: a matcher for each seed, and the aligners that it is compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ... import zoo
from ...datamodules.derived import FEATURES, origin
from ...datamodules.index import ShardSet
from ...datamodules.speech_set import open_speech
from ...datamodules.spoken import open_clips, scene, spoken_clip
from ...datamodules.streams import SPEECH, TEXT_STREAMS, VIDEO_STREAMS, WORDS, open_stream, producer_of, stream_info
from ...zoo.fusion import PAPER_WEIGHTS, fuse
from ...zoo.matcher import ALIGNMENT, Matcher
from ...zoo.models.dual_encoder import DualEncoder
from ..matching.costs import Costs, CueModel, rows_together, split_costs
from ..runs import MODEL, RECIPE
from ..scoring.paper_subtitles import ALIGNERS, CUES
from ..scoring.pools import PoolScores, Query
from ..settings import config as recipes
from ..settings.matching import MatchingRecipe, StageConfig
from ..training.launch import say
from ..training.matching import begin, cue_model, train
from ..training.stages import Stages

#: aligners that are trained; the others compare lips with speech as SyncNet does
LEARNT = ("soft-dtw", "soft-dsta")


@dataclass(frozen=True)
class SubtitleRuns:
    """Where the runs of a set of clips lie, and how those that are missing are made.

    Attributes:
        clips: folder of the conversational clips.
        root: folder of the runs; that of a seed is ``seed-<seed>``.
        pool: folder of the speech of further subtitles to choose from; None for the test clips' own alone.
        seeds: of the runs.
        recipe: of a matcher.
        overrides: ``key=value`` for it.
        apart: whether the aligners are trained for each domain by itself, as the paper does.
        truth: ``speakers.json`` of synthetic speakers; None where the clips are real.
    """

    clips: Path
    root: Path
    pool: Path | None = None
    seeds: tuple[int, ...] = (0,)
    recipe: str = "subtitles/quickstart"
    overrides: tuple[str, ...] = ()
    apart: bool = False
    truth: Path | None = None

    def of(self, seed: int) -> MatchingRecipe:
        """The recipe of a seed's matcher."""
        own = [f"name=seed-{seed}", f"root={self.root}", f"seed={seed}", f"data.clips={self.clips}"]
        found = recipes.load(self.recipe, [*own, *self.overrides])
        if not isinstance(found, MatchingRecipe):
            raise ValueError(f"{self.recipe} makes no matcher: it is of task {found.task}, not of matching")
        return found

    @cached_property
    def stages(self) -> dict[int, Stages]:
        """The stages of each seed.

        Raises:
            FileNotFoundError: there is no such pool.
            ValueError: a run was begun with other settings.
        """
        if self.pool is not None:
            open_speech(self.pool)  # an absent one is known before anything is trained
        for seed in self.seeds:
            recipe = self.of(seed)
            begin(recipe, resume=(recipe.folder / RECIPE).is_file(), force=False)
        return {seed: Stages(self.of(seed)) for seed in self.seeds}

    def matcher(self, seed: int) -> Matcher:
        """The matcher of a seed, which is trained where it has not ended."""
        recipe = self.of(seed)
        if not (recipe.folder / MODEL).is_dir():
            say(f"matcher of seed {seed}: {recipe.folder}")
            train(recipe, resume=(recipe.folder / RECIPE).is_file())
        return Matcher.from_pretrained(recipe.folder / MODEL)

    def aligner_folder(self, seed: int, name: str, domain: str | None = None) -> str | Path:
        """The checkpoint of an aligner on the features of a seed, trained as that of its matcher is, where it is.

        Args:
            name: of `ALIGNERS`.
            domain: which alone it is trained on; None for all.
        """
        stages = self.stages[seed]
        own = stages.recipe.alignment
        if name == "soft-dsta" and domain is None:
            return stages.alignment()
        learns = name in LEARNT
        settings = dict(own.set) if learns else {}
        if domain is not None:
            settings["data.domain"] = domain
        stage = StageConfig(f"subtitles/{name.replace('-', '_')}", set=settings)
        return stages.alignment(stage, name if domain is None else f"{name}-{domain}", content=not learns)

    def aligner(self, seed: int, name: str, domain: str | None = None) -> CueModel:
        """An aligner with the streams that it reads; arguments as for `aligner_folder`."""
        stages, content = self.stages[seed], name not in LEARNT
        model = cue_model(stages, ALIGNMENT, zoo.load(self.aligner_folder(seed, name, domain)))
        own = replace(model, video=stages.lips(content=content), text=stages.spoken(content=content))
        found = self._with_pool(seed, ALIGNMENT, own)
        return replace(found, more=stages.content(found.more)) if content and found.more is not None else found

    def cues(self, seed: int) -> dict[str, CueModel]:
        """The parts of a seed's matcher, by cue."""
        matcher, stages = self.matcher(seed), self.stages[seed]
        parts = {ALIGNMENT: matcher.lipspeech, **{name: cue.gsm for name, cue in matcher.cues.items()}}
        return {name: self._with_pool(seed, name, cue_model(stages, name, part)) for name, part in parts.items()}

    def aligned(self, names: Sequence[str] = tuple(ALIGNERS)) -> list[Costs]:
        """Costs of the test clips under each aligner, for each seed."""
        domains = self.domains() if self.apart else [None]
        return [
            rows_together(
                [
                    split_costs({name: self.aligner(seed, name, domain) for name in names}, "test", domain)
                    for domain in domains
                ]
            )
            for seed in self.seeds
        ]

    def fused(self) -> list[Costs]:
        """Costs of the test clips under each cue and under their fusions in `CUES`, for each seed.

        ``global`` weighs its cues alike and ``paper`` all of them as the paper does (section 5.3); ``fusion`` has the
        weights that were tuned on validation clips.
        """
        found = []
        for seed in self.seeds:
            parts = split_costs(self.cues(seed), "test")
            seen = {name: parts.costs[name] for name in CUES["global"] if name in parts.costs}
            if seen:
                parts.costs["global"] = fuse(seen)
                everything = {**seen, ALIGNMENT: parts.costs[ALIGNMENT]}
                parts.costs["fusion"] = self.matcher(seed).fuse(everything)
                parts.costs["paper"] = fuse(everything, PAPER_WEIGHTS)
            found.append(parts)
        return found

    def baseline(self, model: DualEncoder, costs: Costs) -> Tensor:
        """1 - cosine of the same clips with the same subtitles by a dual encoder, such as CLIP4Clip: (V, S).

        Of a clip it sees as many frames as it takes, spread evenly; of a subtitle, all sentences as one text.
        """
        shards = open_clips(self.clips)
        speech = open_speech(self.stages[self.seeds[0]].speech())
        further = None if self.pool is None else open_speech(self.pool)
        sets = [speech] * costs.own + ([] if further is None else [further] * (len(costs.subtitles) - costs.own))
        texts = [
            " ".join(sentence.text for sentence in each.record(name).sentences)
            for each, name in zip(sets, costs.subtitles, strict=True)
        ]
        with torch.inference_mode():
            video = torch.cat([_seen(model, shards, clip.id) for clip in costs.clips])
            said = torch.cat([model.encode_text(*model.tokenize(texts[n : n + 32])) for n in range(0, len(texts), 32)])
        return 1.0 - video.float() @ said.float().T

    def hidden_most(self, seed: int) -> str:
        """The test clip whose lips are hidden for the longest; where that is unknown, the first."""
        lips = open_stream(self.stages[seed].lips(), None, VIDEO_STREAMS)
        clips = (stream_info(lips, entry.id) for entry in lips.split("test"))
        return max(clips, key=lambda clip: clip.hidden or 0.0).id

    def hidden_zone(self, clip: str) -> tuple[float, float] | None:
        """Seconds of a clip between which the lips are hidden for the longest; None where that is unknown, or never."""
        if self.truth is None:
            return None
        record = spoken_clip(open_clips(self.clips), clip)
        video = json.loads(self.truth.read_text(encoding="utf-8"))["videos"][Path(record.video).stem]
        spans = [(first / video["fps"], last / video["fps"]) for first, last, _ in video["hidden"]]
        within = [(max(first, record.start), min(last, record.end)) for first, last in spans]
        start, end = max(within, key=lambda span: span[1] - span[0], default=(0.0, 0.0))
        return (start - record.start, end - record.start) if end > start else None

    def domains(self) -> list[str]:
        """The domains of the test clips."""
        shards = open_clips(self.clips)
        return sorted({spoken_clip(shards, entry.id).domain for entry in shards.split("test")})

    def _with_pool(self, seed: int, name: str, model: CueModel) -> CueModel:
        """A part that chooses from the pool too."""
        if self.pool is None:
            return model
        stages, pool = self.stages[seed], _short_hash(open_speech(self.pool))
        if name == ALIGNMENT:
            own = stages.spoken()
            more = stages.stream(SPEECH, self.pool, folder=f"pool-speech-{pool}", model=str(stages.syncnet()))
        else:
            own = stages.words()
            more = stages.stream(WORDS, self.pool, folder=f"pool-words-{pool}", words=stages.recipe.data.words)
        ours, theirs = (producer_of(open_stream(folder, None, TEXT_STREAMS)) for folder in (own, more))
        if ours != theirs:
            raise ValueError(f"{own} was made by {ours}, and {more} by {theirs}: remove the older one, and run again")
        return replace(model, more=more)


def _short_hash(shards: ShardSet) -> str:
    """Stands for the contents of a set in a folder's name, so that no other pool's features are taken for its own."""
    return hashlib.sha256(json.dumps(origin(shards, FEATURES, "").fingerprints, sort_keys=True).encode()).hexdigest()[
        :12
    ]


def pool_scores(found: Sequence[Costs]) -> PoolScores:
    """The places of own subtitles under every model, of all seeds.

    Raises ValueError where seeds have other clips or another pool.
    """
    first = found[0]
    if any(
        each.subtitles != first.subtitles or [c.id for c in each.clips] != [c.id for c in first.clips] for each in found
    ):
        raise ValueError("the seeds' features are not of the same clips and subtitles: remove those of one, and go on")
    queries = [Query(clip.id, clip.domain, clip.hidden, clip.offscreen) for clip in first.clips]
    return PoolScores.of(queries, {name: [each.costs[name] for each in found] for name in first.costs}, first.right)


def _seen(model: DualEncoder, shards: ShardSet, clip: str) -> Tensor:
    """(1, D): a clip by its pictures alone."""
    frames = scene(shards, clip, fps=1.0)
    chosen = torch.linspace(0, len(frames) - 1, model.preprocess.frames).round().long()
    return model.encode_clips(model.preprocess(frames[chosen])[None])
