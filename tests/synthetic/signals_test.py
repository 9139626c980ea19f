import numpy as np

from jaxpose.synthetic import signals

T = np.arange(-30, 330) / 30


def test_ease_is_monotone_and_rests_at_both_ends():
  x = np.linspace(-0.5, 1.5, 401)
  y = signals.ease(x)
  assert y[0] == 0 and y[-1] == 1 and np.all(np.diff(y) >= 0)
  assert np.abs(np.gradient(y, x)[np.isclose(x, 0) | np.isclose(x, 1)]).max() < 1e-2


def test_window_and_keyed_hit_their_marks():
  w = signals.window(T, 2.0, 6.0, 1.0)
  assert w[T <= 2.0].max() == 0 and w[T >= 6.0].max() == 0 and np.allclose(w[(T >= 3.0) & (T <= 5.0)], 1)
  curve = signals.keyed(T, (1, 2, 4), np.array([(0, 5), (1, 6), (-1, 7)]))
  np.testing.assert_allclose(curve[[0, -1]], [(0, 5), (-1, 7)])
  np.testing.assert_allclose(curve[np.isclose(T, 2)], [(1, 6)], atol=1e-9)


def test_drift_is_of_unit_size_smooth_and_by_seed():
  one = signals.drift(np.random.default_rng(0), T, 40)
  again = signals.drift(np.random.default_rng(0), T, 40)
  np.testing.assert_array_equal(one, again)
  assert 0.6 < one.std() < 1.3
  spectrum = np.abs(np.fft.rfft(one - one.mean(0), axis=0)).mean(1)
  assert spectrum[2:8].mean() > 5 * spectrum[40:80].mean()  # slow parts dominate


def test_soft_min_is_below_the_least_and_close_to_it():
  a, b = np.linspace(0, 1, 50), np.linspace(1, 0, 50)
  soft = signals.soft_min(a, b, softness=0.01)
  assert np.all(soft <= np.minimum(a, b) + 1e-12) and np.all(soft > np.minimum(a, b) - 0.01)
