"""What the stage evaluate finds out, and what it writes into the runs of models."""
