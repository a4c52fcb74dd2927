"""The counts of M-SyMoN's Tables 1 and 2 for any videos with clips: per language, in the words of the paper."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...datamodules.records import SPLITS, AnnotatedVideo, weak_labels


@dataclass
class SetCounts:
    """Counts of one language, or of several added up.

    A word is what stands between spaces, without the punctuation around it, in lower case; in Chinese, which puts no
    spaces, it is a character that is a letter or a digit.  A pair is a clip with the sentence that covers at least
    half of it: by its spoken time it is a weak pair, by its annotated segment an annotated one.

    Attributes:
        videos: how many.
        seconds: of all videos; the end of the last clip where the duration is unknown.
        sentences: of all narrations.
        words: of all narrations.
        vocabulary: the different words.
        movies: different movies of the videos whose metadata name one.
        annotated_videos: how many have annotations.
        annotated_seconds: of those.
        weak_pairs: split -> weak pairs.
        annotated_pairs: split -> annotated pairs.
        spreads: name -> a value of each clip, sentence or video, for histograms.
    """

    videos: int = 0
    seconds: float = 0.0
    sentences: int = 0
    words: int = 0
    vocabulary: set[str] = field(default_factory=set)
    movies: set[str] = field(default_factory=set)
    annotated_videos: int = 0
    annotated_seconds: float = 0.0
    weak_pairs: dict[str, int] = field(default_factory=dict)
    annotated_pairs: dict[str, int] = field(default_factory=dict)
    judged_pairs: int = 0
    right_pairs: int = 0
    spreads: dict[str, list[float]] = field(default_factory=dict)

    def add(self, split: str, video: AnnotatedVideo) -> None:
        """Count one more video.  Raises ValueError where it has not been cut into clips."""
        clips = video.clip_times()
        seconds = video.duration or (float(clips[-1, 1]) if len(clips) else 0.0)
        sentences = [words_of(sentence.text, video.language) for sentence in video.sentences]
        words = [word for sentence in sentences for word in sentence]
        self.videos += 1
        self.seconds += seconds
        self.sentences += len(video.sentences)
        self.words += len(words)
        self.vocabulary.update(words)
        if video.movie is not None:
            self.movies.add(video.movie)
        self._spread("seconds of a clip", (clips[:, 1] - clips[:, 0]).tolist())
        self._spread("words of a sentence", [len(sentence) for sentence in sentences])
        self._spread("sentences of a video", [len(sentences)])
        self._spread("minutes of a video", [seconds / 60])
        labels = weak_labels(clips, video.narrations())
        weak = int((labels >= 0).sum())
        self.weak_pairs[split] = self.weak_pairs.get(split, 0) + weak
        if video.annotated:
            self.annotated_videos += 1
            self.annotated_seconds += seconds
            shown = weak_labels(clips, video.segments())
            self.annotated_pairs[split] = self.annotated_pairs.get(split, 0) + int((shown >= 0).sum())
            self.judged_pairs += weak
            self.right_pairs += int(((labels >= 0) & (labels == shown)).sum())

    def _spread(self, name: str, values: list[float]) -> None:
        self.spreads.setdefault(name, []).extend(values)

    def table(self) -> dict[str, float | int | None]:
        """The rows of both tables; None where there is nothing to say."""
        each = max(1, self.videos)
        return {
            "videos": self.videos,
            "hours": self.seconds / 3600,
            "vocabulary": len(self.vocabulary),
            "minutes per video": self.seconds / 60 / each,
            "sentences per video": self.sentences / each,
            "words per video": self.words / each,
            "movies": len(self.movies) or None,
            "annotated videos": self.annotated_videos,
            "annotated hours": self.annotated_seconds / 3600,
            **_by_split("weak pairs", self.weak_pairs),
            **_by_split("annotated pairs", self.annotated_pairs),
            "times agree with people": self.timestamp_agreement(),
        }

    def timestamp_agreement(self) -> float | None:
        """The share of the weak pairs of annotated videos that people confirm: the clip shows what is told over it.

        M-SyMoN, appendix D, has 34.0 % for Spanish and 44.9 % on average.  None where nothing can be judged.
        """
        return self.right_pairs / self.judged_pairs if self.judged_pairs else None


def count(videos: Iterable[tuple[str, AnnotatedVideo]]) -> dict[str, SetCounts]:
    """Counts by language of ``(split, video)``, languages in the order of their appearance, then ``all`` of several."""
    counts: dict[str, SetCounts] = {}
    together = SetCounts()
    for split, video in videos:
        counts.setdefault(video.language, SetCounts()).add(split, video)
        together.add(split, video)
    return counts if len(counts) < 2 else counts | {"all": together}


def words_of(text: str, language: str) -> list[str]:
    """The words of a sentence, as `SetCounts` defines them."""
    if language == "zh":
        return [character for character in text.lower() if character.isalnum()]
    stripped = (_strip(word) for word in text.lower().split())
    return [word for word in stripped if word]


def _by_split(what: str, counts: dict[str, int]) -> dict[str, float | int | None]:
    return {f"{what}, {split}": counts[split] for split in sorted(counts, key=split_order)}


def split_order(split: str) -> tuple[int, str]:
    """To sort by: `SPLITS`, and then any others by their names."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS)), split


def _strip(word: str) -> str:
    """`word` from its first letter or digit to its last, with the vowel signs that may follow it."""
    letters = [place for place, character in enumerate(word) if character.isalnum()]
    if not letters:
        return ""
    end = letters[-1] + 1
    while end < len(word) and _is_mark(word[end]):
        end += 1
    return word[letters[0] : end]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
