from pyspark.sql import functions as F

from genre_spark.workers.spreading import spread_by


def test_rows_behind_a_join_on_the_same_column_get_the_partitions_that_were_asked_for(spark):
    usual = int(spark.conf.get("spark.sql.shuffle.partitions"))
    rows = spark.range(50).withColumnRenamed("id", "movie_id")
    joined = rows.hint("shuffle_merge").join(rows.withColumn("more", F.lit(1)), "movie_id")

    def partitions(frame):
        return frame.select(F.spark_partition_id().alias("part")).distinct().count()

    assert partitions(joined.repartition(usual, "movie_id")) == 1  # why it is needed
    assert partitions(spread_by(joined, "movie_id", usual)) == usual > 1
