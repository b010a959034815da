"""Search in a process of its own; the first time it waits in the second trial.

`search_alone.py FOLDER`.
"""

import json
import pickle
import sys
import time
from pathlib import Path

from genre_spark.config import SearchConfig
from genre_spark.vision.training.hyperparameter_search import search

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    marker = folder / "second-trial"

    def report(number, settings, record):
        if number == 1 and not isinstance(record, str) and not marker.exists():
            partial = folder / "second-trial.part"
            partial.write_text(json.dumps(settings))
            partial.rename(marker)
            time.sleep(300)  # until it is killed

    job = pickle.loads((folder / "job.pickle").read_bytes())
    search(None, job, SearchConfig(trials=3, epochs=1), str(folder / "study"), report=report)
