"""What the published annotation files hold, and what is odd in them: counts that add up over languages."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...datamodules import msymon, yms
from ...datamodules.msymon import FRAMES_PER_SECOND, Row, fraction
from ...datamodules.records import SPLITS


@dataclass
class MsymonCounts:
    """One language of M-SyMoN as it was published: nothing repaired, times as they were written.

    The names of the fields are the words of the table, so each is a count that adds up.
    """

    train_videos: int = 0
    val_videos: int = 0
    test_videos: int = 0
    annotated_urls: int = 0
    unannotated_urls: int = 0
    sentences: int = 0
    matched_sentences: int = 0
    answers_with_spaces_or_capitals: int = 0
    matched_answers_among_them: int = 0
    times: int = 0
    times_with_a_fraction_below_30: int = 0
    videos_with_no_fraction_past_29: int = 0
    videos_with_under_5_percent: int = 0
    videos_with_5_to_30_percent: int = 0
    videos_with_30_percent_or_more: int = 0
    neighbours: int = 0
    neighbours_a_hundredth_apart: int = 0
    neighbours_that_go_back: int = 0
    neighbours_that_overlap: int = 0
    neighbours_with_one_span: int = 0
    pairs_of_sentences: int = 0
    pairs_in_reverse: int = 0
    segments_that_end_before_they_begin: int = 0
    segments_of_no_length: int = 0
    segments_under_300_ms: int = 0
    segments_over_60_seconds: int = 0
    segments_over_200_seconds: int = 0
    hours_of_segments: float = 0.0
    videos_listed_twice_over: int = 0
    repeated_texts: int = 0

    def table(self) -> dict[str, float | int | None]:
        """Every count, and after it what follows from it."""
        rows: dict[str, float | int | None] = {}
        for name, value in asdict(self).items():
            rows[name] = value
            if name == "annotated_urls":
                rows["withheld_videos"] = value - self.train_videos - self.val_videos - self.test_videos
            elif name == "unannotated_urls":
                rows["listed_videos"] = self.annotated_urls + value
            elif name == "matched_sentences":
                rows["matched_share"] = value / self.sentences if self.sentences else None
            elif name == "times_with_a_fraction_below_30":
                rows["share_of_them"] = value / self.times if self.times else None
            elif name == "hours_of_segments":
                whole = self.matched_sentences - self.segments_that_end_before_they_begin - self.segments_of_no_length
                rows["mean_segment_seconds"] = value * 3600 / whole if whole else None
        return rows

    def __add__(self, other: MsymonCounts) -> MsymonCounts:
        return MsymonCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def msymon_counts(root: Path, language: str) -> MsymonCounts:
    """Count one language of the release in `root`.  Raises as `datamodules.msymon.read_rows`."""
    counts = MsymonCounts()
    for split in SPLITS:
        videos = msymon.read_rows(root / "annotations" / msymon.folder_of(language) / f"{split}.json")
        setattr(counts, f"{split}_videos", len(videos))
        for rows in videos.values():
            counts += _video_counts(rows)
    counts.annotated_urls = len(msymon.urls(root, language))
    counts.unannotated_urls = len(msymon.urls(root, language, annotated=False))
    return counts


def _video_counts(rows: list[Row]) -> MsymonCounts:
    spans = np.array([row.span for row in rows if row.span is not None], dtype=np.float64).reshape(-1, 2)
    digits = np.array([fraction(value) for value in spans.ravel()])
    past = float((digits >= FRAMES_PER_SECOND).mean()) if len(digits) else 0.0
    careless = [row for row in rows if row.answer not in ("yes", "no")]
    texts = [row.text for row in rows]
    half = len(rows) // 2
    begin, end = spans[:, 0], spans[:, 1]
    length = end - begin
    back = begin[1:] < begin[:-1]
    gap = np.round(begin[1:] - end[:-1], 2)
    same = (spans[1:] == spans[:-1]).all(axis=1)
    valid = length > 0
    return MsymonCounts(
        sentences=len(rows),
        matched_sentences=len(spans),
        answers_with_spaces_or_capitals=len(careless),
        matched_answers_among_them=sum(row.span is not None for row in careless),
        times=len(digits),
        times_with_a_fraction_below_30=int((digits < FRAMES_PER_SECOND).sum()),
        videos_with_no_fraction_past_29=int(past == 0),
        videos_with_under_5_percent=int(0 < past < 0.05),
        videos_with_5_to_30_percent=int(0.05 <= past < 0.3),
        videos_with_30_percent_or_more=int(past >= 0.3),
        neighbours=max(0, len(spans) - 1),
        neighbours_a_hundredth_apart=int((gap == 0.01).sum()),
        neighbours_that_go_back=int(back.sum()),
        neighbours_that_overlap=int(((gap < 0) & ~back).sum()),
        neighbours_with_one_span=int(same.sum()),
        pairs_of_sentences=len(spans) * (len(spans) - 1) // 2,
        pairs_in_reverse=int(np.triu(begin[:, None] > begin[None, :], 1).sum()),
        segments_that_end_before_they_begin=int((length < 0).sum()),
        segments_of_no_length=int((length == 0).sum()),
        segments_under_300_ms=int((valid & (np.round(length, 2) < 0.3)).sum()),
        segments_over_60_seconds=int((length > 60).sum()),
        segments_over_200_seconds=int((length > 200).sum()),
        hours_of_segments=float(length[valid].sum() / 3600),
        videos_listed_twice_over=int(half > 0 and texts[:half] == texts[half:]),
        repeated_texts=len(texts) - len(set(texts)),
    )


@dataclass
class YmsCounts:
    """One annotation file of YMS on the published clips."""

    videos: int
    videos_in_splits: int
    clips: int
    hours_of_clips: float
    mean_clip_seconds: float
    rows: int
    matched_rows: int
    parts_without_text: int
    texts_without_part: int
    rows_without_words: int
    gaps_between_rows: int
    videos_that_go_on_for_2_seconds: int
    edges: int
    edges_over_half_a_second_from_a_cut: int


def yms_counts(root: Path, variant: yms.Variant) -> YmsCounts:
    """Count one annotation file of the release in `root`.  Raises as `datamodules.yms.read`."""
    videos = yms.read(root, "all", variant=variant)
    rows = yms.rows(root / f"annotations_{variant}.txt")
    kinds = Counter(_kind(text) for _, _, text in rows)
    gaps = sum(later[0] == earlier[0] and later[1][0] - earlier[1][1] > 1e-6 for earlier, later in pairwise(rows))
    last_row: dict[str, float] = {video: span[1] for video, span, _ in rows}
    clips = np.concatenate([video.clip_times() for video in videos])
    far = edges = 0
    for video in videos:
        cuts = np.unique(video.clip_times())
        segments = video.segments()
        ends = segments[~np.isnan(segments).any(axis=1)].ravel()
        edges += len(ends)
        far += int((np.abs(ends[:, None] - cuts[None, :]).min(axis=1) > 0.5).sum())
    return YmsCounts(
        videos=len(videos),
        videos_in_splits=sum(len(yms.read(root, split, variant=variant)) for split in SPLITS),
        clips=len(clips),
        hours_of_clips=float((clips[:, 1] - clips[:, 0]).sum() / 3600),
        mean_clip_seconds=float((clips[:, 1] - clips[:, 0]).mean()),
        rows=len(rows),
        matched_rows=kinds["matched"],
        parts_without_text=kinds["part"],
        texts_without_part=kinds["text"],
        rows_without_words=kinds["empty"],
        gaps_between_rows=gaps,
        videos_that_go_on_for_2_seconds=sum(
            bool(abs(video.clip_times()[-1, 1] - last_row[video.id]) > 2) for video in videos
        ),
        edges=edges,
        edges_over_half_a_second_from_a_cut=far,
    )


def _kind(text: str) -> str:
    if text == "UNMATCHED":
        return "part"
    if text.startswith("UNMATCHED:"):
        return "text"
    return "matched" if text else "empty"
