"""One recipe over all languages: what is wrong is said before anything is trained, and what is done is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaksync.datamodules.sample_set import make_set
from weaksync.recipes.cli import main
from weaksync.recipes.reproduce.story_runs import STRATEGIES
from weaksync.recipes.scoring import paper, scores
from weaksync.recipes.scoring.scores import ALONE, WITHIN, run_scores
from weaksync.recipes.settings import config
from weaksync.recipes.settings.story import StoryRecipe
from weaksync.recipes.training.preflight import check
from weaksync.recipes.training.strategies import for_language, languages_of, train_per_language

from ..tiny_runs import QUICK, SMALL


def overrides(shards: Path, root: Path, *more: str) -> list[str]:
    plain = ["trainer.precision=32-true", "model.name=cclm-tiny", SMALL]
    return [f"data.shards={shards}", f"root={root}", *QUICK, *plain, *more]


def recipe(shards: Path, root: Path, *more: str, name: str = "individual") -> StoryRecipe:
    return config.load(f"story/{name}", overrides(shards, root, *more))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "set"
    clips = {"train": [6, 6, 7, 6], "val": [5, 5], "test": [6, 7, 6, 5]}
    make_set(folder, clips, size=(64, 64), clips_per_sentence=1, languages=("ru", "en"))
    return folder


@pytest.fixture(scope="module")
def root(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_per_language(recipe(shards, folder))
    return folder


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=list(STRATEGIES))
def test_the_recipes_read_like_the_paper(strategy) -> None:
    found = config.load(f"story/{strategy.name}")
    assert found.name == strategy.name and paper.STRATEGIES[strategy.name] in config.header(
        config.locate(f"story/{strategy.name}")
    )[0].replace(" of", "")
    assert found.trainer.max_epochs == 20 and found.optim.schedule == "cosine" and found.optim.weight_decay == 0.2
    assert found.optim.lr == (4e-5 if strategy.first is None else 4e-6)
    assert found.model.arguments["augment"] == "cclm"
    assert (found.data.translations is not None) == strategy.translated
    assert found.data.pairs == ("annotated" if "supervision" in strategy.name else "weak")
    start = {None: "./cclm-base", "translate": "runs/translate", "two_stage": "runs/two_stage-{language}"}
    assert found.model.name == start[strategy.first]


def test_usual_settings_of_lightning_are_reachable(shards: Path, tmp_path: Path) -> None:
    settings = ["trainer.accumulate_grad_batches=2", "trainer.precision=bf16-mixed", "data.languages=[en]", "name=all"]
    towers = f"{SMALL[:-1]}, freeze: [vision], checkpoint_activations: true}}"
    one = recipe(shards, tmp_path, *settings, towers)
    from weaksync.recipes.train import train

    run = train(one)
    assert train(one, resume=True) == run  # it has ended, so it stays
    kept = config.load(str(run / "recipe.yaml"))
    assert kept.trainer.accumulate_grad_batches == 2 and kept.model.arguments["freeze"] == ["vision"]


def test_languages_are_in_the_order_of_the_paper_and_runs_bear_their_names(shards: Path, tmp_path: Path) -> None:
    plain = recipe(shards, tmp_path, "model.name=runs/two_stage-{language}")
    assert languages_of(plain) == ["en", "ru"]
    one = for_language(plain, "ru")
    assert (one.name, one.data.languages, one.model.name) == ("individual-ru", ["ru"], "runs/two_stage-ru")
    assert plain.model.name == "runs/two_stage-{language}"


def test_every_language_gets_a_run_and_a_place_in_the_row(shards: Path, root: Path) -> None:
    row = json.loads((root / "individual" / "table.json").read_text())
    assert list(row["languages"]) == ["en", "ru"]
    for language, found in row["languages"].items():
        assert found["videos"] == 2 and found["run"] == f"individual-{language}"
        assert found["ways"]["oracle"]["f1"]["value"] == pytest.approx(1.0)  # the made-up set is annotated on its cuts
        assert set(found["ways"]) >= {"model", ALONE, WITHIN, "transcript"}
        assert 0 <= found["retrieval"]["r1"]["value"] <= found["retrieval"]["r10"]["value"] <= 1


def test_what_is_done_is_kept_and_the_rest_goes_on(
    shards: Path, root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"individual-en holds a run: --resume keeps what is done"):
        train_per_language(recipe(shards, root))
    done = (root / "individual-en" / "model" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(
        scores, "similarities", lambda *a, **k: pytest.fail("an evaluation that was kept is done again")
    )
    main_arguments = ["train", "story/individual", *overrides(shards, root), "--each-language", "--resume"]
    main(main_arguments)
    assert (root / "individual-en" / "model" / "model.safetensors").stat().st_mtime_ns == done
    printed = capfd.readouterr().out
    assert "en" in printed and "ru" in printed and "average" in printed and "F1" in printed


def test_scores_are_kept_by_what_they_are_of(shards: Path, root: Path, tmp_path: Path) -> None:
    found = run_scores(root / "individual-en", shards, "en")
    assert found.videos == 2
    (kept,) = (root / "individual-en" / "evaluations").glob("test-en-*.json")
    kept.write_text("{", encoding="utf-8")  # cut short: computed again
    assert run_scores(root / "individual-en", shards, "en").ways == found.ways
    crossed = run_scores(root / "individual-en", shards, "ru")
    assert set(crossed.ways["model"]) == {"test0000", "test0002"}
    with pytest.raises(ValueError, match="no video in hi"):
        run_scores(root / "individual-en", shards, "hi")


def test_a_first_stage_that_is_missing_is_named(shards: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run or checkpoint at .*translate, from which two_stage-en is to"):
        train_per_language(recipe(shards, tmp_path, f"model.name={tmp_path}/translate", name="two_stage"))
    with pytest.raises(ValueError, match=r"a run for each language: train them all with --each-language"):
        check(recipe(shards, tmp_path, "model.name=runs/two_stage-{language}", name="two_stage_supervision"))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.yaml").write_text("name: begun\n")
    with pytest.raises(ValueError, match="has not ended"):
        check(recipe(shards, tmp_path, f"model.name={tmp_path}/begun"))
    near = f"model.name={root}/individual-eng"
    with pytest.raises(FileNotFoundError, match=r"did you mean '.*individual-en'"):
        check(recipe(shards, root, near))


def test_a_folder_named_like_a_model_is_not_passed_over(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check(recipe(shards, tmp_path))
    (tmp_path / "cclm-tiny").mkdir()
    (tmp_path / "cclm-tiny" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model\.name=\./cclm-tiny is the folder"):
        check(recipe(shards, tmp_path))
    check(recipe(shards, tmp_path, "model.name=./cclm-tiny"))


def test_a_language_without_pairs_is_found_before_anything_is_trained(shards: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    # the only Russian training video has a single sentence, hence no negatives
    make_set(bare, {"train": [1, 6], "test": [5]}, size=(64, 64), clips_per_sentence=1, languages=("ru", "en"))
    with pytest.raises(ValueError, match=r"no training video in ru .*; data.languages=\[en\] leaves it out"):
        check(recipe(bare, tmp_path))
    make_set(tmp_path / "told", {"train": [6, 6], "test": [5]}, languages=("ru", "en"), annotated=False)
    with pytest.raises(ValueError, match=r"no training video in en, ru is annotated: nothing to train on$"):
        check(recipe(tmp_path / "told", tmp_path, "data.pairs=annotated"))
    with pytest.raises(ValueError, match="no video in hi"):
        check(recipe(shards, tmp_path, "data.languages=[hi]"))
    with pytest.raises(FileNotFoundError, match="data build story"):
        check(recipe(tmp_path / "absent", tmp_path))


def test_a_language_whose_words_the_vocabulary_does_not_know_is_named(shards: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from weaksync.recipes.training.preflight import check_words
    from weaksync.recipes.training.story import build_data, build_model
    from weaksync.zoo.tokenizers import SentenceTokenizer

    one = recipe(shards, Path("unused"))
    model = build_model(one)
    data = build_data(one, model)
    check_words(model.tokenize, data)
    few = ["<s>", "<pad>", "</s>", "<unk>", "sentence", "of"]
    words = Tokenizer(models.WordLevel({word: id for id, word in enumerate(few)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match=r"does not know en, ru: 50% of the words of .. are unknown"):
        check_words(SentenceTokenizer(words), data)
