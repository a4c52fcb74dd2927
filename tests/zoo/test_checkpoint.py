"""Checkpoint folders: the same model comes back, damage is named, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from weaksync import zoo
from weaksync.zoo import checkpoint
from weaksync.zoo.models.cclm import CCLM

from .small_checkpoint import DECODER, SMALL, save_small, small


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("zoo") / "model")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def rehash(folder: Path) -> None:
    """Make the sums fit what lies there, as somebody who tampers would."""
    names = sorted(p.name for p in folder.iterdir() if p.name != checkpoint.SUMS)
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / checkpoint.SUMS).write_text("".join(lines))


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    rehash(folder)


def test_the_same_model_comes_back(saved: Path) -> None:
    model = small()
    model.preprocess.flip = 0.0
    again = zoo.load(saved)
    assert isinstance(again, CCLM)
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    pixels = torch.randn(2, 3, 3, 64, 64)
    assert torch.equal(model.encode_clips(pixels), again.encode_clips(pixels))
    assert torch.equal(model.tokenize(["дом"])[0], again.tokenize(["дом"])[0])
    assert again.decoder == DECODER
    assert again.languages == model.languages
    assert again.registry_name == "cclm-tiny"
    assert checkpoint.verify(saved) == []


def test_what_was_set_travels(tmp_path: Path) -> None:
    model = zoo.create("cclm-tiny", **SMALL, frames=4, max_tokens=12, augment="none")
    model.preprocess.crop_scale = (0.8, 1.0)
    model.languages = ["hi"]
    again = CCLM.from_pretrained(model.save_pretrained(tmp_path / "a"))
    twice = CCLM.from_pretrained(again.save_pretrained(tmp_path / "b"))
    for found in (again, twice):
        assert found.preprocess == model.preprocess
        assert found.tokenize.max_tokens == 12
        assert found.languages == ["hi"]
    assert (tmp_path / "a/config.json").read_bytes() == (tmp_path / "b/config.json").read_bytes()


def test_a_checkpoint_of_before_pictures_were_noted_still_loads(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["pictures"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rehash(folder)
    assert zoo.load(folder).pictures is None


def test_arguments_that_leave_the_weights_alone_may_differ(saved: Path) -> None:
    model = zoo.load(saved, freeze=["text"], augment="none")
    assert not any(parameter.requires_grad for parameter in model.text.parameters())
    assert model.preprocess.augment == "none"
    assert model.arguments["augment"] == "none"


def test_what_the_weights_were_made_for_cannot_change_on_loading(saved: Path) -> None:
    model = zoo.load(saved, frames=5, max_tokens=9)
    assert (model.preprocess.frames, model.tokenize.max_tokens) == (5, 9)
    with pytest.raises(ValueError, match=r"image_size, wings of a checkpoint cannot be changed; .* augment, "):
        zoo.load(saved, image_size=128, wings=2)


def test_a_folder_may_move_and_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "elsewhere")
    assert zoo.load(moved).tokenize(["a dog"])[0].shape[0] == 1


def test_the_card_says_what_it_is_and_how_it_did(saved: Path) -> None:
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: weaksync\nlanguage:\n- en\n- zh\n")
    assert "# cclm-tiny" in card
    assert "| f1 | 0.2500 |" in card
    assert "### val" in card
    assert "zoo.load(" in card
    assert "| drop_clip | 0.1000 |" in card


def test_whoever_may_read_the_config_may_read_the_weights(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1


def test_sums_are_those_of_sha256sum(saved: Path) -> None:
    result = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=saved, capture_output=True)
    assert result.returncode == 0
    listed = {line.split("  ")[1] for line in (saved / "SHA256SUMS").read_text().splitlines()}
    assert listed == {p.name for p in saved.iterdir()} - {"SHA256SUMS", "README.md"}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json"])
def test_a_flipped_bit_is_found_in_any_file(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) * 9 // 10] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        zoo.load(folder)
    assert any(name in fault for fault in checkpoint.verify(folder))


def test_the_card_may_be_edited(folder: Path) -> None:
    with (folder / "README.md").open("a") as card:
        card.write("\n## Our own words\n")
    zoo.load(folder)


def test_truncated_weights_are_found(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged or changed: sha256 is .*, expected"):
        zoo.load(folder)
    rehash(folder)
    with pytest.raises(ValueError, match=r"model\.safetensors: "):
        zoo.load(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("preprocessor_config.json", "do not say how to preprocess"),
        ("model.safetensors", "missing"),
        ("tokenizer.json", "missing"),
        ("SHA256SUMS", "nothing in the folder can be trusted"),
        ("config.json", "no checkpoint folder.*weights alone, without configuration"),
    ],
)
def test_what_is_missing_is_named(folder: Path, name: str, words: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{re.escape(name)}: .*{words}"):
        zoo.load(folder)


def test_damaged_sums_are_named(folder: Path) -> None:
    (folder / "SHA256SUMS").write_bytes(b"\xff" + (folder / "SHA256SUMS").read_bytes()[1:])
    with pytest.raises(ValueError, match=r"config\.json: damaged or changed"):
        zoo.load(folder)
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS: has no hash for config\.json"):
        zoo.load(folder)


def test_the_folder_of_a_run_says_where_its_model_is(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "run" / "model")
    with pytest.raises(ValueError, match=r"run: the folder of a run, whose model is .*run/model: load that"):
        zoo.load(tmp_path / "run")


def test_a_bare_weights_file_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="weights alone, without configuration or preprocessing: weaksync convert"):
        zoo.load(saved / "model.safetensors")


def test_another_format_or_version_is_refused(folder: Path) -> None:
    edit(folder, format_version=2)
    with pytest.raises(ValueError, match="format version 2, and this weaksync reads 1: upgrade"):
        zoo.load(folder)
    edit(folder, format=None)
    with pytest.raises(ValueError, match="not a weaksync checkpoint"):
        zoo.load(folder)


def test_a_model_that_does_not_exist_or_does_not_fit_is_named(folder: Path) -> None:
    arguments = json.loads((folder / "config.json").read_text(encoding="utf-8"))["arguments"]
    edit(folder, model="cclm-huge")
    with pytest.raises(ValueError, match=r"config\.json: no model 'cclm-huge'"):
        zoo.load(folder)
    edit(folder, model="cclm-tiny", arguments={**arguments, "project_dim": 8})
    with pytest.raises(
        ValueError, match=r"weights of another model .*vision_proj.weight is \(16, 32\), the model's \(8"
    ):
        zoo.load(folder)


def test_weights_with_other_names_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["stranger"] = tensors.pop("temp")
    save_file(tensors, folder / "model.safetensors")
    rehash(folder)
    with pytest.raises(ValueError, match="lacks temp; has stranger, which the model has not"):
        zoo.load(folder)


def test_a_pickle_in_place_of_weights_is_never_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    torch.save({"temp": Evil()}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_bytes(pickle.dumps(Evil()))
    rehash(folder)
    with pytest.raises(ValueError, match=str(folder)):
        zoo.load(folder)
    assert not canary.exists()


def test_sums_cannot_point_outside(folder: Path) -> None:
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write("0" * 64 + "  ../outside\n")
    with pytest.raises(ValueError, match="outside the folder"):
        zoo.load(folder)


def test_the_wrong_class_says_which_is_right(saved: Path) -> None:
    class Other(checkpoint.Pretrained):
        pass

    with pytest.raises(ValueError, match="is a CCLM, not a Other"):
        Other.from_pretrained(saved)


def test_names_without_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cclm-base\.cclm: see https://.*weaksync convert"):
        zoo.load("cclm-base")
    with pytest.raises(ValueError, match=r"make random ones with zoo\.create"):
        zoo.load("cclm-tiny")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint folder 'cclm-tin'.*did you mean 'cclm-tiny'"):
        zoo.load("cclm-tin")
