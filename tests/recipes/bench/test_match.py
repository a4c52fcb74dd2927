import json

import pytest
from click.testing import CliRunner

pytest.importorskip("faiss", reason="needs the extra search")

from weaksync.recipes.bench.match import CUES, WIDTH, command, write_random
from weaksync.recipes.matching.pool import open_index


def test_the_random_index_is_one_of_full_size(tmp_path):
    write_random(tmp_path, 12)
    index = open_index(tmp_path)
    assert len(index) == 12 and index.pool.steps.shape[1] == 512
    assert {name: cue.shape for name, cue in index.pool.cues.items()} == dict.fromkeys(CUES, (12, WIDTH))
    assert all(abs(float(index.pool.steps_of(number).float().norm(dim=1).mean()) - 1) < 1e-3 for number in (0, 11))


@pytest.mark.slow
def test_the_command_shows_both_ways_with_their_shares():
    arguments = ["--subtitles", "40", "--narrow", "8", "--steps", "40", "--repeats", "1", "--threads", "1", "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert [row["aligned"] for row in rows] == [40, 8]
    for row in rows:
        assert 0 < row["product"] < row["both"] < 1 and row["both"] == pytest.approx(row["product"] + row["recurrence"])
        assert row["CPU s"] > 0 and row["peak MiB"] > 100
