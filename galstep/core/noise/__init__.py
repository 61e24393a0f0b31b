"""The noise that frames have, and errors that know of it."""
