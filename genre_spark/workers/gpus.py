"""Which GPU a Spark task may use, and how many cores it has."""

from __future__ import annotations

import os

from pyspark import TaskContext

__all__ = ["assigned_gpu", "cores_of_task", "gpu_of_task"]


def assigned_gpu() -> int | None:
    """Return the number of the GPU that Spark has assigned to this task, as CUDA counts them here.

    None: Spark assigns none (no `spark.task.resource.gpu.amount`), or this is no task.
    """
    context = TaskContext.get()
    found = context.resources().get("gpu") if context is not None else None
    if found is None or not found.addresses:
        return None
    address = found.addresses[0].strip()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if address in visible:  # CUDA counts those that it sees, by their place in this list
        return visible.index(address)
    return int(address) if address.isdigit() else 0


def gpu_of_task() -> int:
    """Return the number of the GPU that this task should use.

    Where Spark assigns none, tasks take them in turn.
    """
    assigned = assigned_gpu()
    if assigned is not None:
        return assigned
    context = TaskContext.get()
    return int(context.partitionId()) if context is not None else 0


def cores_of_task() -> int:
    """Return the cores that Spark has given to this task; 1 where this is no task."""
    context = TaskContext.get()
    return max(1, int(context.cpus())) if context is not None else 1
