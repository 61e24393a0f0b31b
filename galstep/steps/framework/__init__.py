"""What makes a step of a class: parameters, their texts and checks, files, logs."""
