"""Raw video and subtitles to conversational clips: what is kept, what falls and why, and what happens when it stops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from weaksync.datamodules.groups import Grouping
from weaksync.datamodules.spoken import open_clips, scene, sound, spoken_clip, tube
from weaksync.datamodules.verify import verify
from weaksync.recipes.building import conversation_set
from weaksync.recipes.building.conversation import Rules
from weaksync.recipes.building.conversation_set import Settings, build_clips
from weaksync.recipes.building.faces import Face
from weaksync.recipes.building.sources import Narration
from weaksync.recipes.data.build import command
from weaksync.zoo.speaking import LipsAndVoice

from ..talking import PLACES, SENTENCES, film, known, subtitles

SHORT = ["--shortest", "4", "--longest", "8", "--size", "64", "--jobs", "1"]


def run(folder: Path, *more: str) -> Result:
    arguments = ["subtitles", "--videos", f"{folder}/videos", "--subtitles", f"{folder}/en", "--language", "en"]
    return CliRunner().invoke(command, [*arguments, "--out", f"{folder}/out", *SHORT, *more])


def told(folder: Path, *more: str) -> str:
    """What a call that fails says."""
    return str(run(folder, *more).exception)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One film of each kind; what is in them is in their names."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "videos").mkdir()
    (folder / "en").mkdir()
    for name, places in {"talk": ["middle"], "pair": ["left"], "still": [], "empty": [], "crowd": ["left"]}.items():
        film(folder / f"videos/{name}.mp4", talks=places, still={"pair": ["right"], "still": ["middle"]}.get(name, []))
    film(folder / "videos/mute.mp4", sound=False)
    film(folder / "videos/hush.mp4", loud=0.0)
    (folder / "videos/broken.mp4").write_bytes((folder / "videos/talk.mp4").read_bytes()[:3000])
    film(folder / "videos/francais.mp4", seconds=1)
    film(folder / "videos/untold.mp4", seconds=1)
    film(folder / "videos/brief.mp4", seconds=2)
    for path in sorted((folder / "videos").iterdir()):
        subtitles(folder / f"en/{path.stem}.srt")
    (folder / "en/untold.srt").unlink()
    subtitles(folder / "en/brief.srt", SENTENCES[:1])
    french = ("Nous allons avec les enfants dans la maison.", "Il est tard et vous ne dites pas un mot.")
    subtitles(folder / "en/francais.srt", french)
    faces = {"talk": ["middle"], "pair": ["left", "right"], "still": ["middle"], "empty": [], "crowd": list(PLACES)}
    faces |= {"mute": ["middle"], "hush": ["middle"], "broken": ["middle"], "francais": [], "untold": [], "brief": []}
    known(folder / "faces.json", faces)
    return folder


def copied(films: Path, tmp_path: Path, *names: str) -> Path:
    """A folder with some of the films."""
    for name in names:
        for kind, suffix in (("videos", "mp4"), ("en", "srt")):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / f"{kind}/{name}.{suffix}").symlink_to(films / f"{kind}/{name}.{suffix}")
    (tmp_path / "faces.json").write_bytes((films / "faces.json").read_bytes())
    return tmp_path


def test_every_bad_clip_is_counted_and_none_stops_the_build(films: Path) -> None:
    result = run(films, "--faces", f"{films}/faces.json", "--json")
    assert result.exit_code == 1, result.output
    report = json.loads((films / "out/build.json").read_text())
    fates = {one["id"]: (one["step"], one["reason"]) for one in report["decisions"]}
    assert fates == {
        "talk_0000": ("kept", ""),
        "pair_0000": ("kept", ""),
        "still_0000": ("speaking", fates["still_0000"][1]),
        "empty_0000": ("faces", "no face"),
        "crowd_0000": ("faces", "several speakers: 3 faces or more in over 20% of the frames"),
        "mute_0000": ("sound", "there is no sound in it"),
        "hush_0000": ("sound", "no sound: silence"),
    }
    assert fates["still_0000"][1].startswith("nobody speaks: the best face scores 0.")
    failed = {one["video"]: one["reason"] for one in report["failures"]}
    assert set(failed) == {"broken.mp4", "francais.mp4", "untold.mp4"}
    assert "reads like French, not English: give --language fr" in failed["francais.mp4"]
    assert "no en subtitles" in failed["untold.mp4"] and "broken.mp4" in failed["broken.mp4"]
    funnel = report["funnel"]
    assert (funnel["videos"], funnel["sentences"], funnel["lone"], funnel["groups"], funnel["kept"]) == (8, 22, 1, 7, 2)
    assert sum(sum(reasons.values()) for reasons in funnel["fell"].values()) == 5
    assert not verify(films / "out")
    assert sorted(open_clips(films / "out").entries) == ["pair_0000", "talk_0000"]


def test_a_clip_shows_its_face_and_holds_what_is_said(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "pair")
    known(folder / "faces.json", {"pair": ["right", "left"]}, domain="movie", speaker="ann", hidden=[[20, 50, "hand"]],
          offscreen=[[0.4, 1.2]])  # fmt: skip
    splits = folder / "splits.json"
    splits.write_text(json.dumps({"train": [], "val": ["pair"], "test": ["other"]}))
    result = run(folder, "--faces", f"{folder}/faces.json", "--splits", str(splits))
    assert result.exit_code == 0, result.output
    shards = open_clips(folder / "out")
    assert list(shards.manifest.counts) == ["val"] and not (folder / "out/.parts").exists()
    clip = spoken_clip(shards, "pair_0000")
    assert (clip.video, clip.language, clip.domain, clip.speaker) == ("pair.mp4", "en", "movie", "ann")
    assert (clip.start, clip.end, clip.frames, clip.size) == (0.4, 5.6, 130, (192, 108))
    assert [(cue.text, cue.start, cue.end) for cue in clip.cues] == [
        (SENTENCES[0], 0.0, 1.6),
        (SENTENCES[1], 1.8, 3.4),
        (SENTENCES[2], 3.6, 5.2),
    ]
    np.testing.assert_array_equal(clip.faces, np.tile(np.float32(PLACES["left"]), (130, 1)))  # who speaks, not who is
    assert clip.hidden == pytest.approx(30 / 130) and clip.offscreen == pytest.approx(0.8 / 4.8)
    assert clip.score is not None and clip.score > 0.3
    assert tube(shards, clip.id).shape == (130, 3, 64, 64) and scene(shards, clip.id, fps=5).shape == (26, 3, 108, 192)
    assert sound(shards, clip.id).shape == (130 * 640,)
    dark = (tube(shards, clip.id)[:, 2, 32:].float() < 60).float().mean(dim=(1, 2))
    loud = sound(shards, clip.id).float().reshape(130, 640).square().mean(dim=1).sqrt()
    assert torch.corrcoef(torch.stack([dark, loud]))[0, 1] > 0.7  # in step


def test_a_stopped_build_goes_on_and_replace_makes_it_anew(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(films, tmp_path, "talk", "pair", "empty")
    faces = ["--faces", f"{folder}/faces.json"]
    done: list[str] = []
    work = conversation_set._work

    def stopped(task: conversation_set._Task) -> bool:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.source.id)
        return work(task)

    monkeypatch.setattr(conversation_set, "_work", stopped)
    assert run(folder, *faces).exit_code != 0 and len(done) == 2
    monkeypatch.setattr(conversation_set, "_work", work)
    result = run(folder, *faces, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "out/build.json").read_text())
    assert (report["resumed"], report["built"]) == (2, 1)
    assert "holds a shard set already; --replace" in told(folder, *faces)
    manifest = (folder / "out/manifest.json").read_bytes()
    assert run(folder, *faces, "--replace").exit_code == 0
    assert (folder / "out/manifest.json").read_bytes() == manifest  # the same films, the same bytes


def test_work_that_breaks_off_is_counted_and_done_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(films, tmp_path, "talk", "pair")
    faces = ["--faces", f"{folder}/faces.json"]
    work = conversation_set._work

    def breaks(task: conversation_set._Task) -> bool:
        if task.source.id == "pair_0000":
            raise MemoryError("too much")
        return work(task)

    monkeypatch.setattr(conversation_set, "_work", breaks)
    assert run(folder, *faces).exit_code == 1
    report = json.loads((folder / "out/build.json").read_text())
    assert report["failures"] == [{"video": "pair_0000", "reason": "MemoryError: too much"}]
    assert report["funnel"]["fell"]["pictures"] == {"MemoryError: too much": 1} and report["funnel"]["failures"] == {}
    monkeypatch.setattr(conversation_set, "_work", work)
    assert run(folder, *faces, "--replace").exit_code == 0
    report = json.loads((folder / "out/build.json").read_text())
    assert (report["resumed"], report["built"], report["funnel"]["kept"]) == (1, 1, 2)


def test_videos_are_divided_whole_and_by_their_names(films: Path, tmp_path: Path) -> None:
    names = [f"film-{number}" for number in range(30)]
    once, again = (conversation_set._assigned(order, None, 0) for order in (names, names[::-1]))
    assert once == again and conversation_set._assigned(names, None, 1) != once
    assert sorted(once.values()) == ["test"] * 3 + ["train"] * 24 + ["val"] * 3
    folder = copied(films, tmp_path, "talk")
    (folder / "splits.json").write_text(json.dumps({"train": ["another"]}))
    fault = told(folder, "--faces", f"{folder}/faces.json", "--splits", f"{folder}/splits.json")
    assert "1 videos are in no split, such as 'talk'" in fault


def test_two_languages_are_two_clips_of_one_video(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "talk")
    (folder / "fr").mkdir()
    subtitles(folder / "fr/talk.srt", ["Nous allons au port.", "Les bateaux sont en mer.", "Que voulez-vous manger ?"])
    result = run(folder, "--subtitles", f"{folder}/fr", "--language", "fr", "--faces", f"{folder}/faces.json")
    assert result.exit_code == 0, result.output
    shards = open_clips(folder / "out")
    assert {name: shards.record(name).language for name in shards.entries} == {
        "en_talk_0000": "en",
        "fr_talk_0000": "fr",
    }
    assert "2 --subtitles and 1 --language" in told(folder, "--subtitles", "x")


def test_subtitles_under_another_code_are_named(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "talk")
    (folder / "en/talk.srt").rename(folder / "en/talk.fr.srt")
    fault = told(folder, "--faces", f"{folder}/faces.json")
    assert "no clip could be made" in fault and "but some in fr: give that --language" in fault


def test_subtitles_in_a_folder_below_are_named(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "talk")
    (folder / "subtitles").mkdir()
    (folder / "en").rename(folder / "subtitles/en")
    (folder / "subtitles").rename(folder / "en")
    fault = told(folder, "--faces", f"{folder}/faces.json")
    assert f"but in {folder}/en/en: give that as --subtitles" in fault


class Finder:
    """Finds the faces at given places, and counts the pictures that it has looked at."""

    producer = "a stub"

    def __init__(self, *places: str, every: int = 1) -> None:
        self.boxes, self.every, self.looked = [PLACES[place] for place in places], every, 0

    def __call__(self, frames: np.ndarray) -> list[list[Face]]:
        assert frames.dtype == np.uint8 and frames.shape[1:] == (108, 192, 3)
        numbers = range(self.looked, self.looked + len(frames))
        self.looked += len(frames)
        return [[Face(box, 0.9) for box in self.boxes] if number % self.every == 0 else [] for number in numbers]


def settings(finder: Finder) -> Settings:
    return Settings(Rules(size=64), Grouping(4, 8), LipsAndVoice(), detect=finder, domain="youtube")


def built(folder: Path, finder: Finder) -> dict[str, conversation_set.Decision]:
    narrations = [Narration("en", folder / "en")]
    report = build_clips(folder / "videos", narrations, folder / "out", settings(finder), jobs=1)
    return {one.id: one for one in report.decisions}


def test_a_detector_finds_faces_and_gaps_are_filled(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "talk")
    finder = Finder("middle")
    (one,) = built(folder, finder).values()
    assert (one.step, one.with_face, one.domain, finder.looked) == ("kept", 1.0, "youtube", 130)
    clip = spoken_clip(open_clips(folder / "out"), "talk_0000")
    np.testing.assert_array_equal(clip.faces, np.tile(np.float32(PLACES["middle"]), (130, 1)))
    assert clip.domain == "youtube" and clip.hidden is None and clip.offscreen is None and clip.speaker == ""


@pytest.mark.parametrize(
    ("finder", "reason", "most"),
    [
        (Finder(), "no face", 64),
        (Finder("middle", every=4), "a face in fewer than 65% of the frames", 80),
        (Finder("left", "middle", "right"), "several speakers: 3 faces or more", 32),
    ],
)
def test_a_clip_that_is_lost_is_not_looked_at_to_its_end(
    films: Path, tmp_path: Path, finder: Finder, reason: str, most: int
) -> None:
    folder = copied(films, tmp_path, "talk")
    with pytest.raises(ValueError, match=reason):
        built(folder, finder)
    assert finder.looked <= most
    assert json.loads((folder / "out/build.json").read_text())["funnel"]["fell"]["faces"]


def test_where_the_detector_is_absent_the_command_is_told(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaksync.zoo.converters.mtcnn.packaged_weights", lambda: None)
    fault = told(copied(films, tmp_path, "talk"))
    assert "pip install --no-deps facenet-pytorch; or give known boxes with --faces FILE.json" in fault


def test_bad_options_are_told_before_anything_is_read(films: Path, tmp_path: Path) -> None:
    folder = copied(films, tmp_path, "talk")
    faces = ["--faces", f"{folder}/faces.json"]
    assert "have 16 pixels or more, tubes an even number" in told(folder, *faces, "--size", "65")
    assert "conversational is 65, but is a share" in told(folder, *faces, "--conversational", "65")
    assert "the shortest must be positive and not above" in told(folder, *faces, "--shortest", "9")
    assert "no such file" in told(folder, "--faces", "nothing.json")
    assert not (folder / "out").exists()
