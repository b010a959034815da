"""Text embeddings: sentence transformers and averaged word vectors, computed once by Spark."""

from genre_spark.extras import require

require("torch", "transformers", "tokenizers")
