"""A network over posters, texts and metadata, any of which may be missing."""
