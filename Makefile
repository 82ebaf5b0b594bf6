# standin - build, test, install.
#
#   make            the daemon, ./standin
#   make check      every test, ends with "N passed, N failed" (no packages are installed);
#                   SUITES="vtc netns" chooses (reg-tests/run.sh), SAN=1 takes the sanitizers' build
#   make demo       the main job on real traffic, in network namespaces (root)
#   make bench      what it costs beside its peers, doc/bench.md (root); WHAT="--quick throughput" chooses
#   make asan       ./standin-asan and the tests' programs with AddressSanitizer and UBSan
#   make deps       install the Debian packages that build and tests need (root)
#   make install    DESTDIR=, PREFIX=/usr/local
#   make clean
#
# CC=clang works. BUILD= chooses the directory of objects, SAN=1 the sanitizers, EXTRA_CFLAGS= adds flags.

ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr/local
VERSION := $(shell cat VERSION)
DOCDIR   = $(PREFIX)/share/doc/standin
MANUAL  := $(filter-out doc/bench.md,$(wildcard doc/*.md))

ifdef FUZZ
# coverage for libFuzzer in every object: CC=clang only
BUILD   ?= build/fuzz
BIN     ?= standin-fuzz
OPT     ?= -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_LDFLAGS := -fsanitize=fuzzer
else ifdef SAN
BUILD   ?= build/asan
BIN     ?= standin-asan
OPT     ?= -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
BUILD   ?= build/$(notdir $(CC))
BIN     ?= standin
OPT     ?= -O2
endif

PKGS     := libmnl libnetfilter_queue libpcre2-8 sqlite3 openssl zlib
PC_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PC_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE -DSTANDIN_VERSION='"$(VERSION)"' -DPCRE2_CODE_UNIT_WIDTH=8
# libev's own macros break strict aliasing by design (ev.pod, COMPILER SUPPORT)
CFLAGS   += -std=gnu11 -g $(OPT) -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing -fstack-protector-strong $(PC_CFLAGS) $(EXTRA_CFLAGS)
LDLIBS   += $(PC_LIBS) -lev -lpthread -lm

SRCS := $(wildcard src/*/*.c)
OBJS := $(SRCS:src/%.c=$(BUILD)/%.o)
MAIN := $(BUILD)/main.o

UNIT_SRCS := $(wildcard reg-tests/unit/*.c)
UNITS     := $(UNIT_SRCS:reg-tests/unit/%.c=$(BUILD)/unit/%)
PLAT_SRCS := $(wildcard reg-tests/platform/*.c)
PLATS     := $(PLAT_SRCS:reg-tests/platform/%.c=$(BUILD)/platform/%)
TOOL_SRCS := $(wildcard reg-tests/netns/*.c)
TOOLS     := $(TOOL_SRCS:reg-tests/netns/%.c=$(BUILD)/tools/%)
BENCH_SRCS := $(wildcard contrib/bench/*.c)
BENCHES   := $(BENCH_SRCS:contrib/bench/%.c=$(BUILD)/bench/%)
FUZZ_SRCS := $(wildcard reg-tests/fuzz/*.c)
FUZZERS   := $(FUZZ_SRCS:reg-tests/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_MAIN := $(if $(FUZZ),,reg-tests/fuzz/lib/driver.c)

.PHONY: all objs deps check demo bench asan tests units tools fuzzers install uninstall clean
.DELETE_ON_ERROR:

all: $(BIN)

$(BIN): $(MAIN) $(OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: src/%.c Makefile VERSION
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# unit tests link every object but main's: each file is one program. Functions named here are the test's own
# (__wrap_NAME), with the real one beside it (__real_NAME)
WRAP_MEMORY        := pool_alloc pool_zalloc malloc calloc realloc mmap
WRAP_l3_narrow     := offload_reset
WRAP_l3_record     := $(WRAP_MEMORY)
WRAP_BORDER        := repair_prepare repair_make repair_set_mark repair_clamp_window repair_open_window repair_limit_unsent repair_queues repair_tsval \
		      repair_freeze repair_thaw repair_close stream_promote stream_leave_ask stream_leave_why \
		      stream_leave_cancel stream_may_leave stream_is_opaque stream_quiet stream_bytes stream_detach \
		      stream_kill pktq_dry stream_begin l3_recall border_socket_state
WRAP_border_flow   := $(WRAP_MEMORY) $(WRAP_BORDER)
WRAP_l3_matrix     := $(WRAP_BORDER)
WRAP_border_repair := socket setsockopt getsockopt bind connect close stream_promote stream_kill
$(BUILD)/unit/%: reg-tests/unit/%.c $(OBJS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -Wno-strict-prototypes -MMD -MP -MF $@.d $(LDFLAGS) \
		$(WRAP_$*:%=-Wl,--wrap=%) -o $@ $< $(OBJS) -lcriterion $(LDLIBS)

$(BUILD)/platform/%: reg-tests/platform/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LDLIBS)

$(BUILD)/tools/%: reg-tests/netns/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(LDLIBS)

$(BUILD)/bench/%: contrib/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ireg-tests/netns $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< -lmnl -lnetfilter_queue

# each fuzz target has LLVMFuzzerTestOneInput(); reg-tests/fuzz/README tells how to run it
$(BUILD)/fuzz/%: reg-tests/fuzz/%.c $(OBJS) $(FUZZ_MAIN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -MF $@.d $(LDFLAGS) $(FUZZ_LDFLAGS) \
		-o $@ $< $(FUZZ_MAIN) $(OBJS) $(LDLIBS)

objs: $(OBJS)
units: $(UNITS)
tools: $(TOOLS)
fuzzers: $(FUZZERS)
tests: $(BIN) $(UNITS) $(PLATS) $(TOOLS) $(FUZZERS) $(BENCHES)

asan:
	$(MAKE) SAN=1 tests

check: tests
	@BUILD=$(BUILD) STANDIN=./$(BIN) SAN=$(SAN) sh reg-tests/run.sh $(SUITES)

demo: $(BIN) $(TOOLS)
	sh contrib/demo.sh --no-install

bench: $(BIN) $(TOOLS) $(BENCHES)
	BUILD=$(BUILD) STANDIN=./$(BIN) sh contrib/bench/run.sh $(WHAT)

deps:
	sh contrib/deps.sh

install: $(BIN)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/sbin/standin
	install -D -m 644 conf/standin.cfg $(DESTDIR)$(PREFIX)/share/standin/standin.cfg
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(DOCDIR)
	sed 's,/usr/local,$(PREFIX),g' contrib/standin.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/standin.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/standin.service
	install -D -m 644 doc/standin.8 $(DESTDIR)$(PREFIX)/share/man/man8/standin.8
	install -m 644 LICENSE $(MANUAL) $(DESTDIR)$(DOCDIR)

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/standin $(DESTDIR)$(PREFIX)/share/standin/standin.cfg \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/standin.service $(DESTDIR)$(PREFIX)/share/man/man8/standin.8 \
		$(addprefix $(DESTDIR)$(DOCDIR)/,LICENSE $(notdir $(MANUAL)))
	-rmdir $(DESTDIR)$(PREFIX)/share/standin $(DESTDIR)$(DOCDIR) 2>/dev/null

clean:
	rm -rf build standin standin-asan

-include $(OBJS:.o=.d) $(MAIN:.o=.d) $(UNITS:=.d) $(PLATS:=.d) $(TOOLS:=.d) $(BENCHES:=.d) $(FUZZERS:=.d)
