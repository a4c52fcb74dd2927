"""Settings of a run that is small and short, for the tests."""

from __future__ import annotations

SMALL = "model.arguments={embed_dim: 8, num_heads: [1, 1, 1], text_width: 16, text_heads: 2, text_ffn: 32}"
QUICK = [
    "data.global_batch=2",
    "data.group_size=4",
    "data.workers=0",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]
