"""Subtitle files of all sorts to sentences with times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weaksync.datamodules import captions
from weaksync.datamodules.captions import Caption
from weaksync.datamodules.languages import check_words, language_code, split_sentences

SRT = "1\n00:00:01,000 --> 00:00:03,000\n{}\n\n2\n00:00:03,500 --> 00:00:05,000\n{}\n"


def stamp(seconds: float) -> str:
    return f"00:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"


def srt(path: Path, *rows: tuple[float, float, str]) -> Path:
    blocks = (f"{n}\n{stamp(a)} --> {stamp(b)}\n{text}\n" for n, (a, b, text) in enumerate(rows, 1))
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Mr. Smith met Dr. Jones at 3.30 p.m. What now?! Nobody knows... The end.", "en",
         ["Mr. Smith met Dr. Jones at 3.30 p.m.", "What now?!", "Nobody knows...", "The end."]),
        ("El Sr. García llegó. La Sra. Pérez lo miró. Nadie sabe... ¡Corre!", "es",
         ["El Sr. García llegó.", "La Sra. Pérez lo miró.", "Nadie sabe...", "¡Corre!"]),
        ("O Sr. Silva chegou. O Dr. João mora na Av. Paulista. Por quê?", "pt",
         ["O Sr. Silva chegou.", "O Dr. João mora na Av. Paulista.", "Por quê?"]),
        ("Mme. Durand le regarde. Le Dr. Martin sait. Voilà !", "fr",
         ["Mme. Durand le regarde.", "Le Dr. Martin sait.", "Voilà !"]),
        ("他来了。“走吧。”他说。这是3.5元。", "zh", ["他来了。", "“走吧。”", "他说。", "这是3.5元。"]),
        ("वह आया। डॉ. राम आए। क्यों?", "hi", ["वह आया।", "डॉ. राम आए।", "क्यों?"]),
        ("Он пришёл. Г. Иванов живёт на ул. Ленина. Конец!", "ru",
         ["Он пришёл.", "Г. Иванов живёт на ул. Ленина.", "Конец!"]),
    ],
)  # fmt: skip
def test_each_language_ends_its_sentences(text: str, language: str, expected: list[str]) -> None:
    assert split_sentences(text, language) == expected


@settings(max_examples=60)
@example("?.??", "en")
@given(st.text(alphabet="ab Mr.?!…\"'»¿¡)( 。”“1,", max_size=60), st.sampled_from(["en", "es", "zh", "fr"]))
def test_no_letter_is_lost_or_moved(text: str, language: str) -> None:
    joined = "".join("".join(split_sentences(text, language)).split())
    assert joined == "".join(text.split())


def test_codes() -> None:
    assert [language_code(code) for code in ("en-US", "ch", "zh-Hans", "PT_br")] == ["en", "zh", "zh", "pt"]
    with pytest.raises(ValueError, match=r"'de'.*en \(English\).*ru \(Russian\).*--sentences captions"):
        language_code("de")


def test_sentences_span_captions_with_interpolated_times(tmp_path: Path) -> None:
    read = captions.read(srt(tmp_path / "a.srt", (0, 2, "He sees. We"), (3, 5, "run away.")), notes=[])
    first, second = captions.sentences(read, "en")
    pace = 2 / len("He sees. We")
    assert (first.text, second.text) == ("He sees.", "We run away.")
    assert first.narration == pytest.approx((0, 8 * pace))
    assert second.narration == pytest.approx((9 * pace, 5))


def test_tags_and_entities_are_removed(tmp_path: Path) -> None:
    path = srt(tmp_path / "a.srt", (0, 1, r"<i>Tom &amp; <font color='red'>Al</font></i>{\an8} run."))
    assert captions.read(path)[0].text == "Tom & Al run."
    (tmp_path / "a.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000 align:start\n<v Bob>Well <00:01.500><c>done</c>.\n", encoding="utf-8"
    )
    assert captions.read(tmp_path / "a.vtt") == [Caption(1.0, 2.0, "Well done.")]
    (tmp_path / "a.ass").write_text(
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\b1}Well{\\b0}\\Ndone.\n"
        "Comment: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,not spoken\n",
        encoding="utf-8",
    )
    assert captions.read(tmp_path / "a.ass") == [Caption(1.0, 2.0, "Well done.")]


def test_disorder_is_repaired_and_said(tmp_path: Path) -> None:
    notes: list[str] = []
    path = srt(
        tmp_path / "a.srt",
        (4, 6, "c."), (1, 3, "a."), (2, 4, "b."), (3, 3, "nothing."), (5, 7, "d."), (5, 7, "d."), (8, 7, "x."),
    )  # fmt: skip
    found = captions.read(path, notes=notes)
    assert [(c.start, c.end, c.text) for c in found] == [(1, 2, "a."), (2, 4, "b."), (4, 5, "c."), (5, 7, "d.")]
    assert notes == [
        "2 captions without length dropped",
        "3 captions out of order sorted",
        "1 repeated captions dropped",
        "2 captions that overlap cut or joined",
    ]
    with pytest.warns(UserWarning) as said:
        captions.read(path)
    assert len(said) == len(notes)


@pytest.mark.parametrize(
    ("encoding", "language", "texts"),
    [
        ("utf-8", None, ("Héllo.", "नमस्ते।")),
        ("utf-8-sig", None, ("Héllo.", "你好。")),
        ("utf-16", None, ("Привет.", "Пока.")),
        ("utf-16-le", None, ("Hello there.", "Good bye.")),
        ("cp1251", "ru", ("Привет, мир.", "До свидания.")),
        ("cp1251", None, ("Он пришёл домой поздно вечером.", "Никто его не ждал.")),
        ("gb18030", "zh", ("他来了。", "我们走吧。")),
        ("gb18030", None, ("他来了，我们走吧。", "这是一个很好的故事。")),
        ("cp1252", "fr", ("Où est-il allé ?", "À la forêt.")),
        ("latin-1", None, ("El niño corrió hacia allá.", "¿Por qué?")),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, language: str | None, texts: tuple[str, str]) -> None:
    (tmp_path / "a.srt").write_bytes(SRT.format(*texts).encode(encoding))
    notes: list[str] = []
    found = captions.read(tmp_path / "a.srt", language=language, notes=notes)
    assert tuple(caption.text for caption in found) == texts
    assert bool(notes) == (not encoding.startswith("utf"))


def test_a_wrong_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(SRT.format("Où ?", "Là.").encode("cp1252"))
    with pytest.raises(ValueError, match=r"not text in utf-8.*--encoding"):
        captions.read(tmp_path / "a.srt", encoding="utf-8")
    with pytest.raises(ValueError, match="no encoding 'klingon'"):
        captions.read(tmp_path / "a.srt", encoding="klingon")
    assert captions.read(tmp_path / "a.srt", encoding="cp1252")[0].text == "Où ?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"no subtitles at all", "not subtitles"),
        (b"\x00\x01" * 50, "not subtitles"),
    ],
)
def test_no_subtitles(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.srt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        captions.read(tmp_path / "a.srt")
    with pytest.raises(FileNotFoundError, match=r"b\.srt"):
        captions.read(tmp_path / "b.srt")


def test_text_in_another_script_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not Russian: 0% of its letters are Cyrillic, most are Latin"):
        captions.sentences([Caption(0, 1, "This is English.")], "ru")


def test_text_without_punctuation_falls_back_to_captions_and_says_so() -> None:
    spoken = [Caption(n, n + 1, "and then he goes to the house") for n in range(20)]
    notes: list[str] = []
    found = captions.sentences(spoken, "en", notes=notes)
    assert [sentence.narration for sentence in found] == [(n, n + 1) for n in range(20)]
    assert notes == ["no punctuation: each caption was taken for a sentence"]
    assert len(captions.sentences(spoken, "en", cut="punctuation")) == 1
    assert len(captions.sentences(spoken, "sw", cut="captions")) == 20  # a language without rules goes on so


def test_plain_text() -> None:
    assert captions.split_text("He runs. She\nwaits.\n\nThe end", "en") == ["He runs.", "She waits.", "The end"]
    assert captions.split_text("he runs\nshe waits\n", "en", notes=[]) == ["he runs", "she waits"]
    with pytest.raises(ValueError, match="empty"):
        captions.split_text(" \n", "en")


def test_locate_places_texts_in_order() -> None:
    spoken = [
        Caption(0, 1, "No. He runs"),
        Caption(1, 2, "away, no!"),
        Caption(2, 3, "NO."),
        Caption(3, 4, "Nothing left."),
    ]
    found = captions.locate(["no", "He runs away", "was never said", "No", "no", "nothing LEFT"], spoken)
    assert found[2] is None
    assert all(span is not None for number, span in enumerate(found) if number != 2)
    starts = [span[0] for span in found if span]
    assert starts == sorted(starts)
    assert found[0] == (0, pytest.approx(3 / 11)) and found[5][0] == 3  # type: ignore[index]


def test_locate_prefers_the_chain_that_places_most() -> None:
    # the short text stands late as well: taking it there first would lose the long ones
    spoken = [
        Caption(0, 1, "A long line about a dog."),
        Caption(1, 2, "Yes. Another long line."),
        Caption(2, 3, "Stop."),
    ]
    found = captions.locate(["Stop", "A long line about a dog", "Another long line", "Stop"], spoken)
    assert [span is not None for span in found] == [False, True, True, True]


@settings(max_examples=40)
@given(st.lists(st.text(alphabet="abcé 你好", min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=12))
def test_locate_finds_what_was_said(texts: list[str]) -> None:
    spoken = [Caption(n, n + 1, " ".join(text.split())) for n, text in enumerate(texts)]
    found = captions.locate([caption.text for caption in spoken], spoken)
    assert all(span is not None for span in found)


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("他走了", "他走了。"),
        ("Where is he", '"Where is he?"'),
        ("dónde está", "¿Dónde está?"),
        ("où est il", "« Où est-il ? »"),
        ("वह गया", "वह गया।"),
        ("He waits", "He waits..."),
    ],
)
def test_a_located_sentence_holds_its_marks(text: str, caption: str) -> None:
    spoken = [Caption(0, 1, "12."), Caption(2, 4, caption), Caption(5, 6, '"34."')]
    assert captions.locate(["12", text, "34"], spoken) == [(0, 1), (2, 4), (5, 6)]


TALK = {
    "en": "You know, it was not that cold when we left the house, and she said this is what they have for us.",
    "es": "Ella dice que los niños están muy bien y que no hay nada más, pero usted también debe verlos.",
    "fr": "Nous avons vu les enfants dans la rue, mais elle est partie avec une amie et c'est dommage pour vous.",
    "pt": "Ela não sabe o que você disse, mas ele está muito bem e também gosta de uma boa conversa com os amigos.",
}


@pytest.mark.parametrize("code", TALK)
@pytest.mark.parametrize("claimed", TALK)
def test_a_language_in_the_same_script_is_told_by_its_frequent_words(code: str, claimed: str) -> None:
    if code == claimed:
        check_words(TALK[code], claimed, "subtitles")
        return
    with pytest.raises(ValueError, match=f"subtitles: reads like .*: give --language {code}"):
        check_words(TALK[code], claimed, "subtitles")


def test_languages_without_rules_and_a_few_words_are_not_judged() -> None:
    check_words(TALK["en"], "de", "subtitles")
    check_words("Mais non, et vous?", "en", "subtitles")
    check_words("Mais non, et vous?" * 30, "ru", "subtitles")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("[door slams] Who is there?", "Who is there?"),
        ("MRS. SMITH: (quietly) Come in.", "Come in."),
        ("- Are you well? - Very well.", "Are you well? Very well."),
        ("\u266a Oh, the days of summer \u266a", None),
        ("[MUSIC PLAYING]", None),
        ("He said: well-known, half-past ten.", "He said: well-known, half-past ten."),
        ("¿Quién? -preguntó.", "¿Quién? -preguntó."),
        ("Я — врач.", "Я — врач."),
    ],
)
def test_only_dialogue_is_kept(written: str, spoken: str | None) -> None:
    notes: list[str] = []
    kept = captions.dialogue([Caption(0, 1, "Well."), Caption(1, 2, written)], notes)
    assert [caption.text for caption in kept] == ["Well.", *([spoken] if spoken else [])]
    assert notes == ([] if spoken else ["1 captions without dialogue left out"])


def test_captions_of_sounds_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="no dialogue"):
        captions.dialogue([Caption(0, 1, "[rain]")])
