"""spark-submit jobs/train_multilabel.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train-multilabel", *sys.argv[1:]]))
