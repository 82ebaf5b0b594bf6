/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_json.c - the JSON writer
 */
#include <criterion/criterion.h>
#include <math.h>

#include "core/json.h"

static void expect(struct buf *b, const char *want)
{
	buf_put_grow(b, "", 1);
	cr_assert_str_eq(buf_head(b), want);
	buf_free(b);
}

Test(json, places_commas)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_arr_open(&j, NULL);
	json_obj_open(&j, NULL);
	json_uint(&j, "a", 1);
	json_int(&j, "b", -2);
	json_arr_open(&j, "c");
	json_arr_close(&j);
	json_bool(&j, "d", true);
	json_obj_close(&j);
	json_obj_open(&j, NULL);
	json_obj_close(&j);
	json_arr_close(&j);
	expect(&b, "[{\"a\":1,\"b\":-2,\"c\":[],\"d\":true},{}]");
}

Test(json, goes_on_after_the_output_was_drained)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_arr_open(&j, NULL);
	json_uint(&j, NULL, 1);
	buf_consume(&b, b.data);
	json_uint(&j, NULL, 2);
	json_arr_close(&j);
	expect(&b, ",2]");
}

Test(json, escapes_what_must_be)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_str(&j, NULL, STR("a\"b\\c\n\t\x01\x7f/"));
	expect(&b, "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f/\"");
}

Test(json, replaces_bytes_that_are_not_utf8)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_arr_open(&j, NULL);
	json_str(&j, NULL, STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	json_str(&j, NULL, STR("\xff\xc3"));         /* never; cut short */
	json_str(&j, NULL, STR("\xc0\xaf"));         /* overlong */
	json_str(&j, NULL, STR("\xed\xa0\x80"));     /* surrogate */
	json_str(&j, NULL, STR("\xf4\x90\x80\x80")); /* beyond U+10FFFF */
	json_arr_close(&j);
	expect(&b, "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"\\ufffd\\ufffd\",\"\\ufffd\\ufffd\","
		   "\"\\ufffd\\ufffd\\ufffd\",\"\\ufffd\\ufffd\\ufffd\\ufffd\"]");
}

Test(json, numbers_have_no_exponent_and_no_trailing_zeros)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_arr_open(&j, NULL);
	json_num(&j, NULL, 0.25);
	json_num(&j, NULL, 3);
	json_num(&j, NULL, 100);
	json_num(&j, NULL, 1e9);
	json_num(&j, NULL, -0.0000001);
	json_num(&j, NULL, NAN);
	json_arr_close(&j);
	expect(&b, "[0.25,3,100,1000000000,0,null]");
}
