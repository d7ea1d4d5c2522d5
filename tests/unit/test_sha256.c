/* SPDX-License-Identifier: MIT */
/* test_sha256.c - NIST's vectors, and that pieces of any size give what the whole gives. */
#include "weights/catalogue/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *hash_of(const void *data, size_t size, size_t piece)
{
    static char hex[65];
    qzi_sha256 sha;
    qzi_sha256_init(&sha);
    for (size_t at = 0; at < size; at += piece)
        qzi_sha256_update(&sha, (const char *)data + at, size - at < piece ? size - at : piece);
    qzi_sha256_final(&sha, hex);
    return hex;
}

/* FIPS 180-4's examples, and lengths around a block from NIST's CAVP byte vectors. */
static void test_vectors(void **state)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const char four_blocks[] =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
        "lmnopqrsmnopqrstnopqrstu";
    (void)state;
    assert_string_equal(hash_of("", 0, 1),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(hash_of("abc", 3, 3),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(hash_of(two_blocks, strlen(two_blocks), 7),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_string_equal(hash_of(four_blocks, strlen(four_blocks), 64),
                        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    assert_string_equal(hash_of("\xd3", 1, 1),
                        "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
    assert_string_equal(hash_of("\x11\xaf", 2, 1),
                        "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98");
}

static void test_million(void **state)
{
    enum { SIZE = 1000000 };
    char *data = malloc(SIZE);
    (void)state;
    assert_non_null(data);
    memset(data, 'a', SIZE);
    for (size_t piece = 1; piece <= SIZE; piece = piece * 7 + 1)
        assert_string_equal(hash_of(data, SIZE, piece),
                            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(data);
}

/* The padding of every length up to three blocks: a chain of hashes, computed by Python's hashlib.
 */
static void test_lengths(void **state)
{
    char data[192], chain[64 * 192];
    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)i;
    for (size_t i = 0; i < sizeof(data); i++)
        memcpy(chain + 64 * i, hash_of(data, i, 5), 64);
    assert_string_equal(hash_of(chain, sizeof(chain), sizeof(chain)),
                        "1612f358330e3327a76f40b2db75fc52b27a510bc0ec328e622108312c741394");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
