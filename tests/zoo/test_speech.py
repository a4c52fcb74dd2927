"""VITS of transformers as a synthesiser: a tiny one with random weights, kept in a folder as the hub has them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from transformers import VitsConfig, VitsModel, VitsTokenizer

from weaksync.datamodules.batches import SPEECH_RATE, Synthesize
from weaksync.zoo.speech import PAUSE, Vits

TEXT = "I chop the onions. Then we eat!"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tmp_path_factory.mktemp("mms-tts-eng"), 16_000, "eng"))


def save(path: Path, rate: int, language: str, speakers: int = 1) -> Path:
    torch.manual_seed(0)
    letters = {letter: number for number, letter in enumerate("_ abcdefghijklmnopqrstuvwxyz'")}
    (path / "vocab.json").write_text(json.dumps(letters))
    VitsTokenizer(
        str(path / "vocab.json"), pad_token="_", language=language, normalize=True, phonemize=False
    ).save_pretrained(path)
    config = VitsConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=9,
        num_speakers=speakers,
        speaker_embedding_size=4 if speakers > 1 else 0,
        upsample_initial_channel=16,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3, 5]],
        prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1,
        duration_predictor_filter_channels=16,
        sampling_rate=rate,
    )
    VitsModel(config).save_pretrained(path)
    return path


def test_speaks_sentence_by_sentence(folder: str) -> None:
    voice = Vits(folder)
    assert isinstance(voice, Synthesize) and pickle.loads(pickle.dumps(voice)) == voice
    speech = voice(TEXT, language="en")
    assert speech.waveform.dtype == torch.int16
    assert [sentence.text for sentence in speech.sentences] == ["I chop the onions.", "Then we eat!"]
    first, second = speech.sentences
    assert first.start == 0 and second.start == pytest.approx(first.end + PAUSE, abs=1e-3)
    assert not speech.waveform[round(first.end * SPEECH_RATE) : round(second.start * SPEECH_RATE)].any()
    assert [word.text for word in speech.words] == ["I", "chop", "the", "onions", "Then", "we", "eat"]
    assert all(before.end <= after.start for before, after in zip(speech.words, speech.words[1:], strict=False))


def test_a_sentence_is_the_same_wherever_it_stands(folder: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    whole = Vits(folder)(TEXT, language="en").waveform
    assert torch.equal(torch.get_rng_state(), before)
    alone = Vits(folder)("Then we eat!", language="en").waveform
    assert torch.equal(whole[-len(alone) :], alone)
    assert not torch.equal(Vits(folder, seed=1)("Then we eat!", language="en").waveform, alone)


def test_the_producer_tells_weights_apart(folder: str, tmp_path: Path) -> None:
    other = str(save(tmp_path, 32_000, "eng"))
    producers = {Vits(folder).producer, Vits(folder, seed=1).producer, Vits(other).producer, Vits().producer}
    assert len(producers) == 4 and Vits(folder).producer.startswith("vits mms-tts-eng")


def test_a_faster_rate_takes_less_time(folder: str) -> None:
    slow, fast = (Vits(folder, rate=rate)(TEXT, language="en").sentences[-1].end for rate in (0.5, 2.0))
    assert fast < 0.6 * slow


def test_other_sample_rates_are_brought_to_ours(folder: str, tmp_path: Path) -> None:
    ours = Vits(folder)(TEXT, language="en").sentences[0].end
    theirs = Vits(str(save(tmp_path, 32_000, "eng")))(TEXT, language="en").sentences[0].end
    assert theirs == pytest.approx(ours / 2, abs=1e-3)


def test_a_voice_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="there is no voice"):
        Vits(str(tmp_path / "nowhere"))("Hello.", language="en")


def test_languages(folder: str) -> None:
    assert Vits().voice_for("en") == "facebook/mms-tts-eng"
    assert Vits().voice_for("swh") == "facebook/mms-tts-swh"
    with pytest.raises(ValueError, match="no voice for language 'zh'"):
        Vits().voice_for("zh")
    with pytest.raises(ValueError, match="speaks eng, not fra"):
        Vits(folder)("Bonjour.", language="fr")


def test_what_cannot_be_said(folder: str) -> None:
    with pytest.raises(ValueError, match="knows no letter"):
        Vits(folder)("Привет.", language="en")
    with pytest.raises(ValueError, match="nothing to say"):
        Vits(folder)("...", language="en")
    with pytest.raises(ValueError, match="1 speakers"):
        Vits(folder, speaker=3)("Hello.", language="en")
    with pytest.raises(ValueError, match="rate is 0"):
        Vits(folder, rate=0)


def test_speakers_of_one_model_differ(tmp_path: Path) -> None:
    path = str(save(tmp_path, 16_000, "eng", speakers=3))
    heard = [Vits(path, speaker=speaker)("Hello.", language="en").waveform for speaker in (0, 2)]
    assert heard[0].shape != heard[1].shape or not torch.equal(heard[0], heard[1])
