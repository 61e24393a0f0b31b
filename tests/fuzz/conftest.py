"""Settings of hypothesis: no example database in the source tree, no deadline per example."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "galstep",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("galstep")
