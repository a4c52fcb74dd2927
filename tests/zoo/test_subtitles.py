"""Subtitle matching as it is trained and ranked: known paths, learning, and the same for any number of processes."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from weaksync import zoo
from weaksync.datamodules.batches import SubtitleBatch
from weaksync.zoo.encoded import Pool
from weaksync.zoo.losses import path_cells
from weaksync.zoo.models.gsm import GSM
from weaksync.zoo.models.lipspeech import LipSpeech, pooled_times
from weaksync.zoo.optim import StepOptimConfig
from weaksync.zoo.pool import PoolMetrics, join_ranks, pool_metrics
from weaksync.zoo.subtitles import RankedClip, SubtitleMatching, alignment_paths, encode_batch, pool_costs, rank_all

from .subtitle_ranks import outcomes

DIM = 6


def pairs(count: int, seed: int = 0, *, timed: bool = True, dim: int = DIM) -> SubtitleBatch:
    """Clips that say two sentences at a pace of their own; their subtitles' steps are theirs, later, with noise."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(40, 60, (count,), generator=random)
    text_lengths = torch.randint(36, 56, (count,), generator=random)
    n, m = int(lengths.max()), int(text_lengths.max())
    said = torch.randn(count, 60, dim, generator=random)
    video, text = torch.zeros(count, n, dim), torch.zeros(count, m, dim)
    for row in range(count):
        for out, length in ((video, lengths[row]), (text, text_lengths[row])):
            places = (torch.arange(int(length)) * 59 / (int(length) - 1)).round().long()
            out[row, : int(length)] = said[row, places] + 0.3 * torch.randn(int(length), dim, generator=random)
    batch = SubtitleBatch([f"clip{row}" for row in range(count)], ["en"] * count, video, lengths, text, text_lengths)
    if timed:
        batch.video_times = torch.arange(n).double().expand(count, n) / 10
        batch.text_times = torch.arange(m).double().expand(count, m) / 10
        batch.spoken = [_halves(length) for length in lengths]
        batch.synthesised = [_halves(length) for length in text_lengths]
    return batch


def _halves(length: Tensor) -> Tensor:
    return torch.tensor([[0.0, 0.5], [0.5, 1.0]], dtype=torch.float64) * float(length) / 10


def lipspeech(**more: object) -> LipSpeech:
    torch.manual_seed(3)
    model = zoo.create("lipspeech", **{"feature_dim": DIM, "dim": DIM, "per_second": 10.0, **more})
    assert isinstance(model, LipSpeech)
    return model


def gsm() -> GSM:
    torch.manual_seed(3)
    model = zoo.create("gsm-tiny", video_dim=DIM, text_dim=DIM, hidden=8, filters=8, embed_dim=8)
    assert isinstance(model, GSM)
    return model


def test_paths_are_those_of_each_pair_at_the_pace_of_the_front_end() -> None:
    batch = pairs(3)
    paths = alignment_paths(batch, 15, 14, 2)
    assert batch.spoken is not None and batch.synthesised is not None
    for row in range(3):
        times = [
            pooled_times(torch.arange(int(count[row])).double() / 10)
            for count in (batch.video_lengths, batch.text_lengths)
        ]
        cells = path_cells(*times, batch.spoken[row], batch.synthesised[row])
        assert torch.equal(paths[row, : cells.shape[0], : cells.shape[1]], cells)
        assert paths[row].sum() == cells.sum() >= cells.shape[0]
    with pytest.raises(ValueError, match="lips with speech, not other streams"):
        alignment_paths(pairs(2, timed=False), 15, 14, 2)


@pytest.mark.parametrize("aligner", ["soft-dsta", "soft-dtw"])
def test_the_alignment_loss_is_the_same_whatever_aligns(aligner: str) -> None:
    batch = pairs(4)
    _, figures = SubtitleMatching(lipspeech(aligner=aligner)).losses(batch)
    lips, _ = (model := lipspeech()).encode_lips(batch.video, batch.video_lengths)
    speech, _ = model.encode_speech(batch.text, batch.text_lengths)
    path = alignment_paths(batch, lips.shape[1], speech.shape[1], 2)
    near = far = 0.0
    for row in range(4):
        cosine = torch.nn.functional.cosine_similarity(lips[row, :, None], speech[row, None], dim=2)
        likely = ((cosine + 1) / 2).clamp(1e-6, 1 - 1e-6).detach()
        counted = path[row].any(1)[:, None] & path[row].any(0)[None]
        near += -float(likely[path[row] & counted].log().mean()) / 4
        far += -float((1 - likely[~path[row] & counted]).log().mean()) / 4
    assert float(figures["alignment"]) == pytest.approx((near + far) / 2, rel=1e-4)


def test_an_alignment_loss_of_a_cue_is_refused() -> None:
    with pytest.raises(ValueError, match="a GSM has no alignment"):
        SubtitleMatching(gsm())


@pytest.mark.parametrize("which", ["soft-dsta", "soft-dtw", "cue"])
def test_it_learns_to_tell_clips_by_their_subtitles(which: str) -> None:
    model = gsm() if which == "cue" else lipspeech(aligner=which, duration_weight=0.0)
    weight = 0.0 if which == "cue" else 1.0
    task = SubtitleMatching(model, margin=0.2, alignment_weight=weight, optim=StepOptimConfig(lr=5e-3))
    clips = pairs(6, 1)
    (optimiser,), _ = _optimisers(task)
    losses = []
    model.train()
    for _ in range(40):
        optimiser.zero_grad()
        loss, figures = task.losses(clips)
        loss.backward()
        optimiser.step()
        losses.append(float(figures["ranking"]))
    assert losses[-1] < losses[0] / 4
    found = metrics_of(rank_all(model.eval(), encode_batch(model, clips)), 6)
    assert found.r1 >= 0.75 and found.median_rank == 1


def metrics_of(ranked: list[RankedClip], pool: int) -> PoolMetrics:
    return pool_metrics(join_ranks(each.ranks for each in ranked), pool)


def _optimisers(task: SubtitleMatching) -> tuple[list[torch.optim.Optimizer], list[object]]:
    found = task.configure_optimizers()
    assert isinstance(found, dict)
    return [found["optimizer"]], [found["lr_scheduler"]]  # type: ignore[typeddict-item]


def test_the_rate_falls_in_steps() -> None:
    task = SubtitleMatching(gsm(), alignment_weight=0.0, optim=StepOptimConfig(lr=1.0, decay=0.1, decay_epochs=15))
    (optimiser,), (schedule,) = _optimisers(task)
    rates = []
    for _ in range(40):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule["scheduler"].step()  # type: ignore[index]
    assert rates[:15] == [1.0] * 15 and rates[15:30] == pytest.approx([0.1] * 15)
    assert rates[30:] == pytest.approx([0.01] * 10)
    task.model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters to train"):
        task.configure_optimizers()


def test_ranks_count_what_is_nearer_of_all_that_is_there() -> None:
    model = lipspeech().eval()
    encoded, others = encode_batch(model, pairs(11)), encode_batch(model, pairs(5, 9))
    more = Pool.of([each.text for each in others], ["en"] * 5)
    ranked = rank_all(model, encoded, more)
    pool = Pool.of([each.text for each in encoded], ["en"] * 11)
    costs = torch.cat([pool_costs(model, [each.clip for each in encoded], part) for part in (pool, more)], dim=1)
    wanted = [int((costs[row] < costs[row, row]).sum()) for row in range(11)]
    numbers = [int(each.id.removeprefix("clip")) for each in ranked]
    assert [int(each.ranks.better[0]) for each in ranked] == [wanted[number] for number in numbers]


def test_lightning_logs_the_figures_of_the_whole_split(tmp_path: Path) -> None:
    model = lipspeech().eval()
    task = SubtitleMatching(model)
    singles = [_row(pairs(5), row) for row in range(5)]
    runner = L.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    (found,) = runner.validate(task, dataloaders=torch.utils.data.DataLoader(singles, batch_size=None), verbose=False)
    metrics = metrics_of(rank_all(model, encode_batch(model, pairs(5))), 5)
    assert found == pytest.approx({f"val/{name}": value for name, value in metrics.logged().items()})


def _row(batch: SubtitleBatch, row: int) -> SubtitleBatch:
    n, m = int(batch.video_lengths[row]), int(batch.text_lengths[row])
    one = slice(row, row + 1)
    return SubtitleBatch(
        batch.ids[one], batch.languages[one], batch.video[one, :n], batch.video_lengths[one],
        batch.text[one, :m], batch.text_lengths[one],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("which", ["soft-dsta", "soft-dtw", "cue"])
def test_processes_learn_and_rank_as_one_does(which: str, tmp_path: Path) -> None:
    """Gradients averaged as DDP does, losses, batch normalisation, and the places in the pool: of 1, 2 and 3 ranks."""
    batch = pairs(9)
    model = gsm() if which == "cue" else lipspeech(aligner=which, learn_rates=True)
    found = {}
    for world in (1, 2, 3):
        folder = tmp_path / str(world)
        folder.mkdir()
        model.save_pretrained(folder / "model")
        settings = {"timed": which != "cue", "alignment_weight": 0.0 if which == "cue" else 1.0}
        (folder / "settings.json").write_text(json.dumps(settings))
        tensors = {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
        tensors |= {"spoken": torch.stack(batch.spoken or []), "synthesised": torch.stack(batch.synthesised or [])}
        save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "batch.safetensors")
        found[world] = outcomes(folder, world)
    ((alone, places),) = found[1]
    assert len(places) == 9 and len(alone) > 4
    for world in (2, 3):
        for tensors, ranked in found[world]:
            assert ranked == places
            assert tensors.keys() == alone.keys()
            for name, value in tensors.items():
                torch.testing.assert_close(value, alone[name], rtol=2e-4, atol=2e-6, msg=f"{world} ranks: {name}")
