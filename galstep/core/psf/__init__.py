"""The effective PSF: the library's array, the kernel that widens it, its corrections."""
