"""Labels as names: from arrays of names to vectors, and back."""
