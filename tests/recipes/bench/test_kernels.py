"""The kernel benchmark: what it measures is right before it is timed, and peers do the same job."""

from __future__ import annotations

from io import StringIO

import pytest
import torch
from rich.console import Console

from weaksync import kernels
from weaksync.recipes import console
from weaksync.recipes.bench import kernels as bench_kernels
from weaksync.recipes.bench import peers


@pytest.mark.parametrize("job", bench_kernels.jobs(), ids=lambda job: f"{job.name} {job.size[0]}")
def test_every_job_is_right_on_a_small_size(job):
    job.size = (2, 9, 7)
    assert job.error(job.cost("cpu")) < 1e-5


def test_a_job_is_timed_beside_its_peer():
    job = bench_kernels.Job("double", (2, 5, 4), lambda cost: cost.sum((1, 2)), peers=[peers.Peer("slow", _slow)])
    found = bench_kernels.measure(job, repeats=3)
    *_, name, ratio = found.row()
    assert name == "slow" and found.peer_ns > found.ns > 0 and ratio == pytest.approx(found.peer_ns / found.ns)


def test_the_table_fits_eighty_columns(monkeypatch):
    page = StringIO()
    monkeypatch.setattr(console, "out", Console(file=page, width=80))
    names = [peer.name for job in bench_kernels.jobs() for peer in job.peers] or ["dtaidistance"]
    found = [
        bench_kernels.Timing(job.name, "16x1000x1000", 12.3456, 1e-7, names[0], 123456.7)
        for job in bench_kernels.jobs()
    ]
    found += [bench_kernels.Timing("DTW path", "1x200x200", 1.5, 1e-7, name, 1.5) for name in names]
    console.print_table("", bench_kernels.COLUMNS, [one.row() for one in found])
    assert len(page.getvalue().strip().splitlines()) == len(found) + 4  # borders and header: no line is folded


def _slow(cost):
    return [cost.sum() for _ in range(3000)]


@pytest.mark.parametrize("seed", range(5))
def test_the_python_loop_has_the_labels_of_the_kernel(seed):
    cost = 2 * torch.rand(1, 12, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    value, labels = peers.drop_dtw_cell_by_cell(cost[0].numpy(), 0.4, 0.6)
    expected, found = kernels.drop_dtw(cost, 0.4, 0.6)
    assert value == pytest.approx(expected.item()) and labels == found[0].tolist()


@pytest.mark.parametrize("make", [lambda: peers.soft_dtw(0.1), lambda: peers.dtw_path()])
def test_installed_libraries_run(make):
    found = make()
    if not found:
        pytest.skip("no peer is installed: pip install 'weaksync[bench]'")
    for peer in found:
        peer.run(torch.rand(2, 6, 5).requires_grad_())


def test_the_papers_loop_has_the_gradient_of_the_kernel():
    loops = peers.soft_dsta(0.2, 3, 0.7, 1)
    if not loops:
        pytest.skip("Numba is not installed: pip install 'weaksync[bench]'")
    cost = 2 * torch.rand(2, 6, 5, dtype=torch.float64)
    found = loops[0].run(cost)
    expected = kernels.soft_dsta_alignment(cost, gamma=0.2, window=3, order_weight=0.7)
    for pair, share in zip(expected, found, strict=True):
        torch.testing.assert_close(torch.from_numpy(share), pair)


@pytest.mark.parametrize("installed", [True, False])
def test_missing_peers_are_said_and_how_to_get_them(monkeypatch, capsys, installed):
    monkeypatch.setattr(peers, "_installed", lambda module: installed)
    monkeypatch.setattr(peers, "set_threads", lambda threads: None)
    monkeypatch.setattr(bench_kernels, "jobs", lambda device="cpu": [bench_kernels.Job("sum", (1, 3, 3), _sum)])
    monkeypatch.setattr(bench_kernels, "copy_floor", lambda device: 0.1)
    bench_kernels.command.callback("cpu", 1, "", 1, False)
    said = " ".join(capsys.readouterr().err.split())
    assert ("pip install 'weaksync[bench]' fills the columns of peers" in said) is not installed


def _sum(cost):
    return cost.sum((1, 2))


def test_an_unknown_job_lists_the_known():
    with pytest.raises(ValueError, match=r"no job is named like 'viterbi'; there are .*soft-DTW"):
        bench_kernels.command.callback("cpu", 1, "viterbi", 1, False)


def test_a_numbered_cpu_is_no_gpu(monkeypatch):
    columns = []
    monkeypatch.setattr(bench_kernels, "jobs", lambda device: [_tiny()])
    monkeypatch.setattr(bench_kernels, "copy_floor", lambda device: 1.0)
    monkeypatch.setattr(bench_kernels, "print_table", lambda title, names, rows, as_json: columns.append(names))
    bench_kernels.command.callback(device="cpu:0", threads=1, only="", repeats=1, as_json=True)
    assert columns == [bench_kernels.COLUMNS]


def _tiny():
    return bench_kernels.Job("DTW", (1, 5, 4), lambda cost: kernels.dtw_path(cost)[0], soft=False)
