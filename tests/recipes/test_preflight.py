"""What is absent is found before anything heavy starts, and the message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from weaksync import zoo
from weaksync.recipes import config, preflight
from weaksync.recipes.train import train


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_a_vocabulary_that_cannot_be_had_is_found_before_the_weights_are_drawn(
    offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "create", lambda *a, **k: pytest.fail("drew weights"), raising=False)
    given = "nobody/no-such-vocabulary"
    recipe = config.load("story/weak", [f"model.arguments={{tokenizer: {given}}}", f"root={tmp_path}"])
    with pytest.raises(FileNotFoundError, match=r"HF_HUB_OFFLINE is set.*model\.arguments=\{tokenizer: FOLDER\}"):
        train(recipe)
    preflight.check_vocabulary("cclm-tiny", {})


def test_a_folder_of_published_weights_that_is_absent_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"convert FILE --from cclm --out \./cclm-base\. model\.name=cclm-base"):
        preflight.check_model(config.load("story/multilingual"))
    with pytest.raises(FileNotFoundError, match=r"no run or checkpoint at runs/translate.*first stage is trained"):
        preflight.check_model(config.load("story/translate_supervision"))
