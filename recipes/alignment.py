"""The answer of `weaksync align`: which clips each sentence describes, as a record, as JSON, as subtitles."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datamodules.records import Interval, Sentence
from ..datamodules.srt import srt_cue

#: raised when a reader of an older alignment.json could no longer understand what we write
SCHEMA_VERSION = 1


@dataclass(eq=False)
class Alignment:
    """One video aligned with its text.

    Attributes:
        clips: (n, 2) float64 seconds, in order.
        labels: (n,) int64, the sentence that each clip shows; -1 where the clip was dropped.
        sentences: m sentences; `narration` where the text came with times, `segment` where the truth is known.
        similarity: (n, m) float32, cosine of every clip with every sentence.
        video: the file that was aligned.
        model: the name or folder of the model.
        language: code of the sentences' language.
        duration: of the video, in seconds.
        decoder: the settings that turned `similarity` into `labels`, as plain values.
        annotated: whether `segment` of the sentences is the truth; if False, None there means nothing.
        notes: what was repaired or assumed on the way.
        doubt: why none of it may be trusted; None where nothing speaks against it.
        pictures: a small JPEG for each clip, or none at all; shown in the report, not part of the JSON.
    """

    clips: NDArray[np.float64]
    labels: NDArray[np.int64]
    sentences: list[Sentence]
    similarity: NDArray[np.float32]
    video: str
    model: str
    language: str
    duration: float
    decoder: dict[str, Any] = field(default_factory=dict)
    annotated: bool = False
    notes: list[str] = field(default_factory=list)
    doubt: str | None = None
    pictures: list[bytes] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        n, m = len(self.clips), len(self.sentences)
        if self.labels.shape != (n,) or self.similarity.shape != (n, m):
            raise ValueError(
                f"{self.video}: {n} clips and {m} sentences need labels ({n},) and similarity ({n}, {m}), "
                f"not {self.labels.shape} and {self.similarity.shape}"
            )
        if ((self.labels < -1) | (self.labels >= m)).any():
            raise ValueError(f"{self.video}: labels must be -1 (dropped) or a sentence below {m}")
        if self.pictures and len(self.pictures) != n:
            raise ValueError(f"{self.video}: {len(self.pictures)} pictures for {n} clips")

    def spans(self) -> list[list[Interval]]:
        """For each sentence, when it is on screen: runs of its clips as ``(start, end)`` seconds; empty if dropped."""
        spans: list[list[Interval]] = [[] for _ in self.sentences]
        previous = -1
        for (start, end), label in zip(self.clips.tolist(), self.labels.tolist(), strict=True):
            if label >= 0 and label == previous:
                spans[label][-1] = (spans[label][-1][0], end)
            elif label >= 0:
                spans[label].append((start, end))
            previous = label
        return spans

    def scores(self) -> list[float | None]:
        """For each sentence, the mean similarity of its clips; None where it was dropped."""
        chosen = [self.similarity[self.labels == j, j] for j in range(len(self.sentences))]
        return [float(of.mean()) if len(of) else None for of in chosen]

    def matched_share(self) -> float:
        """The share of the clips' time that shows some sentence, from 0 to 1."""
        lengths = self.clips[:, 1] - self.clips[:, 0]
        total = float(lengths.sum())
        return float(lengths[self.labels >= 0].sum()) / total if total > 0 else 0.0

    def to_json(self) -> str:
        """Everything but the pictures; all times in seconds.  `from_json` is the way back, without loss."""
        document = {
            "format": "weaksync.alignment",
            "version": SCHEMA_VERSION,
            "video": self.video,
            "model": self.model,
            "language": self.language,
            "duration": self.duration,
            "annotated": self.annotated,
            "decoder": self.decoder,
            "notes": self.notes,
            "doubt": self.doubt,
            "sentences": [
                {
                    "text": sentence.text,
                    "spans": spans,
                    "score": score,
                    "narration": sentence.narration,
                    "segment": sentence.segment,
                }
                for sentence, spans, score in zip(self.sentences, self.spans(), self.scores(), strict=True)
            ],
            "clips": [
                {"start": start, "end": end, "sentence": None if label < 0 else label}
                for (start, end), label in zip(self.clips.tolist(), self.labels.tolist(), strict=True)
            ],
            "similarity": _decimals(self.similarity).tolist(),
        }
        return json.dumps(document, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Alignment:
        """The alignment that `to_json` wrote.  Raises ValueError on anything else."""
        try:
            document = json.loads(text)
            if document["format"] != "weaksync.alignment" or document["version"] != SCHEMA_VERSION:
                raise ValueError(
                    f"this reads version {SCHEMA_VERSION} of weaksync.alignment, "
                    f"not {document['version']} of {document['format']}"
                )
            clips, sentences = document["clips"], document["sentences"]
            return cls(
                clips=np.array([(c["start"], c["end"]) for c in clips], dtype=np.float64).reshape(-1, 2),
                labels=np.array([-1 if c["sentence"] is None else c["sentence"] for c in clips], dtype=np.int64),
                sentences=[Sentence(s["text"], _interval(s["segment"]), _interval(s["narration"])) for s in sentences],
                similarity=np.array(document["similarity"], dtype=np.float32).reshape(len(clips), len(sentences)),
                video=document["video"],
                model=document["model"],
                language=document["language"],
                duration=document["duration"],
                decoder=document["decoder"],
                annotated=document["annotated"],
                notes=document["notes"],
                doubt=document.get("doubt"),  # what was written before there was one has none
            )
        except (KeyError, TypeError, json.JSONDecodeError) as fault:
            raise ValueError(f"not an alignment.json ({type(fault).__name__}: {fault})") from fault

    def to_srt(self) -> str:
        """Each matched sentence over the time of its clips, as a SubRip file."""
        cues = [
            (span, sentence.text)
            for sentence, spans in zip(self.sentences, self.spans(), strict=True)
            for span in spans
        ]
        return "".join(
            srt_cue(number, start, end, _srt_text(text)) + "\n"
            for number, ((start, end), text) in enumerate(sorted(cues, key=lambda cue: cue[0]), start=1)
        )

    def to_html(self, *, source: str | None = None) -> str:
        """The report as one self-contained page.

        Args:
            source: address of the video as seen from the page, such as ``recap.mp4``; None leaves the player out.
        """
        from .report.alignment_page import render

        return render(self, source=source)

    @classmethod
    def read(cls, path: str | Path) -> Alignment:
        """Read an alignment.json.  Raises ValueError that names the file if it is something else."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as fault:
            raise ValueError(f"{path}: {fault}") from fault


def _decimals(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers of few decimals that give the same float32 back; a whole film has ten million."""
    exact = values.astype(np.float64)
    short = exact.copy()
    for digits in (12, 10, 9, 8):
        rounded = exact.round(digits)
        short = np.where(rounded.astype(np.float32) == values, rounded, short)
    return short


def _interval(span: Any) -> Interval | None:
    return None if span is None else (float(span[0]), float(span[1]))


def _srt_text(text: str) -> str:
    # a blank line ends a cue and an arrow begins one, so neither may stand in the text
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line).replace("-->", "→")
