"""The dual encoder against its definition: positions, pooling, published names, and nothing that depends on a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import XLMRobertaModel

from weaksync import zoo
from weaksync.datamodules.batches import ClipTransform, Tokenize
from weaksync.zoo.models.cclm import CCLM, shift_positions

SMALL = {"embed_dim": 8, "num_heads": [1, 2, 2], "text_width": 32, "text_ffn": 64, "project_dim": 16}


def shaken(**overrides: object) -> CCLM:
    """A small model whose norms and tables are random: defaults (ones and zeros) hide errors."""
    torch.manual_seed(0)
    model = zoo.create("cclm-tiny", **SMALL, **overrides)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> CCLM:
    return shaken()


def pixels(clips: int, frames: int = 3) -> Tensor:
    return torch.randn(clips, frames, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_it_provides_what_data_modules_are_handed(model: CCLM) -> None:
    assert isinstance(model.preprocess, ClipTransform)
    assert isinstance(model.tokenize, Tokenize)


def test_other_shapes_are_refused_with_the_right_one(model: CCLM) -> None:
    with pytest.raises(ValueError, match=r"\(B, F, 3, H, W\), not \(3, 3, 64, 64\): add a batch axis"):
        model.encode_clips(pixels(1)[0])
    with pytest.raises(ValueError, match=r"\(B, F, 3, H, W\), not \(1, 3, 64, 64, 3\)$"):
        model.encode_clips(pixels(1).movedim(2, -1))


def test_vectors_have_unit_length_and_the_shared_width(model: CCLM) -> None:
    clips, texts = model(pixels(5), *model.tokenize(["a dog", "два слова", "एक आदमी", "三", "o mar é azul"]))
    assert clips.shape == texts.shape == (5, 16)
    torch.testing.assert_close(clips.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(5))


def test_frames_are_averaged_before_they_are_projected_and_normalised(model: CCLM) -> None:
    x = pixels(2)
    with torch.no_grad():
        each = torch.stack([model.vision(x[:, frame]) for frame in range(3)]).mean(dim=0)
        expected = normalize(each @ model.vision_proj.weight.T + model.vision_proj.bias, dim=-1)
        torch.testing.assert_close(model.encode_clips(x), expected, atol=1e-6, rtol=1e-5)
        one_by_one = normalize(torch.stack([model.encode_clips(x[:, f : f + 1]) for f in range(3)]).mean(0), dim=-1)
    assert (one_by_one - expected).abs().max() > 1e-4  # the other order is another model


def test_any_number_of_frames_and_their_order_does_not_matter(model: CCLM) -> None:
    x = pixels(2, frames=4)
    torch.testing.assert_close(model.encode_clips(x), model.encode_clips(x.flip(1)), atol=1e-6, rtol=1e-5)


def test_padding_does_not_change_a_sentence(model: CCLM) -> None:
    alone = model.encode_text(*model.tokenize(["a dog barks"]))
    beside = model.encode_text(*model.tokenize(["a dog barks", "a much longer sentence about a house by the sea"]))
    torch.testing.assert_close(alone[0], beside[0], atol=1e-6, rtol=1e-5)


def published_text_features(model: CCLM, table: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """CCLM's own way: positions 0, 1, 2, ... into its own table, padding included."""
    reference = XLMRobertaModel(model.text.config, add_pooling_layer=False).eval()
    state = {**model.text.state_dict(), "embeddings.position_embeddings.weight": table}
    reference.load_state_dict(state)
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    with torch.no_grad():
        return reference(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state[:, 0]


def test_a_shifted_position_table_is_what_cclm_computes_and_an_unshifted_one_is_not(model: CCLM) -> None:
    ids, mask = model.tokenize(["the man opens the old door", "she waits"])
    published = torch.randn_like(model.text.embeddings.position_embeddings.weight)
    expected = published_text_features(model, published, ids, mask)
    own = XLMRobertaModel(model.text.config, add_pooling_layer=False).eval()
    differences = []
    for table in (shift_positions(published), published):
        own.load_state_dict({**model.text.state_dict(), "embeddings.position_embeddings.weight": table})
        with torch.no_grad():
            found = own(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        differences.append(float((found - expected).abs().max()))
    assert differences[0] < 1e-5
    assert differences[1] > 0.1


def test_shifting_keeps_every_row_that_a_sentence_can_reach() -> None:
    table = torch.arange(10.0)[:, None].expand(10, 3)
    assert torch.equal(shift_positions(table)[:, 0], torch.tensor([0.0, 0, 0, 1, 2, 3, 4, 5, 6, 7]))


def test_the_longest_sentence_fits_the_position_table() -> None:
    model = shaken(max_tokens=128)
    with pytest.warns(UserWarning, match="was cut to max_tokens=128"):
        ids, mask = model.tokenize(["word " * 500])
    assert ids.shape == (1, 128)
    assert model.encode_text(ids, mask).isfinite().all()
    with pytest.raises(ValueError, match="max_tokens 129 must be at most position_rows - 2"):
        zoo.create("cclm-tiny", max_tokens=129)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_frozen_tower_stays_and_the_rest_learns(tower: str) -> None:
    model = shaken(freeze=[tower], text_dropout=0.5, drop_path=0.5).train()
    clips, texts = model(pixels(4), *model.tokenize(["a", "b c", "d", "e"]))
    (clips * texts).sum().backward()
    moved = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert tower not in moved
    assert {"vision", "text"} - {tower} <= moved
    assert {"vision_proj", "text_proj"} <= moved
    assert not getattr(model, tower).training


def test_checkpointed_activations_give_the_same_gradients() -> None:
    gradients = []
    for checkpointed in (False, True):
        model = shaken(checkpoint_activations=checkpointed, text_dropout=0.0).train()
        clips, texts = model(pixels(3), *model.tokenize(["a b", "c", "d e f"]))
        (clips * texts).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4)


def test_base_has_the_published_shapes() -> None:
    with torch.device("meta"):
        state = zoo.create("cclm-base").state_dict()
    assert state["vision.layers.2.blocks.17.attn.relative_position_bias_table"].shape == (13 * 13, 16)
    assert state["vision.layers.3.downsample.reduction.weight"].shape == (1024, 2048)
    assert state["text.embeddings.word_embeddings.weight"].shape == (250002, 1024)
    assert state["text.embeddings.position_embeddings.weight"].shape == (514, 1024)
    assert state["text.encoder.layer.5.intermediate.dense.weight"].shape == (4096, 1024)
    assert "text.encoder.layer.6.intermediate.dense.weight" not in state
    assert state["vision_proj.weight"].shape == state["text_proj.weight"].shape == (256, 1024)
    with torch.device("meta"):
        large = zoo.create("cclm-base-384").state_dict()
    assert large["vision.layers.3.blocks.1.attn.relative_position_bias_table"].shape == (23 * 23, 32)


def test_the_temperature_starts_at_0_07_and_is_kept_in_bounds(model: CCLM) -> None:
    assert float(model.temp) == pytest.approx(0.07)
    model = shaken()
    for value, kept in ((-1.0, 0.001), (9.0, 0.5), (0.2, 0.2)):
        model.temp.data.fill_(value)
        model.clamp_temperature()
        assert float(model.temp) == pytest.approx(kept)


def test_a_vocabulary_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="rows: set vocab_size="):
        _ = zoo.create("cclm-tiny", **SMALL, vocab_size=300).tokenize
