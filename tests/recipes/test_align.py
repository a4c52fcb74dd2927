import json
import shutil
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules import media
from weaksync.datamodules.index import open_set
from weaksync.datamodules.records import Sentence
from weaksync.datamodules.videos import Videos
from weaksync.recipes.align import (
    JSON,
    REPORT,
    SRT,
    align,
    command,
    doubt_of,
    save,
    stored_pictures,
)
from weaksync.recipes.alignment import Alignment
from weaksync.recipes.building.story_clips import Pictures
from weaksync.recipes.data import build as data_build
from weaksync.recipes.narration import known_language, read_sentences
from weaksync.zoo.decoding import Decoder
from weaksync.zoo.story import StoryAlignment

SRT_TEXT = """1
00:00:00,000 --> 00:00:01,500
The king wakes up. He looks

2
00:00:01,500 --> 00:00:03,000
out of the window.

3
00:00:03,000 --> 00:00:04,000
♪
"""
SENTENCES = ["The king wakes up.", "He looks out of the window.", "A storm begins."]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return zoo.create("cclm-tiny").eval()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four seconds in four plain colours, a second each."""
    path = tmp_path_factory.mktemp("film") / "four colours.mp4"
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 220)]
    write = np.zeros((100, 72, 128, 3), dtype=np.uint8)
    for second, colour in enumerate(colours):
        write[25 * second : 25 * second + 25] = colour
    media.write_video(path, write, 25)
    return path


@pytest.fixture(scope="module")
def found(model, film):
    return align(model, film, SENTENCES, language="en", shots="content", decoder=Decoder(0.5, 0.5))


def test_similarity_is_that_of_the_frames_on_screen(found, model, film):
    np.testing.assert_allclose(found.clips, [[0, 1], [1, 2], [2, 3], [3, 4]], atol=0.05)
    with torch.no_grad():
        words = model.encode_text(*model.tokenize(SENTENCES))
        for i, (start, _) in enumerate(found.clips):
            frame = torch.from_numpy(media.frames_at(film, [start + 0.5])[0]).permute(2, 0, 1)
            pixels = model.preprocess(frame.expand(model.preprocess.frames, -1, -1, -1))
            expected = model.encode_clips(pixels[None]) @ words.T
            # the frames went through JPEG on the way
            np.testing.assert_allclose(found.similarity[i], expected[0], atol=0.02)


def test_labels_are_the_decoders(found):
    again = Decoder(0.5, 0.5).decode([torch.from_numpy(found.similarity)])[0]
    np.testing.assert_array_equal(found.labels, again)
    assert found.decoder == Decoder(0.5, 0.5).to_dict()


def test_pictures_are_of_their_clips(found):
    means = [media.decode_jpeg(picture).float().mean((1, 2)) for picture in found.pictures]
    assert [int(mean.argmax()) for mean in means[:3]] == [0, 1, 2] and means[3].min() > 150


def test_batch_size_changes_nothing(found, model, film):
    again = align(model, film, SENTENCES, language="en", shots="content", decoder=Decoder(0.5, 0.5), batch_size=1)
    np.testing.assert_allclose(again.similarity, found.similarity, atol=1e-5)


def test_three_whole_files_are_written(found, tmp_path):
    out = tmp_path / "deep" / "out"
    assert [path.name for path in save(found, out, copy_video=True)] == [JSON, SRT, REPORT]
    assert sorted(path.name for path in out.iterdir()) == [JSON, SRT, "four colours.mp4", REPORT]
    assert Alignment.read(out / JSON).to_json() == found.to_json()
    assert '"source": "four%20colours.mp4"' in (out / REPORT).read_text()


def test_without_a_copy_the_report_links_to_the_video(found, tmp_path):
    save(found, tmp_path / "out")
    page = (tmp_path / "out" / REPORT).read_text()
    source = json.loads(page.split('id="data">')[1].split("</script>")[0])["source"]
    assert (tmp_path / "out" / unquote(source)).samefile(found.video)


def test_subtitles_give_sentences_with_times(tmp_path):
    path = tmp_path / "story.srt"
    path.write_text(SRT_TEXT)
    notes = []
    first, second = read_sentences(path, "en", notes=notes)
    assert (first.text, second.text) == ("The king wakes up.", "He looks out of the window.")
    assert first.narration[0] == 0.0 and second.narration[1] == 3.0
    assert notes == ["1 sentences without a word left out"]


def test_subtitles_are_known_by_what_is_in_them(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(SRT_TEXT)
    assert next(s.text for s in read_sentences(path, "en", notes=[])) == "The king wakes up."


def test_plain_text_may_hold_one_sentence_per_line(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("国王醒来了。\n他看着窗外。\n", encoding="utf-8")
    assert read_sentences(path, "zh", notes=[]) == [Sentence("国王醒来了。"), Sentence("他看着窗外。")]


def test_the_language_is_the_only_one_or_asked_for():
    model = zoo.create("cclm-tiny")
    notes = []
    model.languages = ["zh"]
    assert known_language(model, None, notes) == "zh" and notes == []
    model.languages = ["zh", "en"]
    assert known_language(model, "zh-Hans", notes) == "zh" and notes == []
    with pytest.raises(ValueError, match="Give --language, one of: zh, en"):  # English rules would cut Chinese wrongly
        known_language(model, None, notes)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return model.save_pretrained(tmp_path_factory.mktemp("checkpoint") / "model", decoder=Decoder(0.2, 0.2).to_dict())


def run(folder, video, text, out, *more):
    return CliRunner().invoke(command, ["--model", str(folder), str(video), str(text), "--out", str(out), *more])


def test_the_verb_prints_what_it_found(folder, film, tmp_path):
    text = tmp_path / "story.srt"
    text.write_text(SRT_TEXT)
    done = run(folder, film, text, tmp_path / "out", "--language", "en", "--shots", "content", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["sentence"] for row in rows] == ["The king wakes up.", "He looks out of the window."]
    assert Alignment.read(tmp_path / "out" / JSON).decoder == Decoder(0.2, 0.2).to_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video": "absent.mp4"}, "absent.mp4"),
        ({"video": "text.srt"}, "text.srt"),
        ({"text": "absent.srt"}, "absent.srt"),
        ({"text": "empty.txt"}, "empty.txt.*empty"),
        ({"text": "marks.txt"}, "marks.txt"),
        ({"language": "de"}, "does not know language 'de'"),
        ({"language": "ru"}, "not Russian"),
        ({"folder": "bare"}, "preprocessor_config.json: missing"),
        ({"folder": "nowhere"}, "nowhere"),
        ({"out": "text.srt"}, "text.srt: nothing can be written"),
    ],
)
def test_the_users_faults_are_named_and_nothing_is_written(change, words, folder, film, tmp_path):
    (tmp_path / "text.srt").write_text(SRT_TEXT)
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "marks.txt").write_text("... !!!\n")
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in folder.iterdir():
        if path.name != "preprocessor_config.json":
            (bare / path.name).write_bytes(path.read_bytes())
    given = {"folder": folder, "video": film, "text": "text.srt", "out": "out", "language": "en"} | change
    language = given.pop("language")
    arguments = {name: tmp_path / value if isinstance(value, str) else value for name, value in given.items()}
    done = run(*arguments.values(), *(["--language", language] if language else []))
    assert isinstance(done.exception, ValueError | OSError), done.output
    with pytest.raises(type(done.exception), match=words):
        raise done.exception
    assert not list(tmp_path.glob("out/*"))


def test_it_is_what_evaluation_sees_of_the_shards(model, film, tmp_path):
    for name in ("videos", "subtitles"):
        (tmp_path / name).mkdir()
    shutil.copy(film, tmp_path / "videos" / "story.mp4")
    (tmp_path / "subtitles" / "story.srt").write_text(SRT_TEXT)
    arguments = ["--videos", tmp_path / "videos", "--subtitles", tmp_path / "subtitles", "--out", tmp_path / "shards"]
    arguments += ["--language", "en", "--shots", "content", "--jobs", "1"]
    done = CliRunner().invoke(data_build.command, ["story", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    shards = open_set(tmp_path / "shards")
    batch = Videos(shards, shards.videos("train"), model.preprocess, model.tokenize)[0].batch
    expected = StoryAlignment(model).similarity(batch)

    found = align(model, film, tmp_path / "subtitles" / "story.srt", language="en", shots="content")
    assert [sentence.text for sentence in found.sentences] == batch.texts[: len(found.sentences)]
    np.testing.assert_allclose(found.clips, expected.clips, atol=1e-3)
    np.testing.assert_allclose(found.similarity, expected.similarity[:, : len(found.sentences)], atol=1e-5)


def test_pictures_are_taken_as_those_the_model_was_trained_on(film, tmp_path):
    model = zoo.create("cclm-tiny")
    model.pictures = {"frames": 4, "size": 32, "quality": 80}
    saved = zoo.load(model.save_pretrained(tmp_path / "model"))
    notes = []
    assert stored_pictures(saved, notes) == Pictures(4, 32, 80) and notes == []
    found = align(saved, film, SENTENCES, language="en", shots="content")
    assert {media.decode_jpeg(picture).shape for picture in found.pictures} == {(3, 32, 57)}

    model.pictures = None
    assert stored_pictures(zoo.load(model.save_pretrained(tmp_path / "old")), notes) == Pictures()
    assert notes == [
        "the model does not say which pictures it was trained on: 5 of each clip were taken, of 256 pixels"
    ]


def test_a_model_that_does_not_tell_sentences_apart_is_doubted():
    decoder = Decoder(0.8, 0.3, "constant")
    guessed = torch.rand(30, 12, generator=torch.Generator().manual_seed(0)) * 0.01
    told = guessed + 0.5 * (torch.arange(30)[:, None] * 12 // 30 == torch.arange(12))
    assert doubt_of(told, decoder) is None
    assert "hardly tell these sentences apart" in doubt_of(guessed, decoder)
    assert doubt_of(guessed[:, :4], decoder) is None  # too few to say


def test_a_model_of_features_is_sent_to_the_verb_that_scores_it(film, tmp_path):
    run = tmp_path / "runs" / "neumatch"
    zoo.create("neumatch-sbn").save_pretrained(run / "model")
    with pytest.raises(
        ValueError, match=f"{run} is a NeuMATCH, which does not align a video file; .*weaksync eval {run} scores"
    ):
        align(run, film, SENTENCES, shots="content")


def test_the_times_of_subtitles_count_where_the_decoder_says_so(model, film):
    sentences = ["The king wakes up.", "He looks out of the window."]
    spoken = [Sentence(text, None, span) for text, span in zip(sentences, [(0.0, 0.9), (3.1, 4.0)], strict=True)]
    decoder = Decoder(1.5, 1.5, "constant", timing=1.0)  # a second between them outweighs any cosine
    timed = align(model, film, spoken, language="en", shots="content", decoder=decoder)
    assert timed.labels[0] == 0 and timed.labels[-1] == 1 and not any("times" in note for note in timed.notes)
    untimed = align(model, film, sentences, language="en", shots="content", decoder=decoder)
    assert any("no times" in note for note in untimed.notes)


def test_limits_of_time_and_place_are_kept(model, film):
    told = [Sentence(text, narration=(k, k + 0.5)) for k, text in enumerate(SENTENCES)]
    settings = {"language": "en", "shots": "content", "decoder": Decoder(1.0, 1.0, "constant", False)}
    found = align(model, film, told, within=0.0, **settings)
    assert found.decoder["within"] == 0.0
    for (start, end), label in zip(found.clips, found.labels, strict=True):
        assert label < 0 or (told[label].narration[0] < end and told[label].narration[1] > start)
    assert set(found.labels) >= {0, 1, 2}
    near = align(model, film, told, band=0, **settings)
    assert near.decoder["band"] == 0 and set(near.labels[[1, 2]]) == {-1}  # on the line lie the two corners alone
    with pytest.raises(ValueError, match="nothing says when the text is told"):
        align(model, film, SENTENCES, within=1.0, **settings)
