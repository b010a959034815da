"""Posters by the ten million: the table is planned in parts, each by a task of its own."""
