"""A forest of all labels for data of any size: grown over the partitions of binned rows."""
