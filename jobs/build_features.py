"""spark-submit jobs/build_features.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["build-features", *sys.argv[1:]]))
