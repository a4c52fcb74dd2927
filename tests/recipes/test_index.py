import json
import shlex
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("espeakng_loader", reason="needs the extra tts, for speech")

from weaksync.datamodules.speech import Espeak
from weaksync.datamodules.speech_set import write_speech
from weaksync.recipes.index import command, index
from weaksync.recipes.matching import indexing
from weaksync.recipes.matching.narrowing import Narrowing, expected_loss, kept_recall
from weaksync.recipes.matching.pool import Source, open_index
from weaksync.zoo.encoded import EncodedClip
from weaksync.zoo.matcher import Voice

from .tiny_matcher import TEXTS, tiny_matcher, write_pool


@pytest.fixture(scope="module")
def matcher():
    return tiny_matcher()


@pytest.fixture(scope="module")
def made(matcher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    return index(matcher, write_pool(folder / "srt"), folder / "index")


@pytest.mark.parametrize(("named", "expected"), [("EN", "en"), ("en-US", "en"), ("ch", "zh"), ("swh", "swh")])
def test_a_language_is_called_as_the_matcher_calls_it(named, expected):
    """The rate of a language goes by its code, and another name for it would have the common one."""
    assert indexing.pool_language(tiny_matcher(languages=["en", "zh"]), named, "pool") == expected


def random_clip(seed=0):
    generator = torch.Generator().manual_seed(seed)
    cues = {
        name: torch.nn.functional.normalize(torch.randn(128, generator=generator), dim=0)
        for name in ("object", "scene")
    }
    return EncodedClip(torch.randn(12, 128, generator=generator), torch.arange(12) * 0.16, cues)


def test_an_index_holds_what_the_matcher_makes_of_each_text(matcher, made):
    assert sorted(subtitle.id for subtitle in made.subtitles) == sorted(TEXTS)
    for column, subtitle in enumerate(made.subtitles):
        assert list(subtitle.sentences) == TEXTS[subtitle.id]
        speech = Espeak()(" ".join(TEXTS[subtitle.id]), language="en")
        again = matcher.encode_text(" ".join(TEXTS[subtitle.id]), speech.waveform)
        torch.testing.assert_close(made.pool.steps_of(column), again.steps)
        for name in matcher.cues:
            torch.testing.assert_close(made.pool.cues[name][column], again.cues[name])
        assert [end for _, end in subtitle.spans] == pytest.approx([each.end for each in speech.sentences], abs=1e-3)
        assert torch.equal(made.speech(column).waveform, speech.waveform)


def test_short_ones_come_first_and_sizes_are_told(made):
    steps = [subtitle.steps for subtitle in made.subtitles]
    assert steps == sorted(steps) and made.info.steps == sum(steps)
    stored = np.load(made.folder / "steps.npy", mmap_mode="r")
    assert stored.dtype == np.float16 and stored.shape == (sum(steps), 128)
    assert made.info.sizes["steps.npy"] == (made.folder / "steps.npy").stat().st_size


def test_a_call_that_was_stopped_goes_on(matcher, made, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "TOGETHER", 2)
    pool, encoded = write_pool(tmp_path / "srt"), []
    encode = type(matcher).encode_text
    monkeypatch.setattr(
        type(matcher), "encode_text", lambda self, *args: encoded.append(args[0]) or encode(self, *args)
    )

    def stop(what, done, total):
        if what == "encoding" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index(matcher, pool, tmp_path / "index", track=stop)
    assert len(encoded) == 4
    with pytest.raises(FileNotFoundError, match="no index in"):
        open_index(tmp_path / "index")
    again = index(matcher, pool, tmp_path / "index")
    assert len(encoded) == 5
    assert again.subtitles == made.subtitles
    for name in ("steps.npy", "object.npy", "scene.npy"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()
    assert not list(again.folder.glob(".*"))


def test_what_is_whole_is_opened(matcher, made, monkeypatch):
    monkeypatch.setattr(indexing, "_make", None)
    monkeypatch.setattr(indexing, "write_speech", None)
    assert len(index(matcher, made.folder.parent / "srt", made.folder)) == len(TEXTS)


def test_another_model_or_pool_is_refused(matcher, made, tmp_path):
    pool = made.folder.parent / "srt"
    with pytest.raises(ValueError, match="was made by another model"):
        made.check(tiny_matcher(1))
    with pytest.raises(ValueError, match="was made by another model"):
        index(tiny_matcher(1), pool, made.folder)
    with pytest.raises(ValueError, match="index of another pool"):
        index(matcher, write_pool(tmp_path / "srt", {"one": ["Something else."]}), made.folder)
    made.check(tiny_matcher(weights={"object": 0.0, "scene": 2.0, "alignment": 1.0}))  # these decide no index


def test_a_set_of_speech_is_a_pool(matcher, made, tmp_path):
    pool = made.folder.parent / "srt"
    write_speech(tmp_path / "speech", pool, Espeak(), language="en")
    found = index(matcher, tmp_path / "speech", tmp_path / "index")
    assert (found.folder / "steps.npy").read_bytes() == (made.folder / "steps.npy").read_bytes()
    with pytest.raises(ValueError, match="no split 'test'; it has pool"):
        index(matcher, tmp_path / "speech", tmp_path / "other", split="test")
    slow = tiny_matcher(voice=Voice(rate=120))
    with pytest.raises(ValueError, match=r"rate 175, and the model was made for espeak-ng.*rate 120"):
        index(slow, tmp_path / "speech", tmp_path / "other")


def test_the_command_that_makes_an_index_again_is_whole(made, tmp_path):
    def maker(*sources):
        again = copy(made)
        again.info = replace(made.info, sources=[Source(folder, split, "", "") for folder, split in sources])
        return shlex.split(again.maker("OUT"))

    ends = ["--model", "DIR", "--out", "OUT"]
    both = [str(tmp_path / "a speech"), str(tmp_path / "b")]
    assert maker((both[0], "train"), (both[0], "test")) == ["weaksync", "index", both[0], *ends]
    assert maker((both[0], "test"), (both[1], "test")) == ["weaksync", "index", *both, "--split", "test", *ends]
    assert "--split" not in made.maker("OUT")  # of subtitle files


def test_faults_are_named(matcher, tmp_path):
    pool = write_pool(tmp_path / "srt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no subtitles"):
        index(matcher, tmp_path / "empty", tmp_path / "index")
    with pytest.raises(ValueError, match="pool is empty"):
        index(matcher, [], tmp_path / "index")
    with pytest.raises(ValueError, match="eSpeak NG has no voice 'xx'"):
        index(matcher, pool, tmp_path / "index", language="xx")
    with pytest.raises(ValueError, match="Give --language"):
        index(tiny_matcher(languages=["en", "fr"]), pool, tmp_path / "index")
    write_pool(tmp_path / "twice", {"tea": ["Tea again, and other tea."]})
    with pytest.raises(ValueError, match="both have a subtitle 'tea'"):
        index(matcher, [pool, tmp_path / "twice"], tmp_path / "index")


def test_a_damaged_index_is_refused(matcher, made, tmp_path):
    found = index(matcher, made.folder.parent / "srt", tmp_path / "index")
    data = (found.folder / "object.npy").read_bytes()
    (found.folder / "object.npy").write_bytes(data[:-2])
    with pytest.raises(ValueError, match=r"object.npy has .* bytes and had"):
        open_index(found.folder)
    (found.folder / "object.npy").unlink()
    again = rf"is missing: remove (\S+), and weaksync index {found.folder}/speech-\w+ --model DIR --out {found.folder}"
    with pytest.raises(FileNotFoundError, match=again) as absent:
        open_index(found.folder)
    Path(str(absent.value).split("remove ")[1].split(",")[0]).unlink()  # as it says
    (speech,) = found.folder.glob("speech-*")
    assert open_index(index(matcher, speech, found.folder).folder).subtitles == found.subtitles
    (found.folder / "index.json").write_text("{}")
    with pytest.raises(ValueError, match="not what weaksync index writes"):
        open_index(found.folder)


def test_narrowing_finds_what_fits_best_by_the_global_cues(matcher, made):
    pytest.importorskip("faiss", reason="needs the extra search")
    with pytest.raises(FileNotFoundError, match=r"weaksync index .*/speech-.* --search makes it"):
        Narrowing(made)
    found = index(matcher, made.folder.parent / "srt", made.folder, search=True)
    narrowing = Narrowing(found)
    for seed in range(5):
        clip = random_clip(seed)
        costs = matcher.costs([clip], found.pool)
        fused = sum(matcher.weights[name] * costs[name][0] for name in matcher.cues)
        for keep in (1, 3, 9):
            expected = fused.argsort()[:keep].sort().values
            assert narrowing.columns(clip, matcher, keep).tolist() == expected.tolist()


def test_recall_lost_is_counted_against_ties():
    scene = torch.arange(100.0).repeat(3, 1)
    scene[1] = 0.0  # all alike: the own one may be last
    costs = {"scene": scene, "alignment": torch.rand(3, 100)}
    recall = kept_recall(costs, torch.tensor([1, 50, 30]), {"scene": 1.0})
    assert recall[0.01] == 0 and recall[0.02] == pytest.approx(1 / 3) and recall[0.5] == pytest.approx(2 / 3)
    assert list(kept_recall({"scene": scene[:, :9]}, torch.tensor([1, 5, 3]), {"scene": 1.0})) == [0.2, 0.3, 0.5]
    assert expected_loss(recall, 1.0) == pytest.approx(0) and expected_loss({}, 0.1) is None
    assert expected_loss(recall, 0.015) == pytest.approx(1 - 1 / 6)


def test_the_command_tells_bytes(matcher, made, tmp_path):
    matcher.save_pretrained(tmp_path / "model")
    pool = made.folder.parent / "srt"
    arguments = [str(pool), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "index"), "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    (row,) = json.loads(done.stdout)
    assert row["subtitles"] == len(TEXTS)
    assert row["bytes of one"] == sum(made.info.sizes.values()) // len(TEXTS)
