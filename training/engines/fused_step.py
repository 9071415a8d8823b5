"""The training step with Triton kernels at both ends: for the batch and for the loss."""

import torch
from torch import Tensor
from triton.runtime.errors import OutOfResources

from data.arrays.batches import Batches
from training.engines.kernels import loss
from training.engines.kernels.batch import gather
from training.recipe.objective import Outputs, cross_entropy, logits_of
from training.recipe.step import Step
from training.settings.types import ConfigError


class FusedStep(Step):
    """A step with the same results in fewer kernels.

    Raises:
        ConfigError: on a call, if a kernel exceeds the GPU's resources for this network.
    """

    def __call__(self, size: int) -> None:
        try:
            super().__call__(size)
        except OutOfResources as error:  # `training.engines.check` only tried small maps
            reason = str(error).partition(". ")[0]
            raise ConfigError(
                f"The fused kernels of this network are too large for this GPU ({reason}).\n"
                "Add engine=captured."
            ) from None

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        batches = self.batches
        if not isinstance(batches, Batches) or batches.border != "zero":
            return super().draw(size)
        batch = gather(
            batches.images, batches.labels, batches.plan, batches.position, size,
            pad=batches.pad, mean=batches.mean, scale=batches.scale,
            dtype=torch.bfloat16 if self.bf16 else torch.float32,
        )  # fmt: skip
        batches.position += size
        return batch

    def learn(self, outputs: Outputs, labels: Tensor) -> None:
        if self.objective is not cross_entropy:
            return super().learn(outputs, labels)
        logits = logits_of(outputs)
        logits.backward(loss.cross_entropy(logits.detach(), labels, self.metrics.sums))
