"""Types that the hints of several modules name."""

import os
from typing import TypeAlias

__all__ = ["PathLike"]

#: The name of a file or folder.
PathLike: TypeAlias = str | os.PathLike[str]
