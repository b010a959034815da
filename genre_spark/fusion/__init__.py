"""Linear models on blocks of features, and the fusion of models by what they predict."""
