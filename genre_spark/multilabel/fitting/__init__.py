"""How a plan of fits is carried out: by scikit-learn on executors, or by Spark ML."""
