import csv
import io
import json

import pytest
from click.testing import CliRunner
from torchvision.io import decode_image

from weaksync.recipes import cross_lingual
from weaksync.recipes.cross_lingual import command, matrix, named
from weaksync.recipes.scoring.scores import ALONE, RunScores

LANGUAGES = ("en", "zh", "es")


class Manifest:
    languages = ("es", "en", "zh")

    def check_languages(self, names, where):
        if strange := set(names) - set(self.languages):
            raise ValueError(f"{where} has no {strange}")


@pytest.fixture
def scored(monkeypatch):
    """Scores that are known: best where source and target are one, and what was asked for."""
    asked = []

    def run_scores(run, shards, language, *, translations, split, workers):
        asked.append((str(run), language, translations))
        f1 = 0.4 if str(run).endswith(language) else 0.1
        return RunScores({ALONE: {f"v{k}": (f1, f1 / 2, f1 / 1.5) for k in range(3)}}, {})

    monkeypatch.setattr(cross_lingual, "run_scores", run_scores)
    monkeypatch.setattr(cross_lingual, "open_set", lambda folder: type("Set", (), {"manifest": Manifest()}))
    return asked


def test_every_model_meets_every_language(scored, tmp_path):
    models = {"translated": "runs/translate"} | {code: f"runs/two_stage-{code}" for code in LANGUAGES}
    found = matrix(models, "shards", LANGUAGES, translations={"translated": "english"})
    assert len(scored) == 12 and [place for *_, place in scored] == ["english"] * 3 + [None] * 9
    assert found.models == ("translated", *LANGUAGES)
    table = found.table("clip_accuracy")
    assert table[0] == pytest.approx([0.1] * 3) and [table[1 + k][k] for k in range(3)] == pytest.approx([0.4] * 3)
    text, words, picture = found.write(tmp_path / "out")
    lines = list(csv.DictReader(io.StringIO(text.read_text())))
    assert len(lines) == 12 * 3 and {line["videos"] for line in lines} == {"3"}
    assert "| en | **0.267** | 0.067 | 0.067 |" in words.read_text()
    assert decode_image(str(picture)).float().std() > 5


def test_the_verb_takes_the_languages_of_the_set_in_the_papers_order(scored):
    result = CliRunner().invoke(command, ["runs/a-en", "zh=x-zh", "--shards", "s", "--json"], catch_exceptions=False)
    rows = json.loads(result.stdout[result.stdout.index("[") :])
    assert [row[""] for row in rows] == ["en", "zh"] and list(rows[0])[1:] == ["en", "zh", "es"]
    half = CliRunner().invoke(command, ["runs/a-en", "--shards", "s", "--translated", "runs/t"])
    assert "runs/t was not trained on translations" in str(half.exception)


def test_what_cannot_be_scored_is_refused(scored):
    with pytest.raises(ValueError, match="no model"):
        matrix({}, "shards", LANGUAGES)
    with pytest.raises(ValueError, match="none of the models"):
        matrix({"en": "runs/en"}, "shards", LANGUAGES, translations={"translate": "english"})
    with pytest.raises(ValueError, match="has no"):
        matrix({"en": "runs/en"}, "shards", ("xx",))
    with pytest.raises(ValueError, match=r"would both be 'en'"):
        named(["runs/a-en", "runs/b-en"])
