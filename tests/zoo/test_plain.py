"""What lies in JSON beside weights: it comes back the same, and fields that do not fit are named."""

from __future__ import annotations

import json

import pytest

from weaksync.zoo.decoding import Decoder
from weaksync.zoo.inputs import FeatureInput
from weaksync.zoo.models.frames import FramePreprocess
from weaksync.zoo.models.transnet import ShotPreprocess
from weaksync.zoo.plain import Plain
from weaksync.zoo.preprocess import ClipPreprocess
from weaksync.zoo.tubes import TubePreprocess

KEPT = [
    ClipPreprocess(size=64, crop_scale=(0.3, 0.9), fit="crop"),
    TubePreprocess(size=96),
    FramePreprocess(mean=(0.1, 0.2, 0.3)),
    ShotPreprocess(),
    FeatureInput(8, 4, 2.0, {"video": "a", "text": "b"}),
    Decoder(0.1, 0.2, "constant", timing=0.1, untimed=(0.3, 0.4)),
]


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: type(kept).__name__)
def test_it_comes_back_and_unknown_fields_are_named(kept: Plain) -> None:
    written = json.loads(json.dumps(kept.to_dict()))
    assert type(kept).from_dict(written) == kept
    with pytest.raises(ValueError, match=f"not a {type(kept).__name__}: unknown colour, sound; its fields: "):
        type(kept).from_dict({**written, "colour": 1, "sound": 2})


def test_what_neumatch_was_saved_with_before_is_read() -> None:
    both = {"video": "imported 12", "text": "imported 12"}
    assert FeatureInput.from_dict({"producer": "imported 12"}) == FeatureInput(producers=both)
    assert FeatureInput.from_dict({"producer": ""}) == FeatureInput()
