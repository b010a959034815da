"""spark-submit jobs/explore.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["explore", *sys.argv[1:]]))
