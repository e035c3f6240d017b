# What people do here often. `just` without a word lists it. Nothing needs `just`: each line can be typed.

[private]
default:
    @{{ just_executable() }} --list --unsorted

# Starts Cradle
run *ARGUMENTS:
    ./run {{ ARGUMENTS }}

# Everything that must hold before a change is merged
test:
    ./test

# Holds the workspace to STYLE.md and layers.toml, in a second
tidy:
    cargo xtask tidy

# Licences, bans and sources of what we build on
deny:
    PATH="$PWD/target/tools/bin:$PATH" cargo deny --all-features check bans licenses sources

# Known holes in what we build on; asks the network
advisories:
    PATH="$PWD/target/tools/bin:$PATH" cargo deny --all-features check advisories

# Lets libFuzzer look for octets that break TARGET (or all), for so long
fuzz TARGET="all" SECONDS="60":
    fuzz/run {{ TARGET }} {{ SECONDS }}

# Lets libFuzzer look at every target for so long, two or more at a time, without keeping what it finds on its way
fuzz-each SECONDS="10":
    fuzz/each {{ SECONDS }}

# Makes the seeds of the fuzz targets anew from testdata/
seeds:
    cargo run --manifest-path fuzz/Cargo.toml --target-dir target --no-default-features --example seed

# The slow rigs: for a night, not for a change. Fifty power cuts are among them
long:
    sudo apt-get install -q -y --no-install-recommends qemu-system-x86 busybox-static e2fsprogs binutils
    PROPTEST_CASES=20000 cargo nextest run --workspace --no-fail-fast
    sudo env PATH="$PATH" HOME="$HOME" cargo nextest run --package adapters --test loop_device --test full_disk --run-ignored all
    fuzz/run all 600
    rigs/newer-openssl
    rigs/run-all --long
    cargo run --release --package cradle -- bench storm --devices 100000 --lifetime 1800 --clients 32

# Breaks what an installation stands on, at length: processes, broker, database, network, disk. Each rig has its control
faults:
    rigs/run-all --faults

# Cuts the power of a virtual machine so often, and looks for what was told
power-cut CUTS="10":
    PATH="$PWD/target/venv/bin:$PATH" rigs/power-cut --cuts {{ CUTS }}

# Runs the whole system in simulated time, once for each seed, and stops at the first world in which a promise is broken
world SEEDS="10000..20000" *MORE="":
    cargo run --quiet --package world -- --seeds {{ SEEDS }} {{ MORE }}

# Measures; never a gate, because the next machine is slower
bench:
    cargo bench --workspace

# Makes the foreign octets of testdata/ anew (other keys, so other octets)
golden:
    testdata/make/golden.sh
