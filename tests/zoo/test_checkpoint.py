"""Checkpoint folders: the same model comes back, damage is named, and nothing is half written or unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from weaksync import zoo
from weaksync.zoo import checkpoint
from weaksync.zoo.folders import replace_folder
from weaksync.zoo.models.cclm import CCLM

SMALL = {"embed_dim": 8, "num_heads": [1, 2, 2], "text_width": 32, "text_ffn": 64, "project_dim": 16}
DECODER = {"drop_clip": 0.1, "drop_sentence": 0.2, "policy": "percentile", "contiguous": True}


def small() -> CCLM:
    torch.manual_seed(0)
    return zoo.create("cclm-tiny", **SMALL).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "model"
    return small().save_pretrained(folder, decoder=DECODER, metrics={"f1": 0.25, "val": {"sentence_iou": 0.5}})


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


# ---- written whole


def test_a_save_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = small()
    assert zoo.load(model.save_pretrained(tmp_path / "with", decoder=DECODER)).decoder == DECODER
    assert model.decoder is None and zoo.load(model.save_pretrained(tmp_path / "without")).decoder is None


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    with torch.no_grad():
        model = small()
        model.temp.fill_(0.3)
    model.save_pretrained(folder)
    assert float(zoo.load(folder).temp) == pytest.approx(0.3)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else"):
        small().save_pretrained(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="is a file or a link"):
        small().save_pretrained(tmp_path / "thesis.txt")


def test_a_failure_while_saving_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        small().save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


SAVE_FOREVER = """
import sys
from pathlib import Path
from weaksync.zoo.folders import replace_folder
for n in range(10**9):
    with replace_folder(Path(sys.argv[1]), is_ours=lambda folder: True) as temporary:
        for name in "ab":
            (temporary / name).write_text(str(n) * 20000)
    print(n, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.02])
def test_kill_9_at_any_moment_leaves_a_whole_folder(delay: float, tmp_path: Path) -> None:
    target = tmp_path / "model"
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(target)], stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (target / "a").read_text() == (target / "b").read_text() != ""


def test_replacing_works_where_the_system_cannot_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    for n in range(3):
        with replace_folder(tmp_path / "x", is_ours=lambda folder: True) as temporary:
            (temporary / "n").write_text(str(n))
    assert (tmp_path / "x/n").read_text() == "2"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


# ---- the hub


def cached(saved: Path, cache: Path) -> None:
    """The hub's own cache layout."""
    repo = cache / "models--someone--recaps"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text("a" * 40)
    shutil.copytree(saved, repo / "snapshots" / ("a" * 40))


def test_a_cached_repository_loads_offline(saved: Path, tmp_path: Path) -> None:
    cached(saved, tmp_path)
    model = zoo.load("hf://someone/recaps", cache_dir=tmp_path, local_files_only=True)
    assert model.decoder == DECODER
    assert isinstance(CCLM.from_pretrained("hf://someone/recaps", cache_dir=tmp_path, local_files_only=True), CCLM)


def test_an_uncached_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no hf://someone/else here: .* local_files_only is set"):
        zoo.load("hf://someone/else", cache_dir=tmp_path, local_files_only=True)
    with pytest.raises(ValueError, match="hf://a/b/c"):
        zoo.load("hf://a/b/c", cache_dir=tmp_path, local_files_only=True)


def test_hub_options_are_handed_on(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return str(saved)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    zoo.load("hf://someone/recaps", revision="v2", token="secret", cache_dir=tmp_path)
    assert asked["repo"] == "someone/recaps"
    assert (asked["revision"], asked["token"], asked["cache_dir"]) == ("v2", "secret", tmp_path)
    assert "*.safetensors" in asked["allow_patterns"]
    assert not any("bin" in pattern or "pt" in pattern for pattern in asked["allow_patterns"])


@pytest.mark.parametrize("revision", [None, "main", "v2", "refs/pr/7"])
def test_pushing_uploads_a_sound_folder(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Hub:
        """As the hub: a commit to a revision that it does not have is refused."""

        revisions = frozenset({"main", "refs/pr/7"})

        def __init__(self, token: Any = None) -> None:
            asked["token"] = token

        def create_repo(self, repo: str, **options: Any) -> str:
            asked["repository"] = {"repo": repo, **options}
            return f"https://hub/{repo}"

        def create_branch(self, repo: str, *, branch: str, exist_ok: bool = False) -> None:
            assert repo == asked["repository"]["repo"]
            assert exist_ok or branch not in self.revisions
            self.revisions |= {branch}

        def upload_folder(self, *, folder_path: Path, revision: str | None, **options: Any) -> None:
            assert checkpoint.verify(folder_path) == []
            if (revision or "main") not in self.revisions:
                raise OSError(f"404: revision {revision} not found")
            asked["upload"] = {"revision": revision, **options}

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    url = small().push_to_hub("someone/recaps", private=True, token="secret", revision=revision, metrics={"f1": 0.5})
    assert url == "https://hub/someone/recaps"
    assert asked["token"] == "secret"
    assert asked["repository"] == {"repo": "someone/recaps", "private": True, "exist_ok": True}
    assert asked["upload"]["revision"] == revision
