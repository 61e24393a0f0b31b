"""Large images: sources by the thousand, fitted block by block on the one scene."""
