"""spark-submit jobs/prepare_posters.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["prepare-posters", *sys.argv[1:]]))
