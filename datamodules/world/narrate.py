"""When each sentence is spoken: a narrator who drifts ahead of the picture and behind it, at a pace of his own."""

from __future__ import annotations

import zlib

import numpy as np

from .story import Story

#: standard deviation of the lag in seconds, and how long it takes to forget it
LAG_SECONDS = 2.0
LAG_MEMORY_SECONDS = 14.0
#: the part of the film that is spoken over; the rest is breath
SPEECH_SHARE = 0.77


def narrate(seed: int, story: Story, language: str, texts: list[str]) -> np.ndarray:
    """Spoken spans of the sentences, shape (m, 2) in seconds: in order, disjoint, inside the film.

    The narrator aims at the middle of the segment that a sentence tells (commentary aims between its neighbours),
    shifted by a lag that wanders around zero as an Ornstein-Uhlenbeck walk.  He comes as near to his aims, in the
    least-squares sense, as he can without talking over himself.  Each language has its own narrator.
    """
    rng = np.random.default_rng([seed, story.index, zlib.crc32(language.encode())])
    length = story.duration
    spoken = np.array([len(text) ** 0.7 for text in texts]) * rng.uniform(0.85, 1.15, len(texts))
    spoken *= SPEECH_SHARE * length / spoken.sum()
    aims = _aims(story)
    aims = aims + _lags(rng, aims)
    # with the speech before it taken away, "in order without overlap" is "not decreasing"
    before = np.cumsum(spoken) - spoken
    breath = _isotonic(aims - spoken / 2 - before)
    starts = np.clip(breath, 0.0, length - spoken.sum()) + before
    return np.round(np.stack([starts, starts + spoken - 0.05], axis=1), 3)


def _aims(story: Story) -> np.ndarray:
    middles = story.segments().mean(axis=1)
    known = ~np.isnan(middles)
    rows = np.arange(len(middles))
    return np.interp(rows, [-1, *rows[known], len(rows)], [0.0, *middles[known], story.duration])


def _lags(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    lag = LAG_SECONDS * rng.standard_normal()
    lags = []
    for step in np.diff(times, prepend=times[0]):
        kept = np.exp(-max(step, 0.0) / LAG_MEMORY_SECONDS)
        lag = kept * lag + LAG_SECONDS * np.sqrt(1 - kept**2) * rng.standard_normal()
        lags.append(lag)
    return np.array(lags)


def _isotonic(values: np.ndarray) -> np.ndarray:
    """The non-decreasing sequence nearest to `values` in squared error (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in pools])
