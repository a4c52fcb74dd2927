import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest

from weaksync.datamodules.media import encode_jpeg
from weaksync.datamodules.records import Sentence
from weaksync.recipes.alignment import Alignment
from weaksync.recipes.report import page as page_module

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'"> & "quotes"'


def alignment(n, m, texts=None):
    chance = np.random.default_rng(0)
    edges = np.arange(n + 1) * 2.4
    labels = np.sort(chance.integers(0, m, n))
    labels[chance.random(n) < 0.3] = -1
    texts = texts or ["A storm.", "暴风雨把船抛向礁石。", "गाँव में सारे दरवाज़े बंद हैं।", "Ночью гаснет огонь."]
    return Alignment(
        clips=np.stack([edges[:-1], edges[1:]], axis=1),
        labels=labels,
        sentences=[Sentence(texts[j % len(texts)], (j * 1.0, j + 2.0), (j * 1.0, j + 1.5)) for j in range(m)],
        similarity=chance.normal(0.2, 0.1, (n, m)).astype(np.float32),
        video="films/recap.mp4",
        model="runs/one/model",
        language="en",
        duration=float(edges[-1]),
        annotated=True,
        pictures=[encode_jpeg(np.full((64, 114, 3), i % 256, dtype=np.uint8), 70) for i in range(n)],
    )


def data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_everything_and_loads_nothing():
    page = alignment(6, 3).to_html(source="recap.mp4")
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<]*", page)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a namespace, not an address
    assert not re.search(r"<(link|iframe|img[^>]+src=.http)|@import|\bon\w+=\"", page)


def test_the_policy_admits_the_pages_own_script_and_style_alone():
    page = alignment(6, 3).to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    for kind, text in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy


def test_similarity_is_within_a_step_of_the_truth():
    found = alignment(40, 12)
    kept = data(found.to_html())["similarity"]
    cells = np.frombuffer(base64.b64decode(kept["cells"]), dtype=np.uint8).reshape(40, 12)
    shown = kept["low"] + cells / 255 * (kept["high"] - kept["low"])
    np.testing.assert_allclose(shown, found.similarity, atol=(kept["high"] - kept["low"]) / 500)


def test_hostile_text_stays_text_in_the_file():
    found = alignment(6, 3, [HOSTILE])
    found.video = f"films/{HOSTILE.replace('/', '')}.mp4"
    page = found.to_html(source=HOSTILE)
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert data(page)["sentences"][0]["text"] == HOSTILE


def test_hostile_text_is_inert_in_a_browser(browse):
    dom, said = browse(alignment(6, 3, [HOSTILE]).to_html())
    assert said == []
    assert "<title>recap.mp4: alignment</title>" in dom
    assert "<img src=" not in dom.replace('<img src="data:image/jpeg', "") and 'data-ready="yes"' in dom


@pytest.mark.slow
def test_a_doubt_and_the_limits_stand_above_the_timeline(browse):
    found = alignment(6, 3)
    assert 'id="doubt" hidden=""' in browse(found.to_html())[0]
    found.doubt, found.decoder = "trust nothing here", {"within": 30.0, "band": None}
    dom, said = browse(found.to_html())
    assert said == []
    assert dom.index('id="doubt">Note: trust nothing here.<') < dom.index("timeline-title")
    assert "Told within</dt><dd>30 s<" in dom and "Off an even pace<" not in dom


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(40, 16), (1, 1), (3, 8)])
def test_the_page_draws_itself_without_a_fault(n, m, browse):
    dom, said = browse(alignment(n, m).to_html())
    assert said == []
    assert 'data-ready="yes"' in dom
    assert len(re.findall(r'class="clip[ "]', dom)) == n
    assert len(re.findall(r'class="sentence[ "]', dom)) == m
    assert len(re.findall(r"<tr ", dom)) == m


@pytest.mark.slow
def test_a_page_without_pictures_draws_as_well(browse):
    found = alignment(5, 3)
    found.pictures = []
    dom, said = browse(found.to_html(source="absent.mp4"))
    assert 'data-ready="yes"' in dom
    assert [line for line in said if "ERR_FILE_NOT_FOUND" not in line] == []


@pytest.mark.slow
def test_five_hundred_clips_stay_usable(browse):
    page = alignment(500, 150).to_html()
    assert len(page) < 3_000_000
    dom, said = browse(page)
    assert said == [] and 'data-ready="yes"' in dom
    assert len(re.findall(r'class="clip[ "]', dom)) == 500


PLAY = """
const report = {};
const count = (rule) => document.querySelectorAll(rule).length;
const cardOf = (j) => document.querySelector(`.sentence[data-sentence="${j}"]`);
cardOf(2).dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
report.lit = [count(".clip.lit"), count(".sentence.lit"), count("tr.lit")];
cardOf(2).click();
report.now = $("now").textContent;
const clip = document.querySelector('.clip[data-clip="0"]');
clip.focus();
clip.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
report.focus = document.activeElement.dataset.clip;
const before = track.offsetWidth;
$("zoom-in").click();
report.grew = track.offsetWidth > before;
$("zoom-fit").click();
report.fits = scroller.scrollWidth <= scroller.clientWidth + 4;
heat.focus();
heat.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
report.tip = !$("tip").hidden;
const boxes = parts.cards.map((c) => [parseFloat(c.style.left), parseFloat(c.style.width)]);
report.apart = boxes.every(([left], j) => j === 0 || left >= boxes[j - 1][0] + boxes[j - 1][1] - 0.01);
document.title = JSON.stringify(report);
"""


@pytest.mark.slow
def test_pointer_keyboard_and_zoom_do_what_they_should(browse, monkeypatch):
    asset = page_module._asset
    monkeypatch.setattr(page_module, "_asset", lambda name: asset(name) + (PLAY if name == "matrix.js" else ""))
    found = alignment(12, 4)
    found.labels = np.array([0, 0, -1, 1, 1, 2, 2, 2, -1, -1, 3, 3])
    dom, said = browse(found.to_html())
    assert said == []
    report = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom)[1]))
    assert report.pop("now").startswith("Clip 6 · 0:12.0 – 0:14.4")
    assert report == {"lit": [3, 1, 1], "focus": "1", "grew": True, "fits": True, "tip": True, "apart": True}
