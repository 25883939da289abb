#!/bin/sh
# From nothing to hardware: train, export, prove the design equal to the oracle on the test set by simulation, synthesise
# it, and put it into a circuit of your own (board.v). Debian: iverilog yosys nextpnr-ice40.
#
#     sh examples/deploy_verilog/run.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}

binarynet train bnn-digits --set width=64 --epochs 5 --out "$folder/run"
binarynet export "$folder/run/model.bnn" --to verilog --api net --fold 4x16 --out "$folder/net" \
    --check digits --simulator iverilog --report

# The test bench reads the images and answers that --check left in the folder; any simulator runs it.
cd "$folder/net"
iverilog -g2005 -y . -s net_tb -o net_tb net_tb.v
vvp -n net_tb +stalls

cp "$here/board.v" .
yosys -q -p "read_verilog board.v net.v binarynet_*.v; synth_ice40 -top board -json board.json"
nextpnr-ice40 --hx8k --package ct256 --json board.json --pcf-allow-unconstrained --asc board.asc --quiet --log board.log
tail -n 1 board.log
