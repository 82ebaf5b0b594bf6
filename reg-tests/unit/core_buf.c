/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_buf.c - buffers, borrowed strings
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "core/buf.h"

Test(buf, consuming_all_gives_back_the_whole_area)
{
	char area[8];
	struct buf b;

	buf_wrap(&b, area, sizeof(area));
	cr_assert(buf_put(&b, "abcdef", 6));
	buf_consume(&b, 2);
	cr_assert_eq(b.head, 2);
	buf_consume(&b, 4);
	cr_assert_eq(b.head, 0);
	cr_assert_eq(buf_contig_room(&b), 8);
}

Test(buf, put_moves_the_content_when_only_that_makes_room)
{
	char area[8];
	struct buf b;

	buf_wrap(&b, area, sizeof(area));
	buf_put(&b, "abcdef", 6);
	buf_consume(&b, 4);
	cr_assert(buf_put(&b, "12345", 5));
	cr_assert(str_eq(buf_str(&b), STR("ef12345")));
	cr_assert_not(buf_put(&b, "xy", 2), "9 bytes do not fit in 8");
	cr_assert(str_eq(buf_str(&b), STR("ef12345")), "a refused put changes nothing");
}

Test(buf, printf_may_fill_the_area_to_its_last_byte)
{
	char area[4];
	struct buf b;

	buf_wrap(&b, area, sizeof(area));
	cr_assert(buf_printf(&b, "%d", 1234));
	cr_assert(str_eq(buf_str(&b), STR("1234")));
	cr_assert_not(buf_printf(&b, "5"));
	buf_consume(&b, 3);
	cr_assert(buf_printf(&b, "%s", "abc"));
	cr_assert(str_eq(buf_str(&b), STR("4abc")));
}

Test(buf, growing_keeps_what_was_there)
{
	struct buf b = { 0 };

	for (int i = 0; i < 1000; i++)
		buf_printf_grow(&b, "%04d", i);
	cr_assert_eq(b.data, 4000);
	cr_assert_eq(memcmp(buf_head(&b) + 3996, "0999", 4), 0);
	buf_consume(&b, 3996);
	buf_put_grow(&b, "x", 1);
	cr_assert(str_eq(buf_str(&b), STR("0999x")));
	buf_free(&b);
	cr_assert_null(b.area);
}

Test(str, numbers_are_all_digits_and_in_range)
{
	uint64_t u = 7;
	int64_t i;

	cr_assert_eq(str_to_uint(STR("18446744073709551615"), &u), 0);
	cr_assert_eq(u, UINT64_MAX);
	cr_assert_eq(str_to_uint(STR("18446744073709551616"), &u), -ERANGE);
	cr_assert_eq(str_to_uint(STR(""), &u), -EINVAL);
	cr_assert_eq(str_to_uint(STR("1x"), &u), -EINVAL);
	cr_assert_eq(str_to_uint(STR("+1"), &u), -EINVAL);
	cr_assert_eq(u, UINT64_MAX, "untouched by what failed");
	cr_assert_eq(str_to_int(STR("-9223372036854775808"), &i), 0);
	cr_assert_eq(i, INT64_MIN);
	cr_assert_eq(str_to_int(STR("9223372036854775808"), &i), -ERANGE);
	cr_assert_eq(str_to_int(STR("-"), &i), -EINVAL);
}

Test(str, cut_walks_every_field_empty_ones_too)
{
	struct str rest = STR("a,,b,");
	const struct str want[] = { STR("a"), STR(""), STR("b"), STR("") };
	size_t n = 0;

	while (rest.p) {
		struct str s = str_cut(&rest, ',');

		cr_assert_lt(n, 4);
		cr_assert(str_eq(s, want[n++]));
	}
	cr_assert_eq(n, 4);
}

Test(str, trim_takes_spaces_and_tabs_off_both_ends)
{
	cr_assert(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
	cr_assert_eq(str_trim(STR(" \t ")).n, 0);
}
