"""From a fitted scene to the records that are reported."""
