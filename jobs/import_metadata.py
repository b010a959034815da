"""spark-submit jobs/import_metadata.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["import-metadata", *sys.argv[1:]]))
