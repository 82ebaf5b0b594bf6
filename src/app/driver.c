/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * driver.c - the drivers there are
 */
#include "driver.h"

#include <string.h>

static struct app_driver *app_drivers;

void app_driver_register(struct app_driver *d)
{
	d->next = app_drivers;
	app_drivers = d;
}

const struct app_driver *app_driver_first(void)
{
	return app_drivers;
}

const struct app_driver *app_driver_find(const char *name)
{
	for (const struct app_driver *d = app_drivers; d; d = d->next)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}
