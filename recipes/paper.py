"""Published figures of M-SyMoN, to print beside our own; languages in the order of the paper."""

from __future__ import annotations

LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")


def _by_language(*values: float) -> dict[str, float]:
    return dict(zip(LANGUAGES, values, strict=True))


#: Table 1; words are characters, and the vocabulary unique characters, for Chinese.  The published list has 31
#: annotated Chinese videos, which the total of 480 in the text needs too.
TABLE_1 = {
    "videos": _by_language(5193, 2683, 1595, 1193, 1070, 749, 683),
    "hours": _by_language(869, 390, 285, 102, 209, 173, 108),
    "vocabulary": _by_language(40116, 6269, 50050, 33967, 40676, 20896, 64827),
    "minutes per video": _by_language(9.5, 8.7, 10.7, 5.1, 11.7, 13.9, 9.5),
    "sentences per video": _by_language(131, 78.8, 82.6, 138, 134, 126, 151),
    "words per video": _by_language(1717, 3234, 1923, 2226, 2737, 2656, 1623),
    "movies": _by_language(2440, 1236, 1217, 877, 811, 462, 542),
    "annotated videos": _by_language(98, 30, 75, 84, 57, 63, 72),
    "annotated hours": _by_language(23.42, 7.23, 14.17, 14.17, 14.17, 14.17, 14.17),
}

#: Table 2: clip-sentence pairs, weak ones in the first row and annotated ones in the others
TABLE_2 = {
    "weak train": _by_language(730112, 365312, 166530, 60676, 127788, 90560, 84556),
    "train": _by_language(6649, 1860, 5989, 5799, 4205, 7152, 5789),
    "val": _by_language(7201, 1616, 4066, 4717, 6865, 7603, 8474),
    "test": _by_language(16208, 5441, 15185, 12560, 15356, 19652, 14664),
}

#: Table 14, CCLM-two-stage-supervision, in per cent
BEST_CLIP_ACCURACY = _by_language(34.6, 45.2, 27.4, 28.3, 27.7, 20.5, 25.1)
BEST_SENTENCE_IOU = _by_language(23.5, 34.4, 15.9, 16.9, 15.4, 9.6, 13.7)
#: Table 3 (the same model) and Table 4 (from the times of the narration alone): mean of each video's F1, in per cent
BEST_F1 = _by_language(27.7, 38.9, 19.8, 21.0, 19.5, 12.9, 17.5)
TRANSCRIPT_F1 = _by_language(34.4, 42.6, 19.1, 26.2, 40.6, 20.1, 27.3)

#: Table 5, on YMS: CCLM-two-stage-supervision (English)
YMS_CLIP_ACCURACY, YMS_SENTENCE_IOU = 45.3, 34.6
