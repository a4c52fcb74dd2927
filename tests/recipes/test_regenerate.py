import json

import numpy as np
import pysubs2
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("espeakng_loader", reason="needs the extra tts, for speech")

from weaksync.datamodules import media
from weaksync.datamodules.waveforms import read_sound
from weaksync.recipes.index import index
from weaksync.recipes.matching.dubbing import RATE, dub
from weaksync.recipes.matching.query import find_clip
from weaksync.recipes.matching.ranking import FUSION
from weaksync.recipes.regenerate import command, regenerate, save
from weaksync.zoo.pool import zero_based_ranks

from .talking import film, known
from .tiny_matcher import TEXTS, tiny_matcher, write_pool


@pytest.fixture(scope="module")
def matcher():
    return tiny_matcher()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, matcher):
    folder = tmp_path_factory.mktemp("regenerate")
    film(folder / "song.mp4")
    known(folder / "faces.json", {"song": ["middle"]})
    texts = {**TEXTS, "echo": ["We sing in the garden", "and the tea grows cold!"]}
    index(matcher, write_pool(folder / "srt", texts), folder / "index")
    return folder


@pytest.fixture(scope="module")
def made(folder, matcher):
    return regenerate(matcher, folder / "song.mp4", folder / "index", faces=folder / "faces.json")


def test_the_best_is_taken_that_is_not_the_clips_own_nor_says_the_same(folder, matcher, made):
    searched = index(matcher, folder / "srt", folder / "index")
    with find_clip(folder / "song.mp4", faces=folder / "faces.json", size=96) as query:
        costs = matcher.costs([query.encode(matcher)], searched.pool)
    fused = matcher.fuse(costs)
    order = [searched.subtitles[column].id for column in fused[0].argsort().tolist()]
    assert made.chosen.id == next(name for name in order if name not in ("song", "echo"))
    assert made.match.candidates[1].id == next(name for name in order if name in ("song", "echo")) and made.own
    for each in made.match.candidates:
        column = torch.tensor([searched.columns[each.id]])
        expected = {name: int(zero_based_ranks(cost, column)) for name, cost in {**costs, FUSION: fused}.items()}
        assert each.ranks == expected


def test_the_original_can_be_named(folder, matcher, made):
    other = regenerate(
        matcher, folder / "song.mp4", folder / "index", faces=folder / "faces.json", original=[made.chosen.id]
    )
    assert other.chosen.id != made.chosen.id and other.match.candidates[1].id == made.chosen.id
    with pytest.raises(ValueError, match="has no subtitle nobody"):
        regenerate(matcher, folder / "song.mp4", folder / "index", faces=folder / "faces.json", original=["nobody"])


@pytest.mark.parametrize("name", ["A song, again", "песня"])
def test_the_own_is_known_by_any_name_of_a_file(folder, matcher, tmp_path, name):
    film(tmp_path / f"{name}.mp4")
    known(tmp_path / "faces.json", {name: ["middle"]})
    for number, stem in enumerate((name, f"{name}.en")):
        pool = write_pool(tmp_path / f"srt{number}", {stem: TEXTS["song"], "tea": TEXTS["tea"]})
        made = regenerate(matcher, tmp_path / f"{name}.mp4", pool, faces=tmp_path / "faces.json")
        assert made.own and made.chosen.id == "tea"


def test_an_own_subtitle_that_is_unknown_is_said(folder, matcher, tmp_path):
    film(tmp_path / "other.mp4")
    known(tmp_path / "faces.json", {"other": ["middle"]})
    made = regenerate(matcher, tmp_path / "other.mp4", folder / "index", faces=tmp_path / "faces.json")
    assert len(made.match.candidates) == 1 and made.chosen.ranks[FUSION] == 0
    assert made.match.notes == ["the pool has no subtitle that is known to be the clip's own: the best was taken"]


def test_a_pool_of_the_own_subtitle_alone_has_no_other(matcher, folder, tmp_path):
    pool = write_pool(tmp_path / "srt", {"song": TEXTS["song"]})
    with pytest.raises(ValueError, match="no subtitle but the clip's own"):
        regenerate(matcher, folder / "song.mp4", pool, faces=folder / "faces.json")


def test_the_background_is_kept_or_dropped(folder, matcher, made):
    dropped = regenerate(matcher, folder / "song.mp4", folder / "index", faces=folder / "faces.json", background="drop")
    best = dropped.chosen
    speech = dub(best.speech, best.spoken, best.fit, 6.0)
    assert np.array_equal(dropped.sound, speech)
    original = read_sound(folder / "song.mp4", RATE)
    behind = made.sound.astype(float) - speech
    heard = slice(int(made.chosen.fit.spans[0][0] * RATE), int(made.chosen.fit.spans[0][1] * RATE))
    before, after = (np.square(each[heard].astype(float)).mean() for each in (original, behind))
    assert after == pytest.approx(before / 100, rel=0.1)  # 20 dB


def test_the_files_hold_the_new_subtitle(folder, made, tmp_path):
    files = save(made, tmp_path)
    assert [path.name for path in files] == ["dubbed.mp4", "regenerated.json", "regenerated.srt", "report.html"]
    lines = pysubs2.load(str(tmp_path / "regenerated.srt"))
    assert [line.text for line in lines] == TEXTS[made.chosen.id]
    spans = [(line.start / 1000, line.end / 1000) for line in lines]
    np.testing.assert_allclose(spans, made.chosen.fit.spans, atol=1e-3)
    info = media.probe(tmp_path / "dubbed.mp4")
    assert (info.width, info.height) == (192, 108) and info.duration == pytest.approx(6.0, abs=0.1)
    heard = read_sound(tmp_path / "dubbed.mp4", RATE, seconds=6.0)
    assert np.corrcoef(heard, made.sound)[0, 1] > 0.9
    told = json.loads((tmp_path / "regenerated.json").read_text())
    assert [each["role"] for each in told["candidates"]] == ["re-generated", "original"]
    assert told["background"] == "keep" and told["format"] == "weaksync.regenerated"


def test_the_command_prints_places_from_zero(folder, matcher, made, tmp_path):
    matcher.save_pretrained(tmp_path / "model")
    arguments = [str(folder / "song.mp4"), "--model", str(tmp_path / "model"), "--pool", str(folder / "index")]
    arguments += ["--out", str(tmp_path / "out"), "--faces", str(folder / "faces.json"), "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert [row["subtitle"] for row in rows] == [each.id for each in reversed(made.match.candidates)]
    assert rows[1]["fusion"] == made.chosen.ranks[FUSION]
