from genre_spark.extras import require

require("torch", "torchvision", "tqdm")
