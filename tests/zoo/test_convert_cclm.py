"""CCLM as published, against independent assemblies of timm and transformers and against recorded outputs.

The recorded outputs are data of a layout published elsewhere and lie outside this repository: name their folder in
WEAKSYNC_FIXTURES.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from weaksync import zoo
from weaksync.recipes import cli
from weaksync.zoo.converters import published, swin_tables
from weaksync.zoo.folders import file_hash
from weaksync.zoo.models.cclm import CCLM

from .cclm_published import (
    FULL,
    NARROW,
    VOCABULARY,
    assembled_text,
    by_timm,
    by_transformers,
    fine_tuned,
    pre_training,
    projected,
    shapes,
    text_tower,
    tokenizer_folder,
)
from .recorded import FIXTURES, needs_fixtures, recorded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published-like files, narrowed, and their tokenizer."""
    folder = tmp_path_factory.mktemp("cclm")
    tokenizer_folder(folder / "xlm-r", VOCABULARY)
    torch.save({"model": pre_training(NARROW), "epoch": 3, "config": {"image_res": 224}}, folder / "pre.th")
    torch.save(fine_tuned(pre_training(NARROW)), folder / "tuned.pth")
    torch.save({"model": fine_tuned(pre_training(NARROW, 12))}, folder / "tuned384.pth")
    return folder


def converted(folder: Path, name: str, out: Path | None = None, **options: Any) -> CCLM:
    model = zoo.convert(folder / name, "cclm", out, tokenizer=folder / "xlm-r", **{**NARROW, **options})
    assert isinstance(model, CCLM)
    return model


def pixels(size: int, frames: int = 2) -> Tensor:
    return torch.randn(2, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


def token_ids(vocabulary: int = VOCABULARY) -> tuple[Tensor, Tensor]:
    """Three sentences of 9, 5 and 2 tokens, padded with 1."""
    lengths = torch.tensor([9, 5, 2])
    mask = (torch.arange(9) < lengths[:, None]).long()
    ids = torch.randint(4, vocabulary, (3, 9), generator=torch.Generator().manual_seed(2))
    return ids * mask + (1 - mask), mask


@cache
def weights(window: int = 7) -> dict[str, Tensor]:
    return pre_training(NARROW, window)


@pytest.mark.parametrize("name", ["pre.th", "tuned.pth"])
@torch.no_grad()
def test_frames_are_encoded_as_timm_and_transformers_do(folder: Path, name: str) -> None:
    model = converted(folder, name)
    x = pixels(224)
    found = model.encode_clips(x)
    for features in (
        by_timm(weights(), NARROW, 224)(x.flatten(0, 1)),
        by_transformers(weights(), NARROW, 224)(x.flatten(0, 1)).pooler_output,
    ):
        expected = projected(features.view(2, 2, -1).mean(dim=1), weights(), "vision")
        assert (found - expected).abs().max() < 1e-5
    assert float(model.temp) == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["pre.th", "tuned.pth"])
@torch.no_grad()
def test_sentences_are_encoded_with_positions_from_0(folder: Path, name: str) -> None:
    ids, mask = token_ids()
    found = converted(folder, name).encode_text(ids, mask)
    assert (found - assembled_text(weights(), NARROW, ids, mask)).abs().max() < 1e-5
    default = text_tower(weights(), NARROW)(ids, attention_mask=mask).last_hidden_state[:, 0]
    assert (found - projected(default, weights(), "text")).abs().max() > 0.05  # XLM-R's own positions: another model


@torch.no_grad()
def test_a_file_of_384_is_known_by_its_tables(folder: Path) -> None:
    model = converted(folder, "tuned384.pth")
    assert model.registry_name == "cclm-base-384" and model.preprocess.size == 384
    x = pixels(384, frames=1)
    for features in (
        by_timm(weights(12), NARROW, 384)(x[:, 0]),
        by_transformers(weights(12), NARROW, 384)(x[:, 0]).pooler_output,
    ):
        assert (model.encode_clips(x) - projected(features, weights(12), "vision")).abs().max() < 1e-5


def spline(table: Tensor) -> Tensor:
    """13 x 13 to 23 x 23, head by head: offsets 1, 1 + q, ... of which the sixth is 11, mirrored about 0."""
    low, high = 1.01, 1.5
    for _ in range(60):
        q = (low + high) / 2
        low, high = (low, q) if (q**6 - 1) / (q - 1) > 11 else (q, high)
    right = np.cumsum([q**power for power in range(6)])
    known, whole = np.array([*-right[::-1], 0.0, *right]), np.arange(-11.0, 12.0)
    heads = [
        RectBivariateSpline(known, known, head.reshape(13, 13).T)(whole, whole).T.ravel() for head in table.double().T
    ]
    return torch.from_numpy(np.stack(heads, axis=1)).float()


def test_tables_are_resized_by_the_published_spline() -> None:
    table = torch.randn(169, 5, generator=torch.Generator().manual_seed(3))
    resized = swin_tables.resize_table(table, 12)
    assert resized.shape == (529, 5) and resized.dtype == torch.float32
    # the published ratio of the series is found to 1e-6, which moves the outermost offsets by 2e-5
    torch.testing.assert_close(resized, spline(table), atol=2e-4, rtol=0)
    centre = resized.view(23, 23, 5)[10:13, 10:13], table.view(13, 13, 5)[5:8, 5:8]
    torch.testing.assert_close(*centre, atol=1e-6, rtol=0)  # -1, 0 and 1 are known offsets


def test_the_spline_is_that_of_fitpack() -> None:
    rng = np.random.default_rng(0)
    for side, larger in ((13, 23), (13, 29), (23, 29)):
        known = swin_tables.spread_offsets(side, larger)
        assert known[-1] == pytest.approx(larger // 2, abs=1e-4)
        whole, z = np.arange(larger) - larger // 2.0, rng.normal(size=(side, side))
        weights = swin_tables.spline_weights(known, whole)
        expected = RectBivariateSpline(known, known, z.T)(whole, whole).T
        np.testing.assert_allclose(weights @ z @ weights.T, expected, atol=1e-12)


@torch.no_grad()
def test_a_file_of_224_becomes_one_of_384(folder: Path) -> None:
    model = converted(folder, "pre.th", resolution=384)
    assert model.registry_name == "cclm-base-384" and model.preprocess.size == 384
    resized = {k: spline(v) if k.endswith("bias_table") else v for k, v in weights().items()}
    x = pixels(384, frames=1)
    features = by_transformers(resized, NARROW, 384)(x[:, 0]).pooler_output
    assert (model.encode_clips(x) - projected(features, weights(), "vision")).abs().max() < 1e-5


@pytest.mark.parametrize(("name", "asked"), [("tuned384.pth", 224), ("pre.th", 480), ("tuned384.pth", 300)])
def test_no_other_resolution_is_made_up(folder: Path, name: str, asked: int) -> None:
    with pytest.raises(ValueError, match=rf"can be converted for .*384, not for {asked}"):
        converted(folder, name, resolution=asked)


def test_the_folder_encodes_as_the_model_that_was_converted(folder: Path, tmp_path: Path) -> None:
    model = converted(folder, "pre.th", tmp_path / "out")
    loaded = CCLM.from_pretrained(tmp_path / "out")
    x, texts = pixels(224), ["A dog runs.", "zwei Männer", "w7 w8"]
    with torch.no_grad():
        assert torch.equal(loaded.encode_clips(x), model.encode_clips(x))
        assert torch.equal(loaded.encode_text(*loaded.tokenize(texts)), model.encode_text(*model.tokenize(texts)))
    assert not loaded.training
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["metrics"]["sha256 of that file"] == file_hash(folder / "pre.th")
    assert config["metrics"]["converted from"] == "pre.th"
    assert loaded.preprocess == model.preprocess
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"tokenizer.json", "preprocessor_config.json"}


def test_a_resized_checkpoint_says_so(folder: Path, tmp_path: Path) -> None:
    converted(folder, "pre.th", tmp_path / "out", resolution=384)
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["metrics"]["options of the conversion"]["resolution"] == 384
    assert CCLM.from_pretrained(tmp_path / "out").preprocess.size == 384


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="this system does not say what is mapped")
def test_files_are_mapped_and_not_read_into_memory(folder: Path) -> None:
    tensors = published.read_tensors(folder / "pre.th")
    assert str(folder / "pre.th") in Path("/proc/self/maps").read_text(encoding="utf-8")
    del tensors
    assert str(folder / "pre.th") not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_safetensors_are_read_as_well(folder: Path, tmp_path: Path) -> None:
    save_file(fine_tuned(weights()), tmp_path / "tuned.safetensors")
    model = zoo.convert(tmp_path / "tuned.safetensors", "cclm", tokenizer=folder / "xlm-r", **NARROW)
    ours, theirs = model.state_dict(), converted(folder, "tuned.pth").state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_format_before_zip_files_is_read_as_well(folder: Path, tmp_path: Path) -> None:
    torch.save({"model": weights()}, tmp_path / "old.th", _use_new_zipfile_serialization=False)
    ours = zoo.convert(tmp_path / "old.th", "cclm", tokenizer=folder / "xlm-r", **NARROW).state_dict()
    theirs = converted(folder, "pre.th").state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_every_fault_is_listed_in_one_error(folder: Path, tmp_path: Path) -> None:
    state = dict(fine_tuned(weights()))
    blocks = [f"vision_encoder.layers.{stage}.blocks.{block}" for stage in range(4) for block in range(2)]
    gone = ["text_proj.bias", "vision_encoder.layers.1.downsample.norm.weight", "temp"]
    gone += [f"{block}.mlp.fc1.bias" for block in blocks] + [f"{block}.norm1.bias" for block in blocks]
    for name in gone:
        del state[name]
    more = ["visual_head.weight", "text_encoder.encoder.layer.4.output.dense.bias", "itm_head_m.0.bias"]
    more += [
        "text_encoder.encoder.layer.1.crossattention.self.key.bias",
        f"{blocks[0]}.attn.relative_position_index_2",
    ]
    for name in more:
        state[name] = torch.zeros(3)
    state["vision_encoder.layers.3.blocks.1.attn.relative_position_bias_table"] = torch.zeros(529, 4)
    state["text_encoder.embeddings.position_embeddings.weight"] = torch.zeros(39, 32)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ValueError) as fault:
        converted(tmp_path, "bad.pth", tmp_path / "out")
    lines = str(fault.value).splitlines()[1:]
    named = {tuple(line.split()[:2]) for line in lines}
    assert named == {("missing:", name) for name in gone} | {("surplus:", name) for name in more} | {
        ("misshaped:", "vision_encoder.layers.3.blocks.1.attn.relative_position_bias_table"),
        ("misshaped:", "text_encoder.embeddings.position_embeddings.weight"),
    }
    assert len(lines) == len(named)
    assert any("(529, 4), not (169, 4)" in line for line in lines)
    assert not (tmp_path / "out").exists()


def test_each_tensor_that_is_needed_is_asked_for(folder: Path) -> None:
    """Whatever is taken out of a file, either it is a head or buffer, or it is missed by its name."""
    tensors = fine_tuned(weights())
    model = converted(folder, "tuned.pth")
    dropped = ("itm_head", "position_index", "attn_mask", "position_ids", "encoder.layer.2.", "encoder.layer.3.")
    needed = [name for name in tensors if not any(part in name for part in dropped)]
    assert len(needed) == len(model.state_dict())
    out = folder / "one-less.pth"
    for name in needed[:: len(needed) // 12]:
        torch.save({key: tensor for key, tensor in tensors.items() if key != name}, out)
        with pytest.raises(ValueError, match=rf"missing: {re.escape(name)} \("):
            converted(folder, out.name)
    torch.save({name: tensors[name] for name in needed}, out)
    assert converted(folder, out.name).state_dict().keys() == model.state_dict().keys()


def test_files_of_another_model_or_size_are_refused(folder: Path, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: not CCLM as published"):
        converted(tmp_path, "other.pth")
    torch.save({**weights(), **{n: torch.zeros(841, 1) for n in weights() if "table" in n}}, tmp_path / "480.pth")
    with pytest.raises(ValueError, match=r"windows of 15 patches, for 480 pixels; only those for 224 or 384"):
        converted(tmp_path, "480.pth")
    with pytest.raises(ValueError, match=r"misshaped: text_proj\.weight \(16, 32\), not \(256, 1024\)"):
        zoo.convert(folder / "pre.th", "cclm", tokenizer=folder / "xlm-r")
    with pytest.raises(FileNotFoundError, match=r"gone\.th"):
        converted(folder, "gone.th")
    with pytest.raises(ValueError, match="takes no 'resolutoin'"):
        converted(folder, "pre.th", resolutoin=384)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("source", [None, "somewhere/else", "absent-folder", "/"])
def test_no_checkpoint_without_its_tokenizer(folder: Path, tmp_path: Path, source: str | None) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer at .*--tokenizer DIR"):
        zoo.convert(folder / "pre.th", "cclm", tmp_path / "out", tokenizer=source, **NARROW)
    assert not (tmp_path / "out").exists()


def test_another_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    fewer = tokenizer_folder(tmp_path / "fewer", VOCABULARY - 1)
    padding_first = tokenizer_folder(tmp_path / "padding-first", VOCABULARY) / "tokenizer.json"
    text = padding_first.read_text(encoding="utf-8")
    swapped = text.replace("<s>", "<start>").replace("<pad>", "<s>").replace("<start>", "<pad>")
    padding_first.write_text(swapped, encoding="utf-8")
    for source in ("story", fewer, padding_first.parent):
        with pytest.raises(ValueError, match="is not the one of these weights"):
            zoo.convert(folder / "pre.th", "cclm", tokenizer=source, **NARROW)


def test_the_verb_says_what_is_wrong_in_one_line(folder: Path, tmp_path: Path) -> None:
    file, out = str(folder / "pre.th"), str(tmp_path / "out")
    arguments = ["convert", file, "--from", "cclm", "--out", out, "--tokenizer", str(folder / "xlm-r")]
    done = CliRunner().invoke(cli.weaksync, arguments)
    assert done.exit_code != 0 and "misshaped" in str(done.exception)  # narrowed: not the published size
    with pytest.raises(ValueError, match="transnet-v2 takes no 'tokenizer'"):
        zoo.convert(file, "transnetv2", tokenizer="x")


@pytest.fixture
def roomy() -> Iterator[Path]:
    """A folder for gigabytes, which is gone after the test."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@needs_fixtures
def test_the_layout_written_here_is_the_recorded_one() -> None:
    file = np.load(Path(FIXTURES or "") / "cclm_base.npz", allow_pickle=False)
    theirs = dict(zip(file["keys"].tolist(), file["shapes"].tolist(), strict=True))
    ours = {name: "x".join(map(str, shape)) for name, shape in shapes(FULL).items()}
    assert ours == theirs


@needs_fixtures
@pytest.mark.slow
@pytest.mark.parametrize("tuned", [False, True])
@torch.no_grad()
def test_recorded_outputs_come_out_at_full_size(roomy: Path, tuned: bool) -> None:
    file, tensors = recorded("cclm_base")
    torch.save(fine_tuned(tensors) if tuned else {"model": tensors}, roomy / "cclm.th")
    tokenizer = tokenizer_folder(roomy / "xlm-r", 2000)
    zoo.convert(roomy / "cclm.th", "cclm", roomy / "out", tokenizer=tokenizer, vocab_size=2000)
    model = CCLM.from_pretrained(roomy / "out")
    clips = model.encode_clips(torch.from_numpy(file["pixels"]).float()[:, None])
    texts = model.encode_text(torch.from_numpy(file["token_ids"]), torch.from_numpy(file["attention_mask"]))
    found = {"image_feature": clips, "text_feature": texts, "cosine": clips @ texts.T}
    for name, value in found.items():
        assert np.abs(value.numpy() - file[name]).max() < 1e-5, name


@pytest.mark.slow
@torch.no_grad()
def test_the_full_size_is_that_of_timm_and_transformers(roomy: Path) -> None:
    tensors = pre_training(FULL)
    torch.save({"model": tensors}, roomy / "cclm.th")
    tokenizer = tokenizer_folder(roomy / "xlm-r", 2000)
    model = zoo.convert(roomy / "cclm.th", "cclm", tokenizer=tokenizer, vocab_size=2000)
    assert isinstance(model, CCLM)
    x, (ids, mask) = pixels(224, frames=1), token_ids(2000)
    features = by_timm(tensors, FULL, 224)(x[:, 0])
    assert (model.encode_clips(x) - projected(features, tensors, "vision")).abs().max() < 1e-5
    assert (model.encode_text(ids, mask) - assembled_text(tensors, FULL, ids, mask)).abs().max() < 1e-5
