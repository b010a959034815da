"""What the driver knows of a training, as plain values that can be sent elsewhere; no torch."""
