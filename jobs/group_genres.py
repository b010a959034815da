"""spark-submit jobs/group_genres.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["group-genres", *sys.argv[1:]]))
