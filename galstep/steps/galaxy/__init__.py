"""What the steps on one galaxy share: options, scenes, passes, products."""
