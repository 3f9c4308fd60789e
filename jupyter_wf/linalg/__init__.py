"""Tasks-components of numerical linear algebra on JAX."""
