"""The training step with Triton kernels at both ends: the batch, and the loss."""

import torch
from torch import Tensor

from data.stream import Stream
from training.kernels.batch import gather
from training.kernels.loss import cross_entropy
from training.step import Step


class FusedStep(Step):
    """A step of the same results in fewer kernels."""

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        batches = self.batches
        if isinstance(batches, Stream):
            return super().draw(size)
        batch = gather(
            batches.images, batches.labels, batches.plan, batches.position, size,
            pad=batches.pad, mean=batches.mean, scale=batches.scale,
            dtype=torch.bfloat16 if self.bf16 else torch.float32,
        )  # fmt: skip
        batches.position += size
        return batch

    def learn(self, logits: Tensor, labels: Tensor) -> None:
        logits.backward(cross_entropy(logits.detach(), labels, self.sums))
