"""The story data module: shards in, `PairBatch` for training and `VideoBatch` for evaluation out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, get_args

from .batches import ClipTransform, Tokenize
from .derived import ALIGNMENTS, TRANSLATIONS, aligned_labels, open_derived, translated_videos
from .elastic import ElasticLoader, GroupOrder, PairSteps
from .index import ShardSet, open_set
from .manifest import Manifest
from .pairs import PAIR_SOURCES, Grouping, PairSource, WeakPairs, make_pairs
from .records import AnnotatedVideo
from .resampled import PairStream, ResampledLoader, address_of, read_manifest
from .resumable import ResumableDataModule
from .videos import VideoLoader, Videos

Mode = Literal["exact", "resampled"]


class StoryDataModule(ResumableDataModule["ElasticLoader | ResampledLoader"]):
    """Story shards as Lightning wants them.

    Training yields `PairBatch`: groups of pairs, each group of one video.  Evaluation yields `VideoBatch`: whole
    videos, each exactly once over all ranks and workers.

    Args:
        folder: of a shard set (``weaksync data build``); in resampled mode the address of one may be given.
        preprocess: pixels for the model, `model.preprocess`.
        tokenize: ids for the model, `model.tokenize`.
        global_batch: groups in a step, over all ranks; the last step of an epoch may be smaller.
        group_size: pairs in a group, at most: one positive and its ``group_size - 1`` same-video negatives.
        mode: ``exact`` reads a local set by offset, every pair once an epoch, and resumes at any step; ``resampled``
            streams shards drawn with replacement, for sets in an object store.
        steps_per_epoch: resampled mode alone: steps of an epoch, equal on every rank.
        languages: keep the videos in these; None keeps all.
        translations: folder of a set derived from this one (``weaksync data translate``), whose texts replace those of
            the sentences, in training and in evaluation; exact mode alone.
        pairs: ``weak`` pairs a clip with the sentence that is spoken over it, ``annotated`` with the one that people
            say it shows, and trains on the videos that they annotated alone; ``aligned`` with the one that a model
            gave it.
        alignments: folder of a set derived from this one (``weaksync data align``), for ``aligned``; exact mode alone.
        grouping: a group holds any pairs of a video (``mixed``), or those of neighbouring clips, in their order
            (``consecutive``, exact mode alone), for losses that align them.
        test_split: which videos `test_dataloader` and `predict_dataloader` yield.
        seed: of the order, of the frames that are drawn and of augmentation.
        workers: processes that read; 0 reads in the process itself.
        max_bad: bad training samples tolerated in an epoch, a number or a share below 1; evaluation tolerates none.
        check_hashes: check every sample's SHA-256 as it is read (about 1 % of the time of decoding).
        start_method: ``fork``, ``spawn`` or ``forkserver`` for the workers; None takes the system's.

    Raises:
        ValueError: naming the argument, or the shard that changed since the set was made.
        FileNotFoundError: where there is no set.
    """

    #: a rank may have no video where they are fewer than the ranks
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        folder: str | Path,
        preprocess: ClipTransform,
        tokenize: Tokenize,
        *,
        global_batch: int,
        group_size: int = 8,
        mode: Mode = "exact",
        steps_per_epoch: int | None = None,
        languages: Sequence[str] | None = None,
        translations: str | Path | None = None,
        pairs: PairSource = "weak",
        alignments: str | Path | None = None,
        grouping: Grouping = "mixed",
        test_split: str = "test",
        seed: int = 0,
        workers: int = 0,
        max_bad: int | float = 0,
        check_hashes: bool = True,
        start_method: str | None = None,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.preprocess = preprocess
        self.tokenize = tokenize
        self.global_batch = global_batch
        self.group_size = group_size
        self.mode = mode
        self.steps_per_epoch = steps_per_epoch
        self.languages = None if languages is None else sorted(set(languages))
        self.translations = translations
        self.pair_source = pairs
        self.alignments = alignments
        self.grouping = grouping
        self.test_split = test_split
        self.seed = seed
        self.workers = workers
        self.max_bad = max_bad
        self.check_hashes = check_hashes
        self.start_method = start_method
        self._refuse_impossible()

    def _refuse_impossible(self) -> None:
        """Raises ValueError, naming the arguments, for settings that cannot be or do not go together."""
        if self.mode not in ("exact", "resampled"):
            raise ValueError(f"mode={self.mode!r}: choose 'exact' or 'resampled'")
        if (self.mode == "resampled") != (self.steps_per_epoch is not None):
            raise ValueError(
                "steps_per_epoch belongs to mode='resampled', which needs it: exact mode counts for itself"
            )
        if self.pair_source not in get_args(PairSource):
            raise ValueError(f"pairs={self.pair_source!r}: choose {' or '.join(map(repr, get_args(PairSource)))}")
        if (self.pair_source == "aligned") != (self.alignments is not None):
            raise ValueError("alignments belong to pairs='aligned', which needs them: weaksync data align makes them")
        if self.grouping not in get_args(Grouping):
            raise ValueError(f"grouping={self.grouping!r}: choose {' or '.join(map(repr, get_args(Grouping)))}")
        if self.mode != "exact" and self.grouping != "mixed":
            raise ValueError("grouping='consecutive' belongs to mode='exact'")
        if self.mode != "exact" and (self.translations is not None or self.alignments is not None):
            raise ValueError("derived sets belong to mode='exact': streamed shards come with their own texts alone")
        if self.global_batch < 1:
            raise ValueError(f"global_batch={self.global_batch}: a step needs one group at least")
        if self.group_size < 2:
            raise ValueError(f"group_size={self.group_size}: a group of fewer than 2 pairs has no negatives")
        if self.seed < 0 or self.workers < 0:
            raise ValueError(f"seed={self.seed}, workers={self.workers}: neither can be negative")

    @cached_property
    def shards(self) -> ShardSet:
        """The set, opened and checked when it is first asked for."""
        if "://" in str(self.folder):
            raise ValueError(f"{self.folder}: reading by offset (exact mode, evaluation) needs a set on a local disk")
        shards = open_set(self.folder, check_hashes=self.check_hashes)
        self._check(shards.manifest)
        return shards

    @cached_property
    def translation_set(self) -> ShardSet | None:
        """The translations, opened and checked against the set when they are first asked for; None without any."""
        return self._derived(self.translations, TRANSLATIONS)

    @cached_property
    def alignment_set(self) -> ShardSet | None:
        """The alignments, opened and checked against the set when they are first asked for; None without any."""
        return self._derived(self.alignments, ALIGNMENTS)

    def _derived(self, folder: str | Path | None, kind: str) -> ShardSet | None:
        return None if folder is None else open_derived(folder, self.shards, kind, check_hashes=self.check_hashes)

    @property
    def text_languages(self) -> list[str]:
        """Codes of the languages that the model gets to read: what texts are translated to, or those of the videos."""
        if self.translation_set is not None:
            return [str(self.translation_set.manifest.settings["to"])]
        return self.languages or list(self.manifest.languages)

    def records(self, split: str) -> list[AnnotatedVideo]:
        """The videos of a split in the languages that are kept, with the texts that the model gets to read.

        Raises as `ShardSet.videos` and `derived.translated_videos`.
        """
        if self.translation_set is not None:
            return translated_videos(self.shards, self.translation_set, split, self.languages)
        return self.shards.videos(split, self.languages)

    @property
    def manifest(self) -> Manifest:
        """What the set holds: splits, counts, languages and settings."""
        return self.shards.manifest if self.mode == "exact" else read_manifest(address_of(self.folder))

    def _check(self, manifest: Manifest) -> None:
        manifest.check_clips(self.folder)
        if 0 < manifest.frames < self.preprocess.frames:
            raise ValueError(
                f"the model looks at {self.preprocess.frames} frames of a clip, {self.folder} holds "
                f"{manifest.frames}; build the set with more, or take a model with fewer"
            )

    @cached_property
    def pairs(self) -> WeakPairs:
        """The pairs of the training split; `pairs.too_few` are the videos that have none to offer."""
        found = self.alignment_set
        make = (
            PAIR_SOURCES[self.pair_source]
            if found is None
            else partial(make_pairs, label=partial(aligned_labels, found))
        )
        pairs = make(self.records("train"))
        if not pairs.videos:
            raise ValueError(
                f"no training video of {self.folder} has clips with two sentences in {self.pair_source} pairs: "
                "nothing to train on"
            )
        if pairs.too_few:
            warnings.warn(
                f"{len(pairs.too_few)} of {len(pairs.too_few) + len(pairs.videos)} training videos have fewer than "
                f"two paired sentences, hence no negatives, and are left out: {', '.join(pairs.too_few[:5])}"
                + (" ..." if len(pairs.too_few) > 5 else ""),
                stacklevel=3,
            )
        return pairs

    def training_loader(self, rank: int, world: int) -> ElasticLoader | ResampledLoader:
        """Steps of `PairBatch`.  Raises ValueError where the ranks cannot share them."""
        if self.global_batch % world:
            below, above = self.global_batch // world * world, -(-self.global_batch // world) * world
            near = " or ".join(str(size) for size in (below, above) if size)
            raise ValueError(f"global_batch={self.global_batch} cannot be shared by {world} ranks; take {near}")
        return self._exact(rank, world) if self.mode == "exact" else self._resampled(rank, world)

    def _resampled(self, rank: int, world: int) -> ResampledLoader:
        address = address_of(self.folder)
        manifest = read_manifest(address)
        self._check(manifest)
        manifest.check_languages(self.languages, address)
        shards = [shard for shard in manifest.shards if shard.split == "train"]
        if not shards or self.steps_per_epoch is None:
            raise ValueError(f"{address} has no split 'train'; it has {', '.join(manifest.counts)}")
        groups = self.global_batch // world
        stream = PairStream(
            address,
            shards,
            self.preprocess,
            self.tokenize,
            groups,
            self.group_size,
            self.languages,
            self.seed,
            rank,
            self.check_hashes,
            self.pair_source,
        )
        return ResampledLoader(
            stream,
            self.steps_per_epoch,
            self.steps_per_epoch * groups * self.group_size,
            max_bad=self.max_bad,
            workers=self.workers,
            context=self.start_method,
        )

    def _exact(self, rank: int, world: int) -> ElasticLoader:
        homes = [self.shards.entries[video.id].shard for video in self.pairs.videos]
        order = GroupOrder(self.pairs, homes, self.group_size, self.seed, self.grouping)
        steps = PairSteps(self.shards, order, self.preprocess, self.tokenize, self.global_batch, rank, world)
        identity = {
            "global_batch": self.global_batch,
            "group_size": self.group_size,
            "seed": self.seed,
            "languages": self.languages,
            "data": self.shards.fingerprint("train"),
            # None where a run has what all runs had before there was a choice
            "translations": self.translation_set and self.translation_set.fingerprint("train"),
            "pairs": None if self.pair_source == "weak" else self.pair_source,
            "alignments": self.alignment_set and self.alignment_set.fingerprint("train"),
            "grouping": None if self.grouping == "mixed" else self.grouping,
        }
        return ElasticLoader(steps, identity, max_bad=self.max_bad, workers=self.workers, context=self.start_method)

    def val_dataloader(self) -> VideoLoader:
        """Videos of the validation split."""
        return self.videos("val")

    def test_dataloader(self) -> VideoLoader:
        """Videos of `test_split`."""
        return self.videos(self.test_split)

    def predict_dataloader(self) -> VideoLoader:
        """Videos of `test_split`."""
        return self.videos(self.test_split)

    def videos(self, split: str, *, annotated: bool = False) -> VideoLoader:
        """The whole videos of any split, each on one rank; where `annotated`, those alone that people annotated.

        Raises ValueError where the set has no such split.
        """
        records = [video for video in self.records(split) if video.annotated or not annotated]
        usable = [record for record in records if record.clips and record.sentences]
        if len(usable) < len(records):
            empty = sorted({record.id for record in records} - {record.id for record in usable})
            warnings.warn(
                f"{len(empty)} of {len(records)} videos of {split!r} have no clip or no sentence, and cannot be "
                f"evaluated: {', '.join(empty[:5])}",
                stacklevel=2,
            )
        rank, world = self.place()
        return VideoLoader(
            Videos(self.shards, usable, self.preprocess, self.tokenize), rank, world, self.workers, self.start_method
        )
