"""Subtitles as speech on disc: what is read is what was spoken, once each, and a stopped call goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync.datamodules.batches import Phoneme, Speech, Word
from weaksync.datamodules.derived import SPEECH, open_derived
from weaksync.datamodules.files import safe_id
from weaksync.datamodules.groups import Grouping, group
from weaksync.datamodules.manifest import Manifest
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.sample_set import make_set
from weaksync.datamodules.speech import Espeak
from weaksync.datamodules.speech_set import cue_spans, open_speech, read_speech, speak_clips, write_speech
from weaksync.datamodules.spoken import open_clips
from weaksync.datamodules.verify import verify

SRT = "1\n00:00:01,000 --> 00:00:03,500\n{}\n\n2\n00:00:04,000 --> 00:00:06,000\n{}\n"


@dataclass
class Beeps:
    """A tenth of a second a letter; notes all that it says, may fail after some, and refuses texts with a word."""

    voice: str = "beep"
    rate: float = 1.0
    producer: str = "beeps 1"
    said: list[str] = field(default_factory=list)
    fails_after: int = 1000
    refuses: str = "zzz"

    def __call__(self, text: str, *, language: str) -> Speech:
        if len(self.said) >= self.fails_after:
            raise KeyboardInterrupt
        if self.refuses in text:
            raise ValueError("no letter of it is known")
        self.said.append(text)
        length = len(text) / 10
        wave = torch.full((1600 * len(text),), len(text), dtype=torch.int16)
        end = length - 0.05
        return Speech(wave, [Word(text, 0.0, end)], [Phoneme("i", 0.01, end)], [Word(text, 0.0, end)])


@pytest.fixture
def subtitles(tmp_path: Path) -> Path:
    folder = tmp_path / "subtitles"
    folder.mkdir()
    (folder / "one.srt").write_text(SRT.format("We chop the onions.", "Then we sit down and eat."))
    (folder / "two.srt").write_text(SRT.format("Then we sit down and eat.", "♪ ♪"))
    (folder / "empty.srt").write_text("")
    return folder


def test_what_is_read_is_what_was_spoken(subtitles: Path, tmp_path: Path) -> None:
    voice = Beeps()
    report = write_speech(tmp_path / "set", subtitles, voice, language="en")
    assert voice.said == ["We chop the onions.", "Then we sit down and eat."]
    assert (report.files, report.sentences, report.distinct, report.resumed) == (2, 3, 2, 0)
    assert list(report.left_out) == [str(subtitles / "empty.srt")]
    assert not verify(tmp_path / "set") and not (tmp_path / "set" / ".speech").exists()
    shards = open_speech(tmp_path / "set")
    assert sorted(shards.entries) == ["one", "two"]
    record, speech = shards.record("one"), read_speech(shards, "one")
    assert [sentence.narration for sentence in record.sentences] == [(1.0, 3.5), (4.0, 6.0)]
    wanted = Speech.join([Beeps()(sentence.text, language="en") for sentence in record.sentences])
    assert torch.equal(speech.waveform, wanted.waveform) and record.duration == speech.duration
    for kind in ("sentences", "words", "phonemes"):
        for found, want in zip(getattr(speech, kind), getattr(wanted, kind), strict=True):
            assert (found.start, found.end) == pytest.approx((want.start, want.end), abs=1e-4)
    assert speech.sentences[1].start == pytest.approx(1.9)
    assert report.seconds == pytest.approx(1.9 + 2.5 + 2.5)
    manifest = Manifest.read(tmp_path / "set")
    assert manifest.origin and (manifest.origin.kind, manifest.origin.producer) == ("speech", "beeps 1")


def test_a_call_that_was_stopped_goes_on(subtitles: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_speech(tmp_path / "set", subtitles, Beeps(fails_after=1), language="en")
    with pytest.raises(FileNotFoundError):
        open_speech(tmp_path / "set")
    again = Beeps()
    report = write_speech(tmp_path / "set", subtitles, again, language="en")
    assert again.said == ["Then we sit down and eat."] and report.resumed == 1
    write_speech(tmp_path / "whole", subtitles, Beeps(), language="en")
    assert (tmp_path / "set/pool-000000.tar").read_bytes() == (tmp_path / "whole/pool-000000.tar").read_bytes()


def test_what_cannot_be_spoken_is_left_out_by_name(subtitles: Path, tmp_path: Path) -> None:
    report = write_speech(tmp_path / "set", subtitles, Beeps(refuses="onions"), language="en")
    assert report.left_out["one"] == "'We chop the onions.' cannot be spoken: no letter of it is known"
    assert (report.files, report.sentences, report.distinct) == (1, 1, 1)
    assert list(open_speech(tmp_path / "set").entries) == ["two"]
    with pytest.raises(ValueError, match=r"nothing that can be spoken; .*empty\.srt: "):
        write_speech(tmp_path / "other", subtitles, Beeps(refuses="e"), language="en")


def test_a_clip_that_cannot_be_spoken_is_left_out_by_name(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 3}, seconds=1)
    first = open_clips(tmp_path / "clips").record("train0000").sentences[0].text
    others = [open_clips(tmp_path / "clips").record(f"train000{number}").sentences for number in (1, 2)]
    assert first not in {sentence.text for each in others for sentence in each}
    report = speak_clips(tmp_path / "set", tmp_path / "clips", Beeps(refuses=first))
    assert report.left_out == {"train0000": f"{first!r} cannot be spoken: no letter of it is known"}
    assert list(open_speech(tmp_path / "set").entries) == ["train0001", "train0002"]


@pytest.mark.parametrize("other", [Beeps(rate=2.0), Beeps(voice="boop"), Beeps(producer="beeps 2")])
def test_another_voice_is_another_speech(other: Beeps, subtitles: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_speech(tmp_path / "set", subtitles, Beeps(fails_after=1), language="en")
    write_speech(tmp_path / "set", subtitles, other, language="en")
    assert len(other.said) == 2


def test_espeak_speaks_a_set(subtitles: Path, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    write_speech(tmp_path / "set", subtitles / "one.srt", Espeak("+f3", 200), language="en")
    speech = read_speech(open_speech(tmp_path / "set"), "one")
    direct = Espeak("+f3", 200)("We chop the onions. Then we sit down and eat.", language="en")
    assert torch.equal(speech.waveform, direct.waveform)
    assert [word.text for word in speech.words] == [word.text for word in direct.words]


def test_subtitles_in_another_language_than_was_said_are_left_out(subtitles: Path, tmp_path: Path) -> None:
    lines = "You know that the boats are out.", "This is what they have, and it was not with you."
    (subtitles / "english.srt").write_text(SRT.format(*lines))
    report = write_speech(tmp_path / "set", subtitles, Beeps(), language="fr")  # the others are too short to judge
    assert report.files == 2 and report.left_out[str(subtitles / "english.srt")] == (
        "reads like English, not French: give --language en, or the subtitles that were meant"
    )
    with pytest.raises(ValueError, match=r"none of 1 .*english\.srt: reads like English, not French"):
        write_speech(tmp_path / "other", subtitles / "english.srt", Beeps(), language="fr")


def test_bad_input(subtitles: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of 1 .*the file is empty"):
        write_speech(tmp_path / "set", subtitles / "empty.srt", Beeps(), language="en")
    with pytest.raises(FileNotFoundError, match="no such file"):
        write_speech(tmp_path / "set", tmp_path / "nowhere", Beeps(), language="en")
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="no subtitles"):
        write_speech(tmp_path / "set", tmp_path / "bare", Beeps(), language="en")
    (subtitles / "deeper").mkdir()
    (subtitles / "deeper" / "one.srt").write_text(SRT.format("One.", "Two."))
    with pytest.raises(ValueError, match="would both be 'one'"):
        write_speech(tmp_path / "set", subtitles, Beeps(), language="en")


def test_a_set_is_not_written_over_and_another_kind_is_named(subtitles: Path, tmp_path: Path) -> None:
    write_speech(tmp_path / "set", subtitles / "one.srt", Beeps(), language="en")
    with pytest.raises(ValueError, match="holds a shard set already"):
        write_speech(tmp_path / "set", subtitles / "one.srt", Beeps(), language="en")
    with pytest.raises(ValueError, match="no speech of 'three'"):
        read_speech(open_speech(tmp_path / "set"), "three")


def test_clips_are_spoken_under_their_ids_and_splits(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 3, "test": 1}, seconds=1, cues=3, languages=("en", "es"))
    report = speak_clips(tmp_path / "speech", tmp_path / "clips", Beeps())
    assert (report.files, report.sentences) == (4, 12) and not verify(tmp_path / "speech")
    clips = open_clips(tmp_path / "clips")
    speech = open_derived(tmp_path / "speech", clips, SPEECH)
    for split in ("train", "test"):
        assert [entry.id for entry in speech.split(split)] == [entry.id for entry in clips.split(split)]
    assert speech.manifest.languages == {"en": 3, "es": 1}
    own, said = clips.record("train0001"), speech.record("train0001")
    assert own.language == said.language == "es" and own.sentences == said.sentences
    lengths = [len(sentence.text) / 10 for sentence in own.sentences]
    starts = [0.0, lengths[0], lengths[0] + lengths[1]]
    wanted = [[start, start + length - 0.05] for start, length in zip(starts, lengths, strict=True)]
    assert cue_spans(speech, "train0001") == pytest.approx(np.array(wanted), abs=1e-3)
    make_clips(tmp_path / "others", {"train": 3, "test": 1}, seconds=1, seed=1)
    with pytest.raises(ValueError, match="holds speech of another set than"):
        open_derived(tmp_path / "speech", open_clips(tmp_path / "others"), SPEECH)


def test_a_cue_of_two_sentences_has_one_span(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    (tmp_path / "film.srt").write_text(SRT.format("Hello there. How are you?", "Fine."))
    write_speech(tmp_path / "set", tmp_path / "film.srt", Espeak(), language="en", cut="captions")
    shards = open_speech(tmp_path / "set")
    speech, spans = read_speech(shards, "film"), cue_spans(shards, "film")
    assert len(speech.sentences) == 3 and spans.shape == (2, 2)
    edges = [[speech.sentences[0].start, speech.sentences[1].end], [speech.sentences[2].start, speech.sentences[2].end]]
    assert spans == pytest.approx(np.array(edges), abs=2e-4)


def test_clips_stopped_midway_go_on(tmp_path: Path) -> None:
    make_clips(tmp_path / "clips", {"train": 3}, seconds=1)
    with pytest.raises(KeyboardInterrupt):
        speak_clips(tmp_path / "set", tmp_path / "clips", Beeps(fails_after=2))
    assert speak_clips(tmp_path / "set", tmp_path / "clips", Beeps()).resumed == 2
    make_set(tmp_path / "story", {"train": [2]})
    with pytest.raises(ValueError, match="no conversational clips"):
        speak_clips(tmp_path / "other", tmp_path / "story", Beeps())


def test_what_is_longer_than_a_clip_is_divided_as_films_are(tmp_path: Path) -> None:
    folder = tmp_path / "subtitles"
    folder.mkdir()
    spans = [(number * 6.0, number * 6.0 + 5.5) for number in range(8)] + [(60.0, 63.0)]  # 48 s, and one far away
    words = ("boats", "nets", "sails", "fish", "ropes", "gulls", "waves", "piers", "lamps")
    rows = [
        f"{number + 1}\n00:{int(start) // 60:02d}:{_seconds(start)} --> 00:{int(end) // 60:02d}:{_seconds(end)}\n"
        f"We saw the {word}.\n"
        for number, ((start, end), word) in enumerate(zip(spans, words, strict=True))
    ]
    (folder / "film.srt").write_text("\n".join(rows))
    (folder / "short.srt").write_text(SRT.format("We chop the onions.", "Then we sit down and eat."))
    report = write_speech(tmp_path / "set", folder, Beeps(), language="en", grouping=Grouping())
    shards = open_speech(tmp_path / "set")
    expected = group(spans, spans[-1][1]).groups
    assert list(shards.entries) == [f"film_{number:04d}" for number in range(len(expected))] + ["short"]
    for number, one in enumerate(expected):
        texts = [sentence.text for sentence in shards.record(f"film_{number:04d}").sentences]
        assert texts == [f"We saw the {word}." for word in words[one.first : one.last]]
    assert report.left_out == {str(folder / "film.srt"): "1 of its 9 sentences are in no talk of the length of a clip"}
    assert shards.manifest.settings["grouping"]["longest"] == 30.0
    assert write_speech(tmp_path / "whole", folder, Beeps(), language="en").files == 2


def test_sounds_and_names_of_speakers_are_not_spoken(tmp_path: Path) -> None:
    """The clips that a model learns from are without them too."""
    folder = tmp_path / "subtitles"
    folder.mkdir()
    (folder / "one.srt").write_text(SRT.format("[DOOR SLAMS]", "ANNA: We sit down (sighs) and eat."))
    voice = Beeps()
    write_speech(tmp_path / "set", folder, voice, language="en")
    assert voice.said == ["We sit down and eat."]


def test_names_beyond_ascii_stay_apart_and_are_those_of_clips(tmp_path: Path) -> None:
    folder = tmp_path / "subtitles"
    folder.mkdir()
    for name in ("第一集", "第二集", "Один дома"):
        (folder / f"{name}.srt").write_text(SRT.format("We chop the onions.", f"This is {len(name)}, and we eat."))
    write_speech(tmp_path / "set", folder, Beeps(), language="en")
    assert set(open_speech(tmp_path / "set").entries) == {safe_id(path.stem) for path in folder.iterdir()}


def _seconds(time: float) -> str:
    return f"{time % 60:06.3f}".replace(".", ",")
