"""What several files of these tests read."""

import pytest

from tests.multilabel.tables import frame, matrices


@pytest.fixture(scope="module")
def data(spark):
    table = frame(spark, *matrices()).cache()
    table.count()
    yield table
    table.unpersist()
