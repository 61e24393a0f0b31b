"""What the steps on a field share: bands, tasks, results, products."""
