import math

import pytest
from pyspark.sql import functions as F

from genre_spark.workers.spreading import spread_by, spread_evenly


def test_rows_behind_a_join_on_the_same_column_get_the_partitions_that_were_asked_for(spark):
    usual = int(spark.conf.get("spark.sql.shuffle.partitions"))
    rows = spark.range(50).withColumnRenamed("id", "movie_id")
    joined = rows.hint("shuffle_merge").join(rows.withColumn("more", F.lit(1)), "movie_id")

    def partitions(frame):
        return frame.select(F.spark_partition_id().alias("part")).distinct().count()

    assert partitions(joined.repartition(usual, "movie_id")) == 1  # why it is needed
    assert partitions(spread_by(joined, "movie_id", usual)) == usual > 1


@pytest.mark.parametrize(("count", "partitions"), [(20, 20), (20, 6), (3, 5), (4, 1)])
def test_numbers_are_dealt_out_in_turn(spark, count, partitions):
    rows = spark.range(3 * count).select((F.col("id") % count).cast("int").alias("number"))
    dealt = spread_evenly(rows, "number", partitions)
    found = dealt.groupBy(F.spark_partition_id().alias("part"), "number").count().collect()
    assert {(row["part"], row["number"]) for row in found} == {
        (number % partitions, number) for number in range(count)
    }
    assert len(found) == count  # none of them is in two
    shares = [sum(row["part"] == part for row in found) for part in range(partitions)]
    assert max(shares) == math.ceil(count / partitions)
