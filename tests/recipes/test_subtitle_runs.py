"""The runs behind Video2Subtitle's tables: each domain by itself, and Table 3 with every row, on made-up clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from weaksync import zoo
from weaksync.datamodules.sample_clips import make_clips
from weaksync.datamodules.speech_set import write_speech
from weaksync.datamodules.spoken import open_clips, scene
from weaksync.recipes.matching.costs import split_costs
from weaksync.recipes.models import dual_encoder
from weaksync.recipes.reproduce.subtitle_runs import SubtitleRuns
from weaksync.recipes.reproduce.subtitles import command
from weaksync.recipes.runs import RECIPE

from .tiny_streams import Hum, clips_with_speech


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SubtitleRuns:
    folder = tmp_path_factory.mktemp("runs")
    clips_with_speech(folder, {"train": 8, "val": 4, "test": 5}, domains=("movie", "youtube"))
    given = (
        f"data.speech={folder / 'speech'}",
        f"syncnet.model={folder / 'syncnet'}",
        "alignment.set.trainer.max_epochs=1",
        "alignment.set.data.global_batch=2",
        *(f"{cue}.set.trainer.max_epochs=0" for cue in ("object", "scene", "action")),
    )
    return SubtitleRuns(folder / "clips", folder / "runs", overrides=given)


def test_aligners_are_trained_for_each_domain_by_itself(runs: SubtitleRuns) -> None:
    apart = replace(runs, apart=True)
    (found,) = apart.aligned(("dtw", "soft-dsta"))
    (together,) = runs.aligned(("dtw", "soft-dsta"))
    assert [clip.domain for clip in found.clips] == ["movie", "youtube"] * 2 + ["movie"]
    assert found.subtitles == together.subtitles and found.right.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(found.costs["dtw"], together.costs["dtw"])  # it learns nothing
    for domain in ("movie", "youtube"):
        own = apart.aligner(0, "soft-dsta", domain)
        said = (runs.root / "seed-0" / f"soft-dsta-{domain}" / RECIPE).read_text()
        assert f"domain: {domain}" in said and "max_epochs: 1" in said
        rows = [place for place, clip in enumerate(found.clips) if clip.domain == domain]
        others = [place for place in range(5) if place not in rows]
        costs = split_costs({"soft-dsta": own}, "test").costs["soft-dsta"]
        torch.testing.assert_close(found.costs["soft-dsta"][rows], costs[rows])
        assert not torch.allclose(found.costs["soft-dsta"][others], costs[others])  # those are the other model's


def test_each_pool_has_features_of_its_own(runs: SubtitleRuns, tmp_path: Path) -> None:
    """Another pool in the same folder of runs: its own subtitles are ranked, and not those of the one before."""
    subtitles = {}
    for name, texts in (("a", ["one two", "three four"]), ("b", ["five six seven", "eight", "nine ten"])):
        for number, text in enumerate(texts):
            (tmp_path / name).mkdir(exist_ok=True)
            lines = f"1\n00:00:01,000 --> 00:00:03,000\n{text} {text}\n"
            (tmp_path / name / f"{name}{number}.srt").write_text(lines)
        write_speech(tmp_path / f"{name}-speech", tmp_path / name, Hum(), language="en", grouping=None)
        (found,) = replace(runs, pool=tmp_path / f"{name}-speech").aligned(("dtw",))
        subtitles[name] = set(found.subtitles[found.own :])
        assert len(subtitles[name]) == len(texts)
    assert not subtitles["a"] & subtitles["b"]


def test_features_of_other_clips_are_refused(runs: SubtitleRuns, tmp_path: Path) -> None:
    stages = runs.stages[0]
    lips = stages.lips()
    make_clips(tmp_path / "others", {"train": 2, "test": 1}, seconds=3.0, size=64)
    stages.recipe.data.clips = str(tmp_path / "others")
    try:
        with pytest.raises(ValueError, match=f"{lips} holds features of another set"):
            stages.lips()
    finally:
        stages.recipe.data.clips = str(runs.clips)


def test_table_3_has_every_row(runs: SubtitleRuns, tmp_path: Path) -> None:
    torch.manual_seed(0)
    clip4clip = zoo.create("clip4clip-tiny").eval()
    clip4clip.save_pretrained(tmp_path / "clip4clip")
    given = ["--clips", str(runs.clips), "--runs", str(runs.root), "--clip4clip", str(tmp_path / "clip4clip")]
    done = CliRunner().invoke(command, ["table3", *given, *runs.overrides], catch_exceptions=False)
    assert "the matcher has no" not in done.output and f"CLIP4Clip is {tmp_path / 'clip4clip'}" in done.output
    blocks = done.output.split("YouTube: ")[1:] + done.output.split("Movie: ")[1:]
    ours = {block.splitlines()[0].strip(): block.splitlines()[2].split() for block in blocks}
    names = ("Object (O)", "Scene (S)", "Action (A)", "soft-DSTA (D)", "O+S+A", "O+S+A+D", "CLIP4Clip")
    assert all(len(ours[name]) == 5 and ours[name][0] == "ours" for name in names)

    (costs,) = runs.fused()
    found = runs.baseline(dual_encoder(str(tmp_path / "clip4clip")), costs)
    clip = costs.clips[3].id
    frames = scene(open_clips(runs.clips), clip, fps=1.0)
    text = " ".join(cue.text for cue in open_clips(runs.clips).record(costs.subtitles[1]).sentences)
    with torch.no_grad():
        seen = clip4clip.encode_clips(clip4clip.preprocess(frames[[0, 1, 2]])[None])  # all three seconds, three frames
        said = clip4clip.encode_text(*clip4clip.tokenize([text]))
    torch.testing.assert_close(found[3, 1], 1 - (seen @ said.T)[0, 0])
