#!/bin/sh
# What Verilator's makefiles put before the compiler (OBJCACHE). Verilator's own runtime is the same in every build: it is
# compiled once, and kept in the folder VERILATED.
for word; do
    [ "$before" = -o ] && made=$word
    before=$word
done
case $word in
*/include/verilated*.cpp) ;;
*) exec "$@" ;;
esac
kept=$VERILATED/$({ echo "$*"; ls -lL "$word" "$(command -v "$1")"; } | cksum | tr ' ' -)
[ -f "$kept" ] && exec cp "$kept" "$made"
"$@" && cp "$made" "$kept.$$" && mv "$kept.$$" "$kept"
