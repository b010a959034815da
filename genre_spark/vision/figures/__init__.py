"""Pictures of training and of predicted posters."""
