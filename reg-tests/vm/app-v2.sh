#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# app-v2.sh - applications on a host with control groups v2 only, in a virtual machine
#
#   KERNEL=/boot/vmlinuz-... sh reg-tests/vm/app-v2.sh
#
# Needs qemu-system-x86_64, cpio, busybox-static and a kernel with 8250 serial console built in (Debian's
# linux-image-*-cloud-amd64; `apt-get download` and `dpkg -x` suffice). Without them: skipped, 77. Runs without KVM, in
# about a minute. The machine has the daemon, its libraries and busybox, whose httpd is the application. Three
# places for the daemon: the root group, a group that it has for itself, one that others live in, too.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
STANDIN=${STANDIN:-$top/standin}
T=$(mktemp -d "${TMPDIR:-/tmp}/vm-XXXXXX")
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM HUP
skip() { echo "skipped: $1"; exit 77; }
kernel=${KERNEL:-$(ls /boot/vmlinuz-*cloud* 2>/dev/null | tail -n 1)}
busybox=${BUSYBOX:-/bin/busybox}
[ -r "$kernel" ] || skip "no kernel: set KERNEL"
for tool in qemu-system-x86_64 cpio; do command -v $tool >/dev/null || skip "no $tool"; done
[ -x "$busybox" ] && ! ldd "$busybox" >/dev/null 2>&1 || skip "no busybox-static"

R=$T/root
mkdir -p "$R/bin" "$R/proc" "$R/sys" "$R/dev" "$R/tmp" "$R/www" "$R/etc"
cp "$busybox" "$R/bin/busybox"
cp "$STANDIN" "$R/standin"
ldd "$STANDIN" | grep -o '/[^ ]*' | while read -r lib; do install -D "$lib" "$R$lib"; done
echo well >"$R/www/index.html"
printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$R/etc/passwd"
cat >"$R/cfg" <<'END'
global
    log stdout format raw local0 debug
    stats socket ipv4@127.0.0.1:9999 level admin
    state-db /tmp/state.db
app web
    command /bin/busybox httpd -f -p $ADDR:$PORT -h /www
    user nobody
    listen 127.0.0.1:9100-9109
    resources memory 64m cpu 1.0 pids 32
    ready http /index.html
    timeout start 20s
    log global
END
cat >"$R/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t cgroup2 cg /sys/fs/cgroup
ip link set lo up
C=/sys/fs/cgroup
ctl() { echo "$*" | nc 127.0.0.1 9999; }
pid_of() { ctl show app | sed -n "s/.* $1 *ready .*pid \([0-9]*\).*/\1/p"; }
is() { if [ "$2" = "$3" ]; then echo "ok - $place: $1 ($3)"; else echo "not ok - $place: $1: got '$2', wanted '$3'"; fi; }
until_ready() { for i in $(seq 200); do [ -n "$(pid_of primary)" ] && [ -n "$(pid_of standby)" ] && return; sleep 0.1; done; }
group() { echo "$C$(sed 's/^0:://' /proc/$1/cgroup)"; }
limits() { (cd "$(group $1)" && echo $(cat memory.max memory.swap.max cpu.max pids.max)); }
try() {
	place=$1
	rm -f /tmp/state.db*
	mkdir -p $C/$2
	( echo 0 >$C/$2/cgroup.procs; exec /standin -f /cfg -db ) >/tmp/log 2>&1 &
	d=$!
	until_ready
	p=$(pid_of primary) s=$(pid_of standby)
	is "where the daemon is" "$(sed "s/$d/PID/" /proc/$d/cgroup)" "0::$3"
	is "where the primary is" "$(sed "s/$d/PID/" /proc/$p/cgroup)" "0::$4/standin-PID/web-1"
	is "limits of the primary" "$(limits $p)" "67108864 0 100000 100000 32"
	is "the standby's memory" "$(limits $s | cut -d ' ' -f 1)" 2097152
	kill -9 $p
	for i in $(seq 50); do [ "$(pid_of primary)" = "$s" ] && break; sleep 0.1; done
	is "the standby took over" "$(pid_of primary)" "$s"
	is "with the primary's limits" "$(limits $s)" "67108864 0 100000 100000 32"
	until_ready
	ctl failover app web >/dev/null
	until_ready
	is "and again, on demand" "$(ctl show app | sed -n 's/.*, \([0-9]*\) failovers.*/\1/p')" 2
	kill $d
	wait $d
	is "it ended" $? 0
	is "groups left" "$(find $C -name 'standin*')" ""
	is "no warning" "$(grep -c 'without its limit' /tmp/log)" 0
}
try root "" / ""
echo "+memory +cpu +pids" >$C/cgroup.subtree_control
try delegated svc /svc/standin-daemon-PID /svc
mkdir $C/session
( echo 0 >$C/session/cgroup.procs; exec sleep 1000 ) &
try beside session /session ""
echo end of test
poweroff -f
END
chmod +x "$R/init"
(cd "$R" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$T/initrd"
timeout "${VM_TIME:-240}" qemu-system-x86_64 -accel tcg -m 512 -nographic -no-reboot -kernel "$kernel" -initrd "$T/initrd" \
	-append "console=ttyS0 quiet panic=-1" </dev/null 2>&1 | tr -d '\r' >"$T/out"
grep -E '^(not )?ok - ' "$T/out"
grep -q '^end of test' "$T/out" || { echo "not ok - the machine ran to the end"; tail -n 30 "$T/out"; exit 1; }
! grep -q '^not ok' "$T/out"
