#!/bin/sh
# boot.sh ROOT HOME NAME: becomes systemd, the first process of a machine whose files are ROOT with what changes in
# HOME. To be run as process 1 of new PID, mount, UTS, IPC and network namespaces, mounts private.
set -eu
root=$1 home=$2 name=$3

# cgroup_tree MOUNTPOINT prints where our own cgroup is once the v2 hierarchy is mounted there.
cgroup_tree() {
    mount -t cgroup2 none "$1"
    sed -n "s|^0::|$1|p" /proc/self/cgroup
}

if [ "${4:-}" != in-its-cgroup ]; then
    tree=$(cgroup_tree "$home/cgroup")
    mkdir -p "$tree/$name"
    echo 0 >"$tree/$name/cgroup.procs"
    umount "$home/cgroup"
    exec unshare --cgroup sh "$0" "$root" "$home" "$name" in-its-cgroup
fi

new=$home/root
mount -t overlay -o "lowerdir=$root,upperdir=$home/changes,workdir=$home/work" overlay "$new"
mount -t proc -o nosuid,nodev,noexec proc "$new/proc"
# The kernel's settings are those of the host.
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$new/sys"
mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid tmpfs "$new/dev"
for device in full null random tty urandom zero; do
    : >"$new/dev/$device"
    mount --bind "/dev/$device" "$new/dev/$device"
done
mkdir "$new/dev/pts" "$new/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$new/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$new/dev/shm"
ln -s pts/ptmx "$new/dev/ptmx"
ln -s /proc/self/fd "$new/dev/fd"
ln -s fd/0 "$new/dev/stdin"
ln -s fd/1 "$new/dev/stdout"
ln -s fd/2 "$new/dev/stderr"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$new/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$new/tmp"
echo "$name" >"$new/etc/hostname"

cd "$new"
mkdir -p .host
pivot_root . .host
exec chroot . /bin/sh -c '
    umount --lazy /.host && rmdir /.host && mount --make-rshared / &&
    exec env -i container=linodmgr-tests PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd'
