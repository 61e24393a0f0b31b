"""Light that the model of a field lacks."""

from __future__ import annotations

__all__ = ["residual_sources"]


def residual_sources(field):
    return None
