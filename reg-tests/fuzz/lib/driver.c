/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * driver.c - main() for a fuzz target built without libFuzzer: runs it once over each file
 *
 *     target FILE|DIRECTORY...     replays them
 *     target -r N SEED             N random inputs: no coverage, but some exercise where clang is missing
 *
 * Each input lies in memory of exactly its size, so that the address sanitizer sees a read past it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned long nb_inputs;

static void run(const void *p, size_t n)
{
	uint8_t *m = malloc(n ? n : 1);

	memcpy(m, p, n);
	LLVMFuzzerTestOneInput(m, n);
	free(m);
	nb_inputs++;
}

static int run_file(const char *path)
{
	static char buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	run(buf, n);
	return 0;
}

static int run_path(const char *path)
{
	char sub[4096];
	struct stat st;
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		return 1;
	}
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		rc |= run_path(sub);
	}
	if (d)
		closedir(d);
	return rc;
}

static int run_random(unsigned long rounds, unsigned seed)
{
	static const char common[] = "\r\n\r\n:; ,/01aGETHTTP/1.1\x16\x03\x01";
	uint8_t buf[512];

	srand(seed);
	while (rounds--) {
		size_t n = (size_t)rand() % sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = (uint8_t)(rand() % 4 ? common[(size_t)rand() % sizeof(common)] : rand());
		run(buf, n);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int rc = 0;

	if (argc == 4 && !strcmp(argv[1], "-r"))
		rc = run_random(strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
	else if (argc < 2)
		rc = 2;
	else
		for (int i = 1; i < argc; i++)
			rc |= run_path(argv[i]);
	if (rc == 2)
		fprintf(stderr, "usage: %s FILE|DIRECTORY... | -r N SEED\n", argv[0]);
	else
		printf("%lu inputs\n", nb_inputs);
	return rc;
}
