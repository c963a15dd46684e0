#!/usr/bin/env bash
# Lays out the file system of the image: the binary, the libraries that it names (of its own architecture), certificates, a user,
# and the status of the packages that these are from, which scanners read.
#   scripts/build-image-root.sh BINARY ROOT
# The folder for data is laid out beside it, in ROOT-data: its owner is another one, and an image can only be told who owns what is copied.
# Needs readelf and, for another architecture, the libraries of Debian's cross compiler. All times become SOURCE_DATE_EPOCH.
set -euo pipefail
if [ $# != 2 ]; then echo "usage: $0 BINARY ROOT" >&2; exit 64; fi
binary=$1 root=$2
limit=$((40 * 1024 * 1024))
export LC_ALL=C

case $(readelf -h "$binary" | sed -n 's/.*Machine: *//p') in
*X86-64) triple=x86_64-linux-gnu ;;
AArch64) triple=aarch64-linux-gnu ;;
*) echo "$binary is for neither amd64 nor arm64" >&2; exit 64 ;;
esac

# Where Debian has libraries of that architecture: its own, or those of a cross compiler.
find_library() {
    local directory
    for directory in "/lib/$triple" "/usr/lib/$triple" "/usr/$triple/lib"; do
        if [ -e "$directory/$1" ]; then echo "$directory/$1"; return; fi
    done
    echo "$1 is nowhere" >&2
    return 1
}

add_libraries() { # of FILE, and those that they need
    local name path
    for name in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        if [ -e "$root/lib/$triple/$name" ]; then continue; fi
        path=$(find_library "$name")
        install -D -m 755 "$path" "$root/lib/$triple/$name"
        add_package "$path"
        add_libraries "$path"
    done
}

# The status of the package that FILE is from, as if it were installed in the image. The libraries of a cross compiler are those of the
# package for the other architecture, under another name.
add_package() {
    local package source
    package=$(dpkg -S "$1" 2>/dev/null || dpkg -S "${1#/usr}" 2>/dev/null || dpkg -S "/usr$1") || { echo "$1 is from no package" >&2; return 1; }
    package=${package%%:*}
    mkdir -p "$root/var/lib/dpkg/status.d"
    # shellcheck disable=SC2016 # for dpkg-query
    source=$(dpkg-query -W -f '${source:Package} (${source:Version})' "$package")
    dpkg-query -s "$package" | sed -e "/^Source:/d" -e "/^Conffiles:/d" -e "/^ /d" |
        if [[ $package == *-cross ]]; then
            sed -E -e 's/^(Package: .*)-(arm64|amd64)-cross$/\1/' -e 's/^(Version: .*)cross[0-9.]*$/\1/' -e "s/^Architecture: .*/Architecture: ${package: -11:5}/"
        else
            sed -e "s/^Version: /Source: $source\n&/"
        fi >"$root/var/lib/dpkg/status.d/$package"
}

rm -rf "$root" "$root-data"
mkdir -p "$root"/{etc/ssl/certs,usr/local/bin,tmp} "$root-data/data"
chmod 1777 "$root/tmp"
chmod 750 "$root-data/data"
install -m 755 "$binary" "$root/usr/local/bin/tandem"
add_libraries "$binary"
interpreter=$(readelf -l "$binary" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
install -D -m 755 "$(find_library "$(basename "$interpreter")")" "$root$interpreter"
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
add_package /usr/sbin/update-ca-certificates
install -D -m 644 /etc/os-release "$root/etc/os-release"
echo 'tandem:x:10001:10001::/data:/nonexistent' >"$root/etc/passwd"
echo 'tandem:x:10001:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
find "$root" "$root-data" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +

size=$(du --apparent-size --bytes --summarize "$root" | cut -f1)
echo "$root: $((size / 1024)) KiB, $triple"
if [ "$size" -ge "$limit" ]; then echo "more than $((limit / 1024 / 1024)) MiB" >&2; exit 1; fi
