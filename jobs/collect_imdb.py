"""spark-submit jobs/collect_imdb.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["collect-imdb", *sys.argv[1:]]))
