"""The stage that splits movies and draws balanced samples, and what it needs."""
