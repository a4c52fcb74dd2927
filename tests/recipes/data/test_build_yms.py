import json

import numpy as np
import pytest
from click.testing import CliRunner

from weaksync.datamodules import media
from weaksync.datamodules.index import open_set
from weaksync.datamodules.verify import verify
from weaksync.recipes.building.story_clips import Pictures
from weaksync.recipes.data.build import command
from weaksync.recipes.data.build_yms import build_yms, cut_at

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 220)]


def film(path):
    """Four seconds in four plain colours, a second each."""
    frames = np.zeros((100, 72, 128, 3), dtype=np.uint8)
    for second, colour in enumerate(COLOURS):
        frames[25 * second : 25 * second + 25] = colour
    media.write_video(path, frames, 25)
    return path


@pytest.fixture
def release(tmp_path):
    def stamp(number, start, end):
        return f"{number}/{number}_00.00.0{start:.3f}-00.00.0{end:.3f}"

    numbers = ("0001", "0002", "0003", "0004")
    clips = [stamp(number, *span) for number in numbers for span in ((0, 1), (1, 2.5), (2.5, 4))]
    clips += [stamp("0003", 4, 9)]  # of a longer film than we have
    texts = [f"{number}_00.00.00.000-00.00.01.000\tIt is red.\n{number}_00.00.01.000-00.00.02.000\tUNMATCHED: Why?"
             for number in numbers]  # fmt: skip
    files = {
        "clip_segmentation.txt": "\n".join(sorted(clips)),
        "annotations_phrases.txt": "\n".join(texts),
        "url_list.txt": "\n".join(f"{number}    https://youtu.be/id-{number}" for number in numbers),
        "movie_list.txt": "\n".join(f"{number}\tA film" for number in numbers),
        "training_split.txt": "0001\n0003",
        "val_split.txt": "0004",
        "test_split.txt": "0002",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("0001.mp4", "id-0002.mp4", "0003.mp4"):  # by number, by address, and one that is another cut
        film(videos / name)
    return tmp_path


def test_published_clips_get_pictures_and_annotations(release):
    out = release / "out"
    report = build_yms(release / "videos", release, out, pictures=Pictures(frames=2))
    assert (report.built, report.resumed, report.absent) == (2, 0, {"en": ["0004"]})
    (failure,) = report.failures
    assert failure.video == "0003" and "its clips end at 9.0 s, the file at 4.0 s: another cut" in failure.reason
    shards = open_set(out)
    assert list(verify(out)) == [] and shards.splits == ["test", "train"]
    (video,) = shards.videos("test")
    assert (video.id, video.url, video.language, video.annotated) == ("0002", "id-0002.mp4", "en", True)
    np.testing.assert_allclose(video.clips, [(0, 1), (1, 2.5), (2.5, 4)], atol=1e-6)
    assert [(s.text, s.segment, s.narration) for s in video.sentences] == [
        ("It is red.", (0, 1), None),
        ("Why?", None, None),
    ]
    # what was built is used again
    again = build_yms(release / "videos", release, out, pictures=Pictures(frames=2), replace=True)
    assert (again.built, again.resumed) == (0, 2)


def test_what_lies_beside_a_video_is_none(release):
    for name in ("0001.srt", "0001.jpg", "id-0002.txt"):
        (release / "videos" / name).write_text("beside")
    report = build_yms(release / "videos", release, release / "out", pictures=Pictures(frames=1))
    assert report.built == 2 and [failure.video for failure in report.failures] == ["0003"]
    film(release / "videos" / "0001.mkv")
    with pytest.raises(ValueError, match=r"0001\.mkv and 0001\.mp4 would both be '0001'"):
        build_yms(release / "videos", release, release / "other")


def test_one_video_that_cannot_be_read_does_not_end_the_build(release, monkeypatch):
    cut = cut_at

    def unreadable(video, *given):
        if video.stem == "0001":
            raise PermissionError(13, "Permission denied", str(video))
        return cut(video, *given)

    monkeypatch.setattr("weaksync.recipes.data.build_yms.cut_at", unreadable)
    report = build_yms(release / "videos", release, release / "out", pictures=Pictures(frames=1))
    assert {failure.video for failure in report.failures} == {"0001", "0003"} and report.built == 1
    assert "Permission denied" in report.failures[0].reason


def test_pictures_are_those_on_screen(release):
    made = cut_at(release / "videos" / "0001.mp4", [(0.0, 1.0), (1.0, 3.0)], Pictures(frames=2))
    shown = [[media.decode_jpeg(jpeg).float().mean((1, 2)).numpy() for jpeg in clip] for clip in made.pictures]
    np.testing.assert_allclose(shown, np.array([[COLOURS[0]] * 2, [COLOURS[1], COLOURS[2]]]), atol=6)
    assert made.duration == pytest.approx(4.0)


def test_the_verb_builds_what_is_there(release):
    arguments = ["yms", "--videos", str(release / "videos"), "--data", str(release), "--out", str(release / "out")]
    result = CliRunner().invoke(command, [*arguments, "--json"])
    assert result.exit_code == 1 and json.loads(result.stdout)["counts"]["train"]["videos"] == 1
    with pytest.raises(ValueError, match="holds a shard set already"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        build_yms(release / "nowhere", release, release / "other")
    (release / "empty").mkdir()
    with pytest.raises(ValueError, match="no videos in"):
        build_yms(release / "empty", release, release / "other")
