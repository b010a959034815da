"""The device that the network of a Spark task computes on."""

from __future__ import annotations

import os

import torch

from genre_spark.errors import InvalidConfigError
from genre_spark.workers.gpus import assigned_gpu, gpu_of_task

__all__ = ["task_device"]


def task_device(wanted: str, *, setting: str = "cnn.device") -> torch.device:
    """Return the device of this task for `auto`, `cpu` or `cuda`.

    A GPU is the one that Spark has assigned to the task; where Spark assigns none, tasks take the
    machine's GPUs in turn.

    Args:
        wanted: value of the setting.
        setting: key of the setting, for messages.

    Raises:
        InvalidConfigError: `cuda` where torch sees no GPU, or Spark has assigned one that CUDA does
            not see.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cuda" and not count:
        raise InvalidConfigError(f"{setting}: 'cuda', expected auto or cpu: torch sees no GPU here")
    if wanted == "cpu" or not count:
        return torch.device("cpu")
    assigned = assigned_gpu()
    if assigned is None:
        return torch.device("cuda", gpu_of_task() % count)
    if assigned >= count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        seen = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible})"
        raise InvalidConfigError(
            f"spark.executor.resource.gpu.discoveryScript: Spark assigned GPU {assigned} to a "
            f"task, and CUDA sees {count} here{seen}; expected addresses from 0 to {count - 1}, "
            "as nvidia-smi counts them"
        )
    return torch.device("cuda", assigned)
