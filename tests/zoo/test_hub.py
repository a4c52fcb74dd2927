"""Checkpoints from the hub and to it, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from weaksync import zoo
from weaksync.zoo import checkpoint
from weaksync.zoo.models.cclm import CCLM

from .small_checkpoint import DECODER, save_small, small


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("zoo") / "model")


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
