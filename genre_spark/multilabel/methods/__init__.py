"""The multi-label methods, one file per family: how each turns labels into fits and answers into scores."""
