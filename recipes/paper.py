"""Published figures of M-SyMoN, to print beside our own; languages in the order of the paper."""

from __future__ import annotations

LANGUAGES = ("en", "zh", "es", "fr", "pt", "hi", "ru")


def _by_language(*values: float) -> dict[str, float]:
    return dict(zip(LANGUAGES, values, strict=True))


#: Table 1.  Of annotated Chinese videos the release lists 31, which the total of 480 in the text needs too.
VIDEOS = _by_language(5193, 2683, 1595, 1193, 1070, 749, 683)
ANNOTATED_VIDEOS = _by_language(98, 30, 75, 84, 57, 63, 72)

#: Table 14, CCLM-two-stage-supervision, in per cent
BEST_CLIP_ACCURACY = _by_language(34.6, 45.2, 27.4, 28.3, 27.7, 20.5, 25.1)
BEST_SENTENCE_IOU = _by_language(23.5, 34.4, 15.9, 16.9, 15.4, 9.6, 13.7)
#: Table 3 (the same model) and Table 4 (from the times of the narration alone): mean of each video's F1, in per cent
BEST_F1 = _by_language(27.7, 38.9, 19.8, 21.0, 19.5, 12.9, 17.5)
TRANSCRIPT_F1 = _by_language(34.4, 42.6, 19.1, 26.2, 40.6, 20.1, 27.3)

#: Table 5, on YMS: CCLM-two-stage-supervision (English)
YMS_CLIP_ACCURACY, YMS_SENTENCE_IOU = 45.3, 34.6
