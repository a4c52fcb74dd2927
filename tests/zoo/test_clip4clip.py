"""CLIP4Clip of mean pooling: its converter against recorded outputs, plain torch and transformers' CLIPModel.

The recorded outputs are data of a layout published elsewhere and lie outside this repository: name their folder in
WEAKSYNC_FIXTURES.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.transforms import v2
from transformers import CLIPImageProcessor

from weaksync import zoo
from weaksync.recipes import convert as verb
from weaksync.zoo.models.clip4clip import CLIP4Clip
from weaksync.zoo.models.dual_encoder import DualEncoder
from weaksync.zoo.optim import OptimConfig, parameter_groups

from . import clip_published as published
from .clip_published import FULL, NARROW, filled, shapes, tokenizer_folder
from .recorded import needs_fixtures, recorded


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return filled(shapes(NARROW))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, Tensor]) -> Path:
    folder = tmp_path_factory.mktemp("clip4clip")
    tokenizer_folder(folder / "clip", NARROW["vocabulary"])
    torch.save(tensors, folder / "meanp.bin")
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, folder / "half.bin")
    return folder


def converted(folder: Path, name: str = "meanp.bin", **options: Any) -> CLIP4Clip:
    model = zoo.convert(folder / name, "clip4clip", tokenizer=folder / "clip", **options)
    assert isinstance(model, CLIP4Clip)
    return model


def sentences() -> Tensor:
    """Ids between start and end, padded with 0 as CLIP4Clip pads."""
    ids = torch.zeros(3, 10, dtype=torch.int64)
    for row, length in enumerate((8, 3, 0)):
        ids[row, : length + 2] = torch.tensor([58, *range(5, 5 + length), 59])
    return ids


@torch.no_grad()
def test_a_converted_file_is_plain_torch_and_transformers_own_model(folder: Path, tensors: dict[str, Tensor]) -> None:
    model, bare = converted(folder), published.clip_model(tensors, NARROW)
    x, ids = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)), sentences()
    frames, texts = model.encode_frames(x), model.encode_text(ids, (ids > 0).long())
    torch.testing.assert_close(frames, published.vision(tensors, x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(frames, bare.get_image_features(x).pooler_output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(texts, normalize(published.text(tensors, ids), dim=-1), atol=1e-5, rtol=1e-5)
    mine = normalize(bare.get_text_features(ids).pooler_output, dim=-1)
    torch.testing.assert_close(texts, mine, atol=1e-5, rtol=1e-5)
    assert model.logit_scale.item() == 3.0


@torch.no_grad()
def test_frames_are_normalised_before_their_mean(folder: Path) -> None:
    model = converted(folder)
    x = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x[1, 2:] *= 3
    each = model.encode_frames(x.flatten(0, 1)).view(2, 4, -1)
    expected = normalize(normalize(each, dim=-1).mean(dim=1), dim=-1)
    torch.testing.assert_close(model.encode_clips(x), expected)
    assert (normalize(each.mean(dim=1), dim=-1) - expected).abs().max() > 1e-4


@pytest.fixture(scope="module")
def transformers_folder(tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, Tensor]) -> Path:
    """CLIP as transformers saves it, with a tokenizer and preprocessing of its own."""
    folder = tokenizer_folder(tmp_path_factory.mktemp("clip") / "clip", NARROW["vocabulary"])
    published.clip_model(tensors, NARROW).save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32, image_mean=[0.4, 0.5, 0.6])
    processor.save_pretrained(folder)
    return folder


@torch.no_grad()
def test_clip_of_transformers_is_where_it_starts_from(
    transformers_folder: Path, folder: Path, tensors: dict[str, Tensor]
) -> None:
    model = DualEncoder.from_pretrained(transformers_folder)
    assert isinstance(model, CLIP4Clip)
    ours, theirs = model.state_dict(), converted(folder).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    frames = torch.randint(0, 256, (2, 3, 50, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = CLIPImageProcessor.from_pretrained(transformers_folder)(images=list(frames), return_tensors="pt")
    torch.testing.assert_close(model.preprocess(frames), pixels["pixel_values"], atol=1e-5, rtol=0)


def with_pixels(folder: Path, tmp_path: Path, **changed: Any) -> Path:
    """A copy of a folder whose preprocessing says something else."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    noted = tmp_path / "preprocessor_config.json"
    noted.write_text(json.dumps({**json.loads(noted.read_text()), **changed}))
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    [
        {"resample": 2},
        {"size": {"height": 32, "width": 32}},
        {"size": {"height": 32, "width": 32}, "do_center_crop": False},
        {"size": 32, "crop_size": 32},  # as older versions wrote them
        {"do_normalize": False},
    ],
    ids=str,
)
def test_preprocessing_is_that_of_transformers_own_processor(
    transformers_folder: Path, changed: dict[str, Any], tmp_path: Path
) -> None:
    model = zoo.load(with_pixels(transformers_folder, tmp_path, **changed))
    frames = torch.randint(0, 256, (2, 3, 50, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = CLIPImageProcessor.from_pretrained(tmp_path)(images=list(frames), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(model.preprocess(frames), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            {"size": {"shortest_edge": 40}, "do_rescale": False},
            r"do_rescale is false.*; size is .*40.* takes 32 pixels",
        ),
        ({"do_center_crop": False}, "without a crop"),
        ({"crop_size": {"height": 24, "width": 24}}, "crop_size is .*24.* takes 32 pixels"),
        ({"resample": 0}, "resample is 0"),
        ({"do_pad": True, "rescale_factor": 0.5}, "rescale_factor is 0.5, not 1/255; do_pad is true"),
    ],
    ids=str,
)
def test_preprocessing_that_ours_cannot_do_is_refused(
    transformers_folder: Path, changed: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=fault):
        zoo.load(with_pixels(transformers_folder, tmp_path, **changed))


def test_another_clip_than_openais_is_refused(transformers_folder: Path, tmp_path: Path) -> None:
    for file in transformers_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ValueError, match="of type 'bert', not CLIP"):
        zoo.convert(tmp_path, "clip")
    config["vision_config"]["hidden_act"] = "gelu"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="other layers than OpenAI's"):
        zoo.load(tmp_path)


@needs_fixtures
@torch.no_grad()
def test_recorded_similarities_come_out_at_full_size() -> None:
    file, weights = recorded("clip4clip")
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        torch.save(weights, room / "clip4clip.bin")
        tokenizer_folder(room / "clip", FULL["vocabulary"])
        model = converted(room, "clip4clip.bin")
    videos, mask = torch.from_numpy(file["frames"]), torch.from_numpy(file["video_mask"])
    pixels = torch.stack([model.preprocess(frames) for frames in videos])
    ids, scale = torch.from_numpy(file["token_ids"]), model.logit_scale.exp()
    expected = torch.from_numpy(file["similarity"])
    texts = model.encode_text(ids, (ids > 0).long())
    each = model.encode_frames(pixels.flatten(0, 1)).view(*mask.shape, -1)
    vectors = {
        "as published": torch.cat(
            [model.encode_clips(x[real][None]) for x, real in zip(pixels, mask > 0, strict=True)]
        ),
        "frames not normalised": normalize((each * mask[..., None]).sum(dim=1), dim=-1),
        "padding counted": model.encode_clips(pixels),
    }
    off = {name: float((scale * texts @ each.T - expected).abs().max()) for name, each in vectors.items()}
    assert off["as published"] < 1e-5 * float(expected.abs().max())
    assert 0.05 < off["frames not normalised"] < 0.2
    assert 1.0 < off["padding counted"] < 2.5
    for name, found in (("frame_feature", each), ("text_feature", texts)):
        there = torch.from_numpy(file[name])
        found = found if name == "frame_feature" else found * there.norm(dim=-1, keepdim=True)
        assert (found - there).abs().max() < 1e-5 * there.abs().max()


@needs_fixtures
def test_the_layout_written_here_is_the_recorded_one() -> None:
    file, _ = recorded("clip4clip")
    theirs = dict(zip(file["keys"].tolist(), file["shapes"].tolist(), strict=True))
    assert {name: "x".join(map(str, shape)) for name, shape in shapes(FULL).items()} == theirs


def test_half_precision_becomes_single(folder: Path) -> None:
    whole, half = converted(folder).state_dict(), converted(folder, "half.bin").state_dict()
    assert {tensor.dtype for tensor in half.values()} == {torch.float32}
    assert all(torch.equal(half[name], tensor.half().float()) for name, tensor in whole.items())


def test_every_tensor_that_does_not_fit_is_named(folder: Path, tensors: dict[str, Tensor]) -> None:
    wrong = dict(tensors)
    block = "clip.visual.transformer.resblocks.1"
    del wrong["clip.ln_final.bias"], wrong[f"{block}.attn.in_proj_weight"]
    wrong["clip.extra.weight"] = torch.zeros(2)
    wrong["clip.text_projection"] = torch.zeros(48, 64)  # as if it were not transposed
    wrong[f"{block}.mlp.c_fc.bias"] = torch.zeros(7)
    torch.save(wrong, folder / "wrong.bin")
    with pytest.raises(ValueError, match="not weights of CLIP4Clip") as caught:
        converted(folder, "wrong.bin")
    for words in (
        r"missing: clip.ln_final.bias (64,)",
        f"missing: {block}.attn.in_proj_weight[q] (128, 128)",
        "surplus: clip.extra.weight (2,)",
        "misshaped: clip.text_projection (64, 48), not (48, 64)",
        f"misshaped: {block}.mlp.c_fc.bias (7,), not (512,)",
    ):
        assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1 + 7


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cross.embeddings.position_embeddings.weight", "tight"),
        ("similarity_dense.weight", "tight"),
        ("transformerClip.resblocks.0.ln_1.weight", "sequential transformer"),
        ("lstm_visual.weight_ih_l0", "sequential LSTM"),
    ],
)
def test_another_similarity_is_refused_by_its_kind(
    folder: Path, tensors: dict[str, Tensor], name: str, kind: str
) -> None:
    torch.save({**tensors, name: torch.zeros(2)}, folder / "other.bin")
    with pytest.raises(ValueError, match=f"CLIP4Clip of the {kind} type.*only mean pooling"):
        converted(folder, "other.bin")


def test_other_files_and_vocabularies_are_refused(folder: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.bin")
    with pytest.raises(ValueError, match=r"has no clip\.\*"):
        zoo.convert(tmp_path / "other.bin", "clip4clip")
    short = tokenizer_folder(tmp_path / "short", 40)
    with pytest.raises(ValueError, match=r"40 ids with start, padding and end at \(38, 0, 39\)"):
        zoo.convert(folder / "meanp.bin", "clip4clip", tokenizer=short)
    with pytest.raises(FileNotFoundError, match="CLIP4Clip reads CLIP's tokens"):
        zoo.convert(folder / "meanp.bin", "clip4clip", tokenizer=tmp_path / "nothing")
    with pytest.raises(ValueError, match="ends sentences with id 2, the model reads them at id 5"):
        _ = zoo.create("clip4clip-tiny", end_id=5).tokenize


def test_the_verb_writes_a_folder_that_loads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(folder / "meanp.bin"), "--from", "clip4clip", "--out", str(out)]
    done = CliRunner().invoke(verb.command, [*arguments, "--tokenizer", str(folder / "clip")])
    assert done.exit_code == 0, done.output
    model, again = converted(folder), zoo.load(out)
    assert again.preprocess == model.preprocess and again.preprocess.fit == "crop"
    assert again.tokenize.max_tokens == 32
    ids, mask = again.tokenize(["w5 W6 w7", "w8"])
    assert ids.tolist() == [[58, 5, 6, 7, 59], [58, 8, 59, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert json.loads((out / "config.json").read_text())["model"] == "clip4clip-base"


def test_pixels_are_resized_by_their_short_side_and_cropped(folder: Path) -> None:
    frames = torch.randint(0, 256, (2, 3, 50, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = v2.Compose(
        [
            v2.Resize(32, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(32),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    torch.testing.assert_close(converted(folder).preprocess(frames), theirs(frames), atol=1e-6, rtol=1e-5)


def test_its_towers_learn_a_thousandth_as_fast_where_the_recipe_says_so() -> None:
    model = zoo.create("clip4clip-tiny")
    config = OptimConfig(lr=1e-4, vision_lr=1e-3, text_lr=1e-3, head_lr=1e-3)
    groups = parameter_groups(model, config)
    assert {round(group["lr"], 12) for group in groups} == {1e-7}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_frozen_tower_stays_and_the_rest_learns(tower: str) -> None:
    model = zoo.create("clip4clip-tiny", freeze=[tower]).train()
    clips, texts = model(torch.randn(2, 2, 3, 64, 64), *model.tokenize(["a dog", "she waits"]))
    ((clips * texts).sum() / model.temp).backward()
    moved = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"vision", "text", "vision_proj", "text_proj", "logit_scale"} - {tower}


def test_checkpointed_activations_give_the_same_gradients() -> None:
    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        model = zoo.create("clip4clip-tiny", checkpoint_activations=checkpointed).train()
        x = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        clips, texts = model(x, *model.tokenize(["a dog", "she waits"]))
        (clips * texts).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)


def test_the_scale_of_similarities_is_kept_at_or_below_a_hundred() -> None:
    model = zoo.create("clip4clip-tiny")
    assert model.temp.item() == pytest.approx(0.07)
    model.logit_scale.data.fill_(9.0)
    model.clamp_temperature()
    assert model.temp.item() == pytest.approx(0.01)


def test_impossible_sizes_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"frames must be 12 or less.*max_tokens 99 must be at most position_rows 96"):
        zoo.create("clip4clip-tiny", frames=13, max_tokens=99)
