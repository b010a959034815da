"""What is stored: files on any storage, whole tables, owners of folders, kept DataFrames."""
