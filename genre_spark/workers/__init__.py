"""What Python workers of Spark need: their interpreter, short tasks, and how errors leave them."""
