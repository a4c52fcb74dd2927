import json
import re

import numpy as np
import pytest
import torch
from torchvision.io import decode_image

from weaksync.recipes.report.evaluation import evaluation_figure, evaluation_page
from weaksync.recipes.report.training import read_curves, training_figure
from weaksync.zoo.decoding import Decoder, VideoSimilarity
from weaksync.zoo.evaluation import evaluate


@pytest.fixture(scope="module")
def evaluation():
    chance = np.random.default_rng(0)
    videos = []
    for number in range(5):
        edges = np.arange(13) * 2.0
        clips = torch.from_numpy(np.stack([edges[:-1], edges[1:]], axis=1))
        segments = torch.tensor([[0.0, 6.0], [8.0, 12.0], [float("nan")] * 2, [14.0, 24.0]], dtype=torch.float64)
        similarity = torch.from_numpy(chance.normal(size=(12, 4))).float()
        # the first has no narration times at all, and none of its sentences is matched: nothing to score
        narrations = torch.full((4, 2), float("nan"), dtype=torch.float64) if number == 0 else segments + 1
        own = torch.full_like(segments, float("nan")) if number == 0 else segments
        vectors = [torch.nn.functional.normalize(torch.from_numpy(chance.normal(size=(k, 8))).float()) for k in (12, 4)]
        language = "es" if number == 4 else "en"
        videos.append(VideoSimilarity(f"story-{number}", language, similarity, clips, own, narrations, True, *vectors))
    others = {"within 1 s": Decoder(0.3, 0.3, within=1.0)}
    return evaluate(videos, Decoder(0.3, 0.3), others=others, seek=True).to_dict()


def test_the_page_holds_the_evaluations_figures(evaluation, tmp_path):
    out = evaluation_page(evaluation, tmp_path / "eval.html", title="A <b>run</b>", facts={"Model": "cclm-tiny"})
    page = out.read_text()
    assert "<title>A &lt;b&gt;run&lt;/b&gt;</title>" in page and "<b>run" not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["facts"] == {"Model": "cclm-tiny"} and data["skipped"] == ["story-0"] and data["videos"] == 4
    for row, shown in zip(evaluation["rows"], data["rows"], strict=True):
        assert shown["figures"] == [row["f1"], row["clip_accuracy"], row["sentence_iou"]]
        assert shown["videos"] == {video: scores["f1"] for video, scores in row["per_video"].items()}
        assert [means[0] for means in shown["languages"].values()] == [m["f1"] for m in row["by_language"].values()]
    assert data["retrieval"] == json.loads(json.dumps(evaluation["retrieval"]))
    assert list(tmp_path.iterdir()) == [out]


def test_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not an evaluation"):
        evaluation_page({"rows": [{}]}, tmp_path / "eval.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_page_draws_itself(evaluation, tmp_path, browse):
    dom, said = browse(evaluation_page(evaluation, tmp_path / "eval.html").read_text())
    assert said == [] and 'data-ready="yes"' in dom
    assert dom.count('class="rail ') == 6
    assert dom.count('class="shade"') == 6 * 3 and dom.count('class="recall"') == 4 * 3
    assert len(re.findall('class="model" cx=', dom)) == 4
    gap, doubt = re.search(r"Its interval</dt><dd[^>]*>([^<]*)<", dom), re.search(r'id="doubt">([^<]*)<', dom)
    assert re.fullmatch(r"−\d+ % to −?\d+ %", gap[1]), "these similarities are noise"
    assert doubt[1].startswith("Note: nothing shows")


def test_the_figure_is_a_picture(evaluation, tmp_path):
    picture = decode_image(str(evaluation_figure(evaluation, tmp_path / "eval.png", title="quickstart")))
    assert picture.shape[2] > 800 and picture.float().std() > 5


def write_metrics(path):
    rows = ["epoch,step,train/loss,val/f1"]
    rows += [f"{step // 10},{step},{1 / (step + 1)}," for step in range(100)]
    rows += ["9,99,,0.5"]
    path.write_text("\n".join(rows))
    return path


def test_curves_are_read_by_step(tmp_path):
    curves = read_curves(write_metrics(tmp_path / "metrics.csv"))
    assert curves["val/f1"] == [(99, 0.5)]
    assert curves["train/loss"] == [(step, 1 / (step + 1)) for step in range(100)]


def test_training_is_drawn(tmp_path):
    picture = decode_image(str(training_figure(write_metrics(tmp_path / "metrics.csv"), tmp_path / "training.png")))
    assert picture.shape[2] > 1000 and picture.float().std() > 5


@pytest.mark.parametrize("text", ["", "epoch,step\n0,1\n", "epoch,train/loss\n0,1.0\n", "step,train/loss\n0,high\n"])
def test_a_file_without_curves_is_refused(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.csv"):
        read_curves(path)
