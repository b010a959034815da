"""Samples as batches of tensors in a fixed order; the only importer of Petastorm."""
