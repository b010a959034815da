"""What Spark counts: each module one kind of fact, bounded in size whatever the data."""
