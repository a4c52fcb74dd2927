"""The LightningModule on made-up stories: it learns, scores, saves plain data, and does not depend on its batches."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from weaksync import zoo
from weaksync.datamodules.batches import PairBatch, VideoBatch
from weaksync.zoo.models.cclm import CCLM
from weaksync.zoo.optim import OptimConfig
from weaksync.zoo.story import StoryAlignment, compare, encode

SCENES = ["a red wall", "a green meadow", "the blue sea", "yellow sand", "a pink sky", "a cyan lamp"]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
SMALL = {"embed_dim": 8, "num_heads": [1, 2, 2], "text_width": 32, "text_ffn": 64, "project_dim": 16, "frames": 2}


def small() -> CCLM:
    torch.manual_seed(0)
    return zoo.create("cclm-tiny", **SMALL, augment="none")


def filmed(model: CCLM, scenes: list[int], seed: int) -> Tensor:
    """Noisy clips of one colour each."""
    chance = torch.Generator().manual_seed(seed)
    colour = torch.tensor([COLOURS[scene] for scene in scenes], dtype=torch.float32).view(-1, 1, 3, 1, 1)
    noisy = colour + 40 * torch.randn(len(scenes), 2, 3, 64, 64, generator=chance)
    return torch.stack([model.preprocess(clip) for clip in noisy.clamp(0, 255).to(torch.uint8)])


def pairs(model: CCLM, seed: int) -> PairBatch:
    ids, mask = model.tokenize(SCENES)
    scenes = list(range(6))
    number = torch.arange(6)
    weight = torch.ones(6)
    return PairBatch(
        filmed(model, scenes, seed), ids, mask, number * 0, number, weight, [f"v{seed}/{s}" for s in scenes]
    )


def story(model: CCLM, seed: int, *, annotated: bool = True, language: str = "en") -> VideoBatch:
    """Six scenes of two clips of two seconds each, told in order."""
    scenes = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).tolist()
    ids, mask = model.tokenize([SCENES[s] for s in scenes])
    start = torch.arange(12, dtype=torch.float64) * 2
    segments = torch.stack([start[::2], start[::2] + 4], dim=1)
    return VideoBatch(
        id=f"story-{seed}",
        language=language,
        pixels=filmed(model, [s for s in scenes for _ in range(2)], seed),
        clips=torch.stack([start, start + 2], dim=1),
        input_ids=ids,
        attention_mask=mask,
        segments=segments if annotated else torch.full_like(segments, torch.nan),
        narrations=segments + 3,
        texts=[SCENES[s] for s in scenes],
        annotated=annotated,
    )


def loader(batches: list) -> DataLoader:
    return DataLoader(batches, batch_size=None)


def quiet_trainer(folder: Path, **options: object) -> L.Trainer:
    return L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoryAlignment, L.Trainer]:
    folder = tmp_path_factory.mktemp("run")
    model = small()
    task = StoryAlignment(model, optim=OptimConfig(lr=3e-3, schedule="cosine"))
    trainer = quiet_trainer(folder, max_epochs=5, log_every_n_steps=1, check_val_every_n_epoch=5)
    trainer.fit(task, loader([pairs(model, s) for s in range(20)]), loader([story(model, s) for s in range(100, 103)]))
    return task, trainer


def test_it_learns_what_colours_are_called(trained: tuple[StoryAlignment, L.Trainer]) -> None:
    figures = {name: float(value) for name, value in trained[1].callback_metrics.items()}
    assert figures["train/chance"] == pytest.approx(1 / 6)
    assert figures["train/accuracy"] >= 0.5
    assert figures["val/f1"] > 0.8
    assert figures["train/without_negatives"] == 0
    assert 0.001 <= figures["train/temperature"] <= 0.5
    assert figures["val/spread_en"] > 0.05
    assert trained[0].decoder is not None


def test_its_checkpoint_is_plain_data_and_brings_the_decoder(trained: tuple[StoryAlignment, L.Trainer]) -> None:
    task, trainer = trained
    path = trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["model"] == "cclm-tiny"
    assert content["hyper_parameters"]["optim"]["lr"] == 3e-3
    again = StoryAlignment(zoo.create(content["hyper_parameters"]["model"], **content["hyper_parameters"]["arguments"]))
    found = quiet_trainer(Path(trainer.default_root_dir)).test(
        again, loader([story(task.model, s) for s in range(100, 103)]), ckpt_path=path, verbose=False, weights_only=True
    )
    assert found[0]["test/f1"] == pytest.approx(float(trainer.callback_metrics["val/f1"]))


def test_the_model_it_trained_saves_with_its_decoder(trained: tuple[StoryAlignment, L.Trainer], tmp_path: Path) -> None:
    task, _ = trained
    again = zoo.load(task.model.save_pretrained(tmp_path / "model"))
    assert task.decoder is not None
    assert again.decoder == task.decoder.to_dict()


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_chunks_bound_memory_and_change_nothing(chunk: int) -> None:
    model = small().eval()
    batch = story(model, 3)
    whole = model.encode_clips(batch.pixels) @ model.encode_text(batch.input_ids, batch.attention_mask).T
    found = compare(*encode(model, batch.pixels, batch.input_ids, batch.attention_mask, chunk=chunk))
    torch.testing.assert_close(found, whole.detach(), atol=1e-5, rtol=1e-5)
    assert not found.requires_grad


def test_videos_nobody_annotated_are_aligned_and_not_scored(tmp_path: Path) -> None:
    model = small()
    task = StoryAlignment(model)
    trainer = quiet_trainer(tmp_path)
    trainer.validate(task, loader([story(model, s, annotated=False) for s in range(2)]), verbose=False)
    assert [video.id for video in task.videos] == ["story-0", "story-1"]
    assert "val/f1" not in trainer.callback_metrics
    assert task.decoder is None


def test_a_video_seen_twice_counts_once_and_order_does_not_matter(tmp_path: Path) -> None:
    figures = []
    for seeds in ([1, 2, 3], [3, 1, 2, 2, 1]):
        model = small()
        trainer = quiet_trainer(tmp_path)
        trainer.validate(StoryAlignment(model), loader([story(model, s) for s in seeds]), verbose=False)
        figures.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert figures[0] == pytest.approx(figures[1], rel=0, abs=0, nan_ok=True)


def test_collapse_is_said_and_named_by_its_language(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        model.text_proj.weight.zero_()  # every sentence becomes the same vector
        model.vision_proj.weight.mul_(1e-4)
    with pytest.warns(UserWarning, match="similarities of ru have collapsed"):
        quiet_trainer(tmp_path).validate(StoryAlignment(model), loader([story(model, 1, language="ru")]), verbose=False)


def test_divergence_is_an_error_that_names_the_video(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        model.vision_proj.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="story-1 are not numbers"):
        quiet_trainer(tmp_path).validate(StoryAlignment(model), loader([story(model, 1)]), verbose=False)


def test_a_precision_that_would_round_times_is_refused(tmp_path: Path) -> None:
    model = small()
    with pytest.raises(ValueError, match="use bf16-mixed"):
        quiet_trainer(tmp_path, precision="bf16-true").validate(
            StoryAlignment(model), loader([story(model, 1)]), verbose=False
        )


def test_mixed_precision_trains_and_keeps_times(tmp_path: Path) -> None:
    model = small()
    trainer = quiet_trainer(tmp_path, precision="bf16-mixed", max_epochs=1, log_every_n_steps=1)
    task = StoryAlignment(model)
    trainer.fit(task, loader([pairs(model, 0)]), loader([story(model, 1)]))
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
    assert torch.equal(task.videos[0].clips, story(model, 1).clips)
    assert task.videos[0].similarity.dtype == torch.float32


def test_training_raises_no_warnings_of_ours(tmp_path: Path) -> None:
    model = small()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        quiet_trainer(tmp_path, max_epochs=1).fit(StoryAlignment(model), loader([pairs(model, 0)]))
    assert [str(w.message) for w in seen if "weaksync" in str(w.filename) or "/zoo/" in str(w.filename)] == []


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_every_rank_ends_with_all_videos_by_id(world: int, tmp_path: Path) -> None:
    script = Path(__file__).parent / "story_rank.py"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(world), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    for rank in ranks:
        printed, _ = rank.communicate(timeout=300)
        assert rank.returncode == 0
        assert json.loads(printed.splitlines()[-1]) == [[f"v{n}", pytest.approx(n / 10)] for n in range(5)]


def test_the_mean_of_an_epoch_weighs_steps_by_the_pairs_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rank logs the figures of all, so its own share of a step must not be their weight."""
    model = small()
    task, sizes = StoryAlignment(model), []
    monkeypatch.setattr(StoryAlignment, "trainer", SimpleNamespace(world_size=2))
    monkeypatch.setattr(task, "log", lambda *figure, batch_size, **more: sizes.append(batch_size))
    monkeypatch.setattr(task, "log_dict", lambda figures, *, batch_size, **more: sizes.append(batch_size))
    alone = task.loss.forward
    monkeypatch.setattr(
        task.loss, "forward", lambda *given, **more: replace(alone(*given, **more), pairs=torch.tensor(21.0))
    )
    task.training_step(pairs(model, 0), 0)
    assert sizes == [21, 21]
