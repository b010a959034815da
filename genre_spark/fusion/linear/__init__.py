"""Linear models on blocks of the features, or on a kernel of them."""
