"""Files as such: opened and replaced safely, looked at before they are read, written as tables."""
