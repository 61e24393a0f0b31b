"""The cache of effective PSFs: what is found again, and what is not."""

import gc
import weakref

import numpy as np
import pytest

from galstep.core.psf.cache import effective_psf
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError
from galstep.records import PsfKernel

BLUR = PsfKernel("gaussian", (0.5,))


def array(seed=0):
    offset = np.arange(-10, 11) / 4
    core = np.exp(-(offset[:, None] ** 2 + offset**2))
    return core * np.random.default_rng(seed).uniform(0.9, 1.1, core.shape)


def test_the_result_is_that_of_the_plain_call():
    found = effective_psf(array(), 4, BLUR)
    expected = EffectivePSF.from_array(array(), 4).convolved(BLUR)
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.oversample == 4


def test_the_same_content_is_the_same_object():
    one = effective_psf(array(), 4, BLUR)
    assert effective_psf(array(), 4, BLUR, name="another name") is one
    # what is only said about a kernel does not make another one
    noted = PsfKernel("gaussian", (0.5,), errors=(0.1,), n_anchors=5, reason="measured")
    assert effective_psf(array(), 4, noted) is one


def test_no_kernel_is_the_kernel_none():
    assert effective_psf(array(), 4) is effective_psf(array(), 4, PsfKernel())


@pytest.mark.parametrize(
    "other",
    [
        (array(1), 4, BLUR),
        (array(), 2, BLUR),
        (array(), 4, PsfKernel("gaussian", (0.6,))),
        (array(), 4, None),
    ],
)
def test_anything_else_is_another_psf(other):
    assert effective_psf(*other) is not effective_psf(array(), 4, BLUR)


def test_an_array_that_was_changed_in_place_is_another_psf():
    values = array()
    one = effective_psf(values, 4)
    values[3, 3] *= 2
    two = effective_psf(values, 4)
    assert two is not one
    np.testing.assert_array_equal(two.array, EffectivePSF.from_array(values, 4).array)
    np.testing.assert_array_equal(one.array, EffectivePSF.from_array(array(), 4).array)


def test_the_array_given_is_not_kept_alive():
    values = array(7)
    effective_psf(values, 4)
    given = weakref.ref(values)
    del values
    gc.collect()
    assert given() is None
    # and is found all the same
    assert effective_psf(array(7), 4) is effective_psf(array(7), 4)


def test_errors_name_the_psf():
    for _ in range(2):
        with pytest.raises(InputError, match="PSF of F150W must hold light"):
            effective_psf(np.zeros((5, 5)), 4, name="PSF of F150W")


def test_what_is_derived_is_made_once():
    psf, calls = effective_psf(array(), 4, BLUR), []
    for _ in range(2):
        assert psf.derived("of a test", lambda: calls.append(1) or len(calls)) == 1
    assert psf.derived("another", lambda: 2) == 2
