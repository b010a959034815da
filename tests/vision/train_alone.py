"""Train a small network in a process of its own: `train_alone.py FOLDER PAUSE`."""

import sys
import time
from pathlib import Path

from genre_spark.vision.training.loop import train
from tests.vision.small import AUGMENTED, make_posters, set_up


class SlowFeed:
    def __init__(self, feed, pause):
        self.feed, self.pause = feed, pause
        self.rows, self.batches_per_epoch = feed.rows, feed.batches_per_epoch

    def epoch(self, epoch, skip_batches=0):
        for batch in self.feed.epoch(epoch, skip_batches):
            time.sleep(self.pause)
            yield batch


if __name__ == "__main__":
    folder, pause = Path(sys.argv[1]), float(sys.argv[2])
    network, loss, (feed, validation), plan, checkpoints = set_up(
        folder, make_posters(48), **AUGMENTED
    )
    train(network, loss, (SlowFeed(feed, pause), validation), plan, checkpoints)
