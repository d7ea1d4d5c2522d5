/* SPDX-License-Identifier: MIT */
/* peak_amx.c - ceiling of tdpbusd: four tiles of sums, as many as a convolution has. */
#include "layers/kernels/peak.h"

#include <immintrin.h>

int64_t qzk_peak_u8s8__amx(int64_t rounds)
{
    const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("" ::"m"(config));
    _tile_loadconfig(&config);
    _tile_zero(4);
    _tile_zero(6);
    for (int64_t r = 0; r < rounds; r++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 6);
        _tile_dpbusd(2, 4, 6);
        _tile_dpbusd(3, 4, 6);
    }
    _tile_release();
    return rounds * 4 * 16 * 16 * 64;
}
