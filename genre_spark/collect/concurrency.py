"""Many requests at once on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["gather_all", "run_async"]

T = TypeVar("T")


async def gather_all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all coroutines and return their results; when one fails, the others are ended first."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; where an event loop runs already (a notebook), in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
