"""How far the work is: what is counted, its rate and the time that is left.

Whoever works counts (`counting`), whoever starts the work shows it (`show_progress`); neither knows
the other, and nothing here knows Spark: the tasks of running jobs come from a function.
"""

from genre_spark.progress.display import LineHandler, hand_over, show_progress
from genre_spark.progress.work import TaskCounts, Work, counting

__all__ = ["LineHandler", "TaskCounts", "Work", "counting", "hand_over", "show_progress"]
