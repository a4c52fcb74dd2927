"""Plots, shots and narration: what a story may hold, and the shape of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaksync.datamodules.records import weak_labels
from weaksync.datamodules.world import LANGUAGES, measure, plot, record
from weaksync.datamodules.world.language import tell
from weaksync.datamodules.world.narrate import _isotonic
from weaksync.datamodules.world.story import FPS, VERBS
from weaksync.zoo.baselines import oracle, transcript
from weaksync.zoo.metrics import alignment_scores

STORIES = [plot(0, index, sentences=22) for index in range(60)]

seeds = st.integers(0, 10_000)


@settings(max_examples=40)
@given(seed=seeds, index=st.integers(0, 500), sentences=st.integers(4, 40))
def test_a_plot_is_well_formed(seed: int, index: int, sentences: int) -> None:
    story = plot(seed, index, sentences=sentences)
    assert story == plot(seed, index, sentences=sentences)
    clips, segments = story.clips(), story.segments()
    assert np.allclose(clips[1:, 0], clips[:-1, 1]) and clips[0, 0] == 0 and np.isclose(clips[-1, 1], story.duration)
    assert all(0.75 * FPS <= shot.frames <= 6 * FPS for shot in story.shots)
    told = [line.event for line in story.lines if line.event is not None]
    assert told == list(range(len(story.events)))
    shown = [shot.event for shot in story.shots if shot.event is not None]
    assert shown == sorted(shown) and all(1 <= shown.count(event) <= 5 for event in told)
    spans = segments[~np.isnan(segments[:, 0])]
    assert (spans[1:, 0] >= spans[:-1, 1] - 1e-9).all()


def test_neighbours_can_be_told_apart_and_nothing_happens_twice() -> None:
    for story in STORIES:
        assert all(here.unlike(there) >= 2 for here, there in zip(story.events, story.events[1:], strict=False))
        assert len(set(story.events)) == len(story.events)


def test_one_gives_and_throws_only_what_one_has() -> None:
    for story in STORIES:
        holder: dict[str, str] = {}
        for event in story.events:
            assert (event.agent is not None) == ("A" in VERBS[event.verb])
            assert event.agent is None or event.agent != event.patient
            if event.verb in ("lift", "throw", "give"):
                assert holder[str(event.agent)] == event.object
            if event.object:
                holder.pop(str(event.agent), None)
                if event.verb in ("find", "lift"):
                    holder[str(event.agent)] = event.object
                elif event.verb == "give":
                    holder[str(event.patient)] = event.object


def test_stories_differ() -> None:
    assert len({tuple(story.events) for story in STORIES}) == len(STORIES)
    assert {event.verb for story in STORIES for event in story.events} == set(VERBS)


def test_weather_stays_out_of_the_cave() -> None:
    assert not [event for story in STORIES for event in story.events if not event.agent and event.place == "cave"]


def test_portraits_show_nobody_whom_the_events_around_them_show() -> None:
    for story in STORIES:
        last = -1
        for shot in story.shots:
            last = last if shot.event is None else shot.event
            assert (shot.character is not None) == (shot.framing == "portrait")
            if shot.character is not None:
                near = story.events[max(0, last) : last + 2]
                assert all(shot.character not in (event.agent, event.patient) for event in near)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shape_is_that_of_the_published_data(language: str) -> None:
    videos = [record(0, story, language) for story in STORIES]
    shape = measure(videos)
    assert 2.2 < shape.clip_seconds < 2.6
    assert 0.54 < shape.matched < 0.60
    assert 0.36 < shape.unmatched_time < 0.56
    assert 0.33 < shape.agreement < 0.45
    lengths = np.concatenate([np.diff(video.clip_times())[:, 0] for video in videos])
    assert abs(np.log(lengths).std() - 0.46) < 0.05 and lengths.min() < 1.0 and lengths.max() > 5.5


def test_agreement_by_hand() -> None:
    video = record(0, STORIES[0], "en")
    right = paired = 0.0
    for start, end in video.clips or []:
        middle = (start + end) / 2
        best, spoken = -1, 0.0
        for number, sentence in enumerate(video.sentences):
            a, b = sentence.narration or (0.0, 0.0)
            share = max(0.0, min(b, end) - max(a, start)) / (end - start)
            if share >= 0.5 and share > spoken:
                best, spoken = number, share
        if best >= 0:
            paired += end - start
            segment = video.sentences[best].segment
            right += (end - start) * (segment is not None and segment[0] <= middle < segment[1])
    assert np.isclose(measure([video]).agreement, right / paired)


def test_the_transcript_is_weak_and_the_oracle_is_not() -> None:
    weak, best = [], []
    for story in STORIES:
        video = record(0, story, "en")
        clips, segments = video.clip_times(), video.segments()
        weak.append(alignment_scores(clips, transcript(clips, video.narrations()), segments).f1)
        best.append(alignment_scores(clips, oracle(clips, segments), segments).f1)
    assert 0.25 < np.mean(weak) < 0.40
    assert np.mean(best) > 0.68


def test_the_true_sentence_is_the_most_frequent_weak_partner_and_errors_lie_on_both_sides() -> None:
    offsets: dict[int, int] = {}
    for story in STORIES:
        for language in LANGUAGES:
            video = record(0, story, language)
            row = {line.event: number for number, line in enumerate(story.lines) if line.event is not None}
            for shot, label in zip(story.shots, weak_labels(video.clip_times(), video.narrations()), strict=True):
                if shot.event is not None and label >= 0:
                    offset = int(label) - row[shot.event]
                    offsets[offset] = offsets.get(offset, 0) + 1
    total = sum(offsets.values())
    assert offsets[0] > 0.5 * total
    assert 0.7 < offsets[-1] / offsets[1] < 1.4


def test_no_constant_lag_repairs_the_narration() -> None:
    videos = [record(0, story, "en") for story in STORIES]
    spoken = measure(videos).agreement
    for lag in (-3.0, -1.5, 1.5, 3.0):
        for video in videos:
            for sentence in video.sentences:
                a, b = sentence.narration or (0.0, 0.0)
                sentence.narration = (a + lag, b + lag)
        assert measure(videos).agreement < spoken + 0.01
        for video in videos:
            for sentence in video.sentences:
                a, b = sentence.narration or (0.0, 0.0)
                sentence.narration = (a - lag, b - lag)


@settings(max_examples=30)
@given(seed=seeds, index=st.integers(0, 100), language=st.sampled_from(LANGUAGES))
def test_narration_is_in_order_inside_the_film(seed: int, index: int, language: str) -> None:
    video = record(seed, plot(seed, index, sentences=12), language)
    spoken = video.narrations()
    assert (spoken[:, 1] > spoken[:, 0]).all() and (spoken[1:, 0] >= spoken[:-1, 1]).all()
    assert spoken[0, 0] >= 0 and spoken[-1, 1] <= video.duration


def test_languages_are_parallel() -> None:
    for story in STORIES[:5]:
        videos = [record(0, story, language) for language in LANGUAGES]
        assert len({len(video.sentences) for video in videos}) == 1
        for row in zip(*(video.sentences for video in videos), strict=True):
            assert len({sentence.segment for sentence in row}) == 1
            assert len({sentence.text for sentence in row}) == len(LANGUAGES)


def test_commentary_is_not_repeated_within_a_story() -> None:
    for story in STORIES:
        texts = [text for text, line in zip(tell(0, story, "en"), story.lines, strict=True) if line.event is None]
        assert len(set(texts)) == len(texts)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=7))
def test_isotonic_is_the_nearest_non_decreasing_sequence(values: list[float]) -> None:
    fit = _isotonic(np.array(values))
    assert (np.diff(fit) >= -1e-9).all()
    # the min-max formula of isotonic regression, written out
    for place in range(len(values)):
        low = [min(np.mean(values[a : b + 1]) for b in range(place, len(values))) for a in range(place + 1)]
        assert np.isclose(fit[place], max(low), atol=1e-6)


def test_measure_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="no videos"):
        measure([])
