"""Readers of images, each for one kind of file or object; all make an `ImageSource`."""
