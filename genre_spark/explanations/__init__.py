"""What models look at: importances by permutation, of single features and of groups of them.

`genre_spark.explanations.permutation` takes any function from inputs to probabilities.
"""
