#!/bin/sh
# Starts systemd as process 1 of its own namespaces: a root of tmpfs over this machine's /usr, no network but loopback, its own
# branch of the control groups. It sees no other process, and changes nothing of this machine: /proc/sys and /sys are read-only.
#
#   systemd_boot.sh ROOT NAME FROM:TO...    ROOT: an empty folder; NAME: of the branch; TO: where FROM (a file or folder) is seen
set -eu

if [ "$1" != inside ]; then
  # Only the unified hierarchy: an older one that this machine has beside it stays out of sight.
  groups=/sys/fs/cgroup
  [ -e $groups/cgroup.procs ] || groups=/sys/fs/cgroup/unified
  branch="$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/$2"
  mkdir "$branch"
  echo $$ > "$branch/cgroup.procs"
  echo "$branch"
  # Whoever started this and dies takes it along.
  exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net "$0" inside "$@"
fi

root="$2"
shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p usr etc/systemd/system proc sys dev run tmp var/log/journal var/lib var/tmp opt root old
mount --bind /usr usr
mount -o remount,ro,bind usr
# What the pages write into is theirs.
mount -t tmpfs -o mode=755 tmpfs usr/local
mkdir usr/local/bin
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
for pair in "$@"; do
  to=".${pair#*:}"
  if [ -d "${pair%%:*}" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}" && : > "$to"; fi
  mount --bind "${pair%%:*}" "$to"
  mount -o remount,ro,bind "$to"
done

echo root:x:0:0:root:/root:/bin/sh > etc/passwd
printf '%s\n' root:x:0: adm:x:4: tty:x:5: > etc/group
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' > etc/nsswitch.conf
echo 127.0.0.1 localhost > etc/hosts
echo 0123456789abcdef0123456789abcdef > etc/machine-id
# Nothing of this machine's own services.
cat > etc/systemd/system/test.target <<UNIT
[Unit]
Description=Enough for services
Requires=basic.target dbus.socket
After=basic.target dbus.socket
AllowIsolate=yes
UNIT
for unit in systemd-networkd systemd-resolved systemd-timesyncd systemd-logind systemd-udevd; do
  ln -s /dev/null "etc/systemd/system/$unit.service"
done
for mount in dev-hugepages dev-mqueue sys-kernel-debug sys-kernel-tracing sys-kernel-config sys-fs-fuse-connections; do
  ln -s /dev/null "etc/systemd/system/$mount.mount"
done

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : > "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . old
umount -l old
rmdir old
# As at a boot, so that what systemd mounts for a service (its credentials) is seen by it.
mount --make-rshared /
exec env -i container=test PATH=/usr/local/bin:/usr/bin:/usr/sbin /usr/lib/systemd/systemd --unit=test.target </dev/null
