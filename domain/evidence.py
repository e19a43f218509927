"""Evidence that may be looked at after every request: e-values for "the canary is worse" and "it is harmless".

An e-value is a non-negative number that is 1 or less on average while its null hypothesis holds, however often one
looks (Ville's inequality: it exceeds 1/alpha with a chance of at most alpha, at any time). All functions give natural
logarithms, take numbers or arrays of them (arrays broadcast), and never give infinity or nan.

The conditional-binomial test: of `bad` events on two arms, `canary_bad` fell on the canary, which had `share` of the
requests. If both arms are equally bad, each event falls on the canary with the chance `share`, whatever the base rate
is at that moment, so a spike on both arms is no evidence. The alternatives are mixed by a beta distribution that is
cut at the null (Robbins 1970; the mixture without the cut is the beta-binomial test of Howard et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc, betaln

Floats = NDArray[np.float64]

LEAST: Final = -700.0
"""No logarithm below this is given; its exponential still is a number."""

_CONCENTRATION: Final = 10.0
_UNDERFLOW: Final = 1e-250
_LEAST_SHARE: Final = 1e-6


def log_e_worse(canary_bad: ArrayLike, bad: ArrayLike, share: ArrayLike, margin: ArrayLike = 1.0) -> Floats:
    """Against "the canary's bad rate is at most `margin` times the baseline's".

    E = B(a+k, b+n-k) sf(c; a+k, b+n-k) / [B(a, b) sf(c; a, b) c^k (1-c)^(n-k)] with the prior Beta(a, b) around the
    share w, a = 10w and b = 10(1-w), cut to (c, 1), where c = wm/(wm+1-w). With less than a millionth of the requests
    on one arm it is ln 1 = 0.
    """
    k, n, w, m = (np.asarray(each, np.float64) for each in (canary_bad, bad, share, margin))
    compared = (w >= _LEAST_SHARE) & (w <= 1 - _LEAST_SHARE)
    w = np.where(compared, w, 0.5)
    cut = w * m / (w * m + 1 - w)
    a, b = _CONCENTRATION * w, _CONCENTRATION * (1 - w)
    mixed = _log_tail(a + k, b + (n - k), cut) - _log_tail(a, b, cut)
    log_e = mixed - k * np.log(cut) - (n - k) * np.log1p(-cut)
    return np.maximum(np.where(compared & (n > 0), log_e, 0.0), LEAST)


def log_e_harmless(canary_bad: ArrayLike, bad: ArrayLike, share: ArrayLike, ratio: ArrayLike) -> Floats:
    """Against "the canary's bad rate is at least `ratio` times the baseline's": the mirror, with the arms swapped."""
    k, n, w, r = (np.asarray(each, np.float64) for each in (canary_bad, bad, share, ratio))
    return log_e_worse(n - k, n, 1 - w, 1 / r)


def log_e_below(bad: ArrayLike, total: ArrayLike, rate: ArrayLike) -> Floats:
    """Against "the bad rate is `rate` or more at any time", of one arm alone.

    E = B(a+k, b+n-k) cdf(r; a+k, b+n-k) / [B(a, b) cdf(r; a, b) r^k (1-r)^(n-k)], a = 1/2 and b = 1/r: the prior
    leans to no bad event at all, and is cut to (0, r).
    """
    k, n, r = (np.asarray(each, np.float64) for each in (bad, total, rate))
    a, b = 0.5, 1 / r
    mixed = _log_tail(b + (n - k), a + k, 1 - r) - _log_tail(b, a, 1 - r)
    log_e = mixed - k * np.log(r) - (n - k) * np.log1p(-r)
    return np.maximum(np.where(n > 0, log_e, 0.0), LEAST)


def log_mean(log_es: Sequence[ArrayLike], weights: Sequence[float]) -> Floats:
    """Of the weighted mean, which is an e-value again, however the e-values depend on each other."""
    terms = [np.asarray(log_e, np.float64) + np.log(weight) for log_e, weight in zip(log_es, weights, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = np.logaddexp(total, term)
    return total - np.log(sum(weights))


def first_reached(reached: Callable[[Floats], NDArray[np.bool_]], most: int) -> int | None:
    """The least whole number from 1 to about `most`, to a percent, that `reached` is true for; None: there is none.

    `reached` is asked for many numbers at once, twice: for the magnitude, then in between. Both series are of whole
    numbers made by shifts and divisions, so that no rounding of another processor changes them.
    """
    low = high = 0
    tried = [1 << power for power in range(most.bit_length())]
    for _ in range(2):
        found = reached(np.array(tried, np.float64))
        if not found.any():
            return None
        first = int(found.argmax())
        low, high = tried[first - 1] if first else low, tried[first]
        tried = sorted({low + (high - low) * part // 128 for part in range(1, 129)} - {low})
    return high


def _log_tail(a: ArrayLike, b: ArrayLike, cut: ArrayLike) -> Floats:
    """ln of the integral of p^(a-1) (1-p)^(b-1) from `cut` to 1, also where it is too small for a float."""
    a, b, cut = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in (a, b, cut)))
    tail: Floats = np.asarray(betaincc(a, b, cut), np.float64)
    lost = tail < _UNDERFLOW
    log_tail: Floats = np.asarray(betaln(a, b), np.float64) + np.log(np.where(lost, 1.0, tail))
    if lost.any():
        far = a[lost], b[lost], cut[lost]
        log_tail = np.array(log_tail)
        log_tail[lost] = _log_far_tail(*far)
    return log_tail


def _log_far_tail(a: Floats, b: Floats, cut: Floats) -> Floats:
    """By the continued fraction of the incomplete beta function (DLMF 8.17.22), evaluated by Lentz's method."""
    y = 1 - cut
    fraction, c, d = np.ones_like(y), np.ones_like(y), np.zeros_like(y)
    for step in range(1, 2_000):
        m = step // 2
        if step % 2:
            term = -(b + m) * (a + b + m) * y / ((b + 2 * m) * (b + 2 * m + 1))
        else:
            term = m * (a - m) * y / ((b + 2 * m - 1) * (b + 2 * m))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        fraction = fraction * c * d
        if bool(np.all(np.abs(c * d - 1) < 1e-14)):
            break
    return b * np.log(y) + a * np.log(cut) - np.log(b) - np.log(fraction)
