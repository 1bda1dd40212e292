"""The textbook's examples: the same numbers, with fewer multiplications."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_slim.nn.winograd.bilinear import Counted
from yolo_slim.nn.winograd.cook_toom import transforms
from yolo_slim.nn.winograd.lessons import COMPLEX_PRODUCT, complex_product, correlate

INTEGERS = st.integers(-(10**9), 10**9)


@settings(max_examples=20, deadline=None)
@given(st.tuples(INTEGERS, INTEGERS), st.tuples(INTEGERS, INTEGERS))
def test_a_complex_product_takes_three_multiplications(y, x):
    defined, fast = Counted(), Counted()
    assert complex_product(y, x, defined) == COMPLEX_PRODUCT(y, x, fast)
    assert (defined.count, fast.count) == (4, COMPLEX_PRODUCT.multiplications) == (4, 3)


def test_it_is_python_s_complex_product():
    product = complex(2, 3) * complex(5, -7)
    assert COMPLEX_PRODUCT((5, -7), (2, 3)) == (product.real, product.imag)


@settings(max_examples=20, deadline=None)
@given(st.lists(INTEGERS, min_size=3, max_size=3), st.lists(INTEGERS, min_size=4, max_size=4))
def test_two_outputs_of_three_taps_take_four_multiplications(kernel, data):
    defined, fast = Counted(), Counted()
    assert correlate(kernel, data, defined) == transforms(2, 3)(kernel, data, fast)
    assert (defined.count, fast.count) == (6, 4)


def test_f23_as_it_is_written_in_the_paper():
    (g0, g1, g2), (d0, d1, d2, d3) = (3.0, -5.0, 7.0), (11.0, 13.0, -17.0, 19.0)
    m1 = (d0 - d2) * g0
    m2 = (d1 + d2) * (g0 + g1 + g2) / 2
    m3 = (d2 - d1) * (g0 - g1 + g2) / 2
    m4 = (d1 - d3) * g2
    assert transforms(2, 3)([3, -5, 7], [11, 13, -17, 19]) == (m1 + m2 + m3, m2 - m3 - m4)


@pytest.mark.parametrize(("m", "r"), [(2, 3), (3, 2), (4, 3), (6, 3), (2, 5)])
def test_m_outputs_of_r_taps_take_m_plus_r_minus_1(m, r):
    defined, fast = Counted(), Counted()
    correlate(range(r), range(m + r - 1), defined)
    transforms(m, r)(range(r), range(m + r - 1), fast)
    assert (defined.count, fast.count) == (m * r, m + r - 1)
