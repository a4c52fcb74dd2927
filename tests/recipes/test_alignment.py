import json
import math

import numpy as np
import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.records import Sentence
from weaksync.recipes.alignment import Alignment


def alignment(labels, m, texts=None, **more):
    n = len(labels)
    chance = np.random.default_rng(n * 31 + m)
    edges = np.concatenate([[0.0], chance.uniform(0.5, 4.0, n).cumsum()])
    return Alignment(
        clips=np.stack([edges[:-1], edges[1:]], axis=1),
        labels=np.array(labels, dtype=np.int64),
        sentences=[Sentence(text) for text in texts or [f"Sentence {j}." for j in range(m)]],
        similarity=chance.normal(size=(n, m)).astype(np.float32),
        video="films/recap.mp4",
        model="runs/one/model",
        language="en",
        duration=float(edges[-1]),
        **more,
    )


@st.composite
def alignments(draw):
    m = draw(st.integers(1, 6))
    labels = draw(st.lists(st.integers(-1, m - 1), max_size=12))
    times = st.none() | st.tuples(st.floats(0, 1e4), st.floats(0, 1e4))
    found = alignment(
        labels,
        m,
        draw(st.lists(st.text(min_size=1), min_size=m, max_size=m)),
        annotated=draw(st.booleans()),
        doubt=draw(st.none() | st.text(min_size=1)),
    )
    for sentence in found.sentences:
        sentence.narration, sentence.segment = draw(times), draw(times)
    return found


@settings(max_examples=60)
@given(alignments())
def test_json_comes_back_without_loss(found):
    text = found.to_json()
    again = Alignment.from_json(text)
    assert again.to_json() == text
    np.testing.assert_array_equal(again.similarity, found.similarity)
    np.testing.assert_array_equal(again.clips, found.clips)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert again.sentences == found.sentences


def test_json_says_it_both_ways():
    document = json.loads(alignment([0, 0, -1, 2], 3).to_json())
    clips = document["clips"]
    assert [clip["sentence"] for clip in clips] == [0, 0, None, 2]
    spans = [sentence["spans"] for sentence in document["sentences"]]
    assert spans == [[[clips[0]["start"], clips[1]["end"]]], [], [[clips[3]["start"], clips[3]["end"]]]]
    assert document["sentences"][1]["score"] is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "weaksync.alignment", "version": 99}', '{"format": "other", "version": 1}']
)
def test_other_json_is_refused(text, tmp_path):
    path = tmp_path / "alignment.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"alignment\.json"):
        Alignment.read(path)


def test_a_run_ends_at_a_dropped_clip():
    found = alignment([1, 1, -1, 1, 0], 2)
    clips = found.clips.tolist()
    assert found.spans() == [
        [tuple(clips[4])],
        [(clips[0][0], clips[1][1]), tuple(clips[3])],
    ]


def test_scores_are_means_over_the_sentences_own_clips():
    found = alignment([0, 0, 1, -1], 3)
    expected = [(found.similarity[0, 0] + found.similarity[1, 0]) / 2, found.similarity[2, 1], None]
    assert found.scores() == [pytest.approx(e) if e is not None else None for e in expected]


def test_matched_share_weighs_clips_by_their_length():
    found = alignment([0, -1], 1)
    (a, b), (c, d) = found.clips
    assert math.isclose(found.matched_share(), (b - a) / (b - a + d - c))
    assert alignment([], 1).matched_share() == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "Two\nlines.",
        "A gap\n\n\nin it.",
        "  spaces \t around ",
        "42",
        "from here --> to there",
        "暴风雨把船抛向礁石。",
        "तूफ़ान जहाज़ को चट्टानों पर पटक देता है।",
        "line\r\nends",
    ],
)
def test_subtitles_are_read_back(text):
    found = alignment([0, 0, -1, 1, 0], 2, [text, "The second."])
    cues = pysubs2.SSAFile.from_string(found.to_srt(), format_="srt").events
    clips = found.clips
    expected = [(clips[0, 0], clips[1, 1], text), (clips[3, 0], clips[3, 1], "The second."), (*clips[4], text)]
    assert len(cues) == len(expected)
    for cue, (start, end, words) in zip(cues, expected, strict=True):
        assert abs(cue.start - 1000 * start) <= 1 and abs(cue.end - 1000 * end) <= 1
        assert cue.plaintext.split() == words.replace("-->", "→").split()


def test_subtitles_of_long_films_have_hours():
    found = alignment([0], 1)
    found.clips = np.array([[3599.9996, 3601.25]])
    assert "01:00:00,000 --> 01:00:01,250" in found.to_srt()


@pytest.mark.parametrize(("labels", "shape"), [([0, 3], (2, 2)), ([-2, 0], (2, 2)), ([0, 1], (2, 3)), ([0], (2, 2))])
def test_what_does_not_fit_together_is_refused(labels, shape):
    with pytest.raises(ValueError, match="film"):
        Alignment(
            clips=np.array([[0.0, 1.0], [1.0, 2.0]]),
            labels=np.array(labels),
            sentences=[Sentence("One."), Sentence("Two.")],
            similarity=np.zeros(shape, dtype=np.float32),
            video="film.mp4",
            model="m",
            language="en",
            duration=2.0,
        )
