"""`python -m genre_spark` is `genre-spark`."""

import sys

from genre_spark.cli import main

sys.exit(main())
