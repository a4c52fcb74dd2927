"""Pixels against PIL, numpy and the definition of RandomAugment."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Generator, Tensor

from weaksync.datamodules.batches import ClipTransform
from weaksync.zoo import augment
from weaksync.zoo.preprocess import CLIP_MEAN, CLIP_STD, ClipPreprocess
from weaksync.zoo.tubes import TubePreprocess


def clip(frames: int = 3, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    """Smooth uint8 frames: noise would hide what an interpolation does."""
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, height // 8, width // 8, generator=chance)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * smooth).to(torch.uint8)


def pictures(frames: Tensor) -> list[Image.Image]:
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in frames]


def stacked(images: list[Image.Image]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def random(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(48, 64), (200, 120), (32, 32), (240, 426)])
def test_evaluation_is_pils_bicubic_resize_and_clips_statistics(shape: tuple[int, int]) -> None:
    frames = clip(2, *shape)
    transform = ClipPreprocess(size=32, augment="none")
    assert isinstance(transform, ClipTransform)
    found = transform(frames)
    resized = stacked([image.resize((32, 32), Image.Resampling.BICUBIC) for image in pictures(frames)])
    mean, std = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_STD).view(3, 1, 1)
    expected = (resized / 255 - mean) / std
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1.01 / 255 / min(CLIP_STD)  # one grey level of rounding


def test_without_a_generator_it_never_augments() -> None:
    frames = clip()
    torch.testing.assert_close(ClipPreprocess(32)(frames), ClipPreprocess(32, augment="none")(frames), atol=0, rtol=0)
    plain = ClipPreprocess(32, augment="none")
    torch.testing.assert_close(plain(frames), plain(frames, generator=random()), atol=0, rtol=0)


@pytest.mark.parametrize("kind", ["crop", "cclm"])
def test_all_chance_comes_from_the_generator_and_is_shared_by_the_frames(kind: str) -> None:
    transform = ClipPreprocess(32, augment=kind)
    one = clip(1)
    same = one.expand(3, -1, -1, -1)
    differ = 0
    for seed in range(20):
        torch.manual_seed(seed)  # the global state must not matter
        first, second = transform(same, generator=random(7)), transform(same, generator=random(7))
        assert torch.equal(first, second)
        drawn = transform(same, generator=random(seed))
        assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
        differ += not torch.equal(drawn, first)
    assert differ >= 18


def test_half_of_the_clips_are_mirrored_and_none_where_direction_matters() -> None:
    frames = clip(1, 32, 32)
    plain = ClipPreprocess(32, augment="none")(frames)
    mirrored = plain.flip(-1)
    counts = {}
    for chance in (0.0, 0.5, 1.0):
        transform = ClipPreprocess(32, augment="crop", flip=chance, crop_scale=(1.0, 1.0))
        whole = [x for x in (transform(frames, generator=random(s)) for s in range(300)) if x.shape == plain.shape]
        # a crop of everything is only drawn at the picture's own shape; compare by which side it is nearer to
        counts[chance] = sum(float((x - mirrored).abs().mean()) < float((x - plain).abs().mean()) for x in whole)
    assert counts[0.0] == 0
    assert 110 < counts[0.5] < 190
    assert counts[1.0] == 300


def test_crops_keep_the_asked_share_of_the_picture() -> None:
    transform = ClipPreprocess(32, augment="crop", flip=0.0)
    chance = random()
    shares = []
    for _ in range(500):
        part = transform._crop(torch.zeros(1, 3, 100, 100, dtype=torch.uint8), chance)
        shares.append(part.shape[-1] * part.shape[-2] / 1e4)
        assert 0.7 < part.shape[-1] / part.shape[-2] < 1.4
    assert 0.49 < min(shares) < 0.55
    assert 0.9 < max(shares) <= 1.0


def back_by_hand(frames: Tensor, back: np.ndarray) -> np.ndarray:
    """Bilinear, grey outside, one pixel at a time."""
    count, channels, height, width = frames.shape
    source = frames.numpy().astype(np.float64)
    result = np.empty(source.shape)

    def pixel(y: int, x: int) -> np.ndarray:
        inside = 0 <= y < height and 0 <= x < width
        return source[:, :, y, x] if inside else np.full((count, channels), 128.0)

    for y in range(height):
        for x in range(width):
            sx, sy = back @ [x, y, 1.0]
            x0, y0 = math.floor(sx), math.floor(sy)
            fx, fy = sx - x0, sy - y0
            result[:, :, y, x] = (1 - fy) * ((1 - fx) * pixel(y0, x0) + fx * pixel(y0, x0 + 1)) + fy * (
                (1 - fx) * pixel(y0 + 1, x0) + fx * pixel(y0 + 1, x0 + 1)
            )
    return result


def moved_by_hand(name: str, sign: int, height: int, width: int) -> np.ndarray:
    """The matrix from result to source: inverse of what the published code hands to warpAffine."""
    forward = np.eye(3)
    if name == "shear_x":
        forward[0, 1] = sign * 0.21
    elif name == "shear_y":
        forward[1, 0] = sign * 0.21
    elif name == "translate_x":
        forward[0, 2] = -sign * 7
    elif name == "translate_y":
        forward[1, 2] = -sign * 7
    else:
        angle = math.radians(21) * sign
        a, b = math.cos(angle), math.sin(angle)
        x, y = width / 2, height / 2
        forward[:2] = [[a, b, (1 - a) * x - b * y], [-b, a, b * x + (1 - a) * y]]  # cv2.getRotationMatrix2D
    return np.linalg.inv(forward)[:2]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
def test_geometry_is_what_the_published_code_does(name: str, sign: int) -> None:
    frames = clip(2, 24, 32)
    found = augment.OPERATIONS[name](frames, sign).numpy().astype(np.float64)
    expected = back_by_hand(frames, moved_by_hand(name, sign, 24, 32))
    assert np.abs(found - expected).max() <= 0.51 + 1e-2  # rounding to whole grey levels


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("autocontrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
        ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.36)),
    ],
)
def test_tones_are_those_of_pil(name: str, theirs: object) -> None:
    frames = clip(3) // 2 + 40  # neither black nor white, so that there is something to stretch
    found = augment.OPERATIONS[name](frames, 1)
    expected = stacked([theirs(image) for image in pictures(frames)])  # type: ignore[operator]
    assert (found.int() - expected.int()).abs().max() <= 1
    assert not torch.equal(found, frames)


def test_sharpness_leaves_the_border_and_enhances_the_rest() -> None:
    frames = clip(2, 16, 16)
    found = augment.OPERATIONS["sharpness"](frames, 1).float()
    x = frames.float()
    kernel = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = torch.nn.functional.conv2d(x.view(6, 1, 16, 16), kernel.view(1, 1, 3, 3)).view(2, 3, 14, 14)
    inside = (smooth + 1.36 * (x[..., 1:-1, 1:-1] - smooth)).clamp(0, 255)
    assert (found[..., 1:-1, 1:-1] - inside).abs().max() <= 1.01
    for border in (found[..., 0, :] - x[..., 0, :], found[..., :, -1] - x[..., :, -1]):
        assert border.abs().max() == 0


def test_two_of_ten_are_drawn_and_each_is_applied_every_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys(augment.OPERATIONS, 0)

    def counting(name: str) -> object:
        def operation(frames: Tensor, sign: int) -> Tensor:
            counts[name] += 1
            return frames

        return operation

    assert len(counts) == 10
    monkeypatch.setattr(augment, "OPERATIONS", {name: counting(name) for name in counts})
    chance = random()
    for _ in range(2000):
        augment.random_augment(clip(1, 8, 8), chance)
    assert sum(counts.values()) == pytest.approx(2000, rel=0.06)  # 2 draws x 1/2
    assert min(counts.values()) > 150 and max(counts.values()) < 250


@pytest.mark.parametrize(
    "frames",
    [torch.zeros(3, 3, 8, 8), torch.zeros(3, 8, 8, 3, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.uint8)],
)
def test_other_types_and_shapes_are_refused(frames: Tensor) -> None:
    with pytest.raises(ValueError, match="frames must be uint8"):
        ClipPreprocess(8)(frames)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": "clm"}, "did you mean 'cclm'"),
        ({"flip": 2.0}, "flip is a chance"),
        ({"crop_scale": (0.0, 1.0)}, "crop_scale must be"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClipPreprocess(**settings)


def test_a_checkpoint_from_before_a_field_existed_means_its_default() -> None:
    noted = ClipPreprocess(32).to_dict()
    old = {name: value for name, value in noted.items() if name not in ("fit", "interpolation")}
    assert ClipPreprocess.from_dict(old) == ClipPreprocess(32)
    with pytest.raises(ValueError, match=r"no fit 'squach' \(did you mean 'squash'\?\)"):
        ClipPreprocess(32, fit="squach")


def test_the_middle_is_cropped_once_the_short_side_fits() -> None:
    frames = torch.zeros(1, 3, 20, 60, dtype=torch.uint8)
    frames[..., 20:40] = 255  # the middle third
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    assert (ClipPreprocess(20, fit="crop", **plain)(frames) == 1).all()
    assert ClipPreprocess(20, **plain)(frames).mean() == pytest.approx(1 / 3, abs=0.02)
    assert ClipPreprocess(10, fit="crop", **plain)(frames)[..., 2:-2].min() == pytest.approx(1, abs=0.02)


def test_it_travels_to_workers_and_through_json() -> None:
    transform = ClipPreprocess(32, frames=4, flip=0.0, crop_scale=(0.7, 1.0))
    frames = clip()
    again = ClipPreprocess.from_dict(transform.to_dict())
    assert again == transform
    assert torch.equal(pickle.loads(pickle.dumps(transform))(frames), again(frames))
    with pytest.raises(ValueError, match="preprocessing lacks augment, crop_scale, flip, frames, mean, std"):
        ClipPreprocess.from_dict({"size": 3})


def test_another_light_keeps_what_moves() -> None:
    tube = clip(frames=4)
    seen = [augment.jitter(tube, random(seed)) for seed in range(40)]
    assert all(one.shape == tube.shape and one.dtype == torch.uint8 for one in seen)
    assert torch.equal(seen[0], augment.jitter(tube, random(0))) and not torch.equal(seen[0], seen[1])
    # a still picture stays still: every frame is changed alike
    still = augment.jitter(tube[:1].expand(4, -1, -1, -1), random(5))
    assert torch.equal(still, still[:1].expand_as(still))
    mirrored = 0
    for one in seen:
        same, flipped = (
            torch.corrcoef(torch.stack([t.float().mean(1).flatten(), one.float().mean(1).flatten()]))[0, 1]
            for t in (tube, tube.flip(-1))
        )
        assert max(same, flipped) > 0.8
        mirrored += int(flipped > same)
    assert 8 < mirrored < 32


def test_a_tube_is_changed_where_a_generator_is_given_and_that_is_asked() -> None:
    tube = clip(frames=4)
    plain, jitter = TubePreprocess(32), TubePreprocess(32, augment="jitter")
    assert torch.equal(jitter(tube), plain(tube)) and torch.equal(plain(tube, generator=random()), plain(tube))
    assert torch.equal(jitter(tube, generator=random(3)), augment.jitter(plain(tube), random(3)))
    assert TubePreprocess.from_dict(jitter.to_dict()) == jitter
    with pytest.raises(ValueError, match="augment is one of none, jitter, not 'blur'"):
        TubePreprocess(augment="blur")
