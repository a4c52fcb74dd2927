"""The baseline of who speaks: on tubes of which it is known."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.spoken import open_clips, sound, tube
from weaksync.zoo.speaking import LipsAndVoice, ScoreSpeaking, lip_motion, smoothed, voice_activity


def buzz(loud: np.ndarray) -> torch.Tensor:
    """A tone of 200 Hz that is as loud as told in each of some frames, over a little noise."""
    time = np.arange(len(loud) * 640) / 16000
    tone = np.sin(2 * np.pi * 200 * time) * np.repeat(loud, 640) * 6000
    return torch.from_numpy((tone + np.random.default_rng(0).normal(0, 8, len(tone))).astype(np.int16))


def face(mouth: np.ndarray, *, sway: bool = False) -> torch.Tensor:
    """A tube of 96 pixels whose mouth is open by so many rows; it may sway as a whole."""
    skin = np.random.default_rng(1).integers(60, 200, (12, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    tube = []
    for number, rows in enumerate(mouth):
        picture = skin.copy()
        picture[58 : 58 + int(rows), 36:60] = (40, 0, 0)
        tube.append(np.roll(picture, number % 5, axis=1) if sway else picture)
    return torch.from_numpy(np.stack(tube)).permute(0, 3, 1, 2).contiguous()


TALK = np.tile([0, 4, 9, 5], 25)
HEARD = np.repeat([0.0, 1.0, 0.0, 1.0], 25)


def test_speaks_who_moves_the_lips_while_somebody_is_heard() -> None:
    score = LipsAndVoice()
    talking = score(face(TALK), buzz(HEARD))
    assert talking.shape == (100,) and talking.dtype == torch.float32 and 0 <= talking.min() <= talking.max() <= 1
    heard = torch.from_numpy(HEARD > 0)
    assert talking[heard].mean() > 0.6 and talking[~heard].mean() < 0.1
    assert score(face(np.full(100, 5)), buzz(HEARD)).max() < 0.05  # the lips are still
    assert score(face(TALK), torch.zeros(64_000, dtype=torch.int16)).max() == 0  # nothing is heard
    nodding = face(np.full(100, 5), sway=True)  # the head moves, and the mouth with it
    assert lip_motion(nodding).mean() < 0.2 * lip_motion(face(TALK)).mean()


def test_voice_is_what_stands_out_of_the_quiet() -> None:
    for scale in (0.2, 1.0):
        heard = voice_activity((buzz(HEARD).float() * scale).short())
        assert heard[HEARD > 0].mean() > 0.85 and heard[HEARD == 0].mean() < 0.15
    assert voice_activity(torch.zeros(0, dtype=torch.int16)).shape == (0,)


def test_motion_does_not_depend_on_light_nor_size() -> None:
    tube = face(TALK)
    darker = (tube.float() * 0.6).byte()
    assert float(lip_motion(darker).mean()) == pytest.approx(float(lip_motion(tube).mean()), rel=0.1)
    larger = tube.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert float(lip_motion(larger).mean()) == pytest.approx(float(lip_motion(tube).mean()), rel=0.2)
    assert lip_motion(tube)[0] == 0 and lip_motion(tube[:1]).tolist() == [0.0]


def test_smoothing_is_the_mean_of_what_there_is() -> None:
    values = torch.rand(9)
    wanted = [values[max(0, n - 2) : n + 3].mean() for n in range(9)]
    torch.testing.assert_close(smoothed(values, 5), torch.stack(wanted))


def test_made_up_clips_speak(tmp_path: Path) -> None:
    make_clips(tmp_path / "set", {"train": 1}, seconds=4, size=64)
    shards = open_clips(tmp_path / "set")
    assert LipsAndVoice()(tube(shards, "train0000"), sound(shards, "train0000")).mean() > 0.3


def test_the_baseline_is_what_scores_and_travels() -> None:
    score = LipsAndVoice()
    assert isinstance(score, ScoreSpeaking) and pickle.loads(pickle.dumps(score)) == score
    assert LipsAndVoice(motion=0.1).producer != score.producer


def test_a_tube_without_frames_has_no_scores() -> None:
    assert LipsAndVoice()(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int16)).shape == (0,)


@pytest.mark.parametrize(
    ("frames", "sound", "message"),
    [
        (torch.zeros(4, 3, 8, 8), torch.zeros(2560, dtype=torch.int16), "frames must be uint8"),
        (torch.zeros(4, 3, 8, 9, dtype=torch.uint8), torch.zeros(2560, dtype=torch.int16), "frames must be uint8"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(2559, dtype=torch.int16), r"int16 \(2560,\) to 4"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(2560), "sound must be int16"),
    ],
)
def test_what_does_not_fit_is_refused(frames: torch.Tensor, sound: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LipsAndVoice()(frames, sound)
