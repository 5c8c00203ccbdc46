"""Philox4x64-10: 256 random bits out of a counter and a key, and no state between them.

Word i of an array is a function of i, the array's number and the key, so every device draws it
where it is wanted, in any order, and all draw the same bits. NumPy has it in C, CuPy gets a kernel
of its own, and the definition, in integer operations of the standard, serves the others.
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
"""

import functools
import threading

import numpy as np

from lamina.backend import calls

_MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B  # what the key grows by from round to round
_LOW = 0xFFFFFFFF

# What a device runs. The names defined first are all that is CUDA's about it: with others it is C.
CUDA_NAMES = """
#define KERNEL extern "C" __global__
#define FUNCTION __device__
#define FIRST (blockIdx.x * (unsigned long long) blockDim.x + threadIdx.x)
#define STRIDE (gridDim.x * (unsigned long long) blockDim.x)
"""
KERNELS = """
typedef unsigned long long u64;

FUNCTION void philox_block(u64 i, u64 number, u64 k0, u64 k1, u64* block)
{
    u64 c0 = i + 1, c1 = 0, c2 = 0, c3 = number;
    for (int round = 0; round < 10; ++round) {
        u64 high0 = __umul64hi(0xD2E7470EE14C6C93ULL, c0), low0 = 0xD2E7470EE14C6C93ULL * c0;
        u64 high2 = __umul64hi(0xCA5A826395121157ULL, c2), low2 = 0xCA5A826395121157ULL * c2;
        c0 = high2 ^ c1 ^ k0;
        c1 = low2;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ULL;
        k1 += 0xBB67AE8584CAA73BULL;
    }
    block[0] = c0;
    block[1] = c1;
    block[2] = c2;
    block[3] = c3;
}

KERNEL void philox_words(u64 key0, u64 key1, u64 number, u64 blocks, u64* words)
{
    for (u64 i = FIRST; i < blocks; i += STRIDE)
        philox_block(i, number, key0, key1, words + 4 * i);
}

/* Eight bytes of a mask at once, so that neighbours write side by side: their bits are all of one
   block, which is worked out again for each eight it serves. */
KERNEL void philox_mask(u64 key0, u64 key1, u64 number, u64 eights, u64 width, u64 least, u64* mask)
{
    u64 low = ~0ULL >> (64 - width);
    for (u64 i = FIRST; i < eights; i += STRIDE) {
        u64 block[4], found = 0, bit = 8 * width * i;
        philox_block(bit / 256, number, key0, key1, block);
        for (u64 j = 0, at = bit % 256; j < 8; ++j, at += width)
            found |= (u64) (((block[at / 64] >> at % 64) & low) >= least) << (8 * j);
        mask[i] = found;
    }
}
"""
_THREADS, _MOST_GROUPS = 128, 4096


def draws(place) -> bool:
    """Whether numbers are drawn on ``place`` itself.

    NumPy draws ten times faster than array operations do, and a library may lack 64-bit integers:
    elsewhere they are copied from the host.
    """
    return place.name in ("numpy", "cupy", "array_api_strict")


def numbers(place, key, number: int, width: int, count: int):
    """Whole numbers of ``width`` bits, of the words low bits first.

    Args:
        place: the ``Backend`` to draw on, one that ``draws``.
        key: two whole numbers below 2^64.
        number: which of the key's arrays this is.
        width: 1, 8, 32 or 64.
        count: how many.

    Returns:
        an array (count,): uint8, uint32 or int64; of 64 bits an int64 of the same bits.
    """
    words = _words(place, key, number, -(-count * width // 64))
    if width == 64:
        return words
    if place.name == "numpy":
        parts = words.astype("<i8", copy=False).view("<u4" if width == 32 else "u1")
        if width == 1:
            return np.unpackbits(parts, count=count, bitorder="little")
        return parts[:count]
    if place.name == "cupy" and width > 1:
        return words.view(f"uint{width}")[:count]
    xp = place.xp
    shifts = xp.arange(0, 64, width, dtype=xp.int64, device=words.device)
    parts = (xp.expand_dims(words, axis=-1) >> shifts) & ((1 << width) - 1)
    return xp.reshape(parts, (-1,))[:count]


def mask(place, key, number: int, width: int, least: int, count: int):
    """Which of the ``numbers`` are ``least`` or more: booleans (count,)."""
    if place.name == "cupy":
        with place.scope():
            return cuda_mask(place.library, key, number, width, least, count)
    return numbers(place, key, number, width, count) >= least


def host(key, number: int) -> "np.random.Generator":
    """NumPy's generator at the first word of an array; this thread's, until it is asked again."""
    _host.start(key, number)
    return _host.generator


def philox4x64(xp, counters, key):
    """The definition: a block of four words for every counter of four words.

    Each of ten rounds multiplies two words of the counter c by constants M, to 128 bits, swaps
    them, and mixes in the key k, which grows by constants W:

        (h0, l0) = M0 c0,  (h2, l2) = M1 c2,  c = (h2 ^ c1 ^ k0, l2, h0 ^ c3 ^ k1, l0)

    Args:
        counters: (4, n) of int64, which stand for unsigned numbers of the same bits.
        key: two whole numbers below 2^64.

    Returns:
        (4, n) of int64.
    """

    def pair(words):
        column = [[_signed(word)] for word in words]
        return xp.asarray(column, dtype=xp.int64, device=counters.device)

    m, k, w = pair(_MULTIPLIERS), pair(key), pair(_WEYL)
    halves = m & _LOW, _high(m)
    even, odd = counters[0::2, ...], counters[1::2, ...]
    for _ in range(10):
        high, low = _product(even, m, *halves)
        even, odd = xp.flip(high, axis=0) ^ odd ^ k, xp.flip(low, axis=0)
        k = k + w
    return xp.reshape(xp.stack([even, odd], axis=1), counters.shape)


def cuda_words(cupy, key, number: int, count: int):
    """Words of an array, as int64, by one kernel on the current device of ``cupy``."""
    blocks = -(-count // 4)
    words = cupy.empty((4 * blocks,), dtype="int64")
    _launch(cupy, "philox_words", blocks, (*key, number, blocks), words)
    return words[:count]


def cuda_mask(cupy, key, number: int, width: int, least: int, count: int):
    """``mask`` by one kernel on the current device of ``cupy``."""
    eights = -(-count // 8)
    bytes_of_eight = cupy.empty((eights,), dtype="int64")
    told = (*key, number, eights, width, least)
    _launch(cupy, "philox_mask", eights, told, bytes_of_eight)
    return bytes_of_eight.view("bool")[:count]


def _launch(cupy, name: str, tasks: int, told, out) -> None:
    if tasks:
        calls.launched(name)
        groups = min(-(-tasks // _THREADS), _MOST_GROUPS)
        _kernel(cupy, name)((groups,), (_THREADS,), (*map(np.uint64, told), out))


@functools.cache
def _kernel(cupy, name: str):
    return cupy.RawKernel(CUDA_NAMES + KERNELS, name)


def _words(place, key, number, count):
    if place.name == "numpy":
        _host.start(key, number)
        return _host.philox.random_raw(count).view(np.int64)
    with place.scope():
        if place.name == "cupy":
            return cuda_words(place.library, key, number, count)
        xp, device = place.xp, place.device
        blocks = xp.arange(1, -(-count // 4) + 1, dtype=xp.int64, device=device)
        zeros = xp.zeros_like(blocks)
        found = philox4x64(xp, xp.stack([blocks, zeros, zeros, zeros + _signed(number)]), key)
        return xp.reshape(xp.matrix_transpose(found), (-1,))[:count]


def _product(a, m, m0, m1):
    """High and low words of the 128 bits of a * m; m0 and m1 are the halves of m.

    Halves of 32 bits have products that fit. Multiplication and addition wrap alike with a sign
    and without; shifts carry it along, which the mask then takes off.
    """
    a0, a1 = a & _LOW, _high(a)
    first = a1 * m0 + _high(a0 * m0)
    second = a0 * m1 + (first & _LOW)
    return a1 * m1 + _high(first) + _high(second), a * m


def _high(a):
    return (a >> 32) & _LOW


def _signed(word: int) -> int:
    """The int64 of the same low 64 bits."""
    return (word + (1 << 63)) % (1 << 64) - (1 << 63)


class _Host(threading.local):
    """Each thread's own generator; to set one takes a tenth of the time that making one does.

    It is made when first asked for: ``numpy.random`` is a quarter of the time to import lamina.
    """

    philox = None

    def start(self, key, number: int) -> None:
        if self.philox is None:
            self.philox = np.random.Philox(key=0)
            self.generator = np.random.Generator(self.philox)
            self._state = self.philox.state
        state = self._state["state"]
        state["key"][:] = key
        state["counter"][3] = number
        self.philox.state = self._state


_host = _Host()
