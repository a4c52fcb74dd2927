"""The LightningModule of NeuMATCH: it learns made-up stories, and its labels are scored as they are."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from weaksync import zoo
from weaksync.datamodules.batches import FeatureVideo
from weaksync.zoo.evaluation import evaluate
from weaksync.zoo.neumatch import AS_LABELLED, ActionAlignment

CONCEPTS = torch.eye(8)


def story(seed: int) -> FeatureVideo:
    """Four scenes told in order, each shown in one to three clips, with clips between that nobody tells of."""
    chance = torch.Generator().manual_seed(seed)
    order = torch.randperm(8, generator=chance)
    told, labels, shown = order[:4], [], []
    for sentence, concept in enumerate(told.tolist()):
        count = int(torch.randint(1, 4, (1,), generator=chance))
        labels += [sentence] * count
        shown += [concept] * count
        if torch.rand(1, generator=chance) < 0.5:
            labels.append(-1)
            shown.append(int(order[4 + sentence]))
    n = len(labels)
    found = torch.tensor(labels)
    start = torch.arange(n, dtype=torch.float64) * 2
    clips = torch.stack([start, start + 2], dim=1)
    segments = torch.stack(
        [torch.stack([clips[found == s].min(), clips[found == s].max()]) for s in range(4)]
    )  # of clips that lie side by side
    noise = 0.1 * torch.randn(n, 8, generator=chance)
    return FeatureVideo(
        f"story-{seed}",
        "en",
        3 * CONCEPTS[shown] + noise,
        3 * CONCEPTS[told],
        found,
        clips,
        segments,
        segments + 9,
        True,
    )


def trainer(folder: Path, **options: object) -> L.Trainer:
    return L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,  # type: ignore[arg-type]
    )


def small(name: str) -> zoo.models.neumatch.NeuMATCH:
    torch.manual_seed(0)
    return zoo.create(name, video_dim=8, text_dim=8, width=24, action_width=8, match_width=8)


def loader(batches: list) -> DataLoader:
    return DataLoader(batches, batch_size=None)


@pytest.mark.parametrize(
    ("name", "settings", "accuracy", "closed"),
    [
        ("neumatch", {"lr": 5e-3, "trust": None, "smoothing": 0.0}, 0.75, -0.4),
        ("neumatch-sbn", {}, 0.88, 0.25),  # as published, it makes more of few stories
    ],
)
def test_it_learns_what_is_told(name: str, settings: dict, accuracy: float, closed: float, tmp_path: Path) -> None:
    task = ActionAlignment(small(name), **settings)
    stories = [story(seed) for seed in range(256)]
    steps = [stories[start : start + 16] for start in range(0, 256, 16)]
    runner = trainer(tmp_path, max_epochs=12, gradient_clip_val=2.0, check_val_every_n_epoch=12, log_every_n_steps=1)
    runner.fit(task, loader(steps), loader([story(seed) for seed in range(900, 920)]))
    figures = {key: float(value) for key, value in runner.callback_metrics.items()}
    scores = evaluate(task.videos, AS_LABELLED, resamples=1)
    assert figures["val/f1"] == pytest.approx(scores["model"].f1.value)
    assert scores.gap_closed.value > closed
    assert figures["train/accuracy"] > accuracy


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=12), st.integers(6, 9))
def test_labels_are_scored_as_they_are(labels: list[int], sentences: int) -> None:
    """The decoder that reads them back changes none, as long as they are an alignment."""
    matched = iter(sorted(label for label in labels if label >= 0))
    expected = [label if label < 0 else next(matched) for label in labels]
    similarity = torch.zeros(len(labels), sentences)
    for clip, label in enumerate(expected):
        if label >= 0:
            similarity[clip, label] = 1
    assert AS_LABELLED.decode([similarity])[0].tolist() == expected


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_labels_that_go_back_and_stories_without_any_are_trained_on(precision: str, tmp_path: Path) -> None:
    videos = [story(1), story(2)]
    videos[0].labels = videos[0].labels.flip(0)
    videos[1].labels = torch.full_like(videos[1].labels, -1)
    task = ActionAlignment(small("neumatch-sbn"))
    runner = trainer(tmp_path, max_epochs=1, precision=precision)
    runner.fit(task, loader([videos]), loader([story(3)]))
    assert torch.isfinite(runner.callback_metrics["train/loss"])


@pytest.mark.filterwarnings("ignore:You are trying to `self.log:UserWarning")
@pytest.mark.parametrize("name", ["neumatch", "neumatch-sbn"])
def test_two_ranks_with_uneven_videos_learn_as_one_process_does(name: str, tmp_path: Path) -> None:
    script = Path(__file__).parent / "actions_rank.py"
    ours, videos = runpy.run_path(str(script)), [story(seed) for seed in range(4)]
    tensors = {}
    for place, each in enumerate(videos):
        tensors[f"clips {place}"], tensors[f"sentences {place}"] = each.clip_features, each.sentence_features
        tensors[f"labels {place}"] = each.labels
    save_file(tensors, tmp_path / "videos.safetensors")
    command = [sys.executable, "-P", str(script)]
    ranks = [subprocess.Popen([*command, str(rank), "2", str(tmp_path), name]) for rank in (0, 1)]
    task = ActionAlignment(ours["model"](name))
    task.on_fit_start()
    task.training_step([ours["video"](tensors, place) for share in ours["SHARES"] for place in share], 0).backward()
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    expected = {f"gradient of {key}": parameter.grad for key, parameter in task.model.named_parameters()}
    expected.update(task.model.state_dict())
    for rank in (0, 1):
        found = load_file(tmp_path / f"found{rank}.safetensors")
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=1e-4, atol=1e-6, msg=lambda told, key=key: f"{key}: {told}"
            )


def test_its_checkpoint_is_plain_data_and_goes_on(tmp_path: Path) -> None:
    runner = trainer(tmp_path, max_epochs=1)
    runner.fit(ActionAlignment(small("neumatch-sbn")), loader([[story(1), story(2)]] * 2))
    path = runner.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["optim"]["trust"] == 1e-3
    again = trainer(tmp_path, max_epochs=2)
    again.fit(
        ActionAlignment(small("neumatch-sbn")), loader([[story(1), story(2)]] * 2), ckpt_path=path, weights_only=True
    )
    assert again.global_step == 4


def test_a_saved_model_labels_the_same(tmp_path: Path) -> None:
    task = ActionAlignment(small("neumatch-sbn"))
    trainer(tmp_path, max_epochs=2).fit(task, loader([[story(1), story(2), story(3)]]))
    task.model.eval()
    again = zoo.load(task.model.save_pretrained(tmp_path / "model"))
    video = story(5)
    found = [model.decode([video.clip_features], [video.sentence_features])[0] for model in (task.model, again)]
    assert torch.equal(*found)
