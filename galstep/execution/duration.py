"""Seconds as a person says them."""

__all__ = ["duration"]


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``"42 s"``, ``"3 min 05 s"``, ``"2 h 10 min"``.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
        With a decimal below 10 s.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
