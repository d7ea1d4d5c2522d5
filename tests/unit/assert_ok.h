/* SPDX-License-Identifier: MIT */
/* assert_ok.h - a call that must succeed; where it does not, the test says what the library said.
 */
#ifndef QZOO_TESTS_UNIT_ASSERT_OK_H
#define QZOO_TESTS_UNIT_ASSERT_OK_H

#define ASSERT_OK(ctx, call)                                                 \
    do {                                                                     \
        const qz_status assert_ok_status = (call);                           \
        if (assert_ok_status != QZ_OK)                                       \
            fail_msg("%s: %s (%s)", #call, qz_status_name(assert_ok_status), \
                     qz_context_message(ctx));                               \
    } while (0)

#endif
