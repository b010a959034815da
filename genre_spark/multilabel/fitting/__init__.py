"""How a plan of fits is carried out: in scikit-learn on executors, or by Spark ML."""
