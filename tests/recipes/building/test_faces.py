"""Known faces: the layout, what is asked of them, and how a bad file is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from weaksync.recipes.building.faces import KnownFaces, read_known

BOX = [10, 20, 50, 70]


def written(path: Path, **said: object) -> Path:
    path.write_text(json.dumps({"version": 1, "videos": {"a": {"fps": 25, "faces": {}, **said}}}))
    return path


def test_boxes_are_those_on_screen(tmp_path: Path) -> None:
    faces = {"ann": [BOX, None, BOX, BOX], "bob": [None, None, [0, 0, 5, 5]]}
    known = read_known(written(tmp_path / "faces.json", faces=faces, domain="movie", speaker="ann", cuts=[0, 2]))["a"]
    assert (known.domain, known.speaker, known.hidden, known.offscreen) == ("movie", "ann", None, None)
    shown = known.at([0.0, 0.04, 0.08, 0.119, 0.12, 0.2])
    assert [len(boxes) for boxes in shown] == [1, 0, 2, 2, 1, 0]
    np.testing.assert_array_equal(shown[2], [BOX, [0, 0, 5, 5]])
    assert known.shots_from([0.0, 0.04, 0.08, 0.12]) == {2} and known.shots_from([0.08, 0.12]) == set()


def test_boxes_at_another_rate_than_tubes() -> None:
    known = KnownFaces(50.0, {"ann": np.arange(40, dtype=np.float32).reshape(10, 4)}, cuts=[5])
    assert [boxes[0, 0] / 4 for boxes in known.at([0.0, 0.04, 0.08, 0.12, 0.16])] == [0, 2, 4, 6, 8]
    assert known.shots_from([0.0, 0.04, 0.08, 0.12]) == {3}


def test_shares_are_of_the_part_that_is_asked_for() -> None:
    known = KnownFaces(25.0, {}, hidden=[(0, 50), (100, 125)], offscreen=[(1.0, 2.0)])
    assert known.hidden_share(1.0, 5.0) == pytest.approx(0.5) and known.hidden_share(5.0, 6.0) == 0
    assert known.offscreen_share([(0.5, 1.5), (3.0, 4.0)]) == pytest.approx(0.25)
    assert KnownFaces(25.0, {}).hidden_share(0, 1) is None and KnownFaces(25.0, {}).offscreen_share([(0, 1)]) is None


def test_a_bad_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_known(tmp_path / "nothing.json")
    for content in ("", "[]", "{}", '{"videos": 3}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=r'bad\.json: should be \{"videos": \{"NAME": \{"fps"'):
            read_known(tmp_path / "bad.json")
    for said in ({"fps": 0}, {"faces": {"ann": [[1, 2, 3]]}}, {"faces": {"ann": 3}}, {"hidden": [[1]]}):
        with pytest.raises(ValueError, match=r"faces of 'a' cannot be read \("):
            read_known(written(tmp_path / "bad.json", **said))
