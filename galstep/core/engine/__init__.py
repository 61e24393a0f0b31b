"""One scene, one fit: parameters, normal equations, solvers, formal errors."""
