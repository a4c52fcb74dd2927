"""The benches of retrieval and decoding: that they measure what they say."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.recipes.bench import decode as bench_decode
from weaksync.recipes.bench import retrieval as bench_retrieval


def run(command, *arguments):
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.output[result.output.index("[") :])


def test_retrieval_is_timed_beside_what_it_finds():
    sizes = ["--clips", "700", "--sentences", "90", "--width", "16", "--languages", "2"]
    (row,) = run(bench_retrieval.command, *sizes)
    assert (row["clips"], row["sentences"]) == (700, 90) and row["s"] > 0 and row["peak MiB"] > 100
    shown = CliRunner().invoke(bench_retrieval.command, sizes, catch_exceptions=False).output
    assert all(name in shown for name in ("language 1", "language 2", "mean over", "all clips"))
    videos = list(bench_retrieval.synthetic(700, 90, 16))
    assert sum(len(video.clips) for video in videos) == 700 and sum(len(video.segments) for video in videos) == 90


def test_decoding_is_timed_on_a_full_test_set(monkeypatch, tmp_path):
    drawn = bench_decode.lengths(None)
    assert len(drawn) == 271 and 500 < np.mean([seconds for seconds, _ in drawn]) < 800
    with pytest.raises(FileNotFoundError, match=r"m-symon/annotations"):
        bench_decode.lengths(tmp_path)
    monkeypatch.setattr(bench_decode, "VIDEOS", 3)
    rows = run(bench_decode.command, "--turns", "1", "--threads", "1")
    assert [row["way"] for row in rows] == list(bench_decode.WAYS) and all(row["ms"] >= row["fastest"] for row in rows)
