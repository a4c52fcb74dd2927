"""Sequences of several lengths in one batch: recurrent cells over them, and batch norm that leaves padding out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..batchnorm import RankBatchNorm

State = tuple[Tensor, Tensor]  # what a cell hands on: hidden state and memory, (B, H) each


class SequenceBatchNorm(RankBatchNorm):
    """Batch norm over all items of all sequences of all ranks, padding left out (Wang et al., WACV 2021)."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """(B, n, C) and lengths (B,) to (B, n, C); 0 in the padding."""
        real = length_mask(lengths, x.shape[1])
        out = torch.zeros_like(x)
        out[real] = super().forward(x[real])
        return out


class LayerNormLSTMCell(nn.Module):
    """An LSTM cell that normalises its gates and its memory (Ba et al., "Layer Normalization", 2016)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        bound = 1 / math.sqrt(hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.layernorm_i = nn.LayerNorm(4 * hidden_size)
        self.layernorm_h = nn.LayerNorm(4 * hidden_size)
        self.layernorm_c = nn.LayerNorm(hidden_size)

    def forward(self, x: Tensor, state: State) -> State:
        """(B, I) and a state of two (B, H) to the next state."""
        hidden, memory = state
        gates = self.layernorm_i(x @ self.weight_ih.T) + self.layernorm_h(hidden @ self.weight_hh.T)
        enter, forget, new, leave = gates.chunk(4, dim=-1)
        memory = self.layernorm_c(forget.sigmoid() * memory + enter.sigmoid() * new.tanh())
        return leave.sigmoid() * memory.tanh(), memory


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """(B,) lengths to (B, steps) bool: false where a step is padding."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def full_lengths(x: Tensor) -> Tensor:
    """The lengths (B,) of sequences (B, n, ...) without padding."""
    return torch.full((len(x),), x.shape[1], device=x.device)


def run(cell: nn.LSTMCell | LayerNormLSTMCell, x: Tensor) -> Tensor:
    """A cell over whole sequences: (B, T, I) to the hidden states (B, T, H)."""
    zeros = x.new_zeros(len(x), cell.hidden_size)
    if isinstance(cell, nn.LSTMCell):
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        state = [zeros[None], zeros[None]]
        hidden: Tensor = torch.lstm(x, state, weights, True, 1, 0.0, False, False, True)[0]
        return hidden
    hidden, memory = zeros, zeros
    found = []
    for item in x.unbind(dim=1):
        hidden, memory = cell(item, (hidden, memory))
        found.append(hidden)
    return torch.stack(found, dim=1)


def from_the_end(x: Tensor, lengths: Tensor, *layers: nn.Module) -> Tensor:
    """Run `layers` over sequences (B, n, C) from their last items to their first."""
    place = torch.arange(x.shape[1], device=x.device)
    turned = (lengths[:, None] - 1 - place) % x.shape[1]  # its own inverse; padding stays at the end
    x = take(x, turned)
    for layer in layers:
        x = run(layer, x)  # type: ignore[arg-type]
    return take(x, turned)


def take(x: Tensor, places: Tensor) -> Tensor:
    """The items (B, K, C) of sequences (B, n, C) at `places` (B, K)."""
    return x.gather(1, places[..., None].expand(*places.shape, x.shape[-1]))
