"""SRT files as they are written, against pysubs2, which reads them."""

from __future__ import annotations

import pysubs2
from hypothesis import given
from hypothesis import strategies as st

from weaksync.datamodules.srt import srt_cue


def test_a_cue_is_as_the_format_has_it() -> None:
    assert srt_cue(7, 3723.0456, 3725, "Hello.") == "7\n01:02:03,046 --> 01:02:05,000\nHello.\n"


@given(st.lists(st.integers(0, 99 * 3_600_000), min_size=2, max_size=2).map(sorted))
def test_times_are_read_back_to_the_millisecond(times: list[int]) -> None:
    start, end = times
    (cue,) = pysubs2.SSAFile.from_string(srt_cue(1, start / 1000, end / 1000, "word"), format_="srt")
    assert (cue.start, cue.end) == (start, end)
