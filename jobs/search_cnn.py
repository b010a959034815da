"""spark-submit jobs/search_cnn.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["search-cnn", *sys.argv[1:]]))
