"""The multi-label methods: how each turns labels into fits, and answers into scores."""
