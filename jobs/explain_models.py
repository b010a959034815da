"""spark-submit jobs/explain_models.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["explain-models", *sys.argv[1:]]))
