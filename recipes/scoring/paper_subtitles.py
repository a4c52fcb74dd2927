"""Every figure of Video2Subtitle's tables as it was printed; recalls are in per cent."""

from __future__ import annotations

from .paper import Table

#: the parts of the paper's data, as our clips name their domains
DOMAINS = {"youtube": "YouTube", "movie": "Movie"}
RECALLS = ("r@1", "r@5", "r@10")
MEDIAN = "MedRank"
FIGURES = (*RECALLS, MEDIAN)

#: Table 2: the aligners, by the names of `LipSpeechConfig.aligner`
ALIGNERS = {"dtw": "DTW", "dsta": "DSTA", "soft-dtw": "soft-DTW", "soft-dsta": "soft-DSTA"}
#: Table 3: which cues are weighed together, by the names that `Fusion` gives them
CUES = {
    "object": ("object",),
    "scene": ("scene",),
    "action": ("action",),
    "alignment": ("alignment",),
    "global": ("object", "scene", "action"),
    "fusion": ("object", "scene", "action", "alignment"),
}
CUE_NAMES = {
    "object": "Object (O)",
    "scene": "Scene (S)",
    "action": "Action (A)",
    "alignment": "soft-DSTA (D)",
    "global": "O+S+A",
    "fusion": "O+S+A+D",
    "clip4clip": "CLIP4Clip",
}


def row(domain: str, name: str) -> str:
    """The key of a row: the tables have every method once for each domain."""
    return f"{domain}/{name}"


TABLE_1 = Table(
    "table1",
    "Data sets of video and subtitles",
    ("clips", "hours", "lines", "sources"),
    {
        "movieqa": (200, 7.7, 620_000, 408),
        "tvr": (21_700, 461, 40_000, 6),
        "movienet": (41_300, 214, 1_000_000, 1_100),
        "video2subtitle": (100_000, 759, 1_100_000, 629 + 4_138),
    },
    {
        ("movieqa", "lines"): "these are raw subtitles; the others are cleaned",
        ("movienet", "lines"): "these are raw subtitles; the others are cleaned",
    },
    digits=2,
)

TABLE_2 = Table(
    "table2",
    "Retrieval by temporal alignment",
    FIGURES,
    {
        row("youtube", "dtw"): (1.0, 3.7, 6.5, 392),
        row("youtube", "dsta"): (21.8, 28.2, 31.7, 140),
        row("youtube", "soft-dtw"): (24.0, 31.3, 35.1, 91),
        row("youtube", "soft-dsta"): (36.2, 45.2, 49.2, 12),
        row("movie", "dtw"): (0.1, 0.2, 0.6, 972),
        row("movie", "dsta"): (5.4, 9.8, 12.7, 405),
        row("movie", "soft-dtw"): (1.8, 3.9, 5.2, 1028),
        row("movie", "soft-dsta"): (10.3, 19.3, 23.8, 131),
    },
)

TABLE_3 = Table(
    "table3",
    "Retrieval by several cues together",
    FIGURES,
    {
        row("youtube", "object"): (2.5, 8.5, 13.3, 165),
        row("youtube", "scene"): (2.9, 8.6, 13.4, 204),
        row("youtube", "action"): (2.5, 7.7, 12.4, 202),
        row("youtube", "alignment"): (36.2, 45.2, 49.2, 12),
        row("youtube", "global"): (3.9, 11.2, 16.8, 102),
        row("youtube", "fusion"): (43.8, 58.9, 65.1, 2),
        row("youtube", "clip4clip"): (7.4, 19.3, 27.3, 51),
        row("movie", "object"): (1.5, 5.0, 7.8, 315),
        row("movie", "scene"): (1.6, 4.4, 7.0, 395),
        row("movie", "action"): (1.1, 3.7, 6.2, 452),
        row("movie", "alignment"): (10.3, 19.3, 23.8, 131),
        row("movie", "global"): (2.7, 7.7, 11.6, 218),
        row("movie", "fusion"): (13.6, 24.8, 30.9, 53),
        row("movie", "clip4clip"): (5.2, 11.8, 16.3, 196),
    },
)

TABLES = {table.name: table for table in (TABLE_1, TABLE_2, TABLE_3)}

#: figures of the paper that hold pictures and no numbers
PICTURES = {
    "figure4": "Effect of the order-based term (Equation 4)",
    "figure5": "Effect of the duration-based term (Equation 5)",
    "figure6": "Alignments of DTW and DSTA where lips cannot be seen",
    "figure7": "Re-generated subtitles",
}
