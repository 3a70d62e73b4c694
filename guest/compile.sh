#!/usr/bin/env bash
# The C compiler of the guest's kernel, to `make CC=`: gcc, for which the headers that most files include are read once.
#
# Reading headers is most of the work in compiling a file of the kernel. Here they are read ahead (common.h, beside this
# script in the folder of one build) when the first file below init/ is compiled, and gcc takes what it has read wherever
# the flags are the same. A file is compiled as it would be without this where what it defines could change what its
# headers say, where it is no part of the kernel proper, and where headers that it did not ask for get in its way.

here=${0%/*}
ahead=$here/ahead.h # empty: what gcc reads where it cannot take ahead.h.gch
words=("$@") flags=() own='' kernel='' other='' object='' source='' dependencies=''
while [ $# -gt 0 ]; do
    case $1 in
        -c) object=yes ;;
        -o) output=$2 && shift ;;
        -include) # compiler-version.h says nothing, and that once only
            [ "${2##*/}" = compiler-version.h ] || flags+=("$1" "$2")
            shift
            ;;
        -Wp,-MMD,*) dependencies=${1#-Wp,-MMD,} ;;
        -DKBUILD_* | -D__KBUILD_*) # other in each file, so it is said after the headers
            line=${1#-D}
            own+="#define ${line/=/ }"$'\n'
            ;;
        -fPIC | -fpic | -DBUILD_VDSO* | */scripts/*.c) other=yes ;;
        *.c) source=$1 ;;
        -D__KERNEL__) kernel=yes && flags+=("$1") ;;
        *) flags+=("$1") ;;
    esac
    shift
done
[[ $object$kernel = yesyes && $own && $source && ! $other ]] || exec gcc "${words[@]}"

# Fails where the file defines something before its last header. The prefixes of its messages may be: they are expanded
# where they are used, and the headers' own make way for them.
prefixes=$(awk '
    /^[ \t]*#[ \t]*(define|undef)/ {
        sub(/^[ \t]*#[ \t]*[a-z]+[ \t]+/, "")
        sub(/[^A-Za-z0-9_].*/, "")
        if ($0 == "pr_fmt" || $0 == "dev_fmt") print "#undef " $0
        else defined = 1
        next
    }
    /^[ \t]*#[ \t]*include/ && defined { exit 1 }
' "$source") || exec gcc "${words[@]}"

if [[ $source = */init/* && ! -e $ahead.gch ]]; then
    : >"$ahead"
    gcc "${flags[@]}" -x c-header "$here/common.h" -o "$ahead.gch" || exit
fi
[ -e "$ahead.gch" ] || exec gcc "${words[@]}"
said=$(gcc -include "$ahead" "${flags[@]}" -include /dev/stdin -c "$source" -o "$output" 2>&1 <<<"$prefixes"$'\n'"$own") ||
    exec gcc "${words[@]}"
[ -z "$said" ] || printf '%s\n' "$said" >&2
[ -z "$dependencies" ] || echo "$output: $source" >"$dependencies" # it is built once: nobody asks for more
