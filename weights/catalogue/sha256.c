/* SPDX-License-Identifier: MIT */
/*
 * sha256.c - SHA-256 (FIPS 180-4), for the checksums of published files.
 *
 * Own, since a hundred lines that are tested with NIST's vectors weigh less than a cryptographic
 * library in everybody's inference build. It keeps no secrets, so timing does not matter.
 */
#include "weights/catalogue/sha256.h"

#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big_endian32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round, where the word called a in the standard is s[a]. */
static inline void round_at(uint32_t s[8], int a, uint32_t input)
{
    uint32_t wa = s[a], wb = s[(a + 1) % 8], wc = s[(a + 2) % 8], we = s[(a + 4) % 8];
    uint32_t sum1 = rotate(we, 6) ^ rotate(we, 11) ^ rotate(we, 25);
    uint32_t choice = (we & s[(a + 5) % 8]) ^ (~we & s[(a + 6) % 8]);
    uint32_t t = s[(a + 7) % 8] + sum1 + choice + input;
    uint32_t sum0 = rotate(wa, 2) ^ rotate(wa, 13) ^ rotate(wa, 22);
    s[(a + 3) % 8] += t;
    s[(a + 7) % 8] = t + sum0 + ((wa & wb) ^ (wa & wc) ^ (wb & wc));
}

static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = big_endian32(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof(s));
    /* instead of moving the eight words on, each round takes them one place further */
    for (int i = 0; i < 64; i += 8) {
        round_at(s, 0, round_constants[i] + w[i]);
        round_at(s, 7, round_constants[i + 1] + w[i + 1]);
        round_at(s, 6, round_constants[i + 2] + w[i + 2]);
        round_at(s, 5, round_constants[i + 3] + w[i + 3]);
        round_at(s, 4, round_constants[i + 4] + w[i + 4]);
        round_at(s, 3, round_constants[i + 5] + w[i + 5]);
        round_at(s, 2, round_constants[i + 6] + w[i + 6]);
        round_at(s, 1, round_constants[i + 7] + w[i + 7]);
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void qzi_sha256_init(qzi_sha256 *sha)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(sha->state, start, sizeof(start));
    sha->size = 0;
}

void qzi_sha256_update(qzi_sha256 *sha, const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t used = (size_t)(sha->size % 64);
    sha->size += size;
    if (used > 0) {
        size_t room = 64 - used, now = size < room ? size : room;
        memcpy(sha->block + used, p, now);
        if (now < room)
            return;
        compress(sha->state, sha->block);
        p += now;
        size -= now;
    }
    for (; size >= 64; p += 64, size -= 64)
        compress(sha->state, p);
    if (size > 0)
        memcpy(sha->block, p, size);
}

void qzi_sha256_final(qzi_sha256 *sha, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = sha->size * 8;
    uint8_t end[72] = {0x80};
    /* one bit, zeros, and the length in the last eight bytes of a block */
    size_t zeros = (size_t)((119 - sha->size % 64) % 64);
    for (int i = 0; i < 8; i++)
        end[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    qzi_sha256_update(sha, end, 1 + zeros + 8);
    for (int i = 0; i < 64; i++)
        hex[i] = digits[sha->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}
