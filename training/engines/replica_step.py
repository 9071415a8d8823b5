"""The training step of one of several processes: its share of a batch, and the summed gradient."""

from dataclasses import dataclass, field

from torch import Tensor

from training.process.replicas import Replicas
from training.recipe.metrics import Metrics
from training.recipe.objective import Outputs
from training.recipe.step import Step


@dataclass
class ReplicaStep(Step):
    """The step on a share of the batch.

    Every share's mean loss is weighted by its part of the batch, so that the sum of all processes'
    gradients, which the optimizer uses, is the gradient of the mean over the batch. The metrics are
    summed over the processes, too.
    """

    replicas: Replicas = field(kw_only=True)

    def __call__(self, size: int) -> None:
        self.size = size
        super().__call__(size)

    def update(self) -> None:
        self.optimizer.update(self.replicas.add)

    def learn(self, outputs: Outputs, labels: Tensor) -> None:
        loss, logits = self.objective(outputs, labels)
        (loss * (len(labels) / self.size)).backward()
        share = Metrics(self.metrics.sums.device)
        share.add(loss.detach(), logits.detach(), labels)
        self.replicas.add(share.sums)
        self.metrics.sums += share.sums
