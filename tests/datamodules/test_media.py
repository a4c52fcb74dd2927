"""Video files as FFmpeg gives them: times, rotation, damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from weaksync.datamodules import media


def ramp(frames: int, height: int = 48, width: int = 64) -> list[media.Picture]:
    """Grey pictures, each five brighter than the one before."""
    return [np.full((height, width, 3), 10 + 5 * number, np.uint8) for number in range(frames)]


def shade(picture: media.Picture) -> int:
    return round((float(picture.mean()) - 10) / 5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_written_pictures_come_back_at_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    media.write_video(path, ramp(30), 25)
    found = list(media.frames(path))
    assert [shade(picture) for _, picture in found] == list(range(30))
    assert [time for time, _ in found] == pytest.approx([number / 25 for number in range(30)], abs=0.002)
    info = media.probe(path)
    assert (info.width, info.height, info.rotation) == (64, 48, 0)
    assert info.fps == pytest.approx(25)
    assert not list(tmp_path.glob(".*"))


def test_a_variable_frame_rate_goes_by_the_time_of_each_frame(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 1.0, 1.04, 3.0, 3.5]
    media.write_video(tmp_path / "a.mp4", ramp(7), 25, times=times)
    assert [time for time, _ in media.frames(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-3)
    shown = media.frames_at(tmp_path / "a.mp4", [2.9, 0.12, 3.2, 0.0, 99.0])
    assert [shade(picture) for picture in shown] == [4, 1, 5, 0, 6]


def test_frames_at_is_what_a_full_pass_shows(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", (picture for _ in range(6) for picture in ramp(40)), 10)
    wanted = [23.95, 0.0, 11.11, 11.12, 5.0, 23.0]
    found = media.frames_at(tmp_path / "a.mp4", wanted)
    assert [shade(picture) for picture in found] == [int(time * 10 + 1e-9) % 40 for time in wanted]


def test_a_transport_stream_shows_what_was_written_at_any_time(tmp_path: Path) -> None:
    """It has no index, so FFmpeg goes to a key frame that may be later than the one that was asked for."""
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "60"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(250):
            frame = VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for first in (0.5, 1.3, 3.3, 7.7):
        wanted = [first, first + 0.5]
        found = [float(picture.mean()) for picture in media.frames_at(path, wanted)]
        assert found == pytest.approx([time * 25 for time in wanted], abs=2)
        with media.open_video(path) as reader:
            assert next(reader.reach(first))[0] <= first


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_rotation_flag_turns_pictures_upright(tmp_path: Path, degrees: int) -> None:
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48] = (250, 20, 20)  # red in the top left corner
    coded = np.ascontiguousarray(np.rot90(upright, -degrees // 90))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = coded.shape[1], coded.shape[0], "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(coded, "rgb24")))
        container.mux(stream.encode(None))
    info = media.probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.rotation) == (96, 64, degrees)
    for size in (None, (48, 32)):
        _, picture = next(media.frames(tmp_path / "a.mp4", size=size))
        assert picture.shape == ((64, 96, 3) if size is None else (32, 48, 3))
        height, width = picture.shape[:2]
        red = picture[..., 0].astype(int) - picture[..., 1]
        assert red[: height // 3, : width // 3].min() > 120
        assert red[2 * height // 3 :].max() < 60 and red[:, 2 * width // 3 :].max() < 60


def test_fit_keeps_the_shape_and_never_enlarges() -> None:
    info = media.VideoInfo(1280, 720, 25.0, 1.0, None, 0)
    assert info.fit(112) == (199, 112)
    assert info.fit(4000) == (1280, 720)


def test_missing_unreadable_and_silent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such video: .*gone\.mp4"):
        media.probe(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match="is a folder"):
        media.probe(tmp_path)
    for name, content in {"empty.mp4": b"", "noise.mp4": bytes(range(256)) * 40, "text.mkv": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            media.probe(tmp_path / name)


def test_a_file_without_pictures_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "speech.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"speech\.wav: no video stream in it \(only audio\)"):
        media.probe(tmp_path / "speech.wav")


def test_a_truncated_file_is_an_error_and_not_a_short_video(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(150)]
    for name in ("a.mp4", "a.mkv"):
        media.write_video(tmp_path / "whole.mp4", pictures, 25)
        with (
            av.open(str(tmp_path / "whole.mp4")) as source,
            av.open(str(tmp_path / name), "w", options={"movflags": "faststart"}) as target,
        ):  # what is known of the video stands at the start of the file
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 3])
        # FFmpeg notices the one and not the other; to whoever reads it, it is the same
        said = rf"{name}: pictures end at \d\.\d s of the 6\.0 s that its header announces: the file is truncated"
        with pytest.raises(ValueError, match=said):
            sum(1 for _ in media.frames(tmp_path / name))


def test_jpeg_round_trip_and_damage() -> None:
    y, x = np.mgrid[:40, :60]
    picture = np.stack([4 * x, 6 * y, 2 * (x + y)], axis=2).astype(np.uint8)
    data = media.encode_jpeg(picture, 95)
    back = media.decode_jpeg(data)
    assert back.shape == (3, 40, 60)
    assert np.abs(back.permute(1, 2, 0).numpy().astype(int) - picture).mean() < 3
    assert len(media.encode_jpeg(picture, 30)) < len(data)
    for bad in (b"", b"no picture", data[:20]):
        with pytest.raises(ValueError, match="JPEG"):
            media.decode_jpeg(bad)


def test_odd_sides_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even sides"):
        media.write_video(tmp_path / "a.mp4", ramp(3, height=47), 25)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_os_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError):
        media.write_video("/proc/a.mp4", ramp(3), 25)


@pytest.mark.parametrize("size", [(64, 48), (40, 30), (33, 25), (34, 26), (36, 27), (38, 28)])
@pytest.mark.parametrize("turned", [0, 90])
def test_a_frame_as_jpeg_is_its_picture(tmp_path: Path, size: tuple[int, int], turned: int) -> None:
    y, x = np.mgrid[:48, :64]
    slope = np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], axis=-1).astype(np.uint8)
    media.write_video(tmp_path / "a.mp4", [slope] * 3, 25, crf=10)
    with media.open_video(tmp_path / "a.mp4") as reader:
        if turned:
            reader.info = replace(reader.info, rotation=turned, width=48, height=64)
            size = size[::-1]
        _, frame = next(iter(reader))
        wanted = reader.picture(frame, size).astype(int)
        got = media.decode_jpeg(reader.jpeg(frame, size, quality=95)).permute(1, 2, 0).numpy()
    assert got.shape == wanted.shape == (size[1], size[0], 3)
    assert np.abs(got - wanted).mean(axis=(0, 2)).max() < 12  # to the last column
    assert np.abs(got - wanted).mean() < 3


def test_samples_are_the_colours_of_a_frame_whatever_its_layout(tmp_path: Path) -> None:
    halves = np.zeros((144, 256, 3), np.uint8)
    halves[:, :128], halves[:, 128:] = (200, 40, 40), (40, 40, 200)
    media.write_video(tmp_path / "a.mp4", [halves], 25, crf=1)
    with media.open_video(tmp_path / "a.mp4") as reader:
        frame = next(iter(reader))[1]
        found = reader.samples(frame)
        luma, u, v = frame.to_ndarray(format="yuv444p")
        places = found[: 64 * 36].reshape(36, 64)
        assert len(found) == 64 * 36 * 3 // 2
        assert np.array_equal(places, luma[2::4, 2::4])
        assert np.abs(found[64 * 36 :].reshape(2, 18, 32) - np.stack([u, v])[:, 4::8, 4::8].astype(int)).max() <= 2
        for layout in ("yuv422p", "yuv444p", "yuv420p10le", "rgb24"):
            assert np.abs(reader.samples(frame.reformat(format=layout)) - found.astype(int)).mean() < 1.5, layout


def test_quick_decoding_shows_the_same_frames(tmp_path: Path) -> None:
    place = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    media.write_video(tmp_path / "a.mp4", (np.roll(place, 3 * n, axis=1) for n in range(60)), 25, crf=26)
    with media.open_video(tmp_path / "a.mp4") as slow, media.open_video(tmp_path / "a.mp4", quick=True) as quick:
        errors = []
        for (time, frame), (other_time, other) in zip(slow, quick, strict=True):
            assert time == other_time
            errors.append(float(np.square(slow.picture(frame).astype(float) - quick.picture(other)).mean()))
    assert max(errors) < 255**2 / 10**3.5  # 35 dB
    assert max(errors) > 0, "nothing was saved"
