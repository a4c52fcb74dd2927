"""Log-mel spectra of speech, as torchaudio's MelSpectrogram makes them by default, in torch alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 16000
WINDOW, HOP, TRANSFORM = 400, 160, 512  # samples: 25 ms every 10 ms
LEAST_SAMPLES = TRANSFORM  # the ends are reflected by half a transform
FLOOR = 1e-6  # added to the power before the logarithm


class LogMel(nn.Module):
    """(B, S) samples at 16 kHz to (B, bins, 1 + S // 160): log power in mel bands, each of mean 0 and variance 1 over
    the waveform; no gradient, always in float32.

    Args:
        bins: mel bands between 0 and 8 kHz, on HTK's scale.
    """

    window: Tensor
    bank: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("bank", mel_filters(bins), persistent=False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):
            return F.instance_norm((self.power(waveform) + FLOOR).log())

    @torch.no_grad()
    def power(self, waveform: Tensor) -> Tensor:
        """(B, S) to (B, bins, frames): power in each band."""
        spectrum = torch.stft(
            waveform.float(), TRANSFORM, HOP, WINDOW, self.window, center=True, pad_mode="reflect", return_complex=True
        )
        return self.bank.T @ spectrum.abs().square()


def mel_frames(samples: int) -> int:
    """The number of frames in the spectrum of so many samples."""
    return 1 + samples // HOP


def mel_filters(bins: int) -> Tensor:
    """(257, bins): triangles of height 1 whose corners are evenly spaced on HTK's mel scale from 0 to 8 kHz."""
    top = 2595.0 * math.log10(1.0 + RATE / 2 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, bins + 2) / 2595.0) - 1.0)  # Hz
    frequencies = torch.linspace(0, RATE // 2, TRANSFORM // 2 + 1)[:, None]
    width = corners.diff()
    rising = (frequencies - corners[:-2]) / width[:-1]
    falling = (corners[2:] - frequencies) / width[1:]
    return torch.minimum(rising, falling).clamp(min=0)
