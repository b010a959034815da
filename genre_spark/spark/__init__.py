"""The Spark session: its settings, classic or Connect, its jobs, and the start of its JVM."""
