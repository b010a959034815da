"""The stage that looks at the data before anything is trained."""
