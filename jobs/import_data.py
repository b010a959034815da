"""spark-submit jobs/import_data.py --config FILE [key=value ...] [--json] [--force]."""

import sys

from genre_spark.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["import-data", *sys.argv[1:]]))
