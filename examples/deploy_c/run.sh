#!/bin/sh
# From nothing to C on this machine: train, export, prove the C equal to the oracle on the test set, build embed.c with it.
#
#     sh examples/deploy_c/run.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}

binarynet train bnn-digits --set width=64 --epochs 5 --out "$folder/run"
binarynet export "$folder/run/model.bnn" --to c --api net --out "$folder/net" --check digits

cd "$folder/net"
make -s net net.o
cc -std=c99 -O2 -I. -o embed "$here/embed.c" net.o

# The first image of the test set, as raw bytes: both programs name its class.
python3 -c "from binarynet.data import load_split; load_split('digits', 'test').images[:1].tofile('image.raw')"
./net image.raw
./embed <image.raw
