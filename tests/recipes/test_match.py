import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

pytest.importorskip("espeakng_loader", reason="needs the extra tts, for speech")

from weaksync.recipes.index import index
from weaksync.recipes.match import command, match, save
from weaksync.recipes.matching import searching
from weaksync.recipes.matching.query import find_clip
from weaksync.recipes.matching.ranking import FUSION, rank
from weaksync.recipes.report.match_page import render
from weaksync.zoo.matcher import ALIGNMENT
from weaksync.zoo.models.syncnet import lip_steps

from .talking import film, known
from .tiny_matcher import TEXTS, tiny_matcher, write_pool


@pytest.fixture(scope="module")
def matcher():
    return tiny_matcher(kept_recall={0.2: 0.5}, metrics={"val/pool": 99, "val/alignment_mean_rank": 48.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory, matcher):
    folder = tmp_path_factory.mktemp("match")
    film(folder / "talk.mp4")
    film(folder / "still.mp4", talks=[], still=["middle"])
    film(folder / "mute.mp4", sound=False)
    film(folder / "crowd.mp4", talks=["left", "middle", "right"])
    film(folder / "half.mp4")
    Image.new("RGB", (64, 64)).save(folder / "picture.mp4", "PNG")
    places = {"talk": ["middle"], "still": ["middle"], "mute": ["middle"], "crowd": ["left", "middle", "right"]}
    known(folder / "faces.json", {**places, "half": ["middle"], "empty": []})
    boxes = json.loads((folder / "faces.json").read_text())
    boxes["videos"]["half"]["faces"]["middle"][75:] = [None] * 75
    (folder / "faces.json").write_text(json.dumps(boxes))
    index(matcher, write_pool(folder / "srt"), folder / "index")
    return folder


@pytest.fixture(scope="module")
def found(folder, matcher):
    return match(matcher, folder / "talk.mp4", folder / "index", faces=folder / "faces.json", top=3)


def test_a_ranking_is_that_of_the_weighted_costs(folder, matcher):
    searched = index(matcher, folder / "srt", folder / "index")
    with find_clip(folder / "talk.mp4", faces=folder / "faces.json", size=96) as query:
        clip = query.encode(matcher)
    assert len(clip.steps) == lip_steps(150) // 4
    ranking = rank(matcher, clip, searched)
    costs = matcher.costs([clip], searched.pool)
    fused = sum(weight * costs[name][0] for name, weight in matcher.weights.items())
    torch.testing.assert_close(ranking.costs[FUSION], fused)
    assert ranking.order.tolist() == fused.argsort().tolist()
    for name, cost in {**{name: each[0] for name, each in costs.items()}, FUSION: fused}.items():
        assert ranking.places[name].tolist() == [1 + int((cost < own).sum()) for own in cost]


def test_narrowing_aligns_the_best_by_global_cues_and_keeps_their_places(folder, matcher):
    pytest.importorskip("faiss", reason="needs the extra search")
    every = match(matcher, folder / "talk.mp4", folder / "index", faces=folder / "faces.json", top=5)
    index(matcher, folder / "srt", folder / "index", search=True)
    found = match(matcher, folder / "talk.mp4", folder / "index", faces=folder / "faces.json", narrow=2)
    both = {each.id: each for each in every.candidates}
    by_cues = sorted(both, key=lambda one: sum(both[one].costs[name] for name in ("object", "scene")))
    assert {each.id for each in found.candidates} == set(by_cues[:2]) and found.aligned == 2
    for each in found.candidates:
        assert each.ranks["object"] == both[each.id].ranks["object"]
        assert each.costs[FUSION] == pytest.approx(both[each.id].costs[FUSION], rel=1e-4)
    assert found.loss == pytest.approx(1 - (0.5 + 0.5 * (0.4 - 0.2) / 0.8)) and every.loss is None


def test_a_candidate_says_where_everything_is(found, matcher):
    assert [each.ranks[FUSION] for each in found.candidates] == [1, 2, 3]
    for each in found.candidates:
        n, m = each.similarity.shape
        assert len(each.labels) == len(each.video_times) == n and len(each.text_times) == m
        assert each.labels.min() >= 0 and each.labels.max() == m - 1 == each.labels[-1]
        assert [" ".join(word.text for word in words).lower() for words in each.words] == [
            text.lower().replace(",", "").rstrip(".") for text in TEXTS[each.id]
        ]
        assert each.fit.spans[-1][1] <= found.duration
        for (start, end), words in zip(each.fit.spans, each.words, strict=True):
            assert start - 0.01 <= words[0].start <= words[-1].end <= end + 0.15


def test_variants_are_paths_by_other_settings(found):
    best = found.candidates[0]
    (own,) = (one for one in found.variants["order"] if one.chosen)
    assert np.array_equal(own.labels, best.labels)
    steps = {one.name: int(np.maximum(-np.diff(one.labels) - 1, 0).sum()) for one in found.variants["order"]}
    assert steps["0"] >= steps["1"]  # steps back beyond the margin
    diagonal = np.linspace(0, best.labels.max(), len(best.labels))
    off = {one.name: np.abs(one.labels - diagonal).mean() for one in found.variants["duration"]}
    assert off["1"] <= off["0"]
    dtw = found.variants["aligner"][0]
    assert (np.diff(dtw.labels) >= 0).all() and not dtw.chosen


def test_files_of_subtitles_are_indexed_and_kept(folder, matcher, found, tmp_path):
    again = match(matcher, folder / "talk.mp4", [folder / "srt"], faces=folder / "faces.json", keep=tmp_path / "pool")
    assert [each.id for each in again.candidates[:3]] == [each.id for each in found.candidates]
    assert (tmp_path / "pool" / "index.json").is_file()


def test_the_face_is_looked_for_before_a_pool_is_spoken_and_the_pool_before_the_face(
    folder, matcher, tmp_path, monkeypatch
):
    monkeypatch.setattr(searching, "index", lambda *given, **more: pytest.fail("spoken"))
    with pytest.raises(ValueError, match="nobody speaks"):
        match(matcher, folder / "still.mp4", folder / "srt", faces=folder / "faces.json", keep=tmp_path / "pool")
    monkeypatch.setattr(searching, "find_clip", lambda *given, **more: pytest.fail("looked for"))
    for pool, options, fault in (
        ("nowhere", {}, "no such file or folder"),
        ("srt", {"language": "xx"}, "xx"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=fault):
            match(matcher, folder / "talk.mp4", folder / pool, **options)


def test_a_part_of_a_video_is_matched_by_itself(folder, matcher):
    found = match(matcher, folder / "talk.mp4", folder / "index", faces=folder / "faces.json", start=1.0, end=4.02)
    assert (found.start, found.end) == (1.0, 4.0) and len(found.candidates[0].video_times) == lip_steps(75) // 4


@pytest.mark.parametrize(
    ("video", "options", "fault"),
    [
        ("empty.mp4", {}, "no such video"),
        ("still.mp4", {}, "nobody speaks: .*--start and --end choose a part in which"),
        ("mute.mp4", {}, "there is no sound in it; who speaks is told by lips and voice together"),
        ("crowd.mp4", {}, "several speakers: .*--start and --end"),
        ("half.mp4", {}, r"fewer than 65% of the frames \(one was found in 50% of those looked at\); matching is by"),
        ("picture.mp4", {}, "picture.mp4 holds one picture and no moving ones"),
        ("talk.mp4", {"start": 7.0}, "talk.mp4 ends at 6.0 s, before the clip begins"),
        ("talk.mp4", {"start": 3.0, "end": 2.0}, "the start must be"),
        ("talk.mp4", {"start": 1.0, "end": 1.03}, "from 1 to 1.03 s holds no frame"),
        ("talk.mp4", {"end": 1.0, "narrow": 0}, "both must be 1 or more"),
        ("talk.mp4", {"end": 0.2}, "nobody speaks|too short to match"),
    ],
)
def test_what_cannot_be_matched_says_why(folder, matcher, video, options, fault):
    with pytest.raises((ValueError, FileNotFoundError), match=fault):
        match(matcher, folder / video, folder / "index", faces=folder / "faces.json", **options)


def test_unknown_faces_and_other_models_are_refused(folder, matcher, tmp_path):
    film(tmp_path / "other.mp4", seconds=1.0)
    with pytest.raises(ValueError, match="says nothing of 'other'; it has faces of talk"):
        match(matcher, tmp_path / "other.mp4", folder / "index", faces=folder / "faces.json")
    known(tmp_path / "none.json", {"talk": []})
    with pytest.raises(ValueError, match="no face; matching is by the face"):
        match(matcher, folder / "talk.mp4", folder / "index", faces=tmp_path / "none.json")
    with pytest.raises(ValueError, match="was made by another model"):
        match(tiny_matcher(3), folder / "talk.mp4", folder / "index", faces=folder / "faces.json")
    film(tmp_path / "long.mp4", seconds=1.0)
    with pytest.raises(ValueError, match="is no matcher"):
        match(tmp_path, folder / "talk.mp4", folder / "index")


def test_the_files_say_the_same(found, tmp_path):
    files = save(found, tmp_path / "out")
    assert [path.name for path in files] == ["match.json", "report.html"]
    told = json.loads(files[0].read_text())
    assert told["format"] == "weaksync.match" and told["subtitles"] == len(TEXTS)
    assert [each["id"] for each in told["candidates"]] == [each.id for each in found.candidates]
    best = told["candidates"][0]
    assert [one["text"] for one in best["sentences"]] == TEXTS[best["id"]]
    assert len(best["path"]) == len(found.candidates[0].labels)
    assert best["ranks"].keys() == {"object", "scene", ALIGNMENT, FUSION}
    assert told["doubt"].startswith(
        "lips and speech hardly tell subtitles apart: on validation they put a clip's own in"
    )


def test_the_page_draws_itself(found, browse, tmp_path):
    hostile = found.candidates[0].sentences
    found.candidates[0].sentences = ("</script><script>alert(1)</script>", *hostile[1:])
    try:
        page = render(found, clip=b"clip", sound=True, speech=[b"one"])
        dom, said = browse(page)
    finally:
        found.candidates[0].sentences = hostile
    assert 'data-ready="yes"' in dom and "<script>alert" not in dom
    assert not [line for line in said if "Error" in line]
    assert "Note: lips and speech hardly tell subtitles apart" in dom
    for each in found.candidates:
        assert each.id in dom
    assert dom.count("<figure") == sum(map(len, found.variants.values()))


def test_the_command_prints_places(folder, matcher, found, tmp_path):
    matcher.save_pretrained(tmp_path / "model")
    arguments = [str(folder / "talk.mp4"), "--model", str(tmp_path / "model"), "--pool", str(folder / "index")]
    arguments += ["--out", str(tmp_path / "out"), "--faces", str(folder / "faces.json"), "--top", "2", "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert [row["subtitle"] for row in rows] == [each.id for each in found.candidates[:2]]
    assert [row["#"] for row in rows] == [1, 2]
    assert "note: lips and speech hardly tell" in done.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 20_000
