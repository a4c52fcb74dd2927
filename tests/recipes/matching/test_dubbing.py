import av
import numpy as np
import pytest
import torch

from weaksync.datamodules import media
from weaksync.datamodules.batches import Speech, Word
from weaksync.datamodules.waveforms import read_sound
from weaksync.recipes.matching.dubbing import DUCKED, RATE, dub, encode_clip, encode_sound, mixed, stretched, voiced
from weaksync.recipes.matching.fitting import Fit

from ..talking import film


def tone(seconds, pitch, rate=16_000, loud=8000.0):
    return (np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate) * loud).astype(np.int16)


def pitch_of(samples, rate):
    return np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)


@pytest.mark.parametrize("tempo", [0.4, 0.7, 1.0, 1.6, 3.0])
def test_stretched_speech_keeps_its_pitch(tempo):
    found = stretched(tone(2.0, 220), 16_000, tempo)
    assert len(found) / 16_000 == pytest.approx(2.0 / tempo, abs=0.06)
    assert pitch_of(found, 16_000) == pytest.approx(220, abs=3)


def test_each_sentence_is_said_in_its_place():
    wave = np.concatenate([tone(1.0, 200), np.zeros(8000, np.int16), tone(1.0, 400)])
    speech = Speech(torch.from_numpy(wave), [], [], [Word("a", 0.0, 1.0), Word("b", 1.5, 2.5)])
    out = dub(speech, [(0.0, 1.0), (1.5, 2.5)], Fit([(0.5, 1.3), (4.0, 5.25)], [1.25, 0.8]), 6.0)
    assert len(out) == 6 * RATE
    assert pitch_of(out[int(0.6 * RATE) : int(1.2 * RATE)], RATE) == pytest.approx(200, abs=3)
    assert pitch_of(out[int(4.1 * RATE) : int(5.1 * RATE)], RATE) == pytest.approx(400, abs=3)
    loud = np.abs(out.astype(int))
    assert loud[: int(0.49 * RATE)].max() == 0 and loud[int(1.35 * RATE) : int(3.99 * RATE)].max() == 0
    assert loud[int(5.3 * RATE) :].max() == 0


def test_the_original_is_quiet_while_the_new_speech_is_said():
    original = tone(4.0, 100, RATE, 10_000)
    found = mixed(original, np.zeros(4 * RATE, np.int16), [(1.0, 3.0)]).astype(float)
    level = [np.abs(found[int(at * RATE) : int((at + 0.5) * RATE)]).max() for at in (0.2, 1.5, 3.3)]
    assert level == pytest.approx([10_000, 10_000 * DUCKED, 10_000], rel=0.01)
    assert np.abs(np.diff(found)).max() < 1.3 * np.abs(np.diff(original.astype(float))).max()  # no click
    short = mixed(original[:RATE], tone(4.0, 100, RATE), [])
    assert len(short) == 4 * RATE and np.array_equal(short[RATE + 1 :], tone(4.0, 100, RATE)[RATE + 1 :])


def test_who_is_heard_is_found_though_nobody_is_seen():
    sound = tone(6.0, 200, RATE, 60)  # a hum
    for start, end in ((1.0, 2.0), (3.5, 5.0)):
        sound[int(start * RATE) : int(end * RATE)] = tone(end - start, 300, RATE, 9000)
    assert np.array(voiced(sound)) == pytest.approx(np.array([(1.0, 2.0), (3.5, 5.0)]), abs=0.15)


def test_a_part_of_a_video_gets_another_sound(tmp_path):
    film(tmp_path / "talk.mp4")
    sound = tone(2.0, 300, RATE)
    encode_clip(tmp_path / "talk.mp4", 1.5, 3.5, sound, target=tmp_path / "clip.mp4")
    info = media.probe(tmp_path / "clip.mp4")
    assert (info.width, info.height) == (192, 108) and info.duration == pytest.approx(2.0, abs=0.05)
    expected = media.frames_at(tmp_path / "talk.mp4", [1.5 + at for at in (0.1, 0.9, 1.7)])
    for ours, theirs in zip(media.frames_at(tmp_path / "clip.mp4", [0.1, 0.9, 1.7]), expected, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 4
    heard = read_sound(tmp_path / "clip.mp4", RATE)
    assert pitch_of(heard, RATE) == pytest.approx(300, abs=3)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    small = encode_clip(tmp_path / "talk.mp4", 0.0, 1.0, None, short_side=54)
    (tmp_path / "small.mp4").write_bytes(small)
    assert (media.probe(tmp_path / "small.mp4").width, media.probe(tmp_path / "small.mp4").height) == (96, 54)
    with pytest.raises(ValueError, match="no sound"):
        read_sound(tmp_path / "small.mp4", RATE)


def test_sound_alone_is_a_file(tmp_path):
    (tmp_path / "speech.mp4").write_bytes(encode_sound(tone(1.0, 500, RATE)))
    with av.open(str(tmp_path / "speech.mp4")) as container:
        assert not container.streams.video
    assert pitch_of(read_sound(tmp_path / "speech.mp4", RATE), RATE) == pytest.approx(500, abs=3)
