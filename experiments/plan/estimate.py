"""What runs will take: from records of the same network and device, or by counting operations.

Counted times are those of an H100; on another GPU they are scaled by a few steps timed there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from experiments.plan.jobs import Job
from experiments.plan.machine import device_name, gpus, resnet20_step
from experiments.verdicts.records import RunRecord
from records.processor import cores

# A training step takes three times the multiply-adds of a forward pass. Two CPU cores do them at
# this rate; on a GPU a step takes some time per layer and some per multiply-add, as measured on an
# H100 with ResNet-20 and -110 (results/bench).
CPU_MACS_PER_SECOND = 60e9
GPU_SECONDS_PER_LAYER, GPU_MACS_PER_SECOND = 65e-6, 60e12
# For photographs, whose maps fit into no cache, by precision: NVIDIA's published ResNet-50 on an
# A100 (DeepLearningExamples: 938 and 2,470 images/s), times 1.6 for an H100's faster memory.
# The lower one applies unless a run asks for bf16.
TF32_PHOTOGRAPHS, BF16_PHOTOGRAPHS = 17e12, 46e12
PHOTOGRAPHS = ("imagenet", "imagenette")
# Images that a core decodes and crops per second, of ImageNet's size: measured on an AMD EPYC.
DECODED_PER_CORE = 240
RESNET20 = Job("he2015_residual/table6/resnet20", "cifar10_aug", 0, "paper")
TIMED_ABOVE = 600.0  # seconds of work, above which timing a few steps is worth the wait
START_SECONDS = 8.0
# Weights and momentum, four bytes each: two checkpoints, and one being written.
CHECKPOINT_BYTES_PER_PARAMETER = 3 * 8
WEIGHT_BYTES = 2  # per parameter in the file of final weights
PIXELS = {"digits": (16 / 32) ** 2, "imagenette": (64 / 224) ** 2}  # of stand-ins, over the row's
AT_ONCE = 8  # most runs per GPU by default: small ones then fill a large GPU
# GPU memory of a run, as a safe upper estimate: CUDA's context, libraries and the data set; then,
# for every image of a batch, three float32 values per output value of a layer, of which there is at
# most one per 100 multiply-adds.
GPU_BYTES, GPU_BYTES_PER_MAC = 1.5e9, 12 / 100


@dataclass(frozen=True)
class Pace:
    """Seconds per iteration, as recorded on this device: by run without its seed, and by network.

    Attributes:
        scale: timed over counted seconds of a step here, or None if none was timed.
    """

    runs: dict[str, float]
    networks: dict[tuple[int, int, int], float]
    scale: float | None = None

    def timed_here(self) -> "Pace":
        """This pace with the scale of a few steps of ResNet-20, which are timed now."""
        step, counted = resnet20_step(), _step_seconds(RESNET20, gpu=True)
        return self if step is None else replace(self, scale=step / counted)


def recorded_pace(records: Iterable[RunRecord]) -> Pace:
    """The pace of runs that trained on a device like this one, one at a time."""
    device, runs, networks = device_name(), dict[str, float](), dict[tuple[int, int, int], float]()
    for record in records:
        summary = record.summary
        known = {"iterations", "device", "params", "macs", "bn_batch"} <= summary.keys()
        alone = summary.get("runs_at_once", 1) == 1
        if not known or not alone or summary["device"] != device or not summary["iterations"]:
            continue
        if record.seconds is None:
            continue
        pace = record.seconds / summary["iterations"]
        runs[record.run.rpartition("/")[0]] = pace
        if record.unchanged:  # an override may be of the precision
            networks[summary["params"], summary["macs"], summary["bn_batch"]] = pace
    return Pace(runs, networks)


def recorded(job: Job, pace: Pace) -> float | None:
    """Seconds per iteration from a record of this device, or None if there is none."""
    known = pace.runs.get(job.run.rpartition("/")[0])
    if known is None and not job.overrides:
        known = pace.networks.get((job.facts.params, job.facts.macs, job.batch))
    return known


def seconds_here(job: Job, pace: Pace) -> float:
    """Seconds that a run takes on this machine, alone."""
    known = recorded(job, pace)
    counted = _step_seconds(job, gpu=bool(gpus())) * (pace.scale or 1.0)
    if gpus() and job.dataset == "imagenet":  # where cores are few, the GPU waits for them
        counted = max(counted, job.batch / (DECODED_PER_CORE * cores()))
    step = counted if known is None else known
    return START_SECONDS + job.iterations * step


def seconds_on_gpu(job: Job) -> float:
    """Seconds that a run takes on a large GPU, alone, as counted."""
    return START_SECONDS + job.iterations * _step_seconds(job, gpu=True)


def gpu_bytes(job: Job) -> float:
    """GPU memory that a run takes, in bytes."""
    return GPU_BYTES + GPU_BYTES_PER_MAC * job.facts.macs * job.batch


def disk_bytes(job: Job) -> int:
    """Disk space that a run needs while it is trained, in bytes."""
    return job.facts.params * CHECKPOINT_BYTES_PER_PARAMETER


def disk_of_all(jobs: Sequence[Job]) -> int:
    """Disk space that runs need, in bytes: checkpoints of the largest that may run side by side,
    and the final weights of each."""
    largest = sorted(map(disk_bytes, jobs), reverse=True)[: AT_ONCE * len(gpus()) or 1]
    return sum(largest) + sum(job.facts.params * WEIGHT_BYTES for job in jobs)


def gpu_rate(job: Job) -> float:
    """Multiply-adds per second on a large GPU."""
    if job.dataset not in PHOTOGRAPHS:
        return GPU_MACS_PER_SECOND
    return BF16_PHOTOGRAPHS if "precision=bf16" in job.overrides else TF32_PHOTOGRAPHS


def _step_seconds(job: Job, *, gpu: bool) -> float:
    changed = [int(x.split("=")[1]) for x in job.overrides if x.startswith("model.depth=")]
    depth = changed[0] if changed else job.facts.depth
    scale = PIXELS.get(job.dataset, 1.0) * depth / job.facts.depth
    macs = 3 * job.facts.macs * job.batch * scale
    if gpu:
        return depth * GPU_SECONDS_PER_LAYER + macs / gpu_rate(job)
    return macs / CPU_MACS_PER_SECOND
