import json
import shutil

import pytest
import torch

from weaksync import zoo
from weaksync.zoo.encoded import EncodedText, Pool, alignment_costs
from weaksync.zoo.fusion import fuse
from weaksync.zoo.glove import HashedWords, WordVectors
from weaksync.zoo.matcher import ALIGNMENT, GlobalCue, Matcher, Voice

WORDS = ["eye", "shadow", "market", "shares", "coffee", "milk"]


def tiny(seed=0, **others):
    torch.manual_seed(seed)
    words = WordVectors({word: row for row, word in enumerate(WORDS)}, torch.randn(len(WORDS), 50))
    gsm = {"video_dim": 96, "text_dim": 50, "per_second": 2.0}
    cues = {
        name: GlobalCue(zoo.create("gsm-tiny", cue=name, **gsm), zoo.create("picturenet-tiny"))
        for name in ("object", "scene")
    }
    parts = {"cues": cues, "words": words, "languages": ["en"], **others}
    return Matcher.of(zoo.create("syncnet-tiny"), zoo.create("lipspeech-tiny", rates={"fr": 1.1}), **parts)


@pytest.fixture(scope="module")
def matcher():
    return tiny()


def pictures(frames, side):
    return torch.randint(0, 256, (frames, 3, side, side), dtype=torch.uint8)


def clip_of(matcher, seed, frames=75):
    torch.manual_seed(seed)
    return matcher.encode_clip(pictures(frames, 100), lambda fps: pictures(round(frames / 25 * fps), 64))


def text_of(matcher, seed, seconds=3.0):
    torch.manual_seed(seed)
    wave = (torch.randn(int(16000 * seconds)) * 2000).to(torch.int16)
    return matcher.encode_text(" ".join(WORDS[seed % 3 : seed % 3 + 2]), wave)


@pytest.fixture(scope="module")
def pool(matcher):
    codes = [text_of(matcher, seed, 2.0 + 0.5 * (seed % 5)) for seed in range(9)]
    return Pool.of(codes, ["en", "fr", "de"] * 3)


def test_costs_are_those_of_the_models_themselves(matcher, pool):
    clips = [clip_of(matcher, seed, 60 + 20 * seed) for seed in range(2)]
    costs = matcher.costs(clips, pool)
    model = matcher.lipspeech
    for v, clip in enumerate(clips):
        for s in range(len(pool)):
            text = model.with_rates(pool.steps_of(s).float()[None], [pool.languages[s]])
            alone = model.values(clip.steps[None], text) / len(clip.steps)
            torch.testing.assert_close(costs[ALIGNMENT][v, s], alone[0, 0], atol=2e-4, rtol=1e-4)
            for name in ("object", "scene"):
                cosine = torch.cosine_similarity(clip.cues[name], pool.cues[name][s].float(), dim=0)
                torch.testing.assert_close(costs[name][v, s], 1 - cosine, atol=1e-3, rtol=0)


def test_languages_have_rates_of_their_own(matcher, pool):
    clip = clip_of(matcher, 0)
    other = Pool(pool.steps, pool.lengths, ["en"] * len(pool), pool.cues)
    same, fr = (torch.tensor([code != "fr" for code in pool.languages]) == flag for flag in (True, False))
    ours, theirs = (alignment_costs(matcher.lipspeech, [clip], each)[0] for each in (pool, other))
    assert torch.equal(ours[same], theirs[same])
    assert not torch.isclose(ours[fr], theirs[fr]).any()


def test_chosen_columns_cost_what_they_cost_among_all(matcher, pool):
    clips = [clip_of(matcher, 3)]
    columns = torch.tensor([7, 2, 3, 4, 0])
    every, some = matcher.costs(clips, pool), matcher.costs(clips, pool, columns)
    for name, costs in every.items():
        torch.testing.assert_close(some[name], costs[:, columns], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(matcher.fuse(some), fuse(some, matcher.weights))


def test_cues_see_pictures_at_their_own_pace(matcher):
    asked = []
    matcher.encode_clip(pictures(50, 96), lambda fps: asked.append(fps) or pictures(4, 64))
    assert asked == [2.0, 2.0]


def test_a_folder_gives_back_the_same_costs(matcher, pool, tmp_path):
    matcher.save_pretrained(tmp_path / "matcher")
    again = Matcher.from_pretrained(tmp_path / "matcher")
    assert again.fingerprint == matcher.fingerprint
    assert (again.weights, again.voice, again.languages) == (matcher.weights, matcher.voice, matcher.languages)
    clip = clip_of(matcher, 1)
    torch.testing.assert_close(clip_of(again, 1).steps, clip.steps)
    for name, costs in matcher.costs([clip], pool).items():
        torch.testing.assert_close(again.costs([clip], pool)[name], costs)
    assert again.words.of("eye  SHADOW").equal(matcher.words.of("eye shadow"))
    matcher.save_pretrained(tmp_path / "matcher")  # one that is there is replaced


def test_hashed_words_travel_too(tmp_path):
    gsm = zoo.create("gsm-tiny", video_dim=96, text_dim=300, per_second=2.0)
    made = tiny(cues={"scene": GlobalCue(gsm, zoo.create("picturenet-tiny"))}, words=HashedWords())
    again = Matcher.from_pretrained(made.save_pretrained(tmp_path / "matcher"))
    assert again.words == made.words and again.fingerprint == made.fingerprint
    one, other = again.words.of("Tea, tea and TEA"), again.words.of("tea")
    assert one.shape == (4, 300) and torch.equal(one[0], one[1]) and torch.equal(one[0], other[0])
    assert torch.allclose(one.norm(dim=1), torch.ones(4)) and abs(one[0] @ one[2]) < 0.3


def test_a_fingerprint_is_of_what_decides_an_index(matcher):
    same = tiny(weights={"object": 3.0, "scene": 0.0, ALIGNMENT: 1.0})
    same.lipspeech.lips.convolutions[0].weight.data += 1
    same.syncnet.netcnnlip[0].weight.data += 1
    assert same.fingerprint == matcher.fingerprint
    changed = [tiny(voice=Voice(rate=150)), tiny(), tiny(), tiny(), tiny()]
    changed[1].syncnet.netcnnaud[0].weight.data[0] += 1e-3
    changed[2].lipspeech.speech.normalisations[1].running_mean.data[0] += 1e-3
    changed[3].cues["scene"].gsm.text.gru.weight_hh_l0.data[0] += 1e-3
    changed[4].words.table[0] += 1e-3
    assert len({each.fingerprint for each in [matcher, *changed]}) == 1 + len(changed)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("matcher.json", "matcher.json: damaged or changed"),
        ("words/words.txt", "words.txt: damaged or changed"),
        ("syncnet/model.safetensors", "model.safetensors: damaged or changed"),
    ],
)
def test_a_damaged_folder_is_refused(matcher, tmp_path, file, fault):
    folder = matcher.save_pretrained(tmp_path / "matcher")
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(ValueError, match=fault):
        Matcher.from_pretrained(folder)


def test_a_part_of_another_matcher_is_refused(matcher, tmp_path):
    folder, other = matcher.save_pretrained(tmp_path / "a"), tiny(1).save_pretrained(tmp_path / "b")
    shutil.rmtree(folder / "gsm-object")
    shutil.copytree(other / "gsm-object", folder / "gsm-object")
    with pytest.raises(ValueError, match=r"gsm-object.SHA256SUMS: damaged or changed"):
        Matcher.from_pretrained(folder)


def test_another_format_is_refused(matcher, tmp_path):
    folder = matcher.save_pretrained(tmp_path / "matcher")
    with pytest.raises(ValueError, match=r"load it with weaksync\.zoo\.Matcher\.from_pretrained"):
        zoo.load(folder)
    with pytest.raises(ValueError, match="is no matcher"):
        Matcher.from_pretrained(folder / "syncnet")
    with pytest.raises(FileNotFoundError):
        Matcher.from_pretrained(tmp_path / "nothing")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds something else"):
        matcher.save_pretrained(tmp_path / "full")
    assert json.loads((folder / "matcher.json").read_text())["format"] == "weaksync-matcher"


@pytest.mark.parametrize(
    ("weight", "rank", "doubtful"), [(8.0, 3.0, False), (8.0, 34.9, False), (8.0, 36.0, True), (0.0, 3.0, True)]
)
def test_lips_that_tell_nothing_are_in_doubt(weight, rank, doubtful):
    metrics = {"val/pool": 99, "val/alignment_mean_rank": rank}
    found = tiny(metrics=metrics, weights={"alignment": weight, "object": 1.0, "scene": 1.0})
    assert bool(found.doubt) == doubtful
    if doubtful:
        assert f"in place {rank:.0f} of 99 (50 by chance), and weigh {weight:g} in the sum" in found.doubt


def test_a_matcher_that_nobody_validated_is_in_no_doubt(matcher):
    assert matcher.doubt is None


def test_parts_that_do_not_belong_together_are_named_at_once():
    gsm = zoo.create("gsm-tiny", video_dim=7, text_dim=50)
    with pytest.raises(ValueError, match=r"front end reads 64.*there are no vectors.*features have 96.*no weight for"):
        Matcher.of(
            zoo.create("syncnet-tiny"),
            zoo.create("lipspeech-tiny", feature_dim=64),
            cues={"colour": GlobalCue(gsm, zoo.create("picturenet-tiny"))},
        )


def test_what_is_too_short_or_empty_is_refused(matcher):
    with pytest.raises(ValueError, match="a clip of 7 frames of a face is too short to match: it needs 8"):
        matcher.encode_clip(pictures(7, 96), lambda fps: pictures(4, 64))
    with pytest.raises(ValueError, match="pool is empty"):
        Pool.of([], [])
    with pytest.raises(ValueError, match="no clip"):
        alignment_costs(matcher.lipspeech, [], Pool.of([EncodedText(torch.zeros(3, 128).half())], ["en"]))


def test_times_are_the_middles_of_what_steps_saw(matcher):
    clip = clip_of(matcher, 0, frames=40)
    assert clip.times[0].item() == pytest.approx((0.1 + 0.14 + 0.18 + 0.22) / 4)
    times = matcher.speech_times(5)
    assert times.tolist() == pytest.approx([0.09 + 0.04 * (1.5 + 4 * step) for step in range(5)])
