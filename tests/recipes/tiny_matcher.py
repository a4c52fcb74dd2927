"""A matcher of random tiny parts, and a pool of subtitle files for it."""

import torch

from weaksync import zoo
from weaksync.zoo.glove import WordVectors, words
from weaksync.zoo.matcher import GlobalCue, Matcher

TEXTS = {
    "tea": ["Pour the tea slowly.", "Then wait a little."],
    "news": ["Shares fell sharply today."],
    "garden": ["Water the roses.", "Cut them in March.", "Never cut them in the frost, for they will die."],
    "short": ["Good morning to you."],
    "song": ["We sing in the garden, and the tea grows cold."],
}


def tiny_matcher(seed=0, **others):
    torch.manual_seed(seed)
    known = sorted({word for text in TEXTS.values() for line in text for word in words(line)})
    vectors = WordVectors({word: row for row, word in enumerate(known)}, torch.randn(len(known), 50))
    gsm = {"video_dim": 96, "text_dim": 50, "per_second": 2.0}
    cues = {
        name: GlobalCue(zoo.create("gsm-tiny", cue=name, **gsm), zoo.create("picturenet-tiny"))
        for name in ("object", "scene")
    }
    parts = {"cues": cues, "words": vectors, "languages": ["en"], **others}
    return Matcher.of(zoo.create("syncnet-tiny"), zoo.create("lipspeech-tiny"), **parts)


def write_pool(folder, texts=TEXTS):
    folder.mkdir(parents=True)
    for name, lines in texts.items():
        cues = [
            f"{n + 1}\n00:00:{3 * n:02d},000 --> 00:00:{3 * n + 2:02d},500\n{line}\n" for n, line in enumerate(lines)
        ]
        (folder / f"{name}.srt").write_text("\n".join(cues), encoding="utf-8")
    return folder
