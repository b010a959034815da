"""Blocks that import packages without a search for unreachable objects."""

from __future__ import annotations

import gc
import weakref

import pytest

from genre_spark.collecting import without_collecting


@pytest.fixture
def thawed():
    """Let a test freeze what there is; nothing is frozen before and after it."""
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.enable()


def test_what_a_block_imports_is_frozen_even_where_it_fails(thawed) -> None:
    with pytest.raises(ImportError), without_collecting(freeze=True):
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count()


def test_objects_of_the_caller_are_found_again_where_he_is_done_with_them(thawed) -> None:
    class Circle:
        pass

    circle = Circle()
    circle.self = circle
    alive = weakref.ref(circle)
    with without_collecting():
        pass
    del circle
    gc.collect()
    assert alive() is None


def test_an_inner_block_and_somebody_elses_choice_stay(thawed) -> None:
    with without_collecting():
        with without_collecting():
            pass
        assert not gc.isenabled()
    gc.unfreeze()
    gc.disable()
    with without_collecting():
        pass
    assert not gc.isenabled()
    assert not gc.get_freeze_count()
