"""What is left to do: the source listed, compared with earlier runs and cut into chunks."""
