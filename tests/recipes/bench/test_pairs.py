"""The benchmark of all pairs runs every kernel and prints what it says it prints."""

from __future__ import annotations

import json

from click.testing import CliRunner

from weaksync.recipes.bench import pairs as bench_pairs


def test_every_kernel_is_timed_with_its_parts_apart():
    sizes = ["--videos", "2", "--texts", "3", "--video-steps", "7", "--text-steps", "6", "--width", "4"]
    result = CliRunner().invoke(bench_pairs.command, [*sizes, "--threads", "1", "--json"])
    rows = json.loads(result.stdout)
    assert [row["kernel"] for row in rows] == list(bench_pairs.KERNELS)
    for row in rows:
        assert all(float(row[column]) > 0 for column in ("pairs/s", "product", "recurrence"))
        assert row["peak MiB"] >= 0
